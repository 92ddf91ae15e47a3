//! What the pool asks of a session, so that it can be tried without a network.
//!
//! The one implementation beside the tests' is `ssh.rs`. Calls are dynamic: a handful per host,
//! beside half a millisecond of cryptography.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use sshoal_reactor::Scope;
use sshoal_session::{
    Config, Ending, Error, Exit, Host, Launch, OutputStream, Phase, Session, Timings, Unclear,
};

/// Opens sessions.
pub(crate) trait Connector: Send + Sync + 'static {
    /// Opens a session to a host, authenticated. Parks until it is open or the scope ends.
    ///
    /// `reached` is called with each phase that is done, at least with those of
    /// [`Session::connect_watched`].
    fn connect(
        &self,
        to: (&Host, &Config),
        scope: &Scope,
        timings: &mut Timings,
        reached: &mut dyn FnMut(Phase),
    ) -> Result<Arc<dyn Connected>, Error>;
}

/// An open session, which several runs may use at once. Dropping it gives it up without a wait.
pub(crate) trait Connected: Send + Sync {
    /// Starts a command. Parks until the server accepted it.
    fn start(&self, request: &Request<'_>, scope: &Scope) -> Result<Arc<dyn Running>, NotStarted>;

    /// Ends the session in order; bounded in time.
    fn close(&self);

    /// Returns the session itself; the tests' have none.
    fn session(&self) -> Option<&Session>;
}

/// What a session is asked to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// The bytes that the host gets, all that the launch puts around them included.
    pub(crate) bytes: &'a [u8],
    pub(crate) launch: &'a Launch,
    pub(crate) stdin: StdinEnd,
}

/// Whether a command's standard input ends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StdinEnd {
    AtOnce,
    Later,
}

/// A command that the server accepted.
pub(crate) trait Running: Send + Sync {
    /// Reads what comes next of either stream; `None` once both are at EOF. Parks.
    fn read(&self, buf: &mut [u8], scope: &Scope) -> Result<Option<(OutputStream, usize)>, Error>;

    /// Writes to the command's standard input. Parks.
    fn write_stdin(&self, bytes: &[u8], scope: &Scope) -> Result<(), Error>;

    /// Ends the command's standard input. Parks.
    fn close_stdin(&self, scope: &Scope) -> Result<(), Error>;

    /// Sends the command a signal by its name without `SIG`. Parks.
    fn signal(&self, name: &str, scope: &Scope) -> Result<(), Error>;

    /// Ends the command, and says whether that worked; what it prints meanwhile goes to `output`.
    /// Parks. One that knows no way does nothing.
    fn end(&self, _grace: Duration, _scope: &Scope, _output: &mut Taker<'_>) -> Ending {
        let why = Unclear::Stopped;
        Ending::Unknown { why }
    }

    /// Waits for the channel's close and returns how the command ended. Parks.
    fn wait(&self, scope: &Scope) -> Result<Exit, Error>;
}

/// Takes what a command prints; after a break it is not asked again.
pub(crate) type Taker<'a> = dyn FnMut(OutputStream, &[u8]) -> ControlFlow<()> + 'a;

/// Why a command was not accepted.
#[derive(Debug)]
pub(crate) struct NotStarted {
    pub(crate) error: Error,
    /// Whether the request may have reached the server, and the command thus be running (P7).
    pub(crate) asked: bool,
}
