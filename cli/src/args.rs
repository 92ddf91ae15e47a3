//! What the user typed, and what the environment says: no decision is made here.
//!
//! The principal type is [`RunArgs`]; `plan` resolves it.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{
    ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
};
use sshoal::RetryOn;

mod control;
mod copies;
#[cfg(feature = "demo")]
mod demo;
mod far;
mod forward;
mod fs;
mod hosts;
mod inherited;
mod isolation;
mod journal;
mod launch;
mod more;
mod settings;
mod show;
mod whom;

pub(crate) use self::control::ControlArgs;
pub(crate) use self::copies::{Bandwidth, CopyArgs, GetArgs, LinksArg, MinRate, PutArgs, SyncArgs};
#[cfg(feature = "demo")]
pub(crate) use self::demo::{DemoAction, DemoArgs};
pub(crate) use self::far::{FarArgs, MaxFail};
pub(crate) use self::forward::ForwardArgs;
pub(crate) use self::fs::{
    ContentArgs, DressArgs, FsArgs, FsVerb, LineArgs, ListArgs, OwnerArg, WriteArgs,
};
pub(crate) use self::hosts::HostsArgs;
pub(crate) use self::isolation::IsolationArgs;
pub(crate) use self::journal::{DiffArgs, JournalArgs, ResumeArgs, kept_variables};
pub(crate) use self::launch::LaunchArgs;
pub(crate) use self::more::{KillArgs, More, PingArgs, ScriptArgs, ShellArgs};
pub(crate) use self::show::{ColorArg, OutputArgs, ShowArgs, TellArgs};
pub(crate) use self::whom::{Shard, WhomArgs};

/// Commands on thousands of hosts over plain SSH, from one process.
#[derive(Debug, Parser)]
#[command(
    name = "sshoal",
    version = version(),
    propagate_version = true,
    disable_help_flag = true,
    disable_version_flag = true,
    subcommand_required = true,
    args_override_self = true,
    after_help = DIALECT
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) action: Action,
    /// Prints this help
    #[arg(long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
    /// Prints the version, and what is linked
    #[arg(long, global = true, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(flatten)]
    settings: settings::SettingsArgs,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Runs a command on many hosts
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Forwards ports through many hosts, until interrupted
    #[command(after_help = forward::EXAMPLES)]
    Forward(Box<ForwardArgs>),
    /// Copies files and directories to many hosts
    #[command(after_help = copies::PUT_EXAMPLES, override_usage = copies::PUT_USAGE)]
    Put(Box<PutArgs>),
    /// Copies files and directories from many hosts
    #[command(after_help = copies::GET_EXAMPLES, override_usage = copies::GET_USAGE)]
    Get(Box<GetArgs>),
    /// Makes a directory of many hosts equal to one here
    #[command(after_help = copies::SYNC_EXAMPLES, override_usage = copies::SYNC_USAGE)]
    Sync(Box<SyncArgs>),
    /// Works on the files of many hosts
    #[command(after_help = fs::EXAMPLES)]
    Fs(Box<FsArgs>),
    /// Goes on with a run that was interrupted: does what it did on the hosts that are left
    #[command(after_help = journal::RESUME_EXAMPLES)]
    Resume(Box<ResumeArgs>),
    /// Shows the hosts that ended otherwise in one run than in another, or printed something else
    #[command(after_help = journal::DIFF_EXAMPLES)]
    Diff(DiffArgs),
    /// Lists, folds and counts hosts, and connects to none
    #[command(after_help = hosts::EXAMPLES)]
    Hosts(Box<HostsArgs>),
    /// Makes links in a directory under which this program is pssh, pscp, prsync, pslurp and pnuke
    #[command(after_help = LINKS_EXAMPLES)]
    InstallLinks {
        /// The directory
        dir: PathBuf,
    },
    #[command(flatten)]
    More(More),
    /// Starts an embedded fleet, runs a command over it and stops it
    #[cfg(feature = "demo")]
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// The demo's child process
    #[cfg(feature = "demo")]
    #[command(name = FLEET_ACTION, hide = true)]
    Fleet {
        /// The fleet's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// The hidden sub-command that the demo starts this program with.
#[cfg(feature = "demo")]
pub(crate) const FLEET_ACTION: &str = "demo-fleet";

/// The arguments of `sshoal run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    #[command(flatten)]
    pub(crate) isolation: IsolationArgs,
    /// Ends a command on its host when its time is over, TERM and two seconds later KILL, and says
    /// whether that worked (the default)
    #[arg(long, env = "SSHOAL_KILL_ON_TIMEOUT", value_parser = FalseyValueParser::new())]
    #[arg(
        overrides_with = "no_kill_on_timeout",
        help_heading = "How fast, how long"
    )]
    pub(crate) kill_on_timeout: bool,
    /// Leaves a command whose time is over to its host
    #[arg(long, env = "SSHOAL_NO_KILL_ON_TIMEOUT", value_parser = FalseyValueParser::new())]
    #[arg(
        overrides_with = "kill_on_timeout",
        help_heading = "How fast, how long"
    )]
    pub(crate) no_kill_on_timeout: bool,
    #[command(flatten)]
    pub(crate) launch: LaunchArgs,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) far: FarArgs,
    /// Exits with the largest exit status of the commands where that would be 5; 255 is that of one
    /// that a signal ended
    #[arg(short = 'S', long, env = "SSHOAL_MAX_STATUS", value_parser = FalseyValueParser::new())]
    #[arg(help_heading = "How far")]
    pub(crate) max_status: bool,
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    #[command(flatten)]
    pub(crate) journal: JournalArgs,
    /// Fills {host}, {user}, {port}, {total}, the inventory's variables and, for n in braces, the
    /// number from 0 in for each host, quoted for its shell ({host:raw} is not); {{ and }} are braces
    #[arg(long, env = "SSHOAL_TEMPLATE", value_parser = FalseyValueParser::new())]
    pub(crate) template: bool,
    /// Shows what would run where, and runs nothing
    #[arg(short = 'n', long, env = "SSHOAL_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub(crate) dry_run: bool,
    /// The command: words joined by a space, given to the remote shell untouched; options after
    /// its first word belong to it
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// How to get in.
#[derive(Debug, Args)]
#[command(next_help_heading = "How to get in")]
pub(crate) struct AccessArgs {
    /// User where the host names none [default: as ssh_config says, or the local user]
    #[arg(short = 'l', long, env = "SSHOAL_USER")]
    pub(crate) user: Option<String>,
    /// ssh_config file to read instead of ~/.ssh/config and /etc/ssh/ssh_config; `none` for none
    #[arg(
        short = 'F',
        long = "ssh-config",
        value_name = "FILE",
        env = "SSHOAL_SSH_CONFIG"
    )]
    pub(crate) config_file: Option<PathBuf>,
    /// Jump hosts, separated by commas, the first one first; `none` for none
    #[arg(short = 'J', long = "jump", value_name = "HOSTS", env = "SSHOAL_JUMP")]
    pub(crate) jump: Option<String>,
    /// Lets `Match exec` in ssh_config run commands on this machine
    #[arg(long, env = "SSHOAL_MATCH_EXEC", value_parser = FalseyValueParser::new())]
    pub(crate) match_exec: bool,
    /// ssh_config option, KEY=VALUE or "KEY VALUE"; may repeat
    #[arg(
        short = 'O',
        long = "option",
        value_name = "KEY=VALUE",
        env = "SSHOAL_OPTION"
    )]
    pub(crate) options: Vec<String>,
    /// Private key; may repeat [default: as ssh_config says, or ~/.ssh/id_* where they exist]
    #[arg(long = "identity", value_name = "FILE", env = "SSHOAL_IDENTITY")]
    pub(crate) identities: Vec<PathBuf>,
    /// Leaves the ssh-agent alone
    #[arg(long, env = "SSHOAL_NO_AGENT", value_parser = FalseyValueParser::new())]
    pub(crate) no_agent: bool,
    /// Asks once for a password for the whole fleet, and for one-time codes host by host while the
    /// connect timeout runs
    #[arg(short = 'A', long, env = "SSHOAL_ASKPASS", value_parser = FalseyValueParser::new())]
    pub(crate) askpass: bool,
    /// Takes the password from the first line of a file
    #[arg(
        long,
        value_name = "FILE",
        env = "SSHOAL_PASSWORD_FILE",
        conflicts_with = "askpass"
    )]
    pub(crate) password_file: Option<PathBuf>,
    /// Which host keys are accepted [default: as ssh_config says, or strict]
    #[arg(long, value_name = "POLICY", env = "SSHOAL_HOST_KEY")]
    pub(crate) host_key: Option<HostKeyArg>,
    /// Accepts any host key: whoever answers gets the command; refuses passwords
    #[arg(long, env = "SSHOAL_DANGEROUS_ACCEPT_ANY_HOST_KEY", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with = "host_key")]
    pub(crate) dangerous_accept_any_host_key: bool,
    /// Offers weak algorithms to these hosts, behind all others: AES-CBC, all of them that libssh2
    /// is built with (no SHA-1, 3DES, DSA); split at white space and commas; may repeat
    #[arg(long, value_name = "LIST", env = "SSHOAL_LEGACY")]
    pub(crate) legacy: Vec<String>,
    /// The arguments that came from the environment and so rank below `-O`.
    #[arg(skip)]
    pub(crate) from_environment: Vec<&'static str>,
}

/// How fast, and how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "How fast, how long")]
pub(crate) struct PaceArgs {
    /// Sessions at once [default: the hosts, at most 512 and what this machine allows]
    #[arg(short = 'p', long, value_name = "N", env = "SSHOAL_PAR", value_parser = parse_count)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) par: Option<NonZeroUsize>,
    /// Limit of the command, or of a host's copies, in seconds, 0 for none [default: 0]
    #[arg(short = 't', long, value_name = "S", env = "SSHOAL_TIMEOUT", value_parser = parse_limit)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) timeout: Option<Limit>,
    /// Limit of everything until the command is accepted, in seconds, 0 for none [default: 10]
    #[arg(long, value_name = "S", env = "SSHOAL_CONNECT_TIMEOUT", value_parser = parse_limit)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) connect_timeout: Option<Limit>,
    /// Limit of the whole run in seconds, 0 for none [default: 0]
    #[arg(long, value_name = "S", env = "SSHOAL_DEADLINE", value_parser = parse_limit)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) deadline: Option<Limit>,
    /// New connections per second, over the whole fleet [default: no limit]
    #[arg(long, value_name = "N", env = "SSHOAL_RATE", value_parser = parse_rate)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) rate: Option<NonZeroU32>,
    /// Attempts after the first for a host that cannot be connected to; a refused login and a
    /// command that may have started are never tried again [default: 0]
    #[arg(long, value_name = "N", env = "SSHOAL_RETRIES", value_parser = parse_retries)]
    #[arg(allow_hyphen_values = true)]
    pub(crate) retries: Option<u32>,
    /// Phases in which --retries applies, separated by commas [default: resolve,connect,banner,kex]
    #[arg(long, value_name = "PHASES", env = "SSHOAL_RETRY_ON")]
    pub(crate) retry_on: Option<RetryOn>,
}

/// The host key policies that have a harmless name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HostKeyArg {
    /// Only keys in the known_hosts files
    Strict,
    /// Records the key of a host that has none yet
    AcceptNew,
    /// Shows the keys of all hosts that have none yet before the run, and asks once
    Ask,
}

/// A time limit as typed; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) Option<Duration>);

/// Whom, how to get in, and how fast.
type Common<'a> = (&'a mut WhomArgs, &'a mut AccessArgs, &'a mut PaceArgs);

/// Returns the definition of the whole command line.
pub(crate) fn command() -> Command {
    let command = fs::behind_the_verb(whom::apart(Cli::command()));
    without_values(more::shaped(copies::without_what_sync_refuses(command)))
}

/// Leaves what the environment says out of the help, which would be longer by it, and tell of secrets.
fn without_values(command: Command) -> Command {
    let command = command.mut_args(|arg| arg.hide_env_values(true));
    command.mut_subcommands(without_values)
}

/// Parses the command line, the environment of this process and the configuration file.
pub(crate) fn parse() -> Result<Cli, clap::Error> {
    let matches = settings::matches(command())?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let common = match &mut cli.action {
        Action::Run(run) => Some((&mut run.whom, &mut run.access, &mut run.pace)),
        Action::Forward(forward) => {
            Some((&mut forward.whom, &mut forward.access, &mut forward.pace))
        }
        Action::Put(put) => Some(put.copy.common()),
        Action::Get(get) => Some(get.copy.common()),
        Action::Sync(sync) => Some(sync.copy.common()),
        Action::Fs(fs) => Some(fs.common()),
        Action::Hosts(hosts) => {
            if let Some((_, matches)) = matches.subcommand() {
                hosts.settle(matches, &from_this_process);
            }
            None
        }
        Action::More(more) => more.common(),
        _ => None,
    };
    if let (Some((whom, access, pace)), Some((_, matches))) = (common, matches.subcommand()) {
        let weak = [
            "user",
            "identities",
            "jump",
            "no_agent",
            "host_key",
            "connect_timeout",
            "timeout",
            "retry_on",
            "journal",
            "no_journal",
        ];
        // What the configuration file says is a default of the definition.
        let from_environment = |id: &&str| {
            let is_known = matches.try_contains_id(id).is_ok();
            let source = is_known.then(|| matches.value_source(id)).flatten();
            source.is_some_and(|source| source != ValueSource::CommandLine)
        };
        access.from_environment = weak.into_iter().filter(from_environment).collect();
        whom.without_weaker(|id| from_environment(&id));
        let filled = inherited::fill((whom, access, pace), &from_this_process);
        filled.map_err(|wrong| Cli::command().error(ErrorKind::ValueValidation, wrong))?;
    }
    match &mut cli.action {
        Action::Run(run) => inherited::fill_show(&mut run.show, &from_this_process),
        Action::Fs(fs) => inherited::fill_show(&mut fs.show, &from_this_process),
        Action::Forward(forward) => {
            forward.verbose |= !forward.quiet && inherited::is_verbose(&from_this_process);
        }
        Action::Put(put) => put.copy.tell.inherit(&from_this_process),
        Action::Get(get) => get.copy.tell.inherit(&from_this_process),
        Action::Sync(sync) => sync.copy.tell.inherit(&from_this_process),
        Action::More(more) => more.inherit(&from_this_process),
        _ => {}
    }
    Ok(cli)
}

/// Reads a variable of this process's environment, if it is set to something.
fn from_this_process(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The crate's version and what is linked, a line each.
pub(crate) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut text = env!("CARGO_PKG_VERSION").to_owned();
        for line in crate::engine::linked() {
            text.push('\n');
            text.push_str(&line);
        }
        text
    })
}

fn parse_count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "write a whole number, at least 1".to_owned())
}

fn parse_rate(text: &str) -> Result<NonZeroU32, String> {
    let wrong = || "write a whole number of connections per second, at least 1".to_owned();
    text.parse().map_err(|_| wrong())
}

fn parse_retries(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| "write a whole number, 0 or more".to_owned())
}

fn parse_limit(text: &str) -> Result<Limit, String> {
    let seconds = text
        .parse::<f64>()
        .ok()
        .filter(|s| (0.0..=SECONDS_MAX).contains(s));
    let Some(seconds) = seconds else {
        return Err("write seconds, 0 or more; 0 means no limit".to_owned());
    };
    // Timers know no less than a millisecond, and 0 would be no limit at all.
    let limit = |seconds| Duration::from_secs_f64(seconds).max(Duration::from_millis(1));
    Ok(Limit((seconds > 0.0).then(|| limit(seconds))))
}

/// A hundred years: far above any real limit, far below what clocks can add.
const SECONDS_MAX: f64 = 3.2e9;

const DIALECT: &str = "\
Under the names pssh, pscp, prsync, pslurp and pnuke, or parallel-ssh and so on, and as \
`sshoal pssh` and so on, this program takes the options of those tools: sshoal pssh --help";

const LINKS_EXAMPLES: &str = "\
Examples:
  sshoal install-links ~/bin
  sudo sshoal install-links /usr/local/bin

Exit codes: 0 all links are there, 2 something else has a name, or the directory cannot be written to.";

const RUN_EXAMPLES: &str = "\
Examples:
  sshoal run -h hosts.txt -i uptime
  sshoal run -H 'web1 web2:2222 root@web3' -P -t 60 tail -n 3 /var/log/syslog
  sshoal run -w 'web[01-40]!web07' --inventory prod.toml --template 'echo {rack}'
  sshoal run -h - --jsonl results.jsonl -o out 'df -h | tail -1' < hosts.txt
  sshoal run -h hosts.txt -b uname -r                  # equal outputs once, under their hosts
  sshoal run -h hosts.txt --fuzzy uptime               # names the hosts that stand out
  sshoal run -h hosts.txt --diff cat /etc/resolv.conf  # exit code 6 where they are not all alike
  sshoal run -h hosts.txt --failed-to again.txt true && sshoal run -h again.txt true
  sshoal run -h hosts.txt --wave 1,10%,100% --gate ./looks-good systemctl restart web
  sshoal run -h hosts.txt --workers 4 uptime           # no crash costs more than a quarter of them

Exit codes: 0 all good, 2 usage (nothing was run), 3 a time limit ended a command, 4 a host could \
not be reached or was lost, 5 a command failed (with -S the largest exit status in its place), \
6 --diff found differences, 7 stopped by -k, --max-fail or --gate, 129 hung up, 130 interrupted, \
143 terminated, 1 internal. Of several the first of 2, 1, 129 or 130 or 143, 7, 3, 4, 5, 6.

SIGUSR1 has a run say how far it is. The first Ctrl-C on a terminal begins no more hosts, the second \
ends their commands. SIGTERM does at once, and so does SIGHUP, unless it is ignored as under nohup.";

#[cfg(feature = "demo")]
const DEMO_EXAMPLES: &str = "\
Examples:
  sshoal demo
  sshoal demo --count 50 echo hello
  sshoal demo up --count 10

Exit codes: those of run; 1 if the fleet cannot be started.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn options_after_the_first_word_belong_to_the_command() {
        let cli =
            Cli::try_parse_from(["sshoal", "run", "-H", "a", "ls", "-l", "--help", "-p", "0"]);
        let Action::Run(run) = cli.unwrap().action else {
            panic!("run was typed")
        };
        assert_eq!(run.command, ["ls", "-l", "--help", "-p", "0"]);
    }

    #[test]
    fn limits_take_fractions_and_zero() {
        assert_eq!(parse_limit("0"), Ok(Limit(None)));
        assert_eq!(
            parse_limit("0.5"),
            Ok(Limit(Some(Duration::from_millis(500))))
        );
        let tiny = Ok(Limit(Some(Duration::from_millis(1))));
        assert_eq!(parse_limit("0.0000001"), tiny);
        for wrong in ["-1", "nan", "inf", "1e99", "", "ten"] {
            assert!(parse_limit(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
