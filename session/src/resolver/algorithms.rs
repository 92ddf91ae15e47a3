//! Lists of algorithms: ssh's names, as far as libssh2 has them.

use super::ResolverError;
use super::connection::unsupported;
use crate::algorithms::{AlgorithmList as Which, supported};
use crate::config::{ConfigBuilder, ConfigError};
use crate::ssh_config::{AlgorithmList, Change, Given, Options};

pub(super) fn set(
    mut builder: ConfigBuilder,
    options: &Options,
) -> Result<ConfigBuilder, ResolverError> {
    if let Some(list) = &options.kex_algorithms {
        builder = builder.kex(narrowed("KexAlgorithms", list, Which::Kex)?);
    }
    if let Some(list) = &options.host_key_algorithms {
        builder = builder.host_key_algorithms(narrowed("HostKeyAlgorithms", list, Which::HostKey)?);
    }
    if let Some(list) = &options.ciphers {
        builder = builder.ciphers(narrowed("Ciphers", list, Which::Cipher)?);
    }
    if let Some(list) = &options.macs {
        builder = builder.macs(narrowed("MACs", list, Which::Mac)?);
    }
    if let Some(list) = &options.pubkey_accepted_algorithms {
        builder = public_key(builder, list)?;
    }
    Ok(builder)
}

/// How the CAs of host certificates may sign; `None` where nothing is said.
pub(super) fn authorities(options: &Options) -> Result<Option<Vec<String>>, ResolverError> {
    let Some(given) = &options.ca_signature_algorithms else {
        return Ok(None);
    };
    let plain: Vec<&str> = SIGNATURES
        .iter()
        .copied()
        .filter(|name| !name.contains("-cert-v0"))
        .collect();
    let names = given.value().apply(&plain, &plain);
    if names.is_empty() {
        return Err(none_left("CASignatureAlgorithms", given));
    }
    Ok(Some(names.into_iter().map(str::to_owned).collect()))
}

/// Names the option that a fault of the lists comes from.
pub(super) fn named(error: ConfigError, options: &Options) -> ResolverError {
    let (ConfigError::NoAlgorithm { list } | ConfigError::Algorithm { list, .. }) = &error else {
        return error.into();
    };
    let (option, given) = match list {
        Which::Kex => ("KexAlgorithms", &options.kex_algorithms),
        Which::HostKey => ("HostKeyAlgorithms", &options.host_key_algorithms),
        Which::Cipher => ("Ciphers", &options.ciphers),
        Which::Mac => ("MACs", &options.macs),
        Which::Compression => return error.into(),
    };
    match given {
        Some(given) => none_left(option, given),
        None => error.into(),
    }
}

fn none_left(option: &'static str, given: &Given<AlgorithmList>) -> ResolverError {
    let value = given.value().given().to_owned();
    let why = "none of these is one that libssh2 has and that is safe; name one that is";
    unsupported(option, given, value, why)
}

/// Leaves out the names that ssh has and libssh2 has not, as distributions list them for ssh; a
/// list of which nothing is left is an error.
fn narrowed(
    option: &'static str,
    list: &Given<AlgorithmList>,
    which: Which,
) -> Result<String, ResolverError> {
    let value = list.value();
    if value.change() == Change::Remove {
        return Ok(value.given().to_owned());
    }
    let supported = supported(which);
    let has = |name: &&str| {
        let name = AlgorithmList::parse(name);
        !name.apply(&[], supported).is_empty()
    };
    let kept: Vec<&str> = value.names().split(',').filter(has).collect();
    let sign = match value.change() {
        Change::Append => "+",
        Change::First => "^",
        Change::Replace | Change::Remove => "",
    };
    if kept.is_empty() && value.change() == Change::Replace {
        return Err(none_left(option, list));
    }
    // A sign without names leaves the default as it is.
    Ok(if kept.is_empty() {
        "+".to_owned()
    } else {
        format!("{sign}{}", kept.join(","))
    })
}

/// Signature algorithms are a filter here: what is added or put first is allowed already.
fn public_key(
    builder: ConfigBuilder,
    given: &Given<AlgorithmList>,
) -> Result<ConfigBuilder, ResolverError> {
    match given.value().change() {
        Change::Append | Change::First => Ok(builder),
        Change::Replace | Change::Remove => {
            let kept = given.value().apply(SIGNATURES, SIGNATURES);
            if kept.is_empty() {
                return Err(none_left("PubkeyAcceptedAlgorithms", given));
            }
            Ok(builder.public_key_algorithms(kept.join(",")))
        }
    }
}

/// What may sign for a user or, without the certificates, as a CA.
const SIGNATURES: &[&str] = &[
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "sk-ssh-ed25519-cert-v01@openssh.com",
    "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];
