//! Descriptors under the reactor's watch: one registration for the descriptor's life.
//!
//! Invariants, cited by the `SAFETY` comments:
//! - **R1**: a descriptor is registered once, in edge mode, for both directions, and deregistered
//!   before it is closed: only [`Source`] closes it, in its `drop`, in that order.
//! - **R2**: the poller's key is a slab index and a generation, never a pointer; an event whose
//!   generation is not the slot's is dropped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::poll::Shard;
use crate::runtime::runtime;
use crate::waiter::Interest;

/// What the reactor calls on an event, on its own thread: it must be short and must not wait.
pub(crate) trait Ready: Send + Sync {
    fn ready(&self, readiness: Interest);
}

/// A registered descriptor, which it owns.
pub(crate) struct Source {
    shard: Arc<Shard>,
    key: Key,
    descriptor: OwnedFd,
}

/// A slot of the shard's slab, in 32 bits, and the slot's generation, in the upper 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(usize);

impl Key {
    fn new(index: usize, generation: u32) -> Self {
        Self(index | (generation as usize) << 32)
    }

    fn index(self) -> usize {
        self.0 & 0xffff_ffff
    }

    fn generation(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(0)
    }
}

const _: () = assert!(
    usize::BITS == 64,
    "a poller key holds an index and a generation"
);

/// The targets of a shard's registrations.
#[derive(Default)]
pub(crate) struct Slab {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

struct Slot {
    generation: u32,
    target: Option<Arc<dyn Ready>>,
}

impl Slab {
    fn insert(&mut self, target: Arc<dyn Ready>) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                target: None,
            });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        slot.target = Some(target);
        Key::new(index, slot.generation)
    }

    fn remove(&mut self, key: Key) -> Option<Arc<dyn Ready>> {
        let slot = self.slots.get_mut(key.index())?;
        if slot.generation != key.generation() {
            return None;
        }
        // The last generation is never reached twice: the slot is then left out of use. The
        // highest key of all is the poller's own.
        slot.generation += 1;
        if slot.generation < u32::MAX - 1 {
            self.free.push(key.index());
        }
        slot.target.take()
    }

    /// Returns the target of an event's key, unless its registration has ended.
    pub(crate) fn get(&self, key: usize) -> Option<Arc<dyn Ready>> {
        let key = Key(key);
        let slot = self.slots.get(key.index())?;
        if slot.generation == key.generation() {
            slot.target.clone()
        } else {
            None
        }
    }
}

impl Source {
    /// Registers a non-blocking descriptor; for a TCP socket, after `connect` was called.
    pub(crate) fn register(descriptor: OwnedFd, target: Arc<dyn Ready>) -> io::Result<Self> {
        Self::register_in(runtime().next_shard(), descriptor, target)
    }

    /// As [`Source::register`], with the shard chosen.
    pub(crate) fn register_in(
        shard: &Shard,
        descriptor: OwnedFd,
        target: Arc<dyn Ready>,
    ) -> io::Result<Self> {
        let shard = shard.share();
        let key = shard.slab.lock().insert(target);
        if let Err(error) = watch(&shard, &descriptor, key) {
            let target = shard.slab.lock().remove(key);
            drop(target);
            return Err(error);
        }
        Ok(Self {
            shard,
            key,
            descriptor,
        })
    }
}

/// Adds a descriptor to the poller, in edge mode and for both directions.
///
/// By the system's own call on Linux, because polling does not ask to be told of the peer's end
/// (`EPOLLRDHUP`), by which a read that came short can be trusted.
#[cfg(target_os = "linux")]
fn watch(shard: &Shard, descriptor: &OwnedFd, key: Key) -> io::Result<()> {
    use rustix::event::epoll::{EventData, EventFlags, add};
    let flags = EventFlags::IN | EventFlags::PRI | EventFlags::OUT | EventFlags::RDHUP;
    let data = EventData::new_u64(key.0 as u64);
    Ok(add(
        &shard.poller,
        descriptor,
        data,
        flags | EventFlags::ET,
    )?)
}

#[cfg(not(target_os = "linux"))]
fn watch(shard: &Shard, descriptor: &OwnedFd, key: Key) -> io::Result<()> {
    use polling::{Event, PollMode};
    // SAFETY: R1: the descriptor is deregistered in `drop`, before it closes.
    unsafe {
        shard
            .poller
            .add_with_mode(descriptor, Event::all(key.0), PollMode::Edge)
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let target = self.shard.slab.lock().remove(self.key);
        // A failure leaves nothing behind: closing the descriptor removes it from the poller.
        let _ = self.shard.poller.delete(&self.descriptor);
        drop(target);
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("descriptor", &self.descriptor)
            .finish_non_exhaustive()
    }
}

/// Has `bind` leave the port open until the socket connects (`IP_BIND_ADDRESS_NO_PORT`, ip(7); for
/// IPv6 as well). Where the system does not know it, ports are merely scarcer.
pub(crate) fn choose_port_late(socket: &OwnedFd) {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, because it is borrowed, and the option's value is one `int`
    // that the call only reads.
    let _ = unsafe {
        libc::setsockopt(
            std::os::fd::AsRawFd::as_raw_fd(socket),
            libc::SOL_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;
    impl Ready for Nothing {
        fn ready(&self, _: Interest) {}
    }

    #[test]
    fn events_of_an_older_generation_are_dropped() {
        let mut slab = Slab::default();
        let old = slab.insert(Arc::new(Nothing));
        assert!(slab.get(old.0).is_some());
        assert!(slab.remove(old).is_some());
        assert!(slab.get(old.0).is_none());
        let new = slab.insert(Arc::new(Nothing));
        assert_eq!(old.index(), new.index());
        assert!(slab.get(old.0).is_none());
        assert!(slab.remove(old).is_none());
        assert!(slab.get(new.0).is_some());
    }
}
