//! How much a host that keeps to its windows may send before anybody reads it (law S1).

/// What a packet of one byte may take on the wire, under any cipher and MAC, and in libssh2's
/// memory: 96 to 112 bytes in two blocks, measured.
pub(super) const SMALL_PACKET_BYTES: usize = 128;
/// Packets of one byte that may fill windows; a jump host's session has hundreds of windows.
const SMALL_PACKETS_MAX: usize = 512 * 1024;
/// What a window's byte may take in larger packets: libssh2 inflates into blocks that are up to
/// twice too large.
const WINDOW_SHARE: usize = 2;

/// What the windows of open channels may be filled with: on the wire, and in libssh2's memory.
pub(super) fn allowance(windows: usize) -> usize {
    WINDOW_SHARE * windows + SMALL_PACKET_BYTES * windows.min(SMALL_PACKETS_MAX)
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
