//! `-i` and `--inline-stdout`: a host's output once it has finished, after its status line.
//!
//! Standard output of the hosts goes to ours and standard error to ours, so that a pipe gets
//! nothing but what the hosts wrote.

use crate::console::{Console, Sink};
use crate::record::Record;

/// Which of a host's streams are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inline {
    /// Standard output and standard error.
    Both,
    /// Standard output only.
    StdoutOnly,
}

impl Inline {
    /// Shows the host's output.
    pub(crate) fn finished(self, record: &Record, console: &mut Console) {
        if !record.stdout.is_empty() {
            console.end_line(Sink::Stdout);
            console.host_bytes(Sink::Stdout, &record.stdout);
        }
        if self == Self::Both && !record.stderr.is_empty() {
            console.end_line(Sink::Stderr);
            console.host_bytes(Sink::Stderr, &record.stderr);
        }
    }
}
