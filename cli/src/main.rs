//! The command `sshoal`: it reads what the user typed, lets the library do it, and shows the
//! outcome. Nothing of SSH is in here.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this crate is the user's terminal"
)]

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::args::{Action, More};

mod access;
mod args;
mod codes;
mod completions;
mod confirm;
mod console;
mod copies;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod drive;
mod engine;
mod exit_code;
mod failure;
mod forward;
mod fs;
mod hosts;
mod journal;
mod keep;
mod kill;
mod launch;
mod local;
mod man;
mod ping;
mod plan;
mod progress;
mod pssh;
mod record;
mod render;
mod resume;
mod room;
mod run;
mod sanitise;
mod script;
mod shell;
mod signals;
mod size;
mod terminal;
mod time;
mod unknown_keys;
mod waves;
mod wording;
mod workers;

fn main() -> ExitCode {
    // What a panic says is said by then. It is one of the codes that are promised all the same.
    std::panic::catch_unwind(program).unwrap_or(ExitCode::from(exit_code::INTERNAL))
}

fn program() -> ExitCode {
    if let Err(error) = sshoal::keep_secrets_out_of_dumps() {
        complain(&format!("core files may show secrets: {error}"));
    }
    if let Err(error) = signals::outlive_questions() {
        complain(&format!("cannot watch for signals: {error}"));
    }
    if let Some(code) = pssh::called(std::env::args_os()) {
        return code;
    }
    if workers::called(std::env::args_os()) {
        return workers::worker();
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
        Action::Hosts(args) => hosts::hosts(&args),
        Action::InstallLinks { dir } => pssh::install(&dir),
        Action::More(more) => tools(more),
        #[cfg(feature = "demo")]
        Action::Demo(args) => demo::demo(&args),
        #[cfg(feature = "demo")]
        Action::Fleet { args } => return sshoal_loopback::main(args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&wording::chain(&*error));
            ExitCode::from(exit_code::USAGE)
        }
    }
}

/// Does what the smaller sub-commands are for.
fn tools(more: More) -> anyhow::Result<u8> {
    match more {
        More::Script(args) => script::script(*args),
        More::Ping(args) => ping::ping(&args),
        More::Kill(args) => kill::kill(*args),
        More::Shell(args) => shell::shell(&args),
        More::Completions { shell } => completions::completions(shell),
        More::Man { dir } => man::man(&dir),
    }
}

/// Prints help and version as they are, and everything else as one line with a remedy.
fn refused(error: &clap::Error) -> ExitCode {
    if error.kind() == ErrorKind::DisplayVersion {
        let text = format!("sshoal {}\n", args::version());
        return ExitCode::from(console::print(text.as_bytes()));
    }
    if error.exit_code() == 0 {
        let written = error.print().and_then(|()| std::io::stdout().flush());
        return ExitCode::from(console::printed(written));
    }
    let mut what = plain(error) + remedy(error);
    // What is wrong with a file, or has its own place to look, has nothing to gain from it.
    if !what.contains("see sshoal ") && !what.contains("--help") && !what.contains("check --config")
    {
        what.push_str("; see --help");
    }
    complain(&what);
    ExitCode::from(exit_code::USAGE)
}

/// Returns what to do about a command line that has no sub-command, or what is none in its place, and
/// how a letter of another tool is spelt here.
fn remedy(error: &clap::Error) -> &'static str {
    let is_option = |word: OsString| word.as_encoded_bytes().starts_with(b"-");
    match error.kind() {
        ErrorKind::InvalidSubcommand if first_word() == "fs" => {
            "; sshoal fs --help lists the verbs"
        }
        ErrorKind::InvalidSubcommand => {
            "; a command for hosts follows `run`, as in: sshoal run -H web1 uptime"
        }
        ErrorKind::UnknownArgument if std::env::args_os().nth(1).is_some_and(is_option) => {
            "; options follow a sub-command, as in: sshoal run -H web1 uptime"
        }
        ErrorKind::UnknownArgument => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(flag)) => elsewhere(flag),
            _ => "",
        },
        _ => "",
    }
}

/// Returns what a letter of pdsh, clush, Ansible or pssh is here, as far as it is none of ours.
fn elsewhere(flag: &str) -> &'static str {
    match flag {
        "-x" | "-X" => "; --exclude leaves hosts out, -O sets an option of ssh",
        "-u" => "; -l is the user, -t the limit of a command's time",
        "-f" | "--fanout" | "--forks" | "--parallel" => "; -p is how many hosts at once",
        "-a" | "--all" => "; -w '@*' is all hosts of the inventory",
        "-m" | "-R" | "--module-name" => "; the command is given as it is, behind the options",
        "-B" => "; -b puts equal outputs together",
        "-N" => "; --no-headers leaves the names of the hosts out",
        "--become" | "-K" => "; --sudo runs as another user, --ask-sudo asks for its password",
        "-C" | "--check" => "; -n shows what would be done",
        "--port" => "; -O Port=N is the port, or HOST:PORT",
        "--password" | "--pass" => "; -A asks for a password, --password-file reads it",
        "--hostfile" | "--hosts-file" => "; -h reads a hosts file",
        "-c" | "--copy" | "--rcopy" => "; `sshoal put` and `sshoal get` copy files",
        "--list-hosts" => "; `sshoal hosts` shows whom, -n what would run on them",
        "--maxrc" => "; -S exits with the largest exit status",
        "--nostdin" => "; standard input is read with -I alone",
        "--private-key" => "; --identity names a private key",
        "-V" => "; --version tells the version",
        _ => "",
    }
}

/// Returns what is wrong with the command line in one line.
fn plain(error: &clap::Error) -> String {
    let is_lone = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if error.kind() == ErrorKind::MissingSubcommand || is_lone && first_word() == "fs" {
        return "no verb; as in: sshoal fs read -H web1 /etc/hostname".to_owned();
    }
    if is_lone {
        return "no sub-command; begin with one, as in: sshoal run -H web1 uptime".to_owned();
    }
    if error.kind() == ErrorKind::MissingRequiredArgument
        && let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg)
    {
        return match missing.as_slice() {
            [wave] if wave.starts_with("--wave ") => NO_WAVE.to_owned(),
            missing => format!("missing: {}", missing.join(" ")),
        };
    }
    let text = error.to_string();
    let message = text.split("\n\nUsage:").next().unwrap_or(&text);
    let message = message
        .split("\n\nFor more information")
        .next()
        .unwrap_or(message);
    let paragraphs = message.split("\n\n");
    let paragraphs = paragraphs.map(|paragraph| {
        // That it could be no option is of no help to anybody who meant one.
        // What is known better needs no guess.
        let tip = if remedy(error).is_empty() {
            "tip: to pass '"
        } else {
            "tip: "
        };
        let is_said = |line: &&str| !line.trim_start().starts_with(tip);
        let words = paragraph
            .lines()
            .filter(is_said)
            .flat_map(str::split_whitespace);
        words.collect::<Vec<_>>().join(" ")
    });
    let message = paragraphs
        .filter(|p| !p.is_empty())
        .collect::<Vec<_>>()
        .join("; ");
    message
        .strip_prefix("error: ")
        .unwrap_or(&message)
        .to_owned()
}

/// Returns the sub-command, if one was typed.
fn first_word() -> OsString {
    std::env::args_os().nth(1).unwrap_or_default()
}

/// clap names what is missing, and not to what.
const NO_WAVE: &str = "--gate and --wave-pause stand between waves, and there are none; say which with \
                       --wave, as --wave 1,10%,100%";

/// Writes one line to standard error; if that is closed there is nowhere left to say so.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "sshoal: {}", sanitise::one_line(message));
}
