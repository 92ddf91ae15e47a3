//! The sub-commands beside those that run, copy and forward: what the user typed for them.
//!
//! Some of them are `run` with another kind of command. They take all of its flags, those apart that
//! make no sense for them: these are not shown, have no variable, and are refused where they are
//! typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, Resettable};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, Subcommand};
use clap_complete::Shell as CompletedShell;

use super::{AccessArgs, Common, PaceArgs, RunArgs, ShowArgs, WhomArgs, inherited};

/// More sub-commands.
#[derive(Debug, Subcommand)]
pub(crate) enum More {
    /// Runs a script of this machine on many hosts, without a copy of it there
    #[command(after_help = SCRIPT_EXAMPLES)]
    Script(Box<ScriptArgs>),
    /// Logs in at many hosts and runs nothing, to see who can be reached and how fast
    #[command(after_help = PING_EXAMPLES)]
    Ping(Box<PingArgs>),
    /// Sends a signal to processes of many hosts, by name
    #[command(after_help = KILL_EXAMPLES)]
    Kill(Box<KillArgs>),
    /// Types into one shell on each of many hosts
    #[command(after_help = SHELL_EXAMPLES)]
    Shell(Box<ShellArgs>),
    /// Writes the completions of a shell to standard output
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: CompletedShell,
    },
    /// Writes the manual pages into a directory
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// The directory; it is made if it is not there
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
}

/// The arguments of `sshoal script`.
#[derive(Debug, Args)]
pub(crate) struct ScriptArgs {
    /// What reads the script from its standard input, as `bash` or `python3 -u` [default: as its
    /// `#!` line says, or sh]
    #[arg(long, value_name = "WORDS", env = "SSHOAL_INTERPRETER")]
    #[arg(help_heading = "How to run it")]
    pub(crate) interpreter: Option<String>,
    /// The script and its arguments stand in the place of the command.
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// The arguments of `sshoal ping`.
#[derive(Debug, Args)]
pub(crate) struct PingArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// The arguments of `sshoal kill`.
#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Signal, by name or number [default: TERM]
    #[arg(short = 's', long, value_name = "SIGNAL", env = "SSHOAL_SIGNAL")]
    #[arg(help_heading = "Which processes", value_parser = parse_signal)]
    pub(crate) signal: Option<String>,
    /// Looks for the pattern in whole command lines, not in names alone
    #[arg(short = 'f', long, env = "SSHOAL_FULL", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "Which processes")]
    pub(crate) full: bool,
    /// Takes only what the pattern fits from end to end
    #[arg(long, env = "SSHOAL_EXACT", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "Which processes")]
    pub(crate) exact: bool,
    /// The pattern stands in the place of the command.
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// The arguments of `sshoal shell`.
#[derive(Debug, Args)]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    /// Says only what failed
    #[arg(short = 'q', long, env = "SSHOAL_QUIET", value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// Lets host bytes reach the terminal as they are, escape sequences and all
    #[arg(long, env = "SSHOAL_RAW", value_parser = FalseyValueParser::new())]
    pub(crate) raw: bool,
}

impl More {
    /// Returns whom, how to get in, and how fast, where there is something to get into.
    pub(super) fn common(&mut self) -> Option<Common<'_>> {
        match self {
            Self::Script(script) => Some(of_run(&mut script.run)),
            Self::Kill(kill) => Some(of_run(&mut kill.run)),
            Self::Ping(ping) => Some((&mut ping.whom, &mut ping.access, &mut ping.pace)),
            Self::Shell(shell) => Some((&mut shell.whom, &mut shell.access, &mut shell.pace)),
            Self::Completions { .. } | Self::Man { .. } => None,
        }
    }

    /// Fills in what the environment of pssh says about what to see.
    pub(super) fn inherit(&mut self, read: &dyn Fn(&str) -> Option<OsString>) {
        match self {
            Self::Script(script) => inherited::fill_show(&mut script.run.show, read),
            Self::Kill(kill) => inherited::fill_show(&mut kill.run.show, read),
            _ => {}
        }
    }
}

fn of_run(run: &mut RunArgs) -> Common<'_> {
    (&mut run.whom, &mut run.access, &mut run.pace)
}

/// Gives what is taken from `run` the words of the sub-command that it is in.
pub(super) fn shaped(command: Command) -> Command {
    let leave_out = |command: Command| {
        let name = command.get_name().to_owned();
        command.mut_args(|arg| match has(&name, &arg) {
            true => arg,
            false => arg.hide(true).env(Resettable::Reset),
        })
    };
    let words = |command: Command, name: &'static str, help: &'static str| {
        command.mut_arg("command", |arg| arg.value_name(name).help(help))
    };
    command
        .mut_subcommand("script", |script| {
            let help = "The script, `-` for standard input, and its arguments, which reach it as \
                        they are; options after the script belong to it";
            words(leave_out(script), "FILE [ARGS", help)
                .mut_arg("command", |arg| arg.value_names(["FILE", "ARGS"]))
        })
        .mut_subcommand("kill", |kill| {
            let help =
                "The name of the processes: a regular expression that a part of the name fits";
            words(leave_out(kill), "PATTERN", help)
        })
        .mut_subcommand("ping", leave_out)
        .mut_subcommand("shell", leave_out)
        .mut_subcommand("forward", leave_out)
}

/// Refuses flags of `run` that the sub-command does not have.
///
/// # Errors
/// Fails if one was typed.
pub(super) fn check(command: &mut Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let Some((name, matches)) = matches.subcommand().filter(|(name, _)| is_shaped(name)) else {
        return Ok(());
    };
    let sub = command.find_subcommand(name);
    let typed = sub
        .into_iter()
        .flat_map(Command::get_arguments)
        .find(|arg| {
            let source = matches.value_source(arg.get_id().as_str());
            // What resume types is hidden too, and there for all.
            !has(name, arg) && source == Some(ValueSource::CommandLine)
        });
    let Some(flag) = typed.and_then(Arg::get_long) else {
        return Ok(());
    };
    let instead = match flag {
        "timeout" => "use --deadline or --connect-timeout",
        _ => "leave it out",
    };
    let why = format!("--{flag} does nothing for {name}; {instead}");
    Err(command.error(ErrorKind::ArgumentConflict, why))
}

fn is_shaped(name: &str) -> bool {
    matches!(name, "script" | "kill" | "ping" | "shell" | "forward")
}

/// Returns whether a sub-command has a flag that it took over.
fn has(name: &str, arg: &Arg) -> bool {
    let id = arg.get_id().as_str();
    match name {
        "ping" if arg.get_help_heading() == Some("What to see") => [
            "jsonl",
            "events",
            "quiet",
            "verbose",
            "summary",
            "no_summary",
            "color",
        ]
        .contains(&id),
        // No command is run that it could limit.
        "ping" | "shell" | "forward" => id != "timeout",
        // Standard input is the script; braces are the script's own.
        "script" => !["send_input", "stdin", "tty", "template"].contains(&id),
        _ => !["send_input", "stdin", "tty", "template", "shell"].contains(&id),
    }
}

/// Takes a signal's name, with or without SIG, or its number.
fn parse_signal(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let is_number = !text.starts_with('+') && text.parse::<u8>().is_ok_and(|number| number <= 64);
    match is_number || SIGNALS.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err("write a signal as TERM, KILL, HUP or 9".to_owned()),
    }
}

/// Those that POSIX names and that a process can be sent with a purpose.
const SIGNALS: [&str; 17] = [
    "ABRT", "ALRM", "CONT", "HUP", "INT", "KILL", "PIPE", "QUIT", "STOP", "TERM", "TSTP", "TTIN",
    "TTOU", "URG", "USR1", "USR2", "WINCH",
];

const SCRIPT_EXAMPLES: &str = "\
Examples:
  sshoal script -h hosts.txt -i check.sh
  sshoal script -h hosts.txt -i --sudo upgrade.sh --reboot 'two words'
  sshoal script -H 'web1 web2' --interpreter 'python3 -u' report.py

The script is sent to the standard input of its interpreter: what it starts must not read there, or \
would read the rest of the script. Exit codes: those of run.";

const PING_EXAMPLES: &str = "\
Examples:
  sshoal ping -h hosts.txt
  sshoal ping -h hosts.txt -q --jsonl reached.jsonl --connect-timeout 5

Exit codes: 0 all hosts let us in, 2 usage, 3 --deadline was reached, 4 a host could not be reached \
or refused, 129 hung up, 130 interrupted, 143 terminated, 1 internal.";

const KILL_EXAMPLES: &str = "\
Examples:
  sshoal kill -h hosts.txt stuck-job               # TERM
  sshoal kill -h hosts.txt -s KILL --exact java
  sshoal kill -h hosts.txt --sudo -f 'worker --queue mail'

Exit codes: those of run; a host without such a process is `exit 1`, one without pkill `exit 127`.";

const SHELL_EXAMPLES: &str = "\
Examples:
  sshoal shell -h hosts.txt
  printf 'cd /srv\\nls\\n' | sshoal shell -H 'web1 web2'

Each line goes to the shells of all hosts, `@web1 uptime` to that of one, `@@` at the begin of a line \
is a single @. Output is shown with the host's name before each line. The end of input, as by Ctrl-D, \
lets all shells end once they have run what was typed; `exit` does too.

Exit codes: 0 all shells ended with 0, 2 usage, 3 --deadline was reached, 4 a host could not be \
reached or was lost, 5 a shell ended with another status, 129 hung up, 130 interrupted, \
143 terminated, 1 internal.";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  sshoal completions bash > ~/.local/share/bash-completion/completions/sshoal
  sshoal completions zsh > ~/.zfunc/_sshoal
  sshoal completions fish > ~/.config/fish/completions/sshoal.fish

Exit codes: 0 all good, 2 usage.";

const MAN_EXAMPLES: &str = "\
Examples:
  sshoal man ~/.local/share/man/man1

Exit codes: 0 all good, 2 usage, or the directory cannot be written to.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_or_numbers() {
        for (text, signal) in [
            ("TERM", "TERM"),
            ("sigkill", "KILL"),
            ("9", "9"),
            ("0", "0"),
        ] {
            assert_eq!(parse_signal(text).as_deref(), Ok(signal));
        }
        for wrong in ["", "NOPE", "-9", "+9", "65", "SIG", "TERM; reboot"] {
            assert!(parse_signal(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
