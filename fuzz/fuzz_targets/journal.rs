//! Any journal is read or refused, and one that is cut has told no more than the whole.
//!
//! The input is a journal. The command is a program and no library: its reader is built in here.

#![no_main]
#![allow(dead_code, reason = "the command uses more of it")]

/// As in the command.
mod hosts {
    pub(crate) struct Chosen {
        pub(crate) hosts: Vec<sshoal::Host>,
        pub(crate) own: Vec<Vec<sshoal::HostOption>>,
        pub(crate) variables: Vec<Vec<(String, String)>>,
    }
}

#[path = "../../cli/src/journal"]
mod journal {
    mod kept;
    mod line;

    /// Reads a journal; also returns how much of it is whole lines.
    pub(crate) fn read(bytes: &[u8]) -> Option<(kept::Kept, u64)> {
        let kept = kept::Kept::parse(bytes, std::path::Path::new("journal")).ok()?;
        let whole = kept.whole;
        Some((kept, whole))
    }
}

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kept, whole)) = journal::read(bytes) else {
        return;
    };
    let _ = (kept.hosts().is_ok(), kept.commands());
    let standing = kept.standing();
    let all = standing.ok + standing.failed + standing.left;
    assert_eq!(all, kept.states.len());
    let left = kept.left(Default::default());
    assert!(left.iter().all(|host| *host < kept.states.len()));
    assert!(left.is_sorted());
    assert!(whole <= bytes.len() as u64);
    if let Some((_, cut)) = journal::read(&bytes[..bytes.len() - 1]) {
        assert!(cut <= whole);
    }
});
