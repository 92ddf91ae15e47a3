//! Passwords and passphrases: bytes that are erased when they are no longer needed.
//!
//! The principal type is [`Secret`]. What is handed to libssh2 or OpenSSL is theirs to erase.

use std::fmt;
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
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

/// Keeps this process's memory, and the secrets in it, out of core files and from other processes
/// of the same user.
///
/// The limit of core files is set to none, for children too; on Linux the process is marked as not
/// dumpable as well, so that the system writes no core file by whatever pattern, and debuggers,
/// `/proc/PID/mem` and `/proc/PID/environ` are root's alone. A child is dumpable again once it runs
/// another program.
///
/// The library never does so by itself, because it is the whole process's. Call it before the first
/// secret is read.
///
/// # Errors
/// The system refused.
pub fn keep_secrets_out_of_dumps() -> io::Result<()> {
    let maximum = getrlimit(Resource::Core).maximum;
    let current = Some(0);
    setrlimit(Resource::Core, Rlimit { current, maximum })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    Ok(())
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
