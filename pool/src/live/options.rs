//! What a run can be told that is started to be read while it goes on.

use crate::run::RunSpec;

/// How a started run treats its hosts' output and input.
#[derive(Debug, Clone)]
pub(crate) struct LiveOptions {
    pub(super) unread_bytes_max: usize,
    pub(super) run_unread_bytes_max: usize,
    /// In place of the pool's.
    pub(super) output_bytes_max: Option<Option<u64>>,
    input: Input,
}

/// Whether the commands of a started run have a standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::exhaustive_enums, reason = "open or not")]
pub enum Input {
    /// It stays open for [`HostRun::write_stdin`](crate::HostRun::write_stdin), until it is closed
    /// or somebody waits for the command's end.
    #[default]
    Open,
    /// It ends at once, as with [`Pool::run`](crate::Pool::run); that costs no packet of its own.
    AtEnd,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            unread_bytes_max: UNREAD_BYTES_MAX,
            run_unread_bytes_max: RUN_UNREAD_BYTES_MAX,
            output_bytes_max: None,
            input: Input::default(),
        }
    }
}

impl LiveOptions {
    pub(super) fn input_over(&self) -> bool {
        self.input == Input::AtEnd
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

    /// Sets whether commands have a standard input. Default: [`Input::Open`].
    pub fn input(mut self, input: Input) -> Self {
        self.live.input = input;
        self
    }
}

/// The default bound of a host's unread output: as much as a channel's window.
const UNREAD_BYTES_MAX: usize = 256 * 1024;
/// The default bound of a run's unread output.
const RUN_UNREAD_BYTES_MAX: usize = 64 * 1024 * 1024;
