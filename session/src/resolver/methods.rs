//! Agents, and the authentication methods that are left.

use std::path::PathBuf;

use super::ResolverError;
use crate::auth::Method;
use crate::ssh_config::{
    AgentSocket, ForwardAgent, Given, Options, Origin, PubkeyAuthentication, SshConfig,
};

/// The socket of the agent that is asked for keys.
pub(super) fn agent_socket(ssh_config: &SshConfig, options: &Options) -> Option<PathBuf> {
    match options.identity_agent.as_ref().map(Given::value) {
        Some(AgentSocket::None) => None,
        Some(AgentSocket::Path(path)) => Some(path.clone()),
        Some(AgentSocket::FromEnvironment) | None => from_environment(ssh_config),
    }
}

fn from_environment(ssh_config: &SshConfig) -> Option<PathBuf> {
    let path = ssh_config.local().variable("SSH_AUTH_SOCK")?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// The socket of the agent that the host may use.
pub(super) fn forwarded(ssh_config: &SshConfig, options: &Options) -> Option<PathBuf> {
    match options.forward_agent.as_ref().map(Given::value) {
        Some(ForwardAgent::Yes) => agent_socket(ssh_config, options),
        Some(ForwardAgent::Socket(path)) => path.clone(),
        Some(ForwardAgent::No) | None => None,
    }
}

/// The methods that are allowed, in their order.
pub(super) fn allowed(options: &Options) -> Result<Vec<Method>, ResolverError> {
    let preferred = match &options.preferred_authentications {
        Some(names) => known(names)?,
        None => Method::DEFAULT_ORDER.to_vec(),
    };
    let mut last = None;
    let mut left = Vec::new();
    for method in preferred {
        match forbidden(options, method) {
            Some((option, origin)) => last = Some((option, origin.clone())),
            None => left.push(method),
        }
    }
    match last {
        Some((option, origin)) if left.is_empty() => Err(ResolverError::Unsupported {
            origin,
            option,
            value: "no".to_owned(),
            why: "leaves no authentication method; allow one, or name it in PreferredAuthentications",
        }),
        _ => Ok(left),
    }
}

/// The methods of a list that are there.
fn known(names: &Given<Vec<String>>) -> Result<Vec<Method>, ResolverError> {
    let known: Vec<Method> = names
        .value()
        .iter()
        .filter_map(|n| n.parse().ok())
        .collect();
    // Distributions list ssh's others before these; alone they are what was asked for.
    if known.is_empty() {
        return Err(ResolverError::Unsupported {
            origin: names.origin().clone(),
            option: "PreferredAuthentications",
            value: names.value().join(","),
            why: "libssh2 has publickey, keyboard-interactive and password; name one of them",
        });
    }
    Ok(known)
}

/// The option that forbids a method, if one does.
fn forbidden(options: &Options, method: Method) -> Option<(&'static str, &Origin)> {
    let no = |given: &'_ Option<Given<bool>>| given.as_ref().is_some_and(|yes| !*yes.value());
    let keys = &options.pubkey_authentication;
    let password = &options.password_authentication;
    let interactive = &options.kbd_interactive_authentication;
    match method {
        Method::PublicKey => keys
            .as_ref()
            .filter(|given| *given.value() == PubkeyAuthentication::No)
            .map(|given| ("PubkeyAuthentication", given.origin())),
        Method::Password if no(password) => password
            .as_ref()
            .map(|given| ("PasswordAuthentication", given.origin())),
        Method::KeyboardInteractive if no(interactive) => interactive
            .as_ref()
            .map(|given| ("KbdInteractiveAuthentication", given.origin())),
        _ => None,
    }
}
