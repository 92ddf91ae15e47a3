//! `-i` and `--inline-stdout`: a host's output once it has finished, after its status line.
//!
//! Standard output of the hosts goes to ours and standard error to ours, so that a pipe gets
//! nothing but what the hosts wrote.

use anyhow::{Context, Result};

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
    ///
    /// # Errors
    /// What was written cannot be read back.
    pub(crate) fn finished(self, record: &Record, console: &mut Console) -> Result<()> {
        let sinks = match self {
            Self::Both => &[Sink::Stdout, Sink::Stderr][..],
            Self::StdoutOnly => &[Sink::Stdout],
        };
        for sink in sinks {
            let written = record.written(*sink);
            if !written.is_empty() {
                console.end_line(*sink);
                let shown = written.in_lines(|piece| console.host_bytes(*sink, piece));
                shown.with_context(|| format!("{}: {UNREADABLE}", record.label))?;
            }
        }
        Ok(())
    }
}

const UNREADABLE: &str = "what the host wrote cannot be read back";
