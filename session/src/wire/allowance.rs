//! How much a host that keeps to its windows may send before anybody reads it (law S1).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sshoal_reactor::Interest;

use super::{Broken, Wire, pace};

/// The reason of a session that is ended for it.
const TOO_MUCH_WORK: Broken = Broken::Overstepped("work that nothing asked for", false);

/// What a packet of one byte may take on the wire, under any cipher and MAC, and in libssh2's
/// memory: 96 to 112 bytes in two blocks, measured.
const SMALL_PACKET_BYTES: usize = 128;
/// Packets of one byte that may fill windows; a jump host's session has hundreds of windows.
const SMALL_PACKETS_MAX: usize = 512 * 1024;
/// What a window's byte may take in larger packets: libssh2 inflates into blocks that are up to
/// twice too large.
const WINDOW_SHARE: usize = 2;

/// What the windows of open channels may be filled with: on the wire, and in libssh2's memory.
pub(super) fn allowance(windows: usize) -> usize {
    WINDOW_SHARE * windows + SMALL_PACKET_BYTES * windows.min(SMALL_PACKETS_MAX)
}

impl Wire {
    /// Takes note of bytes delivered to a reader, each of which may have come in a packet of its
    /// own.
    pub(crate) fn delivered(&self, bytes: usize) {
        let inbox = &mut *self.inbox.lock();
        inbox.work.delivered(bytes);
        let bytes = bytes.saturating_mul(SMALL_PACKET_BYTES);
        inbox.idle = inbox.idle.saturating_sub(bytes);
    }

    /// Takes note of a call that took so long. Counts once a channel is open: before, there is a
    /// deadline, and a call may wait for a user's answer. Before that, sound hosts do not exchange
    /// keys again, so whoever does counts from there on.
    pub(crate) fn spent(self: &Arc<Self>, took: Duration, now: Instant) {
        let (enough, held) = {
            let inbox = &mut *self.inbox.lock();
            if inbox.windows == 0 && !inbox.work.has_exchanged() {
                return;
            }
            let enough = inbox.work.spent(took, now);
            let is_suspect = inbox.work.is_suspect();
            if is_suspect != self.is_suspect() {
                self.is_suspect.store(is_suspect, Ordering::Relaxed);
            }
            (enough, inbox.work.hold(now))
        };
        if !enough {
            self.break_off(TOO_MUCH_WORK);
        } else if held.is_some_and(|worked| pace::ask_turn(worked, self, now)) {
            self.go_on(now);
        }
    }

    /// Returns whether calls are to be counted by CPU time, which costs two system calls for each.
    pub(crate) fn is_suspect(&self) -> bool {
        self.is_suspect.load(Ordering::Relaxed)
    }

    /// Lets a session on that was held, and wakes who waits for it.
    pub(super) fn go_on(&self, now: Instant) {
        let goes_on = self.inbox.lock().work.go_on(now);
        if !goes_on {
            self.break_off(TOO_MUCH_WORK);
        }
        self.waiters().wake(Interest::BOTH);
    }

    /// Takes note of a reply that was waited for.
    pub(crate) fn replied(&self) {
        self.delivered(1);
        self.inbox.lock().work.answered();
    }

    /// Takes note of bytes that libssh2 took for the host, which answers them: by grants of
    /// windows, by acknowledgements, now and then by new keys.
    pub(crate) fn written(&self, bytes: usize) {
        self.delivered(bytes);
    }

    /// Takes note of a channel opened with this window; returns what all windows allow libssh2 to
    /// hold.
    pub(crate) fn window_opened(&self, bytes: usize) -> usize {
        let mut inbox = self.inbox.lock();
        inbox.windows += bytes;
        allowance(inbox.windows)
    }

    /// Takes note of a channel freed, with so many bytes that nobody read; returns as
    /// [`Wire::window_opened`].
    pub(crate) fn window_closed(&self, bytes: usize, unread: usize) -> usize {
        // Its last packets were EOF, exit status and close (RFC 4254 §5.3, §6.10).
        self.delivered(unread + 3);
        let mut inbox = self.inbox.lock();
        inbox.work.answered();
        inbox.windows = inbox.windows.saturating_sub(bytes);
        allowance(inbox.windows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small windows are bounded by their packets, hundreds of them by their bytes.
    #[test]
    fn grows_by_the_window_and_little_by_the_hundredth() {
        let window = 256 * 1024;
        assert_eq!(allowance(0), 0);
        assert_eq!(allowance(window), 130 * window);
        let hundred = allowance(100 * window) - allowance(99 * window);
        assert_eq!(hundred, 2 * window);
    }
}
