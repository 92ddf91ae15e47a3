//! Which failures are tried again, and after how long.
//!
//! Only what cannot have started anything on a host is tried again (law P7), and nothing that
//! sends a secret or may lock an account. The principal type is [`RetryOn`].

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::str::FromStr;
use std::time::Duration;

use sshoal_session::{Error, Kind, Phase, Remedy};

/// In which phases a failure to connect may be tried again: some of resolve, connect, banner and
/// kex, by default all of them.
///
/// Of those phases, failures count that another attempt may not meet: a look-up that failed for
/// the time being, an address that refused or could not be reached, a connection that was reset or
/// closed, a time limit that ran out. A server that drops connections because it has too many
/// (`MaxStartups`, `PerSourcePenalties`) closes them before its banner.
///
/// Its text is the phases' words, separated by commas.
///
/// # Examples
/// ```
/// use sshoal_pool::RetryOn;
///
/// assert_eq!(RetryOn::default().to_string(), "resolve,connect,banner,kex");
/// assert_eq!("banner,kex".parse::<RetryOn>()?.to_string(), "banner,kex");
/// assert!("auth".parse::<RetryOn>().is_err());
/// # Ok::<(), sshoal_pool::RetryOnError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOn {
    /// Whether each of [`PHASES`] is in it.
    phases: [bool; PHASES.len()],
}

/// Why phases cannot be tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RetryOnError {
    /// A failure in this phase is never tried again.
    #[error("{phase} is never tried again: choose of resolve, connect, banner and kex")]
    Never {
        /// The phase.
        phase: Phase,
    },
    /// The word names no phase.
    #[error("{word:?} is no phase: choose of resolve, connect, banner and kex")]
    Unknown {
        /// The word.
        word: String,
    },
}

/// The phases before anything of the user's is sent.
const PHASES: [Phase; 4] = [Phase::Resolve, Phase::Connect, Phase::Banner, Phase::Kex];

impl RetryOn {
    /// Returns these phases.
    ///
    /// # Errors
    /// One of them is host key, authentication or later.
    pub fn new(phases: &[Phase]) -> Result<Self, RetryOnError> {
        let mut set = Self {
            phases: [false; PHASES.len()],
        };
        for phase in phases {
            let at = PHASES.iter().position(|known| known == phase);
            let at = at.ok_or(RetryOnError::Never { phase: *phase })?;
            set.phases[at] = true;
        }
        Ok(set)
    }

    /// Returns whether failures in a phase are tried again.
    pub fn contains(&self, phase: Phase) -> bool {
        self.phases().any(|known| known == phase)
    }

    /// Returns whether another attempt is worth making after this error: it came in one of these
    /// phases, and its cause may pass.
    pub fn covers(&self, error: &Error) -> bool {
        self.contains(error.phase()) && is_passing(error)
    }

    fn phases(&self) -> impl Iterator<Item = Phase> {
        let set = PHASES.into_iter().zip(self.phases);
        set.filter_map(|(phase, is_in)| is_in.then_some(phase))
    }
}

impl Default for RetryOn {
    /// All phases that can be tried again.
    fn default() -> Self {
        Self {
            phases: [true; PHASES.len()],
        }
    }
}

impl FromStr for RetryOn {
    type Err = RetryOnError;

    fn from_str(text: &str) -> Result<Self, RetryOnError> {
        let phase = |word: &str| {
            let word = word.trim();
            let found = Phase::ALL.into_iter().find(|p| p.as_str() == word);
            found.ok_or_else(|| RetryOnError::Unknown { word: word.into() })
        };
        let phases: Result<Vec<Phase>, _> = text.split(',').map(phase).collect();
        Self::new(&phases?)
    }
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<&str> = self.phases().map(Phase::as_str).collect();
        f.write_str(&words.join(","))
    }
}

/// Returns whether a failure before the host key was checked may be gone at the next attempt.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Told(told) => told.remedy == Remedy::Retry,
        Error::Resolve { source, .. } => is_temporary(source),
        // The firewall of this machine, or an address that nothing can be sent to.
        Error::Connect { source, .. }
            if matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
            ) =>
        {
            false
        }
        Error::Connect { .. }
        | Error::Disconnected { .. }
        | Error::Handshake { .. }
        | Error::TimedOut { .. } => matches!(
            error.kind(),
            Kind::Refused | Kind::Unreachable | Kind::Timeout | Kind::Reset | Kind::Closed
        ),
        _ => false,
    }
}

/// Returns whether a look-up failed for the time being (`EAI_AGAIN`), which the standard library
/// tells by the C library's text alone: of glibc and the BSDs, and of musl.
fn is_temporary(error: &io::Error) -> bool {
    let text = error.to_string().to_ascii_lowercase();
    let texts = ["temporary failure in name resolution", "try again"];
    texts.iter().any(|temporary| text.contains(temporary))
}

/// Returns how long a host waits that was tried again so many times before: a random part of a
/// time that doubles with each attempt, so that hosts which failed together do not come back
/// together.
pub(crate) fn backoff(retries: u32, random: u64) -> Duration {
    let most = BACKOFF_FIRST_MAX
        .saturating_mul(2_u32.saturating_pow(retries))
        .min(BACKOFF_MAX);
    let nanoseconds = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
    let part = (u128::from(nanoseconds) * u128::from(random)) >> u64::BITS;
    Duration::from_nanos(u64::try_from(part).unwrap_or(nanoseconds))
}

/// Returns a number that nobody needs to be unable to guess: each hasher has keys of its own.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The longest pause before the second attempt.
const BACKOFF_FIRST_MAX: Duration = Duration::from_millis(500);
/// The longest pause before any attempt.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
