//! Output cut into lines, as the bench `guard` measures it.

use super::fifo::{Account, Fifo};
use super::reader::LINE_BYTES_MAX;
use crate::store::Store;

/// Puts output into a host's stream in pieces of so many bytes, and takes it out by lines; returns
/// how many there are.
pub fn lines(output: &[u8], piece: usize) -> usize {
    let (mut fifo, store) = (Fifo::default(), Store::new(0, None));
    let mut lines = 0;
    for piece in output.chunks(piece.max(1)) {
        fifo.add_memory(piece.len(), Account::Unread);
        fifo.fill(piece);
        while let (Ok(Some(_)), _) = fifo.take_line(LINE_BYTES_MAX, &store) {
            lines += 1;
        }
    }
    lines + usize::from(fifo.take_rest().is_some())
}
