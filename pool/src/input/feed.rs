//! An input under way: who reads it, and who waits for it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sshoal_reactor::{Interest, Scope, Stop, WaitList, blocking_within};

use super::window::{Next, Task, Window};
use crate::limits;
use crate::store::in_folder;
use crate::worker::caught;

/// An input that the hosts of one run are fed from.
#[derive(Debug)]
pub(crate) struct Feed(Kind);

#[derive(Debug)]
enum Kind {
    /// In memory as it is: each host only has to be told where it is in it.
    Bytes {
        bytes: Arc<[u8]>,
        places: Mutex<Vec<usize>>,
    },
    Read(Arc<Shared>),
}

/// Where an input comes from.
pub(super) enum Source {
    Bytes(Arc<[u8]>),
    /// Can be read again at any offset.
    File(File),
    Stream(Box<dyn Read + Send>),
}

/// What is read by one thread, for all hosts.
#[derive(Debug)]
struct Shared {
    /// A leaf lock, never held across a wait or a read.
    state: Mutex<State>,
    /// Hosts that wait for more.
    hosts: WaitList,
    /// The thread that reads, which waits for room.
    reader: WaitList,
    folder: Option<PathBuf>,
}

#[derive(Debug)]
struct State {
    window: Window,
    /// Taken by the thread that reads, which is started for the first host.
    source: Option<Origin>,
    /// Where hosts find what has left the window.
    kept: Option<Arc<File>>,
    /// Why it could not be read.
    fault: Option<(io::ErrorKind, String)>,
}

enum Origin {
    File(Arc<File>),
    Stream(Box<dyn Read + Send>),
}

/// What a host is given of an input; `None` is its end.
type Given = io::Result<Option<Arc<[u8]>>>;

impl Feed {
    pub(super) fn new(source: Source, hosts: usize, folder: Option<PathBuf>) -> Self {
        let (source, kept) = match source {
            Source::Bytes(bytes) => {
                let places = Mutex::new(vec![0; hosts]);
                return Self(Kind::Bytes { bytes, places });
            }
            Source::File(file) => {
                let file = Arc::new(file);
                (Origin::File(Arc::clone(&file)), Some(file))
            }
            Source::Stream(reader) => (Origin::Stream(reader), None),
        };
        let state = State {
            window: Window::new(hosts, WINDOW_BYTES_MAX, kept.is_some()),
            source: Some(source),
            kept,
            fault: None,
        };
        Self(Kind::Read(Arc::new(Shared {
            state: Mutex::new(state),
            hosts: WaitList::default(),
            reader: WaitList::default(),
            folder,
        })))
    }

    /// Notes that a host's command was accepted.
    pub(crate) fn begin(&self, host: usize) {
        let Kind::Read(shared) = &self.0 else { return };
        let source = {
            let mut state = shared.state.lock();
            state.window.begin(host);
            state.source.take()
        };
        let Some(source) = source else {
            shared.reader.wake(Interest::BOTH);
            return;
        };
        let own = Arc::clone(shared);
        let thread = std::thread::Builder::new().name("sshoal-input".into());
        if let Err(error) = thread.spawn(move || own.read_all(source)) {
            shared.fail(&error);
        }
    }

    /// Notes that a host needs nothing any more; again and again is no harm.
    pub(crate) fn ended(&self, host: usize) {
        if let Kind::Read(shared) = &self.0 {
            shared.state.lock().window.ended(host);
            shared.reader.wake(Interest::BOTH);
        }
    }

    /// Returns what a host is to be given next, once it has dealt with what it was given before.
    /// Parks.
    pub(crate) fn next(&self, host: usize, scope: &Scope) -> Result<Given, Stop> {
        match &self.0 {
            Kind::Bytes { bytes, places } => {
                let from = std::mem::replace(&mut places.lock()[host], bytes.len());
                // The whole at once: writing parks as often as it takes.
                Ok(Ok((from < bytes.len()).then(|| Arc::clone(bytes))))
            }
            Kind::Read(shared) => shared.next(host, scope),
        }
    }
}

impl Shared {
    fn next(&self, host: usize, scope: &Scope) -> Result<Given, Stop> {
        loop {
            let sequence = self.hosts.sequence();
            let (next, kept) = {
                let mut state = self.state.lock();
                if let Some((kind, text)) = &state.fault {
                    return Ok(Err(io::Error::new(*kind, text.clone())));
                }
                (state.window.next(host), state.kept.clone())
            };
            // What was dealt with may have been what held the reader up.
            self.reader.wake(Interest::BOTH);
            match (next, kept) {
                (Next::Piece(bytes), _) => return Ok(Ok(Some(bytes))),
                (Next::End, _) => return Ok(Ok(None)),
                (Next::Kept { offset, len }, Some(kept)) => {
                    let len = usize::try_from(len).unwrap_or(usize::MAX).min(PIECE_BYTES);
                    let read = blocking_within(scope, move || read_kept(&kept, offset, len))?;
                    let read =
                        read.unwrap_or_else(|p| Err(io::Error::other(p.message().to_owned())));
                    if let Ok(Some(bytes)) = &read {
                        self.state.lock().window.given(host, bytes.len() as u64);
                    }
                    return Ok(read);
                }
                (Next::Kept { .. }, None) => {
                    return Ok(Err(io::Error::other(
                        "a part of the input is not there any more",
                    )));
                }
                (Next::Later, _) => {
                    if let Some(ticket) = self.hosts.register(sequence, Interest::BOTH) {
                        ticket.wait(scope)?;
                    }
                }
            }
        }
    }

    /// What the thread does that reads, until the input's end or that of all hosts.
    fn read_all(&self, mut source: Origin) {
        let forever = Scope::root();
        let mut offset = 0;
        loop {
            let sequence = self.reader.sequence();
            let task = self.state.lock().window.task();
            let done = match task {
                Task::Stop => return,
                Task::Wait => {
                    if let Some(ticket) = self.reader.register(sequence, Interest::BOTH) {
                        // Nothing ends this scope.
                        let _ = ticket.wait(&forever);
                    }
                    continue;
                }
                Task::Keep {
                    piece,
                    offset,
                    bytes,
                } => self
                    .keep(offset, &bytes)
                    .map(|()| {
                        self.state.lock().window.kept(piece);
                        false
                    })
                    .map_err(|error| in_folder("it", self.folder.as_deref(), error)),
                Task::Read => source.read(offset).map(|bytes| {
                    let complete = bytes.is_empty();
                    offset += bytes.len() as u64;
                    self.state.lock().window.push(bytes.into());
                    self.hosts.wake(Interest::BOTH);
                    complete
                }),
            };
            match done {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => return self.fail(&error),
            }
        }
    }

    /// Puts a piece into the temporary file.
    fn keep(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let kept = self.state.lock().kept.clone();
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let kept = Arc::new(self.temporary_file()?);
                self.state.lock().kept = Some(Arc::clone(&kept));
                kept
            }
        };
        kept.write_all_at(bytes, offset)
    }

    fn temporary_file(&self) -> io::Result<File> {
        loop {
            let made = match &self.folder {
                Some(folder) => tempfile::tempfile_in(folder),
                None => tempfile::tempfile(),
            };
            match made {
                // Waits for a descriptor (P6); this thread is the input's own.
                Err(error) if limits::is_descriptor_limit(&error) => {
                    std::thread::park_timeout(DESCRIPTOR_WAIT);
                }
                other => return other,
            }
        }
    }

    fn fail(&self, error: &io::Error) {
        self.state.lock().fault = Some((error.kind(), format!("the input: {error}")));
        self.hosts.wake(Interest::BOTH);
    }
}

impl Origin {
    /// Reads the next piece; nothing at the end.
    fn read(&mut self, offset: u64) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = match self {
                Self::File(file) => file.read_at(&mut piece, offset),
                Self::Stream(reader) => guarded(&mut **reader, &mut piece),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    piece.truncate(count);
                    return Ok(piece);
                }
            }
        }
    }
}

/// Reads from what is not ours: a panic in it is a failure to read, and no host waits for ever.
fn guarded(reader: &mut (dyn Read + Send), piece: &mut [u8]) -> io::Result<usize> {
    caught(|| reader.read(piece)).unwrap_or_else(|_| Err(io::Error::other("the reader panicked")))
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Stream(_) => "Stream",
        })
    }
}

/// Reads what has left the window; it is there, unless a file was cut meanwhile.
fn read_kept(kept: &File, offset: u64, len: usize) -> Given {
    let mut piece = vec![0; len];
    kept.read_exact_at(&mut piece, offset)?;
    Ok(Some(piece.into()))
}

/// What is read, and given to a host, at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Bytes of an input in memory, for all hosts together.
const WINDOW_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long to wait for a descriptor before another try.
const DESCRIPTOR_WAIT: Duration = Duration::from_millis(50);
