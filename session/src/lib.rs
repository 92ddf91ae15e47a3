//! One SSH connection to one host: connect, host key, authentication, commands.
//!
//! libssh2 does the protocol and no I/O: it reads from and writes to memory, and the
//! reactor moves bytes between that and the socket. Other hosts, files and printing are not this
//! crate's. The principal type is [`Session`]; a session lives through resolve, connect, banner,
//! key exchange, host key, authentication, and then runs commands ([`Command`], [`Child`]).
//!
//! All calls that can last park the calling green or plain thread and take a scope with a
//! deadline and a cancellation.

mod address;
pub mod agent;
mod algorithms;
mod auth;
mod calls;
mod certificate;
mod channels;
mod check;
mod child;
mod command;
mod config;
mod ending;
mod engine;
mod environment;
mod error;
mod exit;
#[expect(unsafe_code, reason = "libssh2 is a C library (invariants F1 to F5)")]
mod ffi;
mod forward;
mod framing;
mod handshake;
mod host;
pub mod host_key;
mod identity;
mod jump;
mod keepalive;
pub mod known_hosts;
mod launch;
mod link;
#[doc(hidden)]
pub mod measured;
mod proxy_command;
mod quote;
mod resolver;
mod route;
mod secret;
mod session;
mod shell;
mod short_io;
mod sign;
pub mod ssh_config;
mod subsystem;
mod timings;
mod tunnel;
mod wire;

pub use address::AddressFamily;
pub use algorithms::{AlgorithmList, Algorithms};
pub use auth::{Answers, AuthError, Challenge, Method, Prompt};
pub use calls::CallTimes;
pub use certificate::CertificateError;
pub use check::CheckError;
pub use child::Child;
pub use command::{Command, Output};
pub use config::{AgentKeys, Compression, Config, ConfigBuilder, ConfigError, TcpKeepalive};
pub use ending::{EndedBy, Ending, Left, Unclear};
pub use error::{ApiMisuse, BeginAgain, Error, Kind, Libssh2Error, Phase, Remedy, Told};
pub use exit::Exit;
pub use ffi::OutputStream;
pub use forward::{LocalDestination, forward_local, forward_remote, spawn_forward_local};
pub use host::{Host, HostError, HostsFileError, parse_hosts_file};
pub use host::{HostLine, HostOption, parse_host_lines};
pub use host_key::{HostKeyError, HostKeyPolicy, HostKeys, VerifiedHost};
pub use identity::{Identity, IdentityError, UserCertificate};
pub use jump::Jump;
pub use launch::{Launch, LaunchError, Pty, Shell, Sudo, SudoError};
pub use proxy_command::{ProxyCommand, ProxyCommandError};
pub use quote::quote;
pub use resolver::{Passphrases, Resolver, ResolverBuilder, ResolverError};
pub use secret::{Secret, keep_secrets_out_of_dumps};
pub use session::Session;
pub use shell::{Found, InteractiveShell, Pattern, PatternError, ShellError, ShellSpec};
pub use timings::Timings;
pub use tunnel::{Destination, RemoteListener, Tunnel};

/// Returns the versions of libssh2 and of the crypto library under it.
pub fn versions() -> [String; 2] {
    [
        format!("libssh2 {}", ffi::version()),
        openssl::version::version().to_owned(),
    ]
}
