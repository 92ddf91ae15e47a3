//! Why a user was not let in.

use crate::error::{Kind, Libssh2Error};

/// Why the user was not let in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The server refused every method that was tried.
    #[error("Permission denied ({methods}).")]
    Denied {
        /// The methods the server says can continue, as it lists them (RFC 4252 §5.1).
        methods: String,
    },
    /// The server wants the password changed first, which is not done here (RFC 4252 §8).
    #[error("the password has expired and must be changed on the host")]
    PasswordExpired,
    /// The exchange itself failed.
    #[error("authentication failed")]
    Failed {
        /// What libssh2 said.
        source: Libssh2Error,
    },
    /// An identity could not sign.
    #[error("identity {identity} could not sign")]
    Sign {
        /// The identity's file or comment.
        identity: String,
        /// Why.
        source: crate::IdentityError,
    },
    /// An RSA key is smaller than the configuration takes, and was not offered.
    #[error("the RSA key {identity} has {bits} bits, and RequiredRSASize asks for {required}")]
    RsaTooSmall {
        /// The identity's file or comment, or the fingerprint of an agent's key.
        identity: String,
        /// The size of the key.
        bits: u32,
        /// The least size that is taken.
        required: u32,
    },
    /// The agent could not be asked, or did not sign.
    #[error("the authentication agent at {path}")]
    Agent {
        /// Its socket.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl AuthError {
    /// Returns what went wrong, in one word.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Denied { .. } | Self::PasswordExpired | Self::RsaTooSmall { .. } => Kind::Denied,
            Self::Failed { .. } => Kind::Protocol,
            Self::Sign { .. } | Self::Agent { .. } => Kind::Io,
        }
    }
}
