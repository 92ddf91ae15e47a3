//! Hosts of a started run that wait for places, and who waits for them: a host that no worker has
//! may have to wait for the ends of others, and those for their readers.

use std::sync::atomic::Ordering;

use sshoal_reactor::{Interest, Scope, Stop};

use super::shared::{LettingEnd, Live};

impl Live {
    /// Notes that a worker has a host.
    pub(crate) fn begun(&self, host: usize) {
        let cell = &self.cells[host];
        if cell.begun.swap(true, Ordering::SeqCst) {
            return;
        }
        cell.readers.wake(Interest::BOTH);
        if self.unbegun.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.turns.wake(Interest::BOTH);
        }
    }

    /// Notes that a host waits again to be begun.
    pub(crate) fn put_back(&self, host: usize) {
        let cell = &self.cells[host];
        if !cell.begun.swap(false, Ordering::SeqCst) {
            return;
        }
        cell.readers.wake(Interest::BOTH);
        if self.unbegun.fetch_add(1, Ordering::SeqCst) == 0 {
            self.turns.wake(Interest::BOTH);
        }
    }

    /// While a host is not begun, lets the hosts end that it may have to wait for.
    pub(super) fn let_begin(&self, host: usize) -> Option<LettingEnd<'_>> {
        let is_begun = self.cells[host].begun.load(Ordering::SeqCst);
        (!is_begun).then(|| self.let_end())
    }

    /// Waits until all hosts have accepted their command, or ended without. Parks.
    pub(super) fn await_all(&self, scope: &Scope) -> Result<(), Stop> {
        loop {
            let sequence = self.turns.sequence();
            if self.all_there.is_set() {
                return Ok(());
            }
            let waits = self.unbegun.load(Ordering::SeqCst) > 0;
            let _letting = waits.then(|| self.let_end());
            if let Some(ticket) = self.turns.register(sequence, Interest::BOTH) {
                ticket.wait(scope)?;
            }
        }
    }
}
