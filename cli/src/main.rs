//! The command `sshoal`: it reads what the user typed, lets the library do it, and shows the
//! outcome. Nothing of SSH is in here.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this crate is the user's terminal"
)]

use std::process::ExitCode;

use crate::args::Action;

mod access;
mod args;
mod codes;
mod confirm;
mod console;
mod copies;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod drive;
mod engine;
mod exit_code;
mod forward;
mod fs;
mod hosts;
mod journal;
mod launch;
mod local;
mod plan;
mod progress;
mod record;
mod render;
mod resume;
mod run;
mod sanitise;
mod signals;
mod size;
mod terminal;
mod time;
mod unknown_keys;
mod waves;
mod wording;

fn main() -> ExitCode {
    if let Err(error) = sshoal::keep_secrets_out_of_dumps() {
        complain(&format!("core files may show secrets: {error}"));
    }
    let cli = match args::parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    let done = match cli.action {
        Action::Run(args) => run::run(&args),
        Action::Forward(args) => forward::forward(&args),
        Action::Put(args) => copies::put(&args),
        Action::Get(args) => copies::get(&args),
        Action::Sync(args) => copies::sync(&args),
        Action::Fs(args) => fs::fs(&args),
        Action::Resume(args) => resume::resume(&args),
        Action::Diff(args) => diff::diff(&args),
        #[cfg(feature = "demo")]
        Action::Demo(args) => demo::demo(&args),
        #[cfg(feature = "demo")]
        Action::Fleet { args } => return sshoal_loopback::main(args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::from(exit_code::USAGE)
        }
    }
}

/// Prints help and version as they are, and everything else as one line with a remedy.
fn refused(error: &clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        // A reader that left, as in `sshoal --help | head -1`, is no failure.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let message = text.split("\n\nUsage:").next().unwrap_or(&text);
    let message = message
        .split("\n\nFor more information")
        .next()
        .unwrap_or(message);
    let paragraphs = message.split("\n\n");
    let paragraphs = paragraphs.map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
    let message = paragraphs
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    complain(&format!("{message}; see --help"));
    ExitCode::from(exit_code::USAGE)
}

/// Writes one line to standard error; if that is closed there is nowhere left to say so.
fn complain(message: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "sshoal: {}", sanitise::one_line(message));
}
