//! An embedded fleet of SSH servers on loopback addresses: hosts by the thousand for demos, tests
//! and benches, in one process and without a shell.
//!
//! Each host is an address of 127/8 with a few built-in commands and an SFTP server over files in
//! memory; some can be given a [`Fault`]. Nothing that a client sends runs on the machine, and
//! only loopback peers are let in. It is a fleet to try clients on, not a server to trust.
//!
//! [`Fleet`] runs one in this process; [`main`] makes a whole process of it, which prints a
//! [`Ready`] line and ends with its parent. Clients find what they need in the fleet's directory:
//!
//! | file | content |
//! | --- | --- |
//! | `hosts` | `address:port` of every host, one a line |
//! | `known_hosts` | one line with the host key that all hosts share |
//! | `user_ed25519`, `user_ed25519.pub` | the one user key that is let in, for any user name |
//!
//! # Bounds
//!
//! Connections: as many as descriptors allow, others wait in the kernel's queue. Channels: 128 a
//! session. Input that a command does not take: 64 MiB a channel, then the command ends with
//! status 1. Output waits for the client's window. Files: 64 MiB each, 1 GiB in all with their
//! names, 1,024 open a channel. A session keeps a few KiB for each command that it has run, until
//! it ends (russh forgets a channel only if the client closes it first).

#![forbid(unsafe_code)]

mod address;
mod args;
mod command;
mod connection;
mod counters;
mod delay;
mod error;
mod exec;
mod fault;
mod fleet;
mod handler;
mod listen;
mod material;
mod ready;
mod run;
mod sftp;
mod store;
mod wire;

pub use address::{HOSTS_MAX, address, index};
pub use counters::Counters;
pub use error::FleetError;
pub use fault::{Fault, FaultRule, FaultRuleError};
pub use fleet::{Fleet, FleetBuilder, KeyExchange, Listeners};
pub use ready::{Ready, ReadyError};
pub use run::main;
