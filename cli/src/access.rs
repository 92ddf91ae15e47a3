//! Makes the library's configuration out of the plan: reads key and known_hosts files, and asks
//! for what only the user knows. The last step before something is run.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sshoal::known_hosts::KnownHosts;
use sshoal::{AgentKeys, Config, HostKeyPolicy, HostKeys, Secret};

use crate::identities::{self, Asker};
use crate::options::HostKeyChoice;
use crate::plan::{Access, PasswordFrom};

/// Opens everything and returns the configuration, and notices for the user.
///
/// # Errors
/// Fails if a named file is no good, or if there is no terminal to ask for the password.
pub(crate) fn open(
    access: &Access,
    connect_timeout: Option<Duration>,
) -> Result<(Arc<Config>, Vec<String>)> {
    let mut terminal = Terminal;
    let loaded = identities::load(&access.identities, access.agent.is_some(), &mut terminal)?;
    let mut notices = loaded.notices;
    let host_keys = Arc::new(host_keys(access, &mut notices)?);
    let password = password(&access.password, &mut terminal, &mut notices)?;
    if loaded.identities.is_empty() && access.agent.is_none() && password.is_none() {
        bail!(
            "nothing to log in with; name a key with --identity, add one to ssh-agent, or use -A"
        );
    }
    let agent_keys = match access.identities_only {
        true => AgentKeys::IdentitiesOnly,
        false => AgentKeys::All,
    };
    let mut config = Config::builder(host_keys)
        .user(access.user.as_str())
        .port(access.port)
        .agent_keys(agent_keys)
        .connect_timeout(connect_timeout);
    for identity in loaded.identities {
        config = config.identity(identity);
    }
    if let Some(agent) = &access.agent {
        config = config.agent(agent);
    }
    if let Some(password) = password {
        config = config.password(password);
    }
    let config = config.build().context("cannot log in anywhere")?;
    Ok((Arc::new(config), notices))
}

fn host_keys(access: &Access, notices: &mut Vec<String>) -> Result<HostKeys> {
    let known = KnownHosts::load(&access.known_hosts)
        .context("cannot check host keys; see -O UserKnownHostsFile")?;
    if let Some(line) = known.bad_lines().first() {
        let more = known.bad_lines().len() - 1;
        let more = if more == 0 {
            String::new()
        } else {
            format!(", and {more} more")
        };
        notices.push(format!("a known_hosts line is skipped: {line}{more}"));
    }
    let policy = match access.host_key {
        HostKeyChoice::Strict => HostKeyPolicy::Strict,
        HostKeyChoice::AcceptNew => HostKeyPolicy::AcceptNew,
        HostKeyChoice::WeakAsAcceptNew => {
            notices.push(
                "StrictHostKeyChecking=no acts as accept-new: changed host keys are refused"
                    .to_owned(),
            );
            HostKeyPolicy::AcceptNew
        }
        HostKeyChoice::DangerousAny => {
            notices.push(
                "DANGER: any host key is accepted; whoever answers gets the command".to_owned(),
            );
            HostKeyPolicy::DangerousAcceptAny
        }
    };
    let keys = HostKeys::new(policy, known);
    Ok(match &access.known_hosts_store {
        Some(file) if policy == HostKeyPolicy::AcceptNew => keys.store(file),
        _ => keys,
    })
}

fn password(
    from: &PasswordFrom,
    asker: &mut dyn Asker,
    notices: &mut Vec<String>,
) -> Result<Option<Secret>> {
    match from {
        PasswordFrom::Nowhere => Ok(None),
        PasswordFrom::Terminal if !asker.is_there() => {
            bail!("-A needs a terminal to ask on; use --password-file, or keys")
        }
        PasswordFrom::Terminal => {
            let password = asker.ask("Password for the fleet: ");
            Ok(Some(password.context("cannot ask for the password")?))
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

impl Asker for Terminal {
    fn is_there(&self) -> bool {
        File::options()
            .read(true)
            .write(true)
            .open("/dev/tty")
            .is_ok()
    }

    fn ask(&mut self, prompt: &str) -> io::Result<Secret> {
        rpassword::prompt_password(prompt).map(Secret::from)
    }
}

/// Above any password that a server takes.
const PASSWORD_BYTES_MAX: usize = 4096;
