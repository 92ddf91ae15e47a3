//! Many hosts over a fixed number of SSH sessions.
//!
//! A [`Pool`] has hosts and bounds; [`Pool::run`] starts a command on all of them and returns a
//! [`Run`], an iterator of [`Outcome`]s in the order in which hosts end. Hosts beyond the pool
//! size wait their turn. One host's failure, stall or panic is that host's outcome and touches no
//! other. Everything works alike from plain threads and from green threads.
//!
//! This crate knows neither sockets nor libssh2: a session is what `sshoal-session` makes.

#![forbid(unsafe_code)]

mod commands;
mod configs;
pub mod connector;
mod destinations;
mod each;
mod engine;
mod error;
mod event;
mod host_logger;
mod input;
mod limits;
mod live;
#[doc(hidden)]
pub mod measured;
mod outcome;
mod output;
mod paths;
mod pool;
mod replace;
mod report;
mod retry;
mod run;
pub mod sanitise;
mod schedule;
mod shells;
mod ssh;
mod stats;
mod stop;
mod store;
#[cfg(feature = "futures")]
mod streamed;
#[cfg(test)]
mod tests;
mod worker;

pub use commands::{Args, ArgumentError, Commands, Listed, Quoting, Template, TemplateError};
pub use each::{
    Each, EachEvent, Every, FirstError, HostVisit, Reached, Visited, Visits, VisitsEnded,
};
pub use error::{PoolError, RunError};
pub use event::{Collect, Detail, Event, Failure};
pub use host_logger::{HostLogger, LogForm};
pub use input::Input;
pub use limits::{LocalLimits, is_local_limit, raise_descriptor_limit};
pub use live::{
    Accepted, Encoding, Ended, HostRun, Line, LineEnding, Lines, MergedReader, OnBadBytes,
    OutputReader, ReadError, Started, TextLines, Waited,
};
pub use outcome::{End, Outcome, StopCause};
pub use output::{Collected, CollectedReader};
pub use paths::{Paths, PathsError};
pub use pool::{KeepOpen, OnTimeout, OpenAhead, Pool, PoolBuilder};
pub use report::{Counts, FailedHosts, Report};
pub use retry::{RetryOn, RetryOnError};
pub use run::{Events, Progress, Run, RunHandle, RunSpec};
pub use shells::{Joined, ShellOutput, Shells, ShellsError};
pub use stats::{Spread, Stats, Times};
pub use stop::{Failing, InFlight, StopAfter};
#[cfg(feature = "futures")]
pub use streamed::Streamed;
