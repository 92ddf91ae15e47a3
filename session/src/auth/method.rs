//! The authentication methods by name (RFC 4252 §5, RFC 4256).

use std::fmt;
use std::str::FromStr;

use crate::config::ConfigError;

/// A way to authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// `publickey`: identities, certificates and the agent's keys (RFC 4252 §7).
    PublicKey,
    /// `keyboard-interactive`: the server asks, the user answers (RFC 4256).
    KeyboardInteractive,
    /// `password` (RFC 4252 §8).
    Password,
}

impl Method {
    /// The methods in the order that `ssh` tries them (`PreferredAuthentications`).
    pub const DEFAULT_ORDER: [Self; 3] =
        [Self::PublicKey, Self::KeyboardInteractive, Self::Password];

    /// Returns the method's name in the protocol, for example `publickey`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::KeyboardInteractive => "keyboard-interactive",
            Self::Password => "password",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Method {
    type Err = ConfigError;

    /// Reads a method's name; `gssapi-with-mic` and `hostbased`, which `ssh` has too, are refused
    /// by name like any other that is not there.
    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let known = Self::DEFAULT_ORDER.into_iter();
        known
            .into_iter()
            .find(|method| method.as_str() == name)
            .ok_or_else(|| ConfigError::UnsupportedMethod {
                method: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_methods_that_are_not_there() {
        for name in ["gssapi-with-mic", "hostbased", "none", "Password", ""] {
            let error = name.parse::<Method>().unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        for method in Method::DEFAULT_ORDER {
            assert_eq!(method.to_string().parse(), Ok(method));
        }
    }
}
