//! Adding lines to a known_hosts file that other programs read and append to at the same time.
//!
//! A line is on the disk when [`Store::flush`] returns. Threads that come while one writes hand
//! it their lines and wait, so that a thousand hosts at once cost a few writes and not a thousand.
//!
//! The file is read again under its lock before each write: a key that another program added
//! meanwhile counts, be it the same or another one.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};

use super::current::Current;
use super::hash::hidden;
use super::key::Key;
use super::{LookupName, Verdict};

/// The file that accepted keys go to.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// Whether names are written as hashes.
    hides_names: bool,
    /// Lines that no thread has begun to write. A leaf: held to push and to take only.
    waiting: Mutex<Vec<Line>>,
    /// Held by the one thread of this process that writes; what it knows of the file.
    writing: Mutex<Current>,
}

/// A host and its key on their way to the file.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// As looked up.
    host: Arc<str>,
    key: Arc<Key>,
    /// Set once, by whichever thread wrote the line or failed to.
    done: Arc<OnceLock<Result<(), Refusal>>>,
}

/// Why a key is not in the file.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    /// Another program stored another key for the host, or marked this one.
    Judged(Verdict),
    /// The file could not be read or written.
    Io(Arc<io::Error>),
}

impl Store {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            hides_names: false,
            waiting: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    /// Has names written as hashes.
    pub(crate) fn hide_names(&mut self) {
        self.hides_names = true;
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Queues a host's key to be written by the next [`flush`](Self::flush).
    pub(crate) fn queue(&self, host: &LookupName, key: &Key) -> Line {
        let line = Line {
            host: host.as_str().into(),
            key: Arc::new(key.clone()),
            done: Arc::default(),
        };
        self.waiting.lock().push(line.clone());
        line
    }

    /// Returns once the key is on the disk, or could not be put there. Blocks.
    pub(crate) fn flush(&self, line: &Line) -> Result<(), Refusal> {
        let mut current = self.writing.lock();
        if line.done.get().is_none() {
            let lines = std::mem::take(&mut *self.waiting.lock());
            match self.write(&lines, &mut current) {
                Ok(verdicts) => {
                    for (line, verdict) in lines.iter().zip(verdicts) {
                        line.set(match verdict {
                            Verdict::Unknown | Verdict::Match => Ok(()),
                            verdict => Err(Refusal::Judged(verdict)),
                        });
                    }
                }
                Err(error) => {
                    let error = Arc::new(error);
                    for line in &lines {
                        line.set(Err(Refusal::Io(Arc::clone(&error))));
                    }
                }
            }
        }
        drop(current);
        line.done.get().cloned().unwrap_or_else(|| {
            let error = io::Error::other("the line was never queued here");
            Err(Refusal::Io(Arc::new(error)))
        })
    }

    /// Judges keys by what the file holds, and appends those that it does not know as one write
    /// under the file's lock. Waits for the disk.
    fn write(&self, lines: &[Line], current: &mut Current) -> io::Result<Vec<Verdict>> {
        let file = self.open_locked()?;
        let metadata = file.metadata()?;
        // Devices such as /dev/null hold nothing, cannot be synced, and need not be.
        let is_file = metadata.is_file();
        let mut verdicts = vec![Verdict::Unknown; lines.len()];
        if is_file {
            let known = current.read(&file, &self.path)?;
            let check = |line: &Line| known.check_lookup(&line.host, line.key.blob());
            verdicts = lines.iter().map(check).collect();
        }
        let mut text = Vec::new();
        let mut put = HashSet::new();
        for (line, _) in lines
            .iter()
            .zip(&verdicts)
            .filter(|(_, v)| **v == Verdict::Unknown)
        {
            // A host whose first try failed may wait here twice.
            if put.insert((&line.host, &line.key)) {
                text.extend_from_slice(self.text(line)?.as_bytes());
            }
        }
        if !text.is_empty() {
            if is_file && !ends_with_line_break(&file, metadata.len())? {
                text.insert(0, b'\n');
            }
            // A second write could land behind a foreign one; a line cut short is ended by the
            // next append and read by nobody, because its key is cut.
            let written = (&file).write(&text)?;
            if written < text.len() {
                return Err(io::Error::new(
                    io::ErrorKind::WriteZero,
                    "the file took a part only",
                ));
            }
        }
        if is_file {
            file.sync_all()?;
            current.appended(&text, &file, &self.path)?;
        }
        Ok(verdicts)
    }

    fn text(&self, line: &Line) -> io::Result<String> {
        debug_assert!(
            !line.host.contains(['\n', '\0', ' ']),
            "one line is one record"
        );
        let fields = line.key.to_fields();
        if self.hides_names {
            Ok(format!("{} {fields}\n", hidden(&line.host)?))
        } else {
            Ok(format!("{} {fields}\n", line.host))
        }
    }

    /// Opens the file, takes its lock, and makes sure that it is still the file of that name:
    /// others replace it by renaming (`ssh-keygen -R`).
    fn open_locked(&self) -> io::Result<File> {
        for _ in 0..OPEN_TRIES {
            let file = self.open()?;
            lock(&file)?;
            let [ours, named] = [
                file.metadata()?,
                match std::fs::metadata(&self.path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    result => result?,
                },
            ];
            if (ours.dev(), ours.ino()) == (named.dev(), named.ino()) {
                return Ok(file);
            }
        }
        Err(io::Error::other("the file is replaced all the time"))
    }

    fn open(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).mode(0o600);
        match options.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        let directory = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let file = options.create(true).open(&self.path)?;
        // Without this a crash could take the name of the file with it.
        File::open(directory)?.sync_all()?;
        Ok(file)
    }
}

impl Line {
    fn set(&self, result: Result<(), Refusal>) {
        // Nobody else sets it: a line is taken off the list once.
        let _ = self.done.set(result);
    }

    /// Returns whether the line was tried and is not on the disk.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.done.get(), Some(Err(_)))
    }
}

/// Takes the file's advisory lock, which goes with the descriptor.
fn lock(file: &File) -> io::Result<()> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::park_timeout(LOCK_POLL);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let message = "another program holds the file's lock";
                return Err(io::Error::new(io::ErrorKind::TimedOut, message));
            }
            Err(rustix::io::Errno::INTR) => {}
            // Some network file systems and devices have no locks; one write is still one line.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOLCK) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn ends_with_line_break(file: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(1) else {
        return Ok(true);
    };
    let mut byte = [0];
    file.read_exact_at(&mut byte, last)?;
    Ok(byte == *b"\n")
}

/// An append takes milliseconds; who holds the lock longer is stuck.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// A lock is polled, because waiting in the kernel for it has no time limit.
const LOCK_POLL: Duration = Duration::from_millis(5);

/// How often a file that is replaced under us is opened again.
const OPEN_TRIES: usize = 100;

#[cfg(test)]
mod tests;
