//! Passwords and passphrases: bytes that are erased when they are no longer needed.
//!
//! The principal type is [`Secret`]. What is handed to libssh2 or OpenSSL is theirs to erase.

use std::fmt;

use zeroize::Zeroizing;

/// A password or passphrase, erased from memory when dropped and never printed.
///
/// It is neither `Clone` nor `Display`: one copy, shared by reference or `Arc`.
///
/// ```compile_fail
/// let secret = sshoal_session::Secret::from("hunter2".to_owned());
/// println!("{secret}");
/// ```
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Returns the bytes, for the one call that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::from(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_bytes() {
        let secret = Secret::from("canary".to_owned());
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret(***) Secret(***)");
        assert_eq!(secret.expose(), b"canary");
    }
}
