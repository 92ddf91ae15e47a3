//! How many hosts ended how, as far as a gate cares.

use sshoal::End;

/// Counts of hosts that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// With exit status 0.
    pub(super) ok: usize,
    /// Otherwise; the run was not stopped before.
    pub(super) failed: usize,
}

impl Tally {
    /// Counts a host in. One that the run's end took along neither failed nor succeeded.
    pub(super) fn count(&mut self, end: &End) {
        match end {
            End::Exited(0) => self.ok += 1,
            End::Cancelled { .. } => {}
            _ => self.failed += 1,
        }
    }

    /// Counts those of a wave in.
    pub(super) fn add(&mut self, wave: &Self) {
        self.ok += wave.ok;
        self.failed += wave.failed;
    }

    /// Returns how many there are.
    pub(super) fn hosts(&self) -> usize {
        self.ok + self.failed
    }
}
