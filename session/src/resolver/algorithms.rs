//! Lists of algorithms: ssh's names, as far as libssh2 has them.

use super::ResolverError;
use crate::algorithms::{AlgorithmList as Which, supported};
use crate::config::ConfigBuilder;
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
        builder = public_key(builder, list.value());
    }
    Ok(builder)
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
        return Err(ResolverError::Unsupported {
            origin: list.origin().clone(),
            option,
            value: value.given().to_owned(),
            why: "libssh2 has none of these; name one that it has",
        });
    }
    // A sign without names leaves the default as it is.
    Ok(if kept.is_empty() {
        "+".to_owned()
    } else {
        format!("{sign}{}", kept.join(","))
    })
}

/// Signature algorithms are a filter here: what is added or put first is allowed already.
fn public_key(builder: ConfigBuilder, list: &AlgorithmList) -> ConfigBuilder {
    match list.change() {
        Change::Replace => builder.public_key_algorithms(list.names()),
        Change::Append | Change::First => builder,
        Change::Remove => {
            let kept = list.apply(SIGNATURES, SIGNATURES);
            builder.public_key_algorithms(kept.join(","))
        }
    }
}

/// What may sign for a user, for lists that take something out.
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
