//! Commands on, and files to and from, thousands of hosts over plain SSH, from one process.
//!
//! A [`Fleet`] is a list of hosts with how to reach them. [`Fleet::run`] starts a command on all
//! of them and returns a [`Run`]: an iterator of outcomes in the order in which hosts end, or, by
//! [`Run::report`], all of them in the order in which they are listed. A host that fails is an
//! outcome like any other and touches no other host. [`Fleet::each`] runs a closure per host that
//! reads as straight-line code; [`Session::connect`] is for one host alone.
//!
//! All of it parks the calling thread and works alike from plain threads and from green threads
//! ([`spawn`]); any number of fleets may live in one process.
//!
//! # Process-wide effects
//!
//! The first use starts the green threads' scheduler and installs handlers for `SIGSEGV` and
//! `SIGBUS` that end the process when a green thread overflows its stack of 64 KiB. Nothing else
//! of the process is changed; [`raise_descriptor_limit`] and [`keep_secrets_out_of_dumps`] are
//! offered for callers to call.
//!
//! # From an async runtime
//!
//! The library has no runtime of its own kind to bring along, and needs no thread to be awaited:
//! its green threads wake the tasks of any executor. [`spawn`] takes whatever blocks, and its
//! handle can be awaited; with the feature `futures` a run, its events and what programs return
//! are streams. Starting a run does not wait, nor does dropping one, which cancels it.
//!
//! ```no_run
//! # #[cfg(feature = "futures")]
//! # async fn example(config: std::sync::Arc<sshoal::Config>) -> Result<(), Box<dyn std::error::Error>> {
//! use futures::StreamExt;
//! use sshoal::{Fleet, Host};
//!
//! // Within any task of tokio, or of another executor.
//! let hosts: Vec<Host> = vec!["web1".parse()?, "web2:2222".parse()?];
//! let fleet = Fleet::builder(hosts, config).build()?;
//! let mut outcomes = fleet.run("uptime")?.stream();
//! while let Some(outcome) = outcomes.next().await {
//!     println!("{}: {}", outcome.host(), outcome.end());
//! }
//! // What parks goes to a green thread, and is awaited there.
//! sshoal::spawn(move || fleet.close())?.await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Crate features
//!
//! - `aws-lc`: the fastest crypto library under libssh2; needs cmake and libclang to build.
//! - `vendored-openssl`: OpenSSL built from source and linked in; needs perl and make to build.
//! - `futures`: [`Run`], [`Events`] and [`Each`] have a method `stream`, whose result is a `Stream`
//!   of the crate `futures-core`; no runtime comes with it.
//! - `tracing`: each host of a run is a span of the crate `tracing`, with a span for each phase and
//!   events for retries, failures and the end, which tells how long each phase took; the target is
//!   `sshoal`. Their parent is the span that is current where the run is started. They are made on
//!   the library's own threads, so the subscriber has to be the global one, and no span is entered
//!   there. `HostLogger::to_tracing` hands it what hosts print. What a session has to warn of goes
//!   to `tracing` with and without the feature.
//!
//! # Examples
//!
//! ```no_run
//! use std::sync::Arc;
//! use sshoal::known_hosts::KnownHosts;
//! use sshoal::{Config, Fleet, Host, HostKeyPolicy, HostKeys, Identity};
//!
//! let known = KnownHosts::load(&["/home/me/.ssh/known_hosts"])?;
//! let host_keys = Arc::new(HostKeys::new(HostKeyPolicy::Strict, known));
//! let identity = Identity::load("/home/me/.ssh/id_ed25519".as_ref(), None)?;
//! let config = Config::builder(host_keys).user("me").identity(Arc::new(identity)).build()?;
//!
//! let hosts: Vec<Host> = vec!["web1".parse()?, "web2:2222".parse()?];
//! let fleet = Fleet::builder(hosts, Arc::new(config)).build()?;
//! for outcome in fleet.run("uptime")? {
//!     println!("{}: {}", outcome.host(), outcome.end());
//!     print!("{}", outcome.stdout().text()?);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod copies;
mod files;
mod fleet;
pub mod parallax;
pub mod porting;

pub use copies::{CopiesError, FailedTree, FileCopies, HostCopy, LocalPaths, TreeCopies};
pub use files::HostFiles;
pub use fleet::{Fleet, FleetBuilder};
/// Host lists as text: node sets, set algebra and folding.
pub use sshoal_hosts as hosts;
#[cfg(feature = "futures")]
pub use sshoal_pool::Streamed;
/// What opens the sessions of a fleet, where that is not this process.
pub use sshoal_pool::connector;
/// What a run that is started and read while it goes on is made of.
pub use sshoal_pool::{
    Accepted, Encoding, Ended, HostRun, Input, Line, LineEnding, Lines, MergedReader, OnBadBytes,
    OnTimeout, OpenAhead, OutputReader, ReadError, Started, TextLines, Waited,
};
pub use sshoal_pool::{
    Args, ArgumentError, Collect, Collected, CollectedReader, Commands, Counts, Detail, Each,
    EachEvent, End, Event, Events, FailedHosts, Failing, Failure, HostLogger, InFlight, KeepOpen,
    Listed, LocalLimits, LogForm, Outcome, Pool, PoolBuilder, PoolError, Progress, Quoting,
    Reached, Report, RetryOn, RetryOnError, Run, RunError, RunHandle, RunSpec, Spread, Stats,
    StopAfter, StopCause, Template, TemplateError, Times, Visited, is_local_limit,
    raise_descriptor_limit, sanitise,
};
/// A handle for each host of a program, and a path for each host of a copy.
pub use sshoal_pool::{Every, FirstError, HostVisit, Paths, PathsError, Visits, VisitsEnded};
pub use sshoal_pool::{Joined, ShellOutput, Shells, ShellsError};
/// Tasks, joins, pools and timeouts, with a table from gevent's names.
pub use sshoal_reactor::green;
pub use sshoal_reactor::{Calls, join, try_join};
pub use sshoal_reactor::{
    JoinHandle, Joining, Listener, Panic, Scope, Status, Stop, blocking, blocking_within, offload,
    sleep, spawn, sync, yield_now,
};
pub use sshoal_session::quote;
pub use sshoal_session::{
    AddressFamily, AgentKeys, AlgorithmList, Algorithms, ApiMisuse, AuthError, BeginAgain, Child,
    Command, Compression, Config, ConfigBuilder, ConfigError, Destination, Error, Exit, Host,
    HostError, HostKeyError, HostKeyPolicy, HostKeys, HostsFileError, Identity, IdentityError,
    Jump, Kind, Launch, Libssh2Error, LocalDestination, Output, OutputStream, Passphrases, Phase,
    ProxyCommand, ProxyCommandError, Remedy, RemoteListener, Resolver, ResolverBuilder,
    ResolverError, Secret, Session, TcpKeepalive, Timings, Told, Tunnel, forward_local,
    forward_remote, known_hosts, parse_hosts_file, ssh_config, versions,
};
pub use sshoal_session::{Answers, Challenge, Method, Prompt, UserCertificate};
pub use sshoal_session::{CallTimes, CertificateError, CheckError, host_key};
pub use sshoal_session::{EndedBy, Ending, Left, Unclear};
pub use sshoal_session::{Found, InteractiveShell, Pattern, PatternError, ShellError, ShellSpec};
pub use sshoal_session::{HostLine, HostOption, parse_host_lines};
pub use sshoal_session::{LaunchError, Pty, Shell, Sudo, SudoError};
pub use sshoal_session::{keep_secrets_out_of_dumps, spawn_forward_local};
/// Files to and from one host, over a session.
pub use sshoal_transfer as transfer;

/// Handles can be shared by threads.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Fleet>();
    shared::<Pool>();
    shared::<Run>();
    shared::<Started>();
    shared::<HostRun>();
    shared::<Visits<u8>>();
    shared::<HostVisit<u8>>();
    shared::<RunHandle>();
    shared::<OutputReader>();
    shared::<Session>();
    shared::<Child>();
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
