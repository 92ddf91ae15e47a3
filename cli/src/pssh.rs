//! The pssh dialect: this program under the names of pssh's tools, with their options, environment,
//! host files, status lines, files, exit codes and messages.
//!
//! Everything here is about how pssh is spoken; the work is done by what `sshoal run` and the copies
//! are made of. Where the dialect differs on purpose is listed in `docs/pssh.md`.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use crate::complain;
use crate::console::{Console, Terminals, print};
use crate::progress::Progress;
use crate::sanitise::one_line;
use crate::terminal::Terminal;

mod access;
mod command;
mod copy;
mod hosts;
mod links;
mod options;
mod optparse;
mod outcome;
mod ssh_args;
mod tool;
mod view;
mod words;

use hosts::Listed;
pub(crate) use links::install;
use options::{Asked, Options};
use ssh_args::{Handed, Program};
use tool::Tool;
use view::{Dialect, Manner, OfSsh};

/// Why nothing is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// What was asked for is wrong: the usage and the message are shown, exit code 2.
    Usage(String),
    /// Something of this machine is in the way: the message is shown, exit code 1.
    Fatal(String),
}

/// Does what one of pssh's tools does, where this program was called by its name or is told it as the
/// first word; `None` where it was not.
pub(crate) fn called(args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let args: Vec<OsString> = args.collect();
    let by = |at: usize| Tool::of_path(args.get(at)?);
    let named = |at: usize| {
        let name = args.get(at)?.to_str()?;
        Some((Tool::named(name)?, name))
    };
    let (at, (tool, program)) = match by(0) {
        Some(found) => (0, found),
        None => (1, named(1)?),
    };
    let code = run(tool, program, args[at + 1..].to_vec());
    Some(ExitCode::from(code))
}

fn run(tool: Tool, program: &str, args: Vec<OsString>) -> u8 {
    let environment = |name: &str| std::env::var_os(name);
    if environment("PSSH_HOSTS").is_some_and(|value| !value.is_empty()) {
        say(HOSTS_WARNING);
    }
    let asked = options::read(tool, args, &environment).map_err(Stop::Usage);
    let done = match asked {
        Ok(Asked::Help) => return print(options::help(tool, program).as_bytes()),
        // The version whose manners these are, which scripts ask for.
        Ok(Asked::Version) => return print(b"2.3.4\n"),
        Ok(Asked::Run(options)) => work(tool, &options),
        Err(stop) => Err(stop),
    };
    match done {
        Ok(code) => code,
        Err(Stop::Usage(message)) => {
            let usage = tool.usage();
            let message = one_line(&message);
            say(&format!(
                "Usage: {program} {usage}\n\n{program}: error: {message}\n"
            ));
            2
        }
        Err(Stop::Fatal(message)) => {
            say(&format!("{}\n", one_line(&message)));
            1
        }
    }
}

/// Reads the hosts, gets into them and does the tool's work.
fn work(tool: Tool, options: &Options) -> Result<u8, Stop> {
    if options.par < 1 {
        let message = format!("option -p: at least 1 host at once, not {}", options.par);
        return Err(Stop::Usage(message));
    }
    let handed = handed(tool, options)?;
    let listed = hosts::read(options, &mut |line| say(&format!("{}\n", one_line(&line))))?;
    let password = match options.askpass {
        true => Some(access::ask()?),
        false => None,
    };
    let opened = access::open(tool, options, &handed, (&listed, password))?;
    opened.notices.iter().for_each(|notice| complain(notice));
    if listed.is_empty() {
        complain("the host list is empty; nothing was run");
    }
    let job = (tool, options, &handed);
    let copy = match tool.runs_command() {
        true => None,
        false => Some(copy::Copying::prepare(job, &listed, &opened)?),
    };
    let (mut view, mut console) = shown(job, listed, &opened)?;
    view.refuse(&mut console);
    if !opened.hosts.is_empty() {
        match copy {
            None => command::run(job, opened, &mut view, &mut console)?,
            Some(copy) => copy.run(options, opened, (&mut view, &mut console))?,
        }
    }
    let fates = view.end(&mut console);
    Terminal::restore();
    Ok(console.close(outcome::exit_code(tool, &fates?)))
}

fn shown(
    (tool, options, handed): (Tool, &Options, &Handed),
    listed: Vec<Listed>,
    opened: &access::Opened,
) -> Result<(Dialect, Console), Stop> {
    let terminal = std::io::stdout().is_terminal();
    let of_ssh = OfSsh {
        positions: opened.listed.clone(),
        to: opened.to.clone(),
        preface: handed.preface.clone(),
        manner: match tool {
            Tool::Scp | Tool::Slurp => Manner::Scp,
            _ if handed.is_quiet() => Manner::Quiet,
            _ if handed.terminal > 1 => Manner::SshOnTerminal,
            _ => Manner::Ssh,
        },
    };
    let view = Dialect::open(options, (listed, of_ssh), (terminal, terminal && colors()))?;
    // Nobody is told to press Ctrl-C again: the first one is the last, as in pssh.
    let terminals = Terminals {
        stdout: terminal,
        stderr: false,
        shared: false,
    };
    Ok((view, Console::new(terminals, false, Progress::off())))
}

/// Sorts out the arguments that are handed on.
fn handed(tool: Tool, options: &Options) -> Result<Handed, Stop> {
    let mut handed = Handed {
        options: options.options.clone(),
        recursive: options.recursive,
        ..Handed::default()
    };
    if options.archive {
        handed.archive();
    }
    let added = match tool {
        Tool::Ssh | Tool::Nuke => handed.add(Program::Ssh, &options.extra),
        Tool::Scp | Tool::Slurp => handed.add(Program::Scp, &options.extra),
        Tool::Rsync => {
            // rsync splits what is handed to it for ssh.
            let words = optparse::words(options.ssh_args.as_deref().unwrap_or_default());
            let words = words.map_err(|wrong| Stop::Usage(format!("option -S: {wrong}")))?;
            let added = handed.add(Program::Ssh, &words);
            added.and_then(|()| handed.add_rsync(&options.extra))
        }
    };
    added.map_err(Stop::Usage)?;
    if handed.terminal == 1 && !handed.is_quiet() {
        handed.preface += NO_TERMINAL;
    }
    Ok(handed)
}

/// Whether lines have colours on a terminal.
fn colors() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let term = std::env::var("TERM").unwrap_or_default();
    !is_set("NO_COLOR") && !matches!(term.as_str(), "" | "dumb" | "unknown" | "vt100" | "vt220")
}

/// Writes to standard error; if that is closed there is nowhere left to say so.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// What ssh says where it is asked for a terminal and has none itself.
const NO_TERMINAL: &str =
    "Pseudo-terminal will not be allocated because stdin is not a terminal.\r\n";

const HOSTS_WARNING: &str = "\
Warning: the PSSH_HOSTS environment variable is deprecated.  Please
use the \"-h\" option instead, and consider creating aliases for
convenience.  For example:
    alias pssh_abc='pssh -h /path/to/hosts_abc'
";
