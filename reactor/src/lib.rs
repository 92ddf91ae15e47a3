//! Green threads that read as if they blocked, and the reactor that wakes them.
//!
//! Everything here works alike from a green thread (made by [`spawn`]) and from a plain thread:
//! a wait parks whichever it is. A wait that can last takes a [`Scope`], which carries a deadline
//! and a cancellation. Nothing in this crate knows SSH.
//!
//! The principal types are [`Scope`], [`Stream`] and [`JoinHandle`]; tasks, joins, pools and timeouts
//! are in [`green`], with a table from gevent's names; `README.md` beside this
//! crate's manifest holds the numbered laws (G1 to G7, R1 to R5), the states and the races.
//!
//! # Process-wide effects
//!
//! The first use starts the scheduler's threads and installs handlers for `SIGSEGV` and `SIGBUS`
//! that end the process when a green thread overflows its stack (law G4).

mod blocking;
#[expect(unsafe_code, reason = "may's spawn is an unsafe fn (laws G2, G4, G5)")]
mod coroutine;
mod deadline;
mod fairness;
#[cfg(feature = "faults")]
#[doc(hidden)]
pub mod faults;
pub mod green;
mod listener;
mod offload;
#[expect(
    unsafe_code,
    reason = "signal handlers can only be installed by unsafe calls (law G4)"
)]
mod overflow;
mod poll;
mod runtime;
mod scope;
#[expect(
    unsafe_code,
    reason = "polling's registration is an unsafe fn (laws R1, R2)"
)]
mod source;
mod stream;
pub mod sync;
mod tcp;
mod timer;
mod waiter;

pub use blocking::{blocking, blocking_within};
pub use coroutine::{Calls, join, try_join};
pub use coroutine::{JoinHandle, Joining, Panic, is_green, spawn, yield_now};
pub use deadline::{DeadlineKey, Deadlines};
pub use listener::Listener;
pub use offload::offload;
pub use runtime::{Config, Form, configure};
pub use scope::{Scope, Status, Stop, sleep};
pub use stream::{Hook, Stream};
pub use tcp::TcpOptions;
pub use waiter::{Interest, Ticket, WaitList};
