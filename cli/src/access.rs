//! Makes the library's configurations out of the plan: reads ssh_config, key and known_hosts
//! files, and asks for what only the user knows. The last step before something is run.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sshoal::ssh_config::{Local, MatchExec, Options, Proxy, SshConfig};
use sshoal::{
    Config, Host, HostKeyPolicy, HostOption, Passphrases, Resolver, ResolverBuilder, Secret,
};

use crate::codes::Codes;
use crate::plan::{Access, PasswordFrom};
use crate::sanitise::one_line;
use crate::terminal::Terminal;
use crate::unknown_keys;
use crate::workers::{Noted, Secrets};

/// How each host is got into, and notices for the user.
#[derive(Debug)]
pub(crate) struct Opened {
    /// By host, in input order.
    pub(crate) configs: Vec<Arc<Config>>,
    pub(crate) notices: Vec<String>,
    /// For worker processes, if there are to be some: what was asked for.
    pub(crate) secrets: Secrets,
    /// Host keys that the user accepted: names and keys.
    pub(crate) accepted: Vec<(String, String)>,
}

/// Opens everything, and asks about unknown host keys where that is wanted.
///
/// # Errors
/// Fails if an option or a named file is no good, if there is no terminal to ask for the
/// password, or if the user does not want the host keys.
pub(crate) fn open(access: &Access, hosts: &[Host]) -> Result<Opened> {
    let (mut notices, mut secrets, noted) = (Vec::new(), Secrets::default(), Noted::default());
    let mut resolver = builder(access, &mut notices)?;
    if access.is_for_workers {
        resolver = resolver.passphrases(Arc::new(noted.of(Asked)));
    }
    if let Some(password) = password(&access.password, &mut notices)? {
        if access.is_for_workers {
            secrets.password = Some(Secret::from(password.expose().to_vec()));
        }
        resolver = resolver.password(password);
    }
    if access.codes && Terminal::is_there() {
        resolver = resolver.answers(Arc::new(Codes::default()));
    }
    let resolver = resolver.build();
    let config = |(index, host): (usize, &Host)| {
        let config = resolver.config_with(host, own(access, index));
        config.with_context(|| host.to_string())
    };
    let configs = hosts.iter().enumerate().map(config);
    let configs = configs.collect::<Result<Vec<_>>>()?;
    if !configs.iter().any(|config| config.has_credentials()) {
        bail!(
            "nothing to log in with; name a key with --identity, add one to ssh-agent, or use -A"
        );
    }
    notices.extend(resolver.notices());
    let accepted = unknown_keys::ask(hosts, &configs, &mut notices)?;
    secrets.passphrases = noted.take();
    Ok(Opened {
        configs,
        notices,
        secrets,
        accepted,
    })
}

/// Who logs in where.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) user: String,
    pub(crate) port: u16,
    /// `user@name:port`.
    pub(crate) text: String,
}

/// Returns who logs in at each host, in input order; reads no key. With `ways`, what else leads
/// there follows in brackets in the text.
///
/// # Errors
/// Fails if an option is no good.
pub(crate) fn logins(access: &Access, hosts: &[Host], ways: bool) -> Result<Vec<Login>> {
    let resolver = builder(access, &mut Vec::new())?.build();
    let login = |(index, host): (usize, &Host)| {
        let options = resolver.options_with(host, own(access, index));
        let options = options.with_context(|| host.to_string())?;
        let name = match host.name().contains(':') {
            true => format!("[{}]", host.name()),
            false => host.name().to_owned(),
        };
        let (user, port) = (options.user.value(), options.port.value());
        let way = if ways {
            way(host, &options)
        } else {
            String::new()
        };
        Ok(Login {
            text: format!("{user}@{name}:{port}{way}"),
            user: user.clone(),
            port: *port,
        })
    };
    hosts.iter().enumerate().map(login).collect()
}

/// Returns in brackets what leads to a host, other than its name.
fn way(host: &Host, options: &Options) -> String {
    let mut parts = Vec::new();
    let name = options.host_name.value();
    if !name.eq_ignore_ascii_case(host.name()) {
        parts.push(name.clone());
    }
    match options.proxy.as_ref().map(|proxy| proxy.value()) {
        Some(Proxy::Jump(hops)) => {
            let hops: Vec<String> = hops.iter().map(ToString::to_string).collect();
            parts.push(format!("via {}", hops.join(",")));
        }
        Some(Proxy::Command(command)) => parts.push(format!("via `{}`", command.command())),
        _ => {}
    }
    match parts.is_empty() {
        true => String::new(),
        false => format!(" ({})", parts.join(" ")),
    }
}

/// Returns a host's own options.
fn own(access: &Access, index: usize) -> &[HostOption] {
    access.own.get(index).map_or(&[], Vec::as_slice)
}

/// Begins a resolver of what was said and of the user's ssh_config.
///
/// # Errors
/// Fails if an option or a file is no good.
pub(crate) fn builder(access: &Access, notices: &mut Vec<String>) -> Result<ResolverBuilder> {
    let mut local = Local::of_this_process();
    if let Some(home) = access.home.as_ref().and_then(|home| home.to_str()) {
        local = local.with_home(home);
    }
    let mut ssh_config = SshConfig::builder(local);
    for option in &access.options {
        ssh_config = ssh_config.option(option.as_str());
    }
    if let Some(file) = &access.config_file {
        ssh_config = ssh_config.file(file);
    }
    if access.match_exec {
        ssh_config = ssh_config.match_exec(MatchExec::Run);
    }
    let mut resolver = Resolver::builder(ssh_config.load()?)
        .passphrases(Arc::new(Asked))
        // Unknown keys are refused then, unless they are accepted before the run.
        .ask_policy(HostKeyPolicy::Ask)
        .legacy(&access.legacy);
    if access.dangerous_accept_any_host_key {
        notices
            .push("DANGER: any host key is accepted; whoever answers gets the command".to_owned());
        resolver = resolver.dangerous_accept_any_host_key();
    }
    if access.accept_new {
        resolver = resolver.unsaid_policy(HostKeyPolicy::AcceptNew);
    }
    if let Some(limit) = access.connect_timeout {
        resolver = resolver.connect_timeout(limit);
    }
    Ok(resolver)
}

fn password(from: &PasswordFrom, notices: &mut Vec<String>) -> Result<Option<Secret>> {
    match from {
        PasswordFrom::Nowhere => Ok(None),
        PasswordFrom::Terminal => {
            let Some(mut terminal) = Terminal::open() else {
                bail!("-A needs a terminal to ask on; use --password-file, or keys")
            };
            let password = terminal.ask_hidden("Password for the fleet: ");
            let password = password.context("cannot ask for the password")?;
            Ok(Some(password.context("no password was given")?))
        }
        PasswordFrom::File(path) => password_file(path, notices).map(Some),
    }
}

fn password_file(path: &Path, notices: &mut Vec<String>) -> Result<Secret> {
    let what = || format!("cannot read the password file {}", path.display());
    let file = File::open(path).with_context(what)?;
    let facts = file.metadata().with_context(what)?;
    if facts.is_file() && facts.mode() & 0o077 != 0 {
        let path = path.display();
        notices.push(format!(
            "others may read the password file {path}; chmod 600 it"
        ));
    }
    // With room for all at once: a buffer that grows leaves copies of the password behind.
    let mut line = Vec::with_capacity(PASSWORD_BYTES_MAX);
    file.take(PASSWORD_BYTES_MAX as u64)
        .read_to_end(&mut line)
        .with_context(what)?;
    let end = line
        .iter()
        .position(|b| matches!(b, b'\r' | b'\n'))
        .unwrap_or(line.len());
    line.truncate(end);
    if line.is_empty() {
        bail!(
            "the first line of the password file {} is empty",
            path.display()
        );
    }
    Ok(Secret::from(line))
}

/// The user, who knows the passphrases.
struct Asked;

impl Passphrases for Asked {
    fn passphrase(&self, key: &Path, _tries: u32) -> Option<Secret> {
        let prompt = format!("Enter passphrase for key '{}': ", key.display());
        Terminal::open()?.ask_hidden(&one_line(&prompt)).ok()?
    }
}

/// Above any password that a server takes.
const PASSWORD_BYTES_MAX: usize = 4096;
