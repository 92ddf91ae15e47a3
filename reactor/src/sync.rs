//! What green and plain threads share: a semaphore, an event, a bounded queue, a bounded group.

mod event;
mod group;
mod queue;
mod semaphore;

pub use event::Event;
pub use group::Group;
pub use queue::{PushError, Queue};
pub use semaphore::{Permit, Semaphore};

pub use crate::waiter::Watch;
