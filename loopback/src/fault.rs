//! Faults that a host of the fleet can be given, for tests of how clients bear them.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Accepts the connection and never sends a byte.
    Silent,
    /// Accepts the connection and closes it at once.
    Close,
    /// Sends lines without end where its version should come.
    BannerFlood,
    /// Sends its version and then nothing.
    StallKex,
    /// Shows a host key that is not the one in `known_hosts`.
    OtherKey,
    /// Refuses every authentication.
    Deny,
    /// Never answers a publickey or password authentication.
    StallAuth,
    /// Never answers the opening of a channel.
    StallOpen,
    /// Accepts a command and never answers it.
    StallExec,
    /// Resets the connection in the middle of a command's output.
    Reset,
    /// Closes a command's channel with neither exit status nor exit signal.
    NoStatus,
}

impl Fault {
    /// Every fault with its name on the command line and what it does.
    pub(crate) const ALL: [(Self, &'static str, &'static str); 11] = [
        (
            Self::Silent,
            "silent",
            "accepts the connection, never sends a byte",
        ),
        (
            Self::Close,
            "close",
            "accepts the connection, closes it at once",
        ),
        (
            Self::BannerFlood,
            "banner-flood",
            "sends lines without end before its version",
        ),
        (
            Self::StallKex,
            "stall-kex",
            "sends its version, then nothing",
        ),
        (
            Self::OtherKey,
            "other-key",
            "shows a host key that is not the one in known_hosts",
        ),
        (Self::Deny, "deny", "refuses every authentication"),
        (
            Self::StallAuth,
            "stall-auth",
            "never answers an authentication",
        ),
        (
            Self::StallOpen,
            "stall-open",
            "never answers the opening of a channel",
        ),
        (
            Self::StallExec,
            "stall-exec",
            "accepts a command, never answers it",
        ),
        (
            Self::Reset,
            "reset",
            "resets the connection in the middle of the output",
        ),
        (
            Self::NoStatus,
            "no-status",
            "ends a command without exit status or signal",
        ),
    ];

    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(f, ..)| *f == self)
            .map_or("unnamed", |(_, name, _)| name)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault and the hosts that have it; written `KIND=FIRST-LAST` or `KIND=INDEX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRule {
    fault: Fault,
    hosts: RangeInclusive<usize>,
}

impl FaultRule {
    /// Gives `fault` to the hosts with these indices, counted from 0.
    #[must_use]
    pub fn new(fault: Fault, hosts: RangeInclusive<usize>) -> Self {
        Self { fault, hosts }
    }

    /// Returns the fault.
    #[must_use]
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Returns the indices of the hosts that have it.
    #[must_use]
    pub fn hosts(&self) -> &RangeInclusive<usize> {
        &self.hosts
    }

    /// Returns the first host that both rules name.
    pub(crate) fn overlap(&self, other: &Self) -> Option<usize> {
        let first = *self.hosts.start().max(other.hosts.start());
        (self.hosts.contains(&first) && other.hosts.contains(&first)).then_some(first)
    }
}

impl FromStr for FaultRule {
    type Err = FaultRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, range) = text.split_once('=').ok_or(FaultRuleError::NoRange)?;
        let fault = Fault::ALL
            .iter()
            .find(|(_, known, _)| *known == name)
            .map(|(fault, ..)| *fault)
            .ok_or_else(|| FaultRuleError::UnknownFault {
                name: name.to_owned(),
            })?;
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |s: &str| s.parse::<usize>().ok();
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self::new(fault, first..=last)),
            _ => Err(FaultRuleError::BadRange {
                range: range.to_owned(),
            }),
        }
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}={}-{}",
            self.fault,
            self.hosts.start(),
            self.hosts.end()
        )
    }
}

/// Why a text is not a fault rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultRuleError {
    /// There is no `=` with a range after it.
    #[error("no host range; write KIND=FIRST-LAST")]
    NoRange,
    /// No fault has this name.
    #[error("unknown fault \"{name}\"")]
    UnknownFault {
        /// What was given.
        name: String,
    },
    /// The range is not two numbers in order.
    #[error("bad host range \"{range}\"; write FIRST-LAST, counted from 0")]
    BadRange {
        /// What was given.
        range: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_parse_and_print_back() {
        for (fault, name, _) in Fault::ALL {
            let rule = FaultRule::new(fault, 3..=9);
            assert_eq!(rule.to_string(), format!("{name}=3-9"));
            assert_eq!(rule.to_string().parse(), Ok(rule));
        }
        assert_eq!("deny=7".parse(), Ok(FaultRule::new(Fault::Deny, 7..=7)));
    }

    #[test]
    fn bad_rules_are_refused_with_their_reason() {
        #[track_caller]
        fn check(text: &str, message: &str) {
            assert_eq!(text.parse::<FaultRule>().unwrap_err().to_string(), message);
        }
        check("silent", "no host range; write KIND=FIRST-LAST");
        check("loud=1-2", "unknown fault \"loud\"");
        check(
            "silent=9-3",
            "bad host range \"9-3\"; write FIRST-LAST, counted from 0",
        );
        check(
            "silent=",
            "bad host range \"\"; write FIRST-LAST, counted from 0",
        );
        check(
            "silent=a-b",
            "bad host range \"a-b\"; write FIRST-LAST, counted from 0",
        );
    }

    #[test]
    fn overlap_names_the_first_common_host() {
        let rule = |text: &str| text.parse::<FaultRule>().unwrap();
        assert_eq!(rule("deny=1-5").overlap(&rule("close=4-9")), Some(4));
        assert_eq!(rule("deny=6-9").overlap(&rule("close=1-6")), Some(6));
        assert_eq!(rule("deny=1-3").overlap(&rule("close=4-9")), None);
    }
}
