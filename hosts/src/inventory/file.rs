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
