//! What can go wrong with one session, by phase and by blame.
//!
//! The principal type is [`Error`]; [`Error::phase`] and [`Error::kind`] give the two words that
//! reports, logs and JSON use for it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::algorithms::AlgorithmList;
use crate::auth::AuthError;
use crate::host_key::HostKeyError;
use crate::launch::{LaunchError, SudoError};
use crate::proxy_command::ProxyCommandError;

mod all;
mod told;

pub use told::{BeginAgain, Remedy, Told};

/// How far a host had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The host's name is turned into addresses.
    Resolve,
    /// TCP connects.
    Connect,
    /// The server's version line is awaited (RFC 4253 §4.2).
    Banner,
    /// Keys are exchanged (RFC 4253 §7).
    Kex,
    /// The host key is checked.
    HostKey,
    /// The user is authenticated (RFC 4252).
    Auth,
    /// A channel is opened and the command requested (RFC 4254 §5, §6.5).
    Open,
    /// The command runs.
    Run,
    /// A file is copied.
    Transfer,
    /// Something on this machine, before or beside the host.
    Local,
}

impl Phase {
    /// Returns the phase's word in reports, for example `host_key`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Banner => "banner",
            Self::Kex => "kex",
            Self::HostKey => "host_key",
            Self::Auth => "auth",
            Self::Open => "open",
            Self::Run => "run",
            Self::Transfer => "transfer",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What went wrong, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The name has no address.
    UnknownHost,
    /// The address refused the connection.
    Refused,
    /// No way to the address.
    Unreachable,
    /// A time limit ran out.
    Timeout,
    /// The peer reset the connection.
    Reset,
    /// The peer closed the connection.
    Closed,
    /// The peer went silent while the connection stayed open.
    Stalled,
    /// The two sides share no algorithm of some sort.
    NoCommonAlgorithm,
    /// The host's key is not in any known_hosts file.
    HostKeyUnknown,
    /// Another key is known for the host.
    HostKeyChanged,
    /// The host's key is marked `@revoked`.
    HostKeyRevoked,
    /// The server said no: to the user, or to a request.
    Denied,
    /// A file or an account that was named is not there.
    NotFound,
    /// Something that was to be made is there already.
    Exists,
    /// A disk or a quota is full.
    NoSpace,
    /// The host sent or asked for more than is allowed.
    Limit,
    /// The peer broke the protocol.
    Protocol,
    /// Reading or writing failed on this machine or on the wire.
    Io,
    /// A defect of this program, caught and confined to the host.
    Internal,
    /// The worker process died with the host in flight.
    WorkerCrashed,
    /// The host was never begun.
    NotRun,
}

impl Kind {
    /// Returns the kind's word in reports, for example `host_key_changed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownHost => "unknown_host",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Closed => "closed",
            Self::Stalled => "stalled",
            Self::NoCommonAlgorithm => "no_common_algorithm",
            Self::HostKeyUnknown => "host_key_unknown",
            Self::HostKeyChanged => "host_key_changed",
            Self::HostKeyRevoked => "host_key_revoked",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Exists => "exists",
            Self::NoSpace => "no_space",
            Self::Limit => "limit",
            Self::Protocol => "protocol",
            Self::Io => "io",
            Self::Internal => "internal",
            Self::WorkerCrashed => "worker_crashed",
            Self::NotRun => "not_run",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error code and message of libssh2, opaque but for its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libssh2Error {
    code: i32,
    message: String,
}

impl Libssh2Error {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Returns whether the host refused a channel, rather than something asked on one.
    pub(crate) fn is_refused_open(&self) -> bool {
        self.code == libssh2_sys::LIBSSH2_ERROR_CHANNEL_FAILURE
    }

    /// Returns libssh2's error code (`LIBSSH2_ERROR_*`, negative).
    pub fn code(&self) -> i32 {
        self.code
    }
}

impl fmt::Display for Libssh2Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.message.chars().filter(|c| !c.is_control()).collect();
        write!(f, "{text} (libssh2 {})", self.code)
    }
}

impl std::error::Error for Libssh2Error {}

/// A call that the caller should not have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApiMisuse {
    /// A command or name holds a NUL byte, which no SSH server's shell can take.
    #[error("the text holds a NUL byte")]
    NulByte,
    /// The session was closed or given up before.
    #[error("the session is closed")]
    SessionClosed,
    /// The name of an environment variable is empty or holds a `=`.
    #[error("the name of a variable is empty or holds `=`")]
    VariableName,
    /// The command's standard input was closed, or a write to it given up half way.
    #[error("standard input is closed")]
    StdinClosed,
}

/// Why a session, or something on it, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host's name could not be turned into an address.
    #[error("could not resolve hostname {name}")]
    Resolve {
        /// The name asked for.
        name: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No address of the host took the connection; the last one's error is given.
    #[error("connect to {address}")]
    Connect {
        /// The address tried last.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The jump host on the way could not be reached or got into.
    #[error("jump host {jump}")]
    Jump {
        /// The jump host.
        jump: String,
        /// Why; one error may be that of all the hosts behind it.
        source: std::sync::Arc<Self>,
    },
    /// The jump host on the way could not, or would not, connect to the host.
    #[error("jump host {jump} could not connect")]
    Tunnel {
        /// The jump host.
        jump: String,
        /// What it answered.
        source: Libssh2Error,
    },
    /// The command on the way could not be started, or ended.
    #[error(transparent)]
    ProxyCommand(#[from] ProxyCommandError),
    /// The version exchange or the key exchange failed.
    #[error("{phase} failed")]
    Handshake {
        /// [`Phase::Banner`] or [`Phase::Kex`].
        phase: Phase,
        /// What libssh2 said.
        source: Libssh2Error,
    },
    /// The host speaks another version of the protocol, as its version line says.
    #[error("the host speaks {theirs}, which is no SSH-2.0")]
    OtherVersion {
        /// Its version, for example `SSH-1.5`.
        theirs: String,
    },
    /// The host offers nothing that we offer, in one of the lists of algorithms.
    #[error("no matching {list} found; their offer: {theirs}")]
    NoCommonAlgorithm {
        /// The first list with nothing in common.
        list: AlgorithmList,
        /// What the host offers there.
        theirs: String,
    },
    /// The host's key was not accepted; nothing of the user's was sent.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// The user was not authenticated.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// A channel could not be opened or used.
    #[error("channel {phase} failed")]
    Channel {
        /// [`Phase::Open`], [`Phase::Run`] or [`Phase::Transfer`].
        phase: Phase,
        /// What libssh2 said.
        source: Libssh2Error,
    },
    /// The connection ended under us.
    #[error("connection lost during {phase}")]
    Disconnected {
        /// How far the host had come.
        phase: Phase,
        /// What the system said; `UnexpectedEof` where the peer just closed, `ConnectionAborted`
        /// where it said why, or where the session was given up with another call on it that was
        /// cut short.
        source: io::Error,
    },
    /// The host went silent, and did not answer when it was asked for a sign of life
    /// ([`ConfigBuilder::keepalive`](crate::ConfigBuilder::keepalive)).
    #[error("no sign of life from the host during {phase} for {} s", .silence.as_secs())]
    Stalled {
        /// How far the host had come.
        phase: Phase,
        /// How long nothing came.
        silence: Duration,
    },
    /// The host went past a bound of ours, or broke a rule that we check.
    #[error("host overstepped during {phase}: {what}")]
    Overstepped {
        /// How far the host had come.
        phase: Phase,
        /// The bound, in words.
        what: &'static str,
        /// [`Kind::Limit`] or [`Kind::Protocol`].
        kind: Kind,
    },
    /// A time limit ran out.
    #[error("timed out during {phase} after {limit:?}")]
    TimedOut {
        /// How far the host had come.
        phase: Phase,
        /// The limit that was set.
        limit: Duration,
    },
    /// The command printed nothing for too long.
    #[error("timed out during run: no output for {limit:?}")]
    Silent {
        /// The limit that was set.
        limit: Duration,
    },
    /// It was cancelled by the caller.
    #[error("cancelled during {phase}")]
    Cancelled {
        /// How far the host had come.
        phase: Phase,
    },
    /// A defect of this program, confined to this host.
    #[error("internal error during {phase}: {message}")]
    Internal {
        /// How far the host had come.
        phase: Phase,
        /// The panic's message.
        message: String,
    },
    /// Something on this machine failed.
    #[error("on this machine, during {phase}")]
    Local {
        /// How far the host had come.
        phase: Phase,
        /// What the system said.
        source: io::Error,
    },
    /// The process that worked for the host died.
    #[error("the worker process died during {phase}")]
    WorkerCrashed {
        /// How far the host had come.
        phase: Phase,
        /// Whether it may be begun again.
        again: BeginAgain,
    },
    /// What the process that works for the host says of its failure.
    #[error("{}", .0.source)]
    Told(Box<Told>),
    /// The command cannot be launched as it was asked for.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// `sudo` did not begin the command.
    #[error(transparent)]
    Sudo(#[from] SudoError),
    /// The caller asked for what cannot be.
    #[error(transparent)]
    ApiMisuse(#[from] ApiMisuse),
}

impl Error {
    /// Returns how far the host had come.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Resolve { .. } => Phase::Resolve,
            Self::Connect { .. }
            | Self::Jump { .. }
            | Self::Tunnel { .. }
            | Self::ProxyCommand(_) => Phase::Connect,
            Self::OtherVersion { .. } => Phase::Banner,
            Self::NoCommonAlgorithm { .. } => Phase::Kex,
            Self::HostKey(_) => Phase::HostKey,
            Self::Auth(_) => Phase::Auth,
            Self::ApiMisuse(_) | Self::Launch(_) => Phase::Local,
            Self::Sudo(_) => Phase::Open,
            Self::Silent { .. } => Phase::Run,
            Self::Told(told) => told.phase,
            Self::Handshake { phase, .. }
            | Self::Channel { phase, .. }
            | Self::Disconnected { phase, .. }
            | Self::Stalled { phase, .. }
            | Self::Overstepped { phase, .. }
            | Self::TimedOut { phase, .. }
            | Self::Cancelled { phase }
            | Self::Internal { phase, .. }
            | Self::WorkerCrashed { phase, .. }
            | Self::Local { phase, .. } => *phase,
        }
    }

    /// Returns what went wrong, in one word.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Resolve { .. } => Kind::UnknownHost,
            Self::Jump { source, .. } => source.kind(),
            Self::Tunnel { source, .. } => tunnel_kind(source),
            Self::ProxyCommand(_) => Kind::Io,
            Self::Connect { source, .. } => io_kind(source),
            // The system's own probes of a connection were not answered.
            Self::Disconnected { source, .. } if source.kind() == io::ErrorKind::TimedOut => {
                Kind::Stalled
            }
            Self::Disconnected { source, .. } => io_kind(source),
            Self::Stalled { .. } => Kind::Stalled,
            Self::Handshake { source, .. } => libssh2_kind(source.code()),
            Self::OtherVersion { .. } => Kind::Protocol,
            Self::NoCommonAlgorithm { .. } => Kind::NoCommonAlgorithm,
            Self::HostKey(e) => e.kind(),
            Self::Auth(e) => e.kind(),
            Self::Channel { source, .. } => match source.code() {
                libssh2_sys::LIBSSH2_ERROR_CHANNEL_FAILURE
                | libssh2_sys::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED
                | libssh2_sys::LIBSSH2_ERROR_REQUEST_DENIED => Kind::Denied,
                code => libssh2_kind(code),
            },
            Self::Overstepped { kind, .. } => *kind,
            Self::TimedOut { .. } | Self::Silent { .. } => Kind::Timeout,
            Self::Cancelled { .. } => Kind::NotRun,
            Self::WorkerCrashed { .. } => Kind::WorkerCrashed,
            Self::Told(told) => told.kind,
            Self::Sudo(_) => Kind::Denied,
            Self::Internal { .. } | Self::ApiMisuse(_) | Self::Launch(_) => Kind::Internal,
            Self::Local { .. } => Kind::Io,
        }
    }
}

/// A host's words, as they may stand in a report.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_graphic() || *c == ' ')
        .take(256)
        .collect()
}

/// The kind of a socket's error; hostile-fleet §2 lists what each failing route gives.
fn io_kind(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Kind::Refused,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::InvalidInput => Kind::Unreachable,
        io::ErrorKind::TimedOut => Kind::Timeout,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Kind::Reset,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionAborted => Kind::Closed,
        _ => Kind::Io,
    }
}

/// The kind of a refused tunnel. The reason's code (RFC 4254 §5.1) is kept by libssh2 only in its
/// text (`channel.c`); "connect failed" says not whether the host refused or was not found.
fn tunnel_kind(error: &Libssh2Error) -> Kind {
    if error.message.contains("connect failed") {
        Kind::Unreachable
    } else if error.code == libssh2_sys::LIBSSH2_ERROR_CHANNEL_FAILURE {
        Kind::Denied
    } else {
        libssh2_kind(error.code)
    }
}

/// The kind of a libssh2 code (libssh2.h, `LIBSSH2_ERROR_*`).
fn libssh2_kind(code: i32) -> Kind {
    match code {
        libssh2_sys::LIBSSH2_ERROR_SOCKET_DISCONNECT
        | libssh2_sys::LIBSSH2_ERROR_CHANNEL_CLOSED => Kind::Closed,
        libssh2_sys::LIBSSH2_ERROR_METHOD_NONE => Kind::NoCommonAlgorithm,
        libssh2_sys::LIBSSH2_ERROR_SOCKET_SEND | libssh2_sys::LIBSSH2_ERROR_SOCKET_RECV => Kind::Io,
        libssh2_sys::LIBSSH2_ERROR_TIMEOUT | libssh2_sys::LIBSSH2_ERROR_SOCKET_TIMEOUT => {
            Kind::Timeout
        }
        _ => Kind::Protocol,
    }
}
