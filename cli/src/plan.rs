//! What will be done, with every choice made: the command line, `-O`, the environment and the
//! defaults are weighed here and nowhere else.
//!
//! The principal type is [`Plan`]. Making one asks nobody anything, and connects to nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::num::{NonZeroU32, NonZeroUsize};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sshoal::ssh_config::quote;
use sshoal::{
    Args, ArgumentError, Commands, Host, HostOption, Listed, OnTimeout, RetryOn, RunError,
    StopAfter, Template,
};

use crate::args::{AccessArgs, HostKeyArg, PaceArgs, RunArgs};
use crate::hosts::{Chosen, Variables};
use crate::journal::Kept;
use crate::launch::{Launching, Taken};
use crate::render::Colors;
use crate::wording::chain;
use crate::{hosts, local};

mod show;

pub(crate) use show::{Show, Summing, Talk, show, tell};

/// A run, resolved.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) hosts: Vec<Host>,
    /// Words joined by a space, for the remote shell, and filled in by host where that was asked for.
    pub(crate) commands: Commands,
    pub(crate) launch: Launching,
    pub(crate) access: Access,
    pub(crate) pace: Pace,
    /// What becomes of commands whose time is over.
    pub(crate) on_timeout: OnTimeout,
    pub(crate) show: Show,
    pub(crate) colors: ColorChoice,
    /// Host bytes reach even a terminal as they are.
    pub(crate) raw: bool,
    pub(crate) dry_run: bool,
}

/// How to get in.
#[derive(Debug, Default)]
pub(crate) struct Access {
    /// The user that hosts without one of their own are most likely given: left out of labels.
    pub(crate) user: Option<String>,
    /// ssh_config options, `KEY=VALUE`, the one that counts first.
    pub(crate) options: Vec<String>,
    /// Options for single hosts, before all others, by host in input order; none for those beyond.
    pub(crate) own: Vec<Vec<HostOption>>,
    /// Names of hosts that are offered weak algorithms too.
    pub(crate) legacy: Vec<String>,
    /// Read instead of the user's and the system's file.
    pub(crate) config_file: Option<PathBuf>,
    /// Whether `Match exec` may run commands.
    pub(crate) match_exec: bool,
    /// Where `.ssh` is.
    pub(crate) home: Option<PathBuf>,
    /// Over `ConnectTimeout`.
    pub(crate) connect_timeout: Option<Option<Duration>>,
    pub(crate) password: PasswordFrom,
    /// Whether hosts may ask for what the password does not answer, if there is a terminal.
    pub(crate) codes: bool,
    /// Whether the key of a host that has none yet is recorded, where ssh_config says nothing.
    pub(crate) accept_new: bool,
    pub(crate) dangerous_accept_any_host_key: bool,
    /// Whether worker processes are to be told what is asked for.
    pub(crate) is_for_workers: bool,
}

/// Where the password comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum PasswordFrom {
    #[default]
    Nowhere,
    Terminal,
    File(PathBuf),
}

/// How fast, how long, and how much.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    pub(crate) par: Option<NonZeroUsize>,
    pub(crate) command_timeout: Option<Duration>,
    /// Of each host, connecting and all.
    pub(crate) host_timeout: Option<Duration>,
    pub(crate) deadline: Option<Duration>,
    /// New connections per second.
    pub(crate) rate: Option<NonZeroU32>,
    /// Attempts after the first.
    pub(crate) retries: u32,
    pub(crate) retry_on: RetryOn,
    /// When no more hosts are begun because others failed.
    pub(crate) stop_after: Option<StopAfter>,
    /// Bytes of each stream of a host that are collected at most.
    pub(crate) max_output: Option<u64>,
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
            Self::Auto => {
                let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                is_terminal && !no_color && knows_escape_sequences()
            }
        };
        if wanted { Colors::On } else { Colors::Off }
    }
}

/// Returns whether the terminal does, by its name.
fn knows_escape_sequences() -> bool {
    let name = std::env::var_os("TERM").unwrap_or_default();
    !name.is_empty() && name != "dumb"
}

impl Plan {
    /// Weighs what was typed, and what is known of the run that is gone on with.
    ///
    /// # Errors
    /// Fails with one line that names what is wrong and what to do.
    pub(crate) fn resolve(args: &RunArgs, resumed: Option<&Kept>) -> Result<Self> {
        let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
        let show = Show {
            resumes: resumed.is_some(),
            ..show::of_commands(args)?
        };
        let Chosen {
            hosts,
            own,
            variables,
        } = match resumed {
            Some(kept) => kept.hosts()?,
            None => match hosts::choose(&args.whom) {
                Err(error) if args.whom.names_nobody() => {
                    bail!("{}{}", chain(&*error), late_hosts(args))
                }
                chosen => chosen?,
            },
        };
        let command = join(&args.command);
        if command.trim_ascii().is_empty() {
            bail!("no command; write it after the options, as in: sshoal run -H web1 uptime");
        }
        let access = access(&args.access, &args.pace, home)?;
        let taken = Taken {
            stdin: args
                .whom
                .hosts_files
                .iter()
                .any(|file| file == Path::new("-")),
            batch: is_batch(&access.options),
        };
        let launch = Launching::resolve(&args.launch, &taken)?;
        launch.shown(&command)?;
        Ok(Self {
            commands: match (resumed.and_then(Kept::commands), args.template) {
                (Some(commands), _) => Commands::each(commands),
                (None, true) => template(command, &hosts, variables)?,
                (None, false) => command.into(),
            },
            hosts,
            launch,
            access: Access {
                own,
                is_for_workers: args.isolation.workers().is_some(),
                ..access
            },
            pace: Pace {
                stop_after: args.far.stop_after(),
                max_output: args.output.max_output,
                ..pace(&args.pace, &args.access)?
            },
            show,
            colors: args.show.tell.color.into(),
            raw: args.show.raw,
            on_timeout: match args.no_kill_on_timeout && !args.kill_on_timeout {
                true => OnTimeout::Leave,
                false => OnTimeout::End,
            },
            dry_run: args.dry_run,
        })
    }

    /// Returns how each host is called on lines and in file names: without the user if it is the
    /// run's own.
    pub(crate) fn labels(&self) -> Vec<String> {
        self.hosts
            .iter()
            .map(|host| label(host, self.access.user.as_deref()))
            .collect()
    }
}

/// Returns a host's text without the user `user`.
pub(crate) fn label(host: &Host, user: Option<&str>) -> String {
    let text = host.to_string();
    match host.user() {
        Some(own) if Some(own) == user => text[own.len() + 1..].to_owned(),
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

/// Returns what to do where nobody is named but by words of the command, as after an option's value
/// that was taken for its first.
fn late_hosts(args: &RunArgs) -> String {
    let names_hosts = |word: &OsString| {
        let word = word.to_string_lossy();
        let long = ["--hosts", "--host", "--nodes", "--group", "--inventory"];
        ["-h", "-H", "-w"].iter().any(|flag| word.starts_with(flag)) || long.contains(&&*word)
    };
    match args.command.as_slice() {
        // Ansible's -i.
        [first, ..] if args.show.inline && Path::new(first).is_file() => format!(
            "; `{}` was taken for the command: -i shows output, -h names a hosts file and --inventory \
             an inventory",
            first.display()
        ),
        [first, rest @ ..] if rest.iter().any(names_hosts) => format!(
            "; `{}` was taken for the command: options stand before it, and --sudo's user is \
             written --sudo=USER",
            first.display()
        ),
        _ => String::new(),
    }
}

/// Joins the words by a space and leaves them otherwise untouched.
pub(crate) fn join(words: &[OsString]) -> Vec<u8> {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    words.join(&b' ')
}

/// Returns what each host runs. A template that cannot be filled in is refused before anyone is
/// asked for a password.
fn template(command: Vec<u8>, hosts: &[Host], variables: Vec<Variables>) -> Result<Commands> {
    let known: BTreeSet<&str> = variables
        .iter()
        .flatten()
        .map(|(name, _)| &**name)
        .collect();
    let known: Vec<String> = known.into_iter().map(str::to_owned).collect();
    let args = variables.into_iter().map(|own| {
        let named = |args: Args, (name, value)| args.named(name, value);
        own.into_iter().fold(Args::new(), named)
    });
    let commands = Commands::from(Template::new(command).args(args));
    let login = ("user", 22);
    for (index, host) in hosts.iter().enumerate() {
        let listed = Listed::new((index, hosts.len()), host, login);
        let filled = commands.of(&listed);
        if let Err(RunError::Argument {
            placeholder,
            source: ArgumentError::Missing,
            ..
        }) = &filled
        {
            bail!("--template: {}", no_value(placeholder, host, &known));
        }
        filled.with_context(|| format!("--template, for {host}"))?;
    }
    Ok(commands)
}

/// Returns what to do about a placeholder without a value: `known` are the inventory's variables.
fn no_value(placeholder: &str, host: &Host, known: &[String]) -> String {
    let name = placeholder.trim_matches(['{', '}']);
    let name = name.strip_suffix(":raw").unwrap_or(name);
    if known.iter().any(|own| own == name) {
        return format!(
            "{placeholder} has no value for {host}: the inventory has {name} for other hosts alone"
        );
    }
    let mut all = "{host}, {user}, {port}, {n} and {total}".to_owned();
    if !known.is_empty() {
        let shown: Vec<String> = known
            .iter()
            .take(NAMES_SHOWN_MAX)
            .map(|name| format!("{{{name}}}"))
            .collect();
        let more = match known.len() > NAMES_SHOWN_MAX {
            true => " and more",
            false => "",
        };
        all = format!("{all}, and of the inventory {}{more}", shown.join(", "));
    }
    format!("{placeholder} is not known; known are {all}; {{{{ and }}}} are braces themselves")
}

/// What a line has room for.
const NAMES_SHOWN_MAX: usize = 20;

pub(crate) fn access(args: &AccessArgs, pace: &PaceArgs, home: Option<PathBuf>) -> Result<Access> {
    let options = options(args);
    let password = match &args.password_file {
        Some(file) => PasswordFrom::File(file.clone()),
        None if args.askpass => PasswordFrom::Terminal,
        None => PasswordFrom::Nowhere,
    };
    if args.dangerous_accept_any_host_key && password != PasswordFrom::Nowhere {
        bail!(
            "--dangerous-accept-any-host-key refuses passwords, which any host could then read; \
             use keys, or --host-key accept-new"
        );
    }
    if is_batch(&options) && password == PasswordFrom::Terminal {
        bail!("-A asks, and BatchMode=yes forbids it; use --password-file, or leave one out");
    }
    let keyboard = said(&options, "KbdInteractiveAuthentication");
    let codes = password != PasswordFrom::Nowhere
        || keyboard.is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    if let Some(user) = &args.user {
        Host::new("host")?.with_user(user.as_str())?;
    }
    if let Some(file) = args.config_file.as_ref().filter(|file| file.is_dir()) {
        bail!(
            "-F {} is a directory; name a file, or `none`",
            file.display()
        );
    }
    for path in &args.identities {
        let opened = match path.is_dir() {
            true => Err(ErrorKind::IsADirectory.into()),
            false => File::open(path),
        };
        opened.with_context(|| {
            format!(
                "cannot read the identity {}; check {}",
                path.display(),
                match args.from_environment.contains(&"identities") {
                    true => "SSHOAL_IDENTITY, or `identity` of the configuration file",
                    false => "--identity",
                }
            )
        })?;
    }
    let (typed, weak) = by_rank(args, "connect_timeout", pace.connect_timeout);
    let is_option = |key| options.iter().any(|option| names(option, key));
    let connect_timeout = typed.or(weak.filter(|_| !is_option("ConnectTimeout")));
    Ok(Access {
        user: said(&options, "User").or_else(local::user),
        config_file: args.config_file.clone(),
        match_exec: args.match_exec,
        home,
        connect_timeout: connect_timeout.map(|limit| limit.0),
        password,
        accept_new: false,
        is_for_workers: false,
        dangerous_accept_any_host_key: args.dangerous_accept_any_host_key,
        // Whoever answers at an unchecked host gets what was typed.
        codes: codes && !args.dangerous_accept_any_host_key,
        own: Vec::new(),
        legacy: legacy(&args.legacy)?,
        options,
    })
}

/// Reads the names of hosts that get weak algorithms.
fn legacy(lists: &[String]) -> Result<Vec<String>> {
    let names = lists.iter().flat_map(|list| {
        let names = list.split(|c: char| c.is_whitespace() || c == ',');
        names.filter(|name| !name.is_empty())
    });
    let name = |text: &str| {
        let host: Host = text.parse().with_context(|| format!("--legacy {text:?}"))?;
        Ok(host.name().to_owned())
    };
    names.map(name).collect()
}

/// Whether an option sets this key.
fn names(option: &str, key: &str) -> bool {
    let own = option.split(['=', ' ', '\t']).next().unwrap_or_default();
    own.trim().eq_ignore_ascii_case(key)
}

/// Returns the value of the option that counts for a key, without quotes.
fn said(options: &[String], key: &str) -> Option<String> {
    let option = options.iter().find(|option| names(option, key))?;
    let (_, value) = option.trim_start().split_once(['=', ' ', '\t'])?;
    let blank = |c: char| c.is_whitespace() || matches!(c, '=' | '"' | '\'');
    Some(value.trim_matches(blank).to_owned())
}

/// Whether nobody may be asked.
pub(crate) fn is_batch(options: &[String]) -> bool {
    said(options, "BatchMode").is_some_and(|value| value.eq_ignore_ascii_case("yes"))
}

/// Puts everything that has a name in ssh_config into its order: what was typed, `-O`, the
/// environment.
fn options(args: &AccessArgs) -> Vec<String> {
    let (mut typed, mut weak) = (Vec::new(), Vec::new());
    let mut put = |id: &str, option: Option<String>| match by_rank(args, id, option) {
        (Some(option), _) => typed.push(option),
        (None, Some(option)) => weak.push(option),
        (None, None) => {}
    };
    put(
        "user",
        args.user
            .as_ref()
            .map(|user| format!("User={}", quote(user))),
    );
    for path in &args.identities {
        let path = path.display().to_string().replace('%', "%%");
        put("identities", Some(format!("IdentityFile={}", quote(&path))));
    }
    put(
        "jump",
        args.jump.as_ref().map(|jump| format!("ProxyJump={jump}")),
    );
    put(
        "no_agent",
        args.no_agent.then(|| "IdentityAgent=none".to_owned()),
    );
    let policy = args.host_key.map(|policy| match policy {
        HostKeyArg::Strict => "yes",
        HostKeyArg::AcceptNew => "accept-new",
        HostKeyArg::Ask => "ask",
    });
    put(
        "host_key",
        policy.map(|policy| format!("StrictHostKeyChecking={policy}")),
    );
    typed.extend(args.options.iter().cloned());
    typed.extend(weak);
    typed
}

/// Gives `value` back as (from the command line, from the environment).
fn by_rank<T>(args: &AccessArgs, id: &str, value: Option<T>) -> (Option<T>, Option<T>) {
    match args.from_environment.contains(&id) {
        true => (None, value),
        false => (value, None),
    }
}

pub(crate) fn pace(args: &PaceArgs, access: &AccessArgs) -> Result<Pace> {
    let (retry_on, _) = by_rank(access, "retry_on", args.retry_on);
    if retry_on.is_some() && args.retries.is_none() {
        bail!("--retry-on does nothing by itself; say how often with --retries N");
    }
    Ok(Pace {
        par: args.par,
        command_timeout: args.timeout.and_then(|limit| limit.0),
        host_timeout: None,
        deadline: args.deadline.and_then(|limit| limit.0),
        rate: args.rate,
        retries: args.retries.unwrap_or(0),
        retry_on: args.retry_on.unwrap_or_default(),
        stop_after: None,
        max_output: None,
    })
}
