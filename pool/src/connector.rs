//! What the pool asks of a session, so that sessions may be another process's, or a test's.
//!
//! By itself a pool opens SSH sessions in this process; [`PoolBuilder::connector`] sets something
//! else. Calls are dynamic: a handful per host, beside half a millisecond of cryptography. The
//! principal type is [`Connector`].
//!
//! [`PoolBuilder::connector`]: crate::PoolBuilder::connector

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use sshoal_reactor::Scope;
use sshoal_session::{
    Config, Ending, Error, Exit, Host, Launch, OutputStream, Phase, Session, Timings, Unclear,
};

/// Opens sessions.
pub trait Connector: Send + Sync + 'static {
    /// Opens a session to a host, authenticated. Parks until it is open or the scope ends.
    ///
    /// `reached` is called with each phase that is done, at least with those of
    /// [`Session::connect_watched`].
    ///
    /// # Errors
    /// Why there is no session; [`Error::WorkerCrashed`] may have the host begun again.
    fn connect(
        &self,
        to: (&Host, &Config),
        scope: &Scope,
        timings: &mut Timings,
        reached: &mut dyn FnMut(Phase),
    ) -> Result<Arc<dyn Connected>, Error>;
}

/// An open session, which several runs may use at once. Dropping it gives it up without a wait.
pub trait Connected: Send + Sync {
    /// Starts a command. Parks until the server accepted it.
    ///
    /// # Errors
    /// Why it was not accepted.
    fn start(&self, request: &Request<'_>, scope: &Scope) -> Result<Arc<dyn Running>, NotStarted>;

    /// Ends the session in order; bounded in time.
    fn close(&self);

    /// Returns the session itself; the tests' have none.
    fn session(&self) -> Option<&Session>;
}

/// What a session is asked to run.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The bytes that the host gets, all that the launch puts around them included.
    pub bytes: &'a [u8],
    /// How the command is launched, which the bytes say but for a terminal and a password.
    pub launch: &'a Launch,
    /// Whether there is input.
    pub stdin: StdinEnd,
}

/// Whether a command's standard input ends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is input or none")]
pub enum StdinEnd {
    /// It does: there is no input.
    AtOnce,
    /// It is ended by [`Running::close_stdin`].
    Later,
}

/// A command that the server accepted.
pub trait Running: Send + Sync {
    /// Reads what comes next of either stream; `None` once both are at EOF. Parks.
    ///
    /// # Errors
    /// The command cannot be followed any more, or the scope ended.
    fn read(&self, buf: &mut [u8], scope: &Scope) -> Result<Option<(OutputStream, usize)>, Error>;

    /// Writes to the command's standard input. Parks.
    ///
    /// # Errors
    /// The session is lost, or the scope ended.
    fn write_stdin(&self, bytes: &[u8], scope: &Scope) -> Result<(), Error>;

    /// Ends the command's standard input. Parks.
    ///
    /// # Errors
    /// The session is lost, or the scope ended.
    fn close_stdin(&self, scope: &Scope) -> Result<(), Error>;

    /// Sends the command a signal by its name without `SIG`. Parks.
    ///
    /// # Errors
    /// The session is lost, or the scope ended.
    fn signal(&self, name: &str, scope: &Scope) -> Result<(), Error>;

    /// Ends the command, and says whether that worked; what it prints meanwhile goes to `output`.
    /// Parks. One that knows no way does nothing.
    fn end(&self, _grace: Duration, _scope: &Scope, _output: &mut Taker<'_>) -> Ending {
        let why = Unclear::Stopped;
        Ending::Unknown { why }
    }

    /// Waits for the channel's close and returns how the command ended. Parks.
    ///
    /// # Errors
    /// The session is lost, or the scope ended.
    fn wait(&self, scope: &Scope) -> Result<Exit, Error>;
}

/// Takes what a command prints; after a break it is not asked again.
pub type Taker<'a> = dyn FnMut(OutputStream, &[u8]) -> ControlFlow<()> + 'a;

/// Why a command was not accepted.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "whoever has sessions makes these"
)]
pub struct NotStarted {
    /// Why.
    pub error: Error,
    /// Whether the request may have reached the server, and the command thus be running (P7).
    pub asked: bool,
}
