//! What the tests and benches of the root package share: a real OpenSSH server, broken servers, and the embedded fleet.
//!
//! Each test binary compiles this module for itself and uses a part of it. Nothing here leaves the loopback
//! addresses, uses a fixed port, or waits for a length of time where it could wait for an event.
#![allow(
    dead_code,
    unused_macros,
    unused_imports,
    reason = "each test binary uses another part of the support"
)]

pub(crate) mod account;
pub(crate) mod agent;
pub(crate) mod alone;
pub(crate) mod client;
pub(crate) mod files;
pub(crate) mod fleet;
pub(crate) mod hostile_fleet;
pub(crate) mod hostile_sftp;
pub(crate) mod keys;
pub(crate) mod mangled_sftp;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod sessions;
pub(crate) mod sleepers;
pub(crate) mod sockets;
pub(crate) mod ssh_config;
pub(crate) mod sshd;
pub(crate) mod stage;
pub(crate) mod trees;
pub(crate) mod usage;

pub(crate) use sshoal_hostile::{faults, messages, proxy, steps};
