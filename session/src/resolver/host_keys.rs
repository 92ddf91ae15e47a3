//! The host key check that the options ask for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::connection::unsupported;
use super::{Made, ResolverError, Settings, in_home};
use crate::host_key::{HostKeyPolicy, HostKeys, RevokedKeys};
use crate::known_hosts::{KnownHosts, KnownHostsError};
use crate::ssh_config::{ConfigPath, Given, Options, Origin, SshConfig, StrictHostKeyChecking};

pub(super) fn make(
    ssh_config: &SshConfig,
    settings: &Settings,
    made: &mut Made,
    options: &Options,
) -> Result<Arc<HostKeys>, ResolverError> {
    refuse(options)?;
    let policy = policy(settings, made, options);
    let user = paths(options.user_known_hosts_files.as_ref()).unwrap_or_else(|| {
        let names = ["known_hosts", "known_hosts2"];
        let own = names.iter().filter_map(|name| in_home(ssh_config, name));
        own.collect()
    });
    let global = paths(options.global_known_hosts_files.as_ref())
        .unwrap_or_else(|| GLOBAL.iter().map(PathBuf::from).collect());
    let hashed = options
        .hash_known_hosts
        .as_ref()
        .is_some_and(|yes| *yes.value());
    let revoked = options.revoked_host_keys.as_ref();
    let authorities = super::algorithms::authorities(options)?;
    let key = format!("{policy:?} {user:?} {global:?} {hashed} {revoked:?} {authorities:?}");
    if let Some(keys) = made.host_keys.get(&key) {
        return Ok(keys.clone());
    }
    let known = known_hosts(made, options, user.iter().chain(&global).cloned().collect())?;
    let mut keys = HostKeys::new(policy, known);
    if let Some(names) = authorities {
        keys = keys.ca_signature_algorithms(names);
    }
    if let Some(store) = user.first() {
        keys = keys.store(store);
    }
    if hashed {
        keys = keys.hash_stored_names();
    }
    if let Some(given) = revoked
        && let Some(path) = given.value()
    {
        let revoked = RevokedKeys::load(path.path());
        keys = keys.revoked(revoked.map_err(|source| ResolverError::RevokedKeys {
            origin: given.origin().clone(),
            source,
        })?);
    }
    let keys = Arc::new(keys);
    made.host_keys.insert(key, keys.clone());
    Ok(keys)
}

/// Reads known_hosts files, the first time that they are named together.
fn known_hosts(
    made: &mut Made,
    options: &Options,
    files: Vec<PathBuf>,
) -> Result<Arc<KnownHosts>, ResolverError> {
    if let Some(known) = made.known_hosts.get(&files) {
        return Ok(known.clone());
    }
    let known = KnownHosts::load(&files).map_err(|error| unreadable(options, error))?;
    let known = Arc::new(known);
    if let Some(line) = known.bad_lines().first() {
        let more = match known.bad_lines().len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        made.note(format!("a known_hosts line is skipped: {line}{more}"));
    }
    made.known_hosts.insert(files, known.clone());
    Ok(known)
}

/// Names the option that a file stands in.
fn unreadable(options: &Options, source: KnownHostsError) -> ResolverError {
    let said = [
        ("UserKnownHostsFile", &options.user_known_hosts_files),
        ("GlobalKnownHostsFile", &options.global_known_hosts_files),
    ];
    let has = |given: &&Given<Vec<ConfigPath>>| {
        let mut files = given.value().iter();
        files.any(|file| file.path() == source.path)
    };
    let named = said
        .into_iter()
        .find_map(|(option, given)| Some((option, given.as_ref().filter(has)?.origin().clone())));
    let is_global = GLOBAL.iter().any(|file| Path::new(file) == source.path);
    let (option, origin) =
        named.unwrap_or_else(|| (said[usize::from(is_global)].0, Origin::Default));
    ResolverError::KnownHosts {
        origin,
        option,
        source,
    }
}

/// The files of the whole system.
const GLOBAL: [&str; 2] = ["/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"];

fn paths(given: Option<&Given<Vec<ConfigPath>>>) -> Option<Vec<PathBuf>> {
    let files = given?.value().iter();
    Some(files.map(|file| file.path().to_owned()).collect())
}

fn policy(settings: &Settings, made: &mut Made, options: &Options) -> HostKeyPolicy {
    if settings.dangerous_accept_any_host_key {
        return HostKeyPolicy::DangerousAcceptAny;
    }
    let said = options.strict_host_key_checking.as_ref();
    match said.map(|said| *said.value()) {
        Some(StrictHostKeyChecking::Yes) => HostKeyPolicy::Strict,
        Some(StrictHostKeyChecking::AcceptNew) => HostKeyPolicy::AcceptNew,
        Some(StrictHostKeyChecking::No) => {
            made.note(
                "StrictHostKeyChecking=no acts as accept-new: changed host keys are refused"
                    .to_owned(),
            );
            HostKeyPolicy::AcceptNew
        }
        Some(StrictHostKeyChecking::Ask) => match &options.batch_mode {
            Some(batch) if *batch.value() => HostKeyPolicy::Strict,
            _ => settings.ask_policy,
        },
        None => settings.unsaid_policy,
    }
}

/// Checks that ssh would make and this program does not are refused, not left out.
fn refuse(options: &Options) -> Result<(), ResolverError> {
    if let Some(given) = &options.check_host_ip
        && *given.value()
    {
        let why = "addresses are not checked beside names; say no";
        return Err(unsupported("CheckHostIP", given, "yes".into(), why));
    }
    if let Some(given) = &options.no_host_authentication_for_localhost
        && *given.value()
    {
        let why = "host keys are checked everywhere; say no";
        let option = "NoHostAuthenticationForLocalhost";
        return Err(unsupported(option, given, "yes".into(), why));
    }
    Ok(())
}
