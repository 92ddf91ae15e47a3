//! What will be done, with every choice made: the command line, `-O`, the environment and the
//! defaults are weighed here and nowhere else.
//!
//! The principal type is [`Plan`]. Making one asks nobody anything, and connects to nothing.

use std::ffi::OsString;
use std::fs::File;
use std::num::{NonZeroU32, NonZeroUsize};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sshoal::{Host, RetryOn};

use crate::args::{AccessArgs, HostKeyArg, Limit, PaceArgs, RunArgs, ShowArgs};
use crate::options::{HostKeyChoice, SshOptions};
use crate::render::{Colors, Inline};
use crate::{hosts, local};

/// A run, resolved.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) hosts: Vec<Host>,
    /// Words joined by a space, for the remote shell.
    pub(crate) command: Vec<u8>,
    pub(crate) access: Access,
    pub(crate) pace: Pace,
    pub(crate) show: Show,
    pub(crate) colors: ColorChoice,
    /// Host bytes reach even a terminal as they are.
    pub(crate) raw: bool,
    pub(crate) dry_run: bool,
}

/// How to get in.
#[derive(Debug)]
pub(crate) struct Access {
    /// For hosts that name none.
    pub(crate) user: String,
    /// For hosts that name none.
    pub(crate) port: u16,
    pub(crate) identities: Identities,
    /// Whether the agent may offer only keys that are also in `identities`.
    pub(crate) identities_only: bool,
    /// The agent's socket.
    pub(crate) agent: Option<PathBuf>,
    pub(crate) password: PasswordFrom,
    pub(crate) host_key: HostKeyChoice,
    /// The user's files first, then the system's; one that does not exist counts as empty.
    pub(crate) known_hosts: Vec<PathBuf>,
    /// Where keys of new hosts are recorded.
    pub(crate) known_hosts_store: Option<PathBuf>,
}

/// Which private keys are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identities {
    /// Each has to be usable, or nothing runs.
    Named(Vec<PathBuf>),
    /// Those of them that are usable.
    Defaults(Vec<PathBuf>),
}

/// Where the password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PasswordFrom {
    Nowhere,
    Terminal,
    File(PathBuf),
}

/// How fast, and how long.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    pub(crate) par: Option<NonZeroUsize>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) command_timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    /// New connections per second.
    pub(crate) rate: Option<NonZeroU32>,
    /// Attempts after the first.
    pub(crate) retries: u32,
    pub(crate) retry_on: RetryOn,
}

/// What to see.
#[derive(Debug, Clone)]
pub(crate) struct Show {
    pub(crate) print: bool,
    pub(crate) inline: Option<Inline>,
    pub(crate) outdir: Option<PathBuf>,
    pub(crate) errdir: Option<PathBuf>,
    pub(crate) jsonl: Option<PathBuf>,
    pub(crate) talk: Talk,
    pub(crate) summary: bool,
}

/// How much we say ourselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// Failures only.
    Quiet,
    Normal,
    /// With times by phase.
    Verbose,
}

/// When status lines have colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColorChoice {
    Auto,
    Always,
    Never,
}

impl ColorChoice {
    /// Decides for an output that is or is not a terminal.
    pub(crate) fn for_output(self, is_terminal: bool) -> Colors {
        let wanted = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        if wanted { Colors::On } else { Colors::Off }
    }
}

impl Plan {
    /// Weighs what was typed.
    ///
    /// # Errors
    /// Fails with one line that names what is wrong and what to do.
    pub(crate) fn resolve(args: &RunArgs) -> Result<Self> {
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let options = SshOptions::parse(&args.access.options, home.as_deref())?;
        let show = show(&args.show)?;
        let hosts = hosts::read(&args.whom)?;
        let command = join(&args.command);
        if command.trim_ascii().is_empty() {
            bail!("no command; write it after the options, as in: sshoal run -H web1 uptime");
        }
        Ok(Self {
            hosts,
            command,
            access: access(&args.access, &options, home.as_deref())?,
            pace: pace(&args.pace, &args.access, &options)?,
            show,
            colors: args.show.color.into(),
            raw: args.show.raw,
            dry_run: args.dry_run,
        })
    }

    /// Returns how each host is called on lines and in file names: without the user if it is the
    /// run's own.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.hosts
            .iter()
            .map(|host| label(host, &self.access.user))
            .collect()
    }
}

/// Returns a host's text without the user `user`.
pub(crate) fn label(host: &Host, user: &str) -> String {
    let text = host.to_string();
    match host.user() {
        Some(own) if own == user => text[own.len() + 1..].to_owned(),
        _ => text,
    }
}

impl From<crate::args::ColorArg> for ColorChoice {
    fn from(arg: crate::args::ColorArg) -> Self {
        match arg {
            crate::args::ColorArg::Auto => Self::Auto,
            crate::args::ColorArg::Always => Self::Always,
            crate::args::ColorArg::Never => Self::Never,
        }
    }
}

/// Joins the words by a space and leaves them otherwise untouched.
pub(crate) fn join(words: &[OsString]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    words.join(&b' ')
}

fn access(args: &AccessArgs, options: &SshOptions, home: Option<&Path>) -> Result<Access> {
    let (typed, weak) = by_rank(args, "user", args.user.clone());
    let user = match typed.or(options.user.clone()).or(weak) {
        Some(user) => user,
        None => local::user().context("cannot tell the local user; name one with -l")?,
    };
    Host::new("host")?.with_user(user.as_str())?;
    let host_key = host_key(args, options);
    let password = match &args.password_file {
        Some(file) => PasswordFrom::File(file.clone()),
        None if args.askpass => PasswordFrom::Terminal,
        None => PasswordFrom::Nowhere,
    };
    if host_key == HostKeyChoice::DangerousAny && password != PasswordFrom::Nowhere {
        bail!(
            "--dangerous-accept-any-host-key refuses passwords, which any host could then read; \
             use keys, or --host-key accept-new"
        );
    }
    let user_files = options.known_hosts_files.clone().unwrap_or_else(|| {
        let dir = home.map(|home| home.join(".ssh"));
        let files = ["known_hosts", "known_hosts2"];
        dir.map(|dir| files.map(|file| dir.join(file)).to_vec())
            .unwrap_or_default()
    });
    let system_files = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];
    let socket = std::env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty());
    Ok(Access {
        user,
        port: options.port.unwrap_or(22),
        identities: identities(args, options, home)?,
        identities_only: options.identities_only.unwrap_or(false),
        agent: socket.map(PathBuf::from).filter(|_| !args.no_agent),
        password,
        host_key,
        known_hosts_store: user_files.first().cloned(),
        known_hosts: user_files
            .into_iter()
            .chain(system_files.map(PathBuf::from))
            .collect(),
    })
}

/// Gives `value` back as (from the command line, from the environment).
fn by_rank<T>(args: &AccessArgs, id: &str, value: Option<T>) -> (Option<T>, Option<T>) {
    match args.from_environment.contains(&id) {
        true => (None, value),
        false => (value, None),
    }
}

fn host_key(args: &AccessArgs, options: &SshOptions) -> HostKeyChoice {
    if args.dangerous_accept_any_host_key {
        return HostKeyChoice::DangerousAny;
    }
    let named = args.host_key.map(|arg| match arg {
        HostKeyArg::Strict => HostKeyChoice::Strict,
        HostKeyArg::AcceptNew => HostKeyChoice::AcceptNew,
    });
    let (typed, weak) = by_rank(args, "host_key", named);
    typed
        .or(options.host_key)
        .or(weak)
        .unwrap_or(HostKeyChoice::Strict)
}

fn identities(args: &AccessArgs, options: &SshOptions, home: Option<&Path>) -> Result<Identities> {
    let (typed, weak) = by_rank(args, "identities", Some(args.identities.clone()));
    let mut named = typed.unwrap_or_default();
    named.extend(options.identity_files.iter().flatten().cloned());
    if named.is_empty() && options.identity_files.is_none() {
        named = weak.unwrap_or_default();
    }
    if named.is_empty() && options.identity_files.is_none() {
        let files = ["id_ed25519", "id_ecdsa", "id_rsa"];
        let file = |home: &Path| files.map(|file| home.join(".ssh").join(file)).to_vec();
        return Ok(Identities::Defaults(home.map(file).unwrap_or_default()));
    }
    for path in &named {
        File::open(path).with_context(|| {
            format!(
                "cannot read the identity {}; check --identity and -O IdentityFile",
                path.display()
            )
        })?;
    }
    Ok(Identities::Named(named))
}

fn pace(args: &PaceArgs, access: &AccessArgs, options: &SshOptions) -> Result<Pace> {
    let (typed, weak) = by_rank(access, "connect_timeout", args.connect_timeout);
    let limit = |limit: Option<Limit>| limit.map(|limit| limit.0);
    let default = Some(CONNECT_TIMEOUT);
    let (retry_on, _) = by_rank(access, "retry_on", args.retry_on);
    if retry_on.is_some() && args.retries.is_none() {
        bail!("--retry-on does nothing by itself; say how often with --retries N");
    }
    Ok(Pace {
        par: args.par,
        connect_timeout: limit(typed)
            .or(options.connect_timeout)
            .or(limit(weak))
            .unwrap_or(default),
        command_timeout: args.timeout.and_then(|limit| limit.0),
        deadline: args.deadline.and_then(|limit| limit.0),
        rate: args.rate,
        retries: args.retries.unwrap_or(0),
        retry_on: args.retry_on.unwrap_or_default(),
    })
}

fn show(args: &ShowArgs) -> Result<Show> {
    let inline = match (args.inline_stdout, args.inline) {
        (true, _) => Some(Inline::StdoutOnly),
        (false, true) => Some(Inline::Both),
        (false, false) => None,
    };
    let jsonl_on_stdout = args.jsonl.as_deref() == Some(Path::new("-"));
    if jsonl_on_stdout && (inline.is_some() || args.print) {
        bail!("--jsonl - takes standard output for itself; leave -i and -P out, or name a file");
    }
    let talk = match (args.quiet, args.verbose) {
        (true, _) => Talk::Quiet,
        (false, true) => Talk::Verbose,
        (false, false) => Talk::Normal,
    };
    Ok(Show {
        print: args.print,
        inline,
        outdir: args.outdir.clone(),
        errdir: args.errdir.clone(),
        jsonl: args.jsonl.clone(),
        talk,
        summary: args.summary || (talk != Talk::Quiet && !args.no_summary),
    })
}

/// Limit of everything until the command is accepted, where nothing else is said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
