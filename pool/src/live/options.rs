//! What a run can be told that is started to be read while it goes on.

use crate::run::RunSpec;

/// How a started run treats its hosts' output and input.
#[derive(Debug, Clone)]
pub(crate) struct LiveOptions {
    pub(super) unread_bytes_max: usize,
    pub(super) run_unread_bytes_max: usize,
    /// In place of the pool's.
    pub(super) output_bytes_max: Option<Option<u64>>,
    /// Whether commands have their input from elsewhere, so that the caller gives none.
    input_over: bool,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            unread_bytes_max: UNREAD_BYTES_MAX,
            run_unread_bytes_max: RUN_UNREAD_BYTES_MAX,
            output_bytes_max: None,
            input_over: false,
        }
    }
}

impl LiveOptions {
    pub(super) fn input_over(&self) -> bool {
        self.input_over
    }

    /// Says that commands have their input from elsewhere.
    pub(crate) fn with_input(self) -> Self {
        Self {
            input_over: true,
            ..self
        }
    }
}

/// What counts for runs that are started by [`Pool::start`](crate::Pool::start).
impl RunSpec {
    /// Sets how much memory a host's unread output may take before the host is made to wait, both
    /// streams together. Default: 256 KiB; at least 8 KiB.
    pub fn unread_bytes_max(mut self, bytes: usize) -> Self {
        self.live.unread_bytes_max = bytes;
        self
    }

    /// Sets how much memory all hosts' unread output may take together before hosts are made to
    /// wait. Default: 64 MiB.
    ///
    /// Each host has 8 KiB whatever others hold, so that no reader waits for another; with very
    /// many hosts these are the bound, if they are more.
    pub fn run_unread_bytes_max(mut self, bytes: usize) -> Self {
        self.live.run_unread_bytes_max = bytes;
        self
    }

    /// Sets after how many bytes of each stream of each host the rest is thrown away and the
    /// stream marked as truncated; `None` is never. Default: the pool's, which is never.
    ///
    /// For runs by [`Pool::run`](crate::Pool::run) it is the pool's that counts.
    pub fn output_bytes_max(mut self, bytes: Option<u64>) -> Self {
        self.live.output_bytes_max = Some(bytes);
        self
    }
}

/// The default bound of a host's unread output: as much as a channel's window.
const UNREAD_BYTES_MAX: usize = 256 * 1024;
/// The default bound of a run's unread output.
const RUN_UNREAD_BYTES_MAX: usize = 64 * 1024 * 1024;
