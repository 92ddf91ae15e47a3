//! Waiting for the first of several things.

use std::sync::Arc;

use crate::coroutine::JoinHandle;
use crate::green::Task;
use crate::scope::{Scope, Stop};
use crate::sync::{Event, Promise};
use crate::waiter::{Cell, WaitList};

/// What [`wait_any`] waits for: an [`Event`], a [`Promise`], a [`Task`], a [`JoinHandle`].
///
/// Not a queue or a semaphore, because a wake-up of theirs is for one waiter alone.
pub trait Waitable: sealed::Waitable {}

mod sealed {
    use crate::waiter::WaitList;

    #[expect(
        unnameable_types,
        reason = "nobody else is to make a list that wakes for all alone"
    )]
    pub trait Waitable {
        /// Whether a wait for it would end at once.
        fn is_ready(&self) -> bool;
        /// Who is woken when it becomes ready, and at nothing else.
        fn list(&self) -> &WaitList;
    }
}

/// Parks the calling thread until one of these is ready, and returns its index; the lowest, if
/// several are. With nothing to wait for, it waits for the scope's end.
///
/// # Errors
///
/// Why the scope ended.
pub fn wait_any(things: &[&dyn Waitable], scope: &Scope) -> Result<usize, Stop> {
    loop {
        let sequences: Vec<u64> = things.iter().map(|one| one.list().sequence()).collect();
        if let Some(ready) = things.iter().position(|one| one.is_ready()) {
            return Ok(ready);
        }
        let cell = Cell::of_current();
        let mut registered = Registered {
            lists: Vec::with_capacity(things.len()),
            cell: &cell,
        };
        for (one, sequence) in things.iter().zip(&sequences) {
            if !one.list().register_shared(*sequence, &cell) {
                break;
            }
            registered.lists.push(one.list());
        }
        let woken = if registered.lists.len() < things.len() {
            Ok(())
        } else {
            wait_for(&cell, scope)
        };
        drop(registered);
        // One that was set and cleared again has been ready meanwhile.
        let changed = |(one, sequence): (&&dyn Waitable, &u64)| one.list().sequence() != *sequence;
        match things.iter().zip(&sequences).position(changed) {
            Some(ready) => return Ok(ready),
            None => woken?,
        }
    }
}

fn wait_for(cell: &Arc<Cell>, scope: &Scope) -> Result<(), Stop> {
    let attached = scope.attach(cell)?;
    let woken = cell.park();
    drop(attached);
    if woken { Ok(()) } else { Err(scope.stop()) }
}

/// Takes the cell out of the lists again, whichever of them woke it.
struct Registered<'a> {
    lists: Vec<&'a WaitList>,
    cell: &'a Arc<Cell>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        for list in &self.lists {
            list.remove(self.cell);
        }
    }
}

impl Waitable for Event {}

impl sealed::Waitable for Event {
    fn is_ready(&self) -> bool {
        self.is_set()
    }

    fn list(&self) -> &WaitList {
        self.waiters()
    }
}

impl<T> Waitable for Promise<T> {}

impl<T> sealed::Waitable for Promise<T> {
    fn is_ready(&self) -> bool {
        self.try_get().is_some()
    }

    fn list(&self) -> &WaitList {
        self.waiters()
    }
}

impl<T> Waitable for JoinHandle<T> {}

impl<T> sealed::Waitable for JoinHandle<T> {
    fn is_ready(&self) -> bool {
        self.is_finished()
    }

    fn list(&self) -> &WaitList {
        self.waiters()
    }
}

impl<T> Waitable for Task<T> {}

impl<T> sealed::Waitable for Task<T> {
    fn is_ready(&self) -> bool {
        self.is_finished()
    }

    fn list(&self) -> &WaitList {
        self.waiters()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// An event that is set, and perhaps cleared again, right after it was looked at.
    struct Late(Event, fn(&Event));

    impl Waitable for Late {}

    impl sealed::Waitable for Late {
        fn is_ready(&self) -> bool {
            let ready = self.0.is_set();
            self.1(&self.0);
            ready
        }

        fn list(&self) -> &WaitList {
            self.0.waiters()
        }
    }

    #[test]
    fn what_happens_between_the_look_and_the_registration_counts() {
        let never = Event::new();
        // Its end would wake the waits as well, if they had missed what they wait for.
        let limit = Scope::root().child(Some(Duration::from_secs(20)));
        let set = Late(Event::new(), Event::set);
        assert_eq!(wait_any(&[&never, &set], &limit), Ok(1));
        let flash = |event: &Event| {
            event.set();
            event.clear();
        };
        let cleared = Late(Event::new(), flash);
        assert_eq!(wait_any(&[&cleared, &never], &limit), Ok(0));
        assert_eq!(limit.check(), Ok(()));
        assert!(!never.waiters().is_waited_on());
    }
}
