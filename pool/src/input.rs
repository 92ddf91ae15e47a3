//! What the commands of a run find on their standard input, the same for all.
//!
//! The principal type is [`Input`]. While a run lasts it is a [`Feed`], which `feed.rs` makes of
//! it; each host that is fed has a green thread for that, side by side with the one that reads what
//! the host prints.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use sshoal_reactor::{Scope, Stop};
use sshoal_session::{Error, Phase};

use crate::connector::Running;
use crate::error::RunError;

mod feed;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use feed::Feed;

/// What all commands of a run find on their standard input, each from its beginning to its end.
///
/// A file or a stream is read once for the whole fleet, as far as the hosts take it: what waits in
/// memory is bounded by 4 MiB for all of them together. The slowest of the hosts that are being fed
/// holds the others up; one that has ended, or failed, does not, and one that ends before it has
/// read its input is no failure. A host whose command begins when its part of a stream has left the
/// memory gets it from a temporary file ([`PoolBuilder::spill_folder`](crate::PoolBuilder)); of a
/// file, from the file.
///
/// Reading that fails ends the hosts that are being fed, in phase run; their commands are killed
/// first, as far as the host allows, so that they do not take the input for whole.
#[derive(Debug, Clone)]
pub struct Input(Kind);

#[derive(Clone)]
enum Kind {
    Bytes(Arc<[u8]>),
    File(PathBuf),
    Reader(Arc<Mutex<Option<Reader>>>),
}

type Reader = Box<dyn Read + Send>;

impl Input {
    /// Returns these bytes as an input.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Kind::Bytes(bytes.into().into()))
    }

    /// Returns a file as an input. It is opened when the run begins, and must not change while it
    /// lasts.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Kind::File(path.into()))
    }

    /// Returns what a reader gives as an input; for one run, since it can be read once. It is read
    /// by a thread of its own, and may block; that thread ends with the run, or when the read
    /// that it is in returns.
    pub fn reader(reader: impl Read + Send + 'static) -> Self {
        let reader: Reader = Box::new(reader);
        Self(Kind::Reader(Arc::new(Mutex::new(Some(reader)))))
    }

    /// Returns whether it is known to hold nothing.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(&self.0, Kind::Bytes(bytes) if bytes.is_empty())
    }

    /// Opens the input for a run over so many hosts.
    pub(crate) fn open(
        &self,
        hosts: usize,
        folder: Option<PathBuf>,
    ) -> Result<Arc<Feed>, RunError> {
        let source = match &self.0 {
            Kind::Bytes(bytes) => feed::Source::Bytes(Arc::clone(bytes)),
            Kind::File(path) => {
                let what = |source| RunError::Input {
                    path: path.display().to_string(),
                    source,
                };
                // A named pipe waits for who writes to it.
                let name = path.clone();
                let opened = sshoal_reactor::blocking(move || {
                    let file = File::open(name)?;
                    file.metadata().map(|facts| (file, facts.is_file()))
                });
                let opened =
                    opened.unwrap_or_else(|p| Err(io::Error::other(p.message().to_owned())));
                let (file, seekable) = opened.map_err(what)?;
                match seekable {
                    true => feed::Source::File(file),
                    false => feed::Source::Stream(Box::new(file)),
                }
            }
            Kind::Reader(reader) => {
                let reader = reader.lock().take().ok_or(RunError::InputTaken)?;
                feed::Source::Stream(reader)
            }
        };
        Ok(Arc::new(Feed::new(source, hosts, folder)))
    }
}

impl<T: Into<Vec<u8>>> From<T> for Input {
    fn from(bytes: T) -> Self {
        Self::bytes(bytes)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::File(path) => write!(f, "{path:?}"),
            Self::Reader(_) => f.write_str("reader"),
        }
    }
}

/// A host that is being fed; dropped, it is fed no more.
pub(crate) struct Feeding {
    /// What follows the command does so within: it ends where the input cannot be read.
    pub(crate) within: Scope,
    fault: Arc<Mutex<Option<io::Error>>>,
}

impl Feeding {
    /// Begins to feed a host whose command was accepted.
    pub(crate) fn begin(
        feed: &Arc<Feed>,
        host: usize,
        running: &Arc<dyn Running>,
        scope: &Scope,
    ) -> Result<Self, Error> {
        let feeding = Self {
            within: scope.child(None),
            fault: Arc::default(),
        };
        feed.begin(host);
        let (shared, running) = (Arc::clone(feed), Arc::clone(running));
        let (within, fault) = (feeding.within.clone(), Arc::clone(&feeding.fault));
        let fed = sshoal_reactor::spawn(move || {
            if let Err(error) = pour(&shared, host, &*running, &within) {
                *fault.lock() = Some(error);
                // Who follows the command ends it: with the channel its input ends, and it must not
                // take that for the whole.
                within.cancel();
            }
            shared.ended(host);
        });
        fed.map_err(local)?;
        Ok(feeding)
    }

    /// Returns whether the input could not be read to its end.
    pub(crate) fn is_cut(&self) -> bool {
        self.fault.lock().is_some()
    }

    /// Returns what an error within came from: the input, or the end of the scope around.
    pub(crate) fn blame(&self, error: Error, around: &Scope) -> Error {
        if let Some(source) = self.fault.lock().take() {
            return local(source);
        }
        match (error, around.check()) {
            (Error::Cancelled { phase }, Err(Stop::TimedOut)) => Error::TimedOut {
                phase,
                limit: around.timeout().unwrap_or_default(),
            },
            (error, _) => error,
        }
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.within.cancel();
    }
}

/// Feeds a host to the end of the input, or to its own; fails where the input cannot be read.
fn pour(feed: &Feed, host: usize, running: &dyn Running, scope: &Scope) -> io::Result<()> {
    loop {
        match feed.next(host, scope) {
            Ok(Ok(Some(piece))) => {
                // A command that takes no more has ended, or goes on without; who reads what it
                // prints learns of a lost connection by itself.
                if running.write_stdin(&piece, scope).is_err() {
                    return Ok(());
                }
            }
            Ok(Ok(None)) => {
                let _ = running.close_stdin(scope);
                return Ok(());
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(()),
        }
    }
}

fn local(source: io::Error) -> Error {
    Error::Local {
        phase: Phase::Run,
        source,
    }
}
