//! Makes the library's configurations out of the plan: reads ssh_config, key and known_hosts
//! files, and asks for what only the user knows. The last step before something is run.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sshoal::ssh_config::{Local, MatchExec, SshConfig};
use sshoal::{Config, Host, HostKeyPolicy, Passphrases, Resolver, ResolverBuilder, Secret};

use crate::plan::{Access, PasswordFrom};

/// How each host is got into, and notices for the user.
#[derive(Debug)]
pub(crate) struct Opened {
    /// By host, in input order.
    pub(crate) configs: Vec<Arc<Config>>,
    pub(crate) notices: Vec<String>,
}

/// Opens everything.
///
/// # Errors
/// Fails if an option or a named file is no good, or if there is no terminal to ask for the
/// password.
pub(crate) fn open(access: &Access, hosts: &[Host]) -> Result<Opened> {
    let mut notices = Vec::new();
    let mut resolver = builder(access, &mut notices)?;
    if let Some(password) = password(&access.password, &mut notices)? {
        resolver = resolver.password(password);
    }
    let resolver = resolver.build();
    let configs = hosts
        .iter()
        .map(|host| resolver.config(host).with_context(|| host.to_string()))
        .collect::<Result<Vec<_>>>()?;
    if !configs.iter().any(|config| config.has_credentials()) {
        bail!(
            "nothing to log in with; name a key with --identity, add one to ssh-agent, or use -A"
        );
    }
    notices.extend(resolver.notices());
    Ok(Opened { configs, notices })
}

/// Returns `user@name:port` of each host, in input order; reads no key.
///
/// # Errors
/// Fails if an option is no good.
pub(crate) fn logins(access: &Access, hosts: &[Host]) -> Result<Vec<String>> {
    let resolver = builder(access, &mut Vec::new())?.build();
    let login = |host: &Host| {
        let options = resolver.options(host).with_context(|| host.to_string())?;
        let name = match host.name().contains(':') {
            true => format!("[{}]", host.name()),
            false => host.name().to_owned(),
        };
        let (user, port) = (options.user.value(), options.port.value());
        Ok(format!("{user}@{name}:{port}"))
    };
    hosts.iter().map(login).collect()
}

fn builder(access: &Access, notices: &mut Vec<String>) -> Result<ResolverBuilder> {
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
    let mut resolver = Resolver::builder(ssh_config.load()?).passphrases(Arc::new(Terminal));
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
        PasswordFrom::Terminal if !Terminal::is_there() => {
            bail!("-A needs a terminal to ask on; use --password-file, or keys")
        }
        PasswordFrom::Terminal => {
            let password = rpassword::prompt_password("Password for the fleet: ");
            let password = password.context("cannot ask for the password")?;
            Ok(Some(Secret::from(password)))
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

/// The terminal that the user sits at, whatever the standard streams are.
struct Terminal;

impl Terminal {
    fn is_there() -> bool {
        File::options()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .is_ok()
    }
}

impl Passphrases for Terminal {
    fn passphrase(&self, key: &Path, _tries: u32) -> Option<Secret> {
        if !Self::is_there() {
            return None;
        }
        let prompt = format!("Enter passphrase for key '{}': ", key.display());
        rpassword::prompt_password(prompt).ok().map(Secret::from)
    }
}

/// Above any password that a server takes.
const PASSWORD_BYTES_MAX: usize = 4096;
