//! Why a fleet does not start.

use std::io;
use std::path::PathBuf;

use crate::address::HOSTS_MAX;
use crate::fault::FaultRule;

/// Why a fleet did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FleetError {
    /// More hosts than [`HOSTS_MAX`].
    #[error("{hosts} hosts are too many; at most {HOSTS_MAX}")]
    TooManyHosts {
        /// How many were wanted.
        hosts: usize,
    },
    /// One listener per host needs more descriptors than this process may open.
    #[error("{hosts} listeners do not fit into {descriptors} open files; raise `ulimit -n`")]
    TooManyListeners {
        /// How many were wanted.
        hosts: usize,
        /// How many files may be open.
        descriptors: usize,
    },
    /// A fault names hosts that the fleet does not have.
    #[error("fault {rule} is outside of hosts 0 to {}", .hosts - 1)]
    FaultOutside {
        /// The fault.
        rule: FaultRule,
        /// How many hosts there are.
        hosts: usize,
    },
    /// Two faults name the same host.
    #[error("host {host} has two faults")]
    TwoFaults {
        /// The index of the host.
        host: usize,
    },
    /// Threads or keys could not be made.
    #[error("cannot start")]
    Start(#[source] io::Error),
    /// The port could not be bound.
    #[error("cannot listen on port {port}")]
    Bind {
        /// The port that was wanted; 0 means any.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// The directory could not be made or written.
    #[error("cannot write to {}", .dir.display())]
    Files {
        /// The directory.
        dir: PathBuf,
        /// Why not.
        source: io::Error,
    },
}
