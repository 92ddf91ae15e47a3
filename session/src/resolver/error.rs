//! Why a host's configuration cannot be made.

use crate::config::ConfigError;
use crate::host_key::RevokedKeysError;
use crate::known_hosts::KnownHostsError;
use crate::ssh_config::{Origin, SshConfigError};

/// Why a host's configuration cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolverError {
    /// ssh_config cannot be used.
    #[error(transparent)]
    SshConfig(#[from] SshConfigError),
    /// An option's value is one that this program cannot follow.
    #[error("{origin}: {option} {value}: {why}")]
    Unsupported {
        /// Where it stands.
        origin: Origin,
        /// Its name.
        option: &'static str,
        /// Its value.
        value: String,
        /// Why, and what to do about it.
        why: &'static str,
    },
    /// An identity or certificate that was named on the command line is no good.
    #[error("{origin}: {option}: {what}")]
    Identity {
        /// Where it was named.
        origin: Origin,
        /// The option that names it.
        option: &'static str,
        /// What is wrong with it, and what to do about it.
        what: String,
    },
    /// A known_hosts file cannot be read.
    #[error("{origin}: {option}: make the file readable, or name another one or none")]
    KnownHosts {
        /// Where it was named.
        origin: Origin,
        /// The option that names it.
        option: &'static str,
        /// What is wrong with it.
        source: KnownHostsError,
    },
    /// The file of revoked host keys cannot be used; without it no host is trusted.
    #[error("{origin}: RevokedHostKeys: no host is trusted without the file; mend it, or say none")]
    RevokedKeys {
        /// Where it was named.
        origin: Origin,
        /// What is wrong with it.
        source: RevokedKeysError,
    },
    /// Jump hosts lead back to where they began.
    #[error(
        "{origin}: ProxyJump goes in a circle: {hosts}; say `ProxyJump none` for the first jump host"
    )]
    Circle {
        /// Where the last one is named.
        origin: Origin,
        /// The hosts on the way.
        hosts: String,
    },
    /// The parts do not make a configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
}
