//! The command line: text in, a fleet's description or an error out.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use crate::fault::{Fault, FaultRule};
use crate::fleet::{Fleet, FleetBuilder, KeyExchange, Listeners};

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Action {
    /// Print this and end.
    Print(String),
    /// Run a fleet.
    Run(Box<Plan>),
}

/// A fleet to run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) fleet: FleetBuilder,
    pub(crate) until: Until,
    /// The directory, if it was made up here and goes with the fleet.
    pub(crate) temporary: Option<PathBuf>,
}

/// What ends a fleet besides a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// The EOF of standard input.
    StdinEof,
    /// Nothing.
    Signal,
}

/// Why a command line is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("unknown option \"{0}\"")]
    Unknown(String),
    #[error("option {0} needs a value")]
    NoValue(String),
    #[error("bad value \"{value}\" for {option}: {reason}")]
    BadValue {
        option: String,
        value: String,
        reason: String,
    },
}

/// Reads the arguments, the program's name left out.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Action, UsageError> {
    let mut options = Options::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let arg = arg.to_string_lossy().into_owned();
        let (name, inline) = match arg.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(OsString::from(value))),
            None => (arg, None),
        };
        match (name.as_str(), &inline) {
            ("--help", None) => return Ok(Action::Print(help())),
            ("--version", None) => {
                return Ok(Action::Print(format!(
                    "sshoal-loopback {}\n",
                    env!("CARGO_PKG_VERSION")
                )));
            }
            ("--per-host-listeners", None) => options.listeners = Listeners::PerHost,
            ("--stay", None) => options.until = Until::Signal,
            _ if !VALUED.contains(&name.as_str()) => return Err(UsageError::Unknown(name)),
            _ => {
                let value = inline.or_else(|| args.next());
                options.set(
                    &name,
                    value.ok_or_else(|| UsageError::NoValue(name.clone()))?,
                )?;
            }
        }
    }
    Ok(Action::Run(Box::new(options.into_plan())))
}

struct Options {
    hosts: NonZeroUsize,
    port: u16,
    dir: Option<PathBuf>,
    password: Option<String>,
    faults: Vec<FaultRule>,
    round_trip: Duration,
    key_exchange: KeyExchange,
    workers: NonZeroUsize,
    listeners: Listeners,
    until: Until,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: NonZeroUsize::new(1000).expect("not zero"),
            port: 0,
            dir: None,
            password: None,
            faults: Vec::new(),
            round_trip: Duration::ZERO,
            key_exchange: KeyExchange::All,
            workers: NonZeroUsize::new(2).expect("not zero"),
            listeners: Listeners::Shared,
            until: Until::StdinEof,
        }
    }
}

impl Options {
    fn set(&mut self, option: &str, value: OsString) -> Result<(), UsageError> {
        if option == "--dir" {
            self.dir = Some(PathBuf::from(value));
            return Ok(());
        }
        let value = value.to_string_lossy().into_owned();
        let bad = |reason: &dyn ToString| UsageError::BadValue {
            option: option.to_owned(),
            value: value.clone(),
            reason: reason.to_string(),
        };
        match option {
            "--hosts" => self.hosts = value.parse().map_err(|e| bad(&e))?,
            "--port" => self.port = value.parse().map_err(|e| bad(&e))?,
            "--workers" => self.workers = value.parse().map_err(|e| bad(&e))?,
            "--fault" => self.faults.push(value.parse().map_err(|e| bad(&e))?),
            "--password" => self.password = Some(value),
            "--delay-ms" => {
                let ms = value.parse::<u32>().map_err(|e| bad(&e))?;
                self.round_trip = Duration::from_millis(ms.into());
            }
            "--kex" => {
                self.key_exchange = match value.as_str() {
                    "curve" => KeyExchange::Curve,
                    "all" => KeyExchange::All,
                    _ => return Err(bad(&"curve or all")),
                }
            }
            _ => return Err(UsageError::Unknown(option.to_owned())),
        }
        Ok(())
    }

    fn into_plan(self) -> Plan {
        let temporary = self
            .dir
            .is_none()
            .then(|| std::env::temp_dir().join(format!("sshoal-loopback-{}", std::process::id())));
        let dir = self.dir.or_else(|| temporary.clone()).unwrap_or_default();
        let mut fleet = Fleet::builder(self.hosts, dir)
            .port(self.port)
            .round_trip(self.round_trip)
            .key_exchange(self.key_exchange)
            .workers(self.workers)
            .listeners(self.listeners);
        if let Some(password) = self.password {
            fleet = fleet.password(password);
        }
        for rule in self.faults {
            fleet = fleet.fault(rule);
        }
        Plan {
            fleet,
            until: self.until,
            temporary,
        }
    }
}

fn help() -> String {
    let faults: String = Fault::ALL
        .iter()
        .map(|(_, name, text)| format!("  {name:<14}{text}\n"))
        .collect();
    format!("{HELP_OPTIONS}\nFaults (hosts are counted from 0):\n{faults}\n{HELP_REST}")
}

/// The options that take a value.
const VALUED: [&str; 8] = [
    "--hosts",
    "--port",
    "--dir",
    "--password",
    "--fault",
    "--delay-ms",
    "--kex",
    "--workers",
];

const HELP_OPTIONS: &str = "\
Runs a fleet of SSH servers on loopback addresses, in one process.

Usage: sshoal-loopback [OPTIONS]

Options:
  --hosts N             number of hosts, from 127.1.0.1 on [default: 1000]
  --port PORT           port of all hosts; 0 takes a free one [default: 0]
  --dir DIR             where hosts, known_hosts and user_ed25519 go; made if missing
                        [default: a temporary one that goes with the fleet]
  --password P          lets users in by this password too
  --fault KIND=A-B      gives a fault to hosts A to B; may be repeated
  --delay-ms D          delays bytes by D/2 milliseconds in each direction
  --kex curve|all       key exchanges to offer [default: all]
  --workers N           threads [default: 2]
  --per-host-listeners  one listening socket per host
  --stay                does not end at the EOF of standard input
  --help                prints this
  --version             prints the version
";

const HELP_REST: &str = "\
When the fleet can be connected to, it prints one line:
  ready port=PORT hosts=N dir=DIR
with \"listeners=N\" before the directory if each host has a socket of its own. It ends at the EOF
of standard input and on SIGTERM or SIGINT, and prints its counters then and on SIGUSR1.

Commands: true, false, echo TEXT, stderr TEXT, exit N, hostname, turn WORD... (one of them, by
the host's number), uname, sleep N, cat,
hash (length and 64-bit FNV-1a of standard input), yes N and head -c N (N bytes of text),
own N (N bytes of the host's own name),
signal NAME (ends by that exit signal), nostatus [WORD...] (prints them, ends with neither).
SFTP keeps files in memory: 64 MiB each, 1 GiB in all.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Action, UsageError> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn mistakes_are_named() {
        #[track_caller]
        fn check(args: &[&str], message: &str) {
            assert_eq!(run(args).unwrap_err().to_string(), message);
        }
        check(&["--hots", "3"], "unknown option \"--hots\"");
        check(&["5"], "unknown option \"5\"");
        check(&["--hosts"], "option --hosts needs a value");
        check(
            &["--kex", "rsa"],
            "bad value \"rsa\" for --kex: curve or all",
        );
        check(
            &["--fault", "loud=1"],
            "bad value \"loud=1\" for --fault: unknown fault \"loud\"",
        );
        for args in [["--hosts", "0"], ["--port", "70000"], ["--delay-ms", "-1"]] {
            let message = run(&args).unwrap_err().to_string();
            assert!(message.starts_with(&format!("bad value \"{}\" for {}: ", args[1], args[0])));
        }
    }

    #[test]
    fn a_temporary_directory_is_made_up_only_if_none_is_given() {
        let temporary = |args: &[&str]| match run(args) {
            Ok(Action::Run(plan)) => plan.temporary,
            other => panic!("{other:?}"),
        };
        assert_eq!(temporary(&["--dir", "/tmp/x"]), None);
        assert_eq!(temporary(&["--dir=/tmp/x", "--stay"]), None);
        assert!(temporary(&[]).is_some());
    }

    #[test]
    fn help_names_every_option_and_fault() {
        let text = help();
        for option in VALUED.iter().chain(&["--per-host-listeners", "--stay"]) {
            assert!(text.contains(option), "{option}");
        }
        for (_, name, _) in Fault::ALL {
            assert!(text.contains(&format!("\n  {name} ")), "{name}");
        }
        assert!(text.lines().all(|line| line.len() <= 100));
    }
}
