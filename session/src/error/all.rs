//! All words for where and how a host can fail, for whoever reads them.

use super::{Kind, Phase};

impl Phase {
    /// All phases, in the order in which a host comes to them.
    pub const ALL: [Self; 10] = [
        Self::Resolve,
        Self::Connect,
        Self::Banner,
        Self::Kex,
        Self::HostKey,
        Self::Auth,
        Self::Open,
        Self::Run,
        Self::Transfer,
        Self::Local,
    ];
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 21] = [
        Self::UnknownHost,
        Self::Refused,
        Self::Unreachable,
        Self::Timeout,
        Self::Reset,
        Self::Closed,
        Self::Stalled,
        Self::NoCommonAlgorithm,
        Self::HostKeyUnknown,
        Self::HostKeyChanged,
        Self::HostKeyRevoked,
        Self::Denied,
        Self::NotFound,
        Self::Exists,
        Self::NoSpace,
        Self::Limit,
        Self::Protocol,
        Self::Io,
        Self::Internal,
        Self::WorkerCrashed,
        Self::NotRun,
    ];
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_word_stands_there_once() {
        let phases: HashSet<&str> = Phase::ALL.iter().map(|phase| phase.as_str()).collect();
        assert_eq!(phases.len(), Phase::Local as usize + 1);
        let kinds: HashSet<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(kinds.len(), Kind::NotRun as usize + 1);
    }
}
