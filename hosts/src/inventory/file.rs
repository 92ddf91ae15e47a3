//! The file that is being read, for the errors about it.

use std::sync::Arc;

use crate::error::{InventoryError, Place};
use crate::node::Fault;

/// What errors call a file.
#[derive(Debug, Clone)]
pub(super) struct File(pub(super) Arc<str>);

impl File {
    pub(super) fn place(&self, line: usize) -> Place {
        Place::new(&self.0, line)
    }

    pub(super) fn error(&self, line: usize, reason: impl Into<String>) -> InventoryError {
        InventoryError {
            place: self.place(line),
            reason: reason.into(),
        }
    }

    /// Returns the text, without a byte order mark.
    pub(super) fn text<'t>(&self, bytes: &'t [u8]) -> Result<&'t str, InventoryError> {
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
            self.error(line, "the file is not UTF-8")
        })
    }

    pub(super) fn fault(&self, (line, reason): Fault) -> InventoryError {
        self.error(line, reason)
    }

    /// Checks that an expression can name a group.
    pub(super) fn check_group(&self, name: &str, line: usize) -> Result<(), InventoryError> {
        let bad = |c: char| c.is_whitespace() || c.is_control() || "@,!&^*?[]".contains(c);
        match name.is_empty() || name.contains(bad) {
            true => Err(self.error(
                line,
                format!(
                    "{name:?} cannot name a group: no blanks, brackets, wildcards and operators"
                ),
            )),
            false => Ok(()),
        }
    }
}
