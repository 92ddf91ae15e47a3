//! What green and plain threads share: a semaphore, a lock and its condition, an event, a promise,
//! queues, a bounded group; and the wait for the first of several.

mod any;
mod event;
mod group;
mod mutex;
mod promise;
mod queue;
mod semaphore;

pub use any::{Waitable, wait_any};
pub use event::Event;
pub use group::Group;
pub use mutex::{Condition, Mutex, MutexGuard};
pub use promise::Promise;
pub use queue::{PushError, Queue};
pub use semaphore::{Permit, Semaphore};
