//! Hosts that fail and hosts that attack, for tests: nothing else depends on this crate.
//!
//! - [`faults`]: addresses that refuse, never accept, or fall silent.
//! - [`steps`]: scripts of bytes before any key is exchanged.
//! - [`server`]: an SSH server in little that exchanges keys and then runs a script per client.
//! - [`attacks`]: what such servers do, by name and phase, and hosts that do it.
//! - [`ends`]: the ways in which a command can be told to be over.
//! - [`proxy`]: a proxy before any server that delays, cuts, damages and ends what passes.
//!
//! Plain sockets and threads on loopback addresses, ports that the system gives, no rights of root. What is random
//! follows from a seed.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "a failed step fails the test"
)]

pub mod attacks;
mod cipher;
mod client;
pub mod ends;
pub mod faults;
pub mod messages;
pub mod proxy;
pub mod server;
pub mod steps;
mod zlib;
