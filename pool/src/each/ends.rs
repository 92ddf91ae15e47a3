//! Which hosts of a program have ended, and the scope of each: what workers and handles share.
//!
//! The principal type is [`Ends`].

use parking_lot::Mutex;
use sshoal_reactor::sync::Event as Flag;
use sshoal_reactor::{Interest, Scope, WaitList};

/// The ends of a program's hosts.
pub(crate) struct Ends {
    pub(super) cells: Box<[Cell]>,
    /// Hosts in the order in which they ended. A leaf lock.
    pub(super) order: Mutex<Vec<usize>>,
    /// Who waits for another entry in `order`.
    pub(super) more: WaitList,
}

/// One host of a program.
pub(super) struct Cell {
    /// Ends with the run's, or when the host is cancelled.
    pub(super) scope: Scope,
    /// Set once its outcome can be taken.
    pub(super) ended: Flag,
}

impl Ends {
    pub(crate) fn new(hosts: usize, scope: &Scope) -> Self {
        let cell = |_| Cell {
            scope: scope.child(None),
            ended: Flag::new(),
        };
        Self {
            cells: (0..hosts).map(cell).collect(),
            order: Mutex::default(),
            more: WaitList::default(),
        }
    }

    /// Returns the scope within which a host is worked on.
    pub(crate) fn scope(&self, host: usize) -> &Scope {
        &self.cells[host].scope
    }

    /// Notes that a host's outcome can be taken.
    pub(crate) fn end(&self, host: usize) {
        self.order.lock().push(host);
        self.cells[host].ended.set();
        self.more.wake(Interest::BOTH);
    }
}
