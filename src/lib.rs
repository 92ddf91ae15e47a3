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
//! # Crate features
//!
//! - `aws-lc`: the fastest crypto library under libssh2; needs cmake and libclang to build.
//! - `vendored-openssl`: OpenSSL built from source and linked in; needs perl and make to build.
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

mod fleet;

pub use fleet::{Fleet, FleetBuilder};
pub use sshoal_pool::{
    Collect, Collected, CollectedReader, Commands, Counts, Detail, Each, End, Event, Events,
    KeepOpen, LocalLimits, OnTimeout, Outcome, Pool, PoolBuilder, PoolError, Progress, Reached,
    Report, RetryOn, RetryOnError, Run, RunError, RunHandle, RunSpec, StopCause, Visited,
    raise_descriptor_limit,
};
pub use sshoal_reactor::{
    JoinHandle, Listener, Panic, Scope, Status, Stop, blocking, offload, sleep, spawn, sync,
    yield_now,
};
pub use sshoal_session::{
    AddressFamily, AgentKeys, AlgorithmList, Algorithms, ApiMisuse, AuthError, Child, Command,
    Compression, Config, ConfigBuilder, ConfigError, Destination, Error, Exit, Host, HostError,
    HostKeyError, HostKeyPolicy, HostKeys, HostsFileError, Identity, IdentityError, Jump, Kind,
    Launch, Libssh2Error, LocalDestination, Output, OutputStream, Passphrases, Phase, ProxyCommand,
    ProxyCommandError, RemoteListener, Resolver, ResolverBuilder, ResolverError, Secret, Session,
    TcpKeepalive, Timings, Tunnel, forward_local, forward_remote, known_hosts, parse_hosts_file,
    ssh_config, versions,
};
pub use sshoal_session::{Answers, Challenge, Method, Prompt, UserCertificate};
pub use sshoal_session::{CertificateError, host_key};
pub use sshoal_session::{EndedBy, Ending, Left, Unclear};
pub use sshoal_session::{HostLine, HostOption, parse_host_lines};
pub use sshoal_session::{keep_secrets_out_of_dumps, spawn_forward_local};
/// Files to and from one host, over a session.
pub use sshoal_transfer as transfer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
