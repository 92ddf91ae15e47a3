//! Adding lines to a known_hosts file that other programs read and append to at the same time.
//!
//! A line is on the disk when [`Store::flush`] returns. Threads that come while one writes hand
//! it their lines and wait, so that a thousand hosts at once cost a few writes and not a thousand.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::fs::{FlockOperation, flock};

/// The file that accepted keys go to.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// Lines that no thread has begun to write. A leaf: held to push and to take only.
    waiting: Mutex<Vec<Line>>,
    /// Held by the one thread of this process that writes.
    writing: Mutex<()>,
}

/// A line on its way to the file.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    text: Arc<str>,
    /// Set once, by whichever thread wrote the line or failed to.
    done: Arc<OnceLock<Result<(), Arc<io::Error>>>>,
}

impl Store {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            waiting: Mutex::default(),
            writing: Mutex::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Queues a line, given without its line break, to be written by the next [`flush`](Self::flush).
    pub(crate) fn queue(&self, text: &str) -> Line {
        debug_assert!(!text.contains(['\n', '\0']), "one line is one record");
        let line = Line {
            text: text.into(),
            done: Arc::default(),
        };
        self.waiting.lock().push(line.clone());
        line
    }

    /// Returns once the line is on the disk, or could not be put there. Blocks.
    pub(crate) fn flush(&self, line: &Line) -> io::Result<()> {
        let writing = self.writing.lock();
        if line.done.get().is_none() {
            let lines = std::mem::take(&mut *self.waiting.lock());
            let result = self.write(&lines).map_err(Arc::new);
            for line in &lines {
                // Nobody else sets it: a line is taken off the list once.
                let _ = line.done.set(result.clone());
            }
        }
        drop(writing);
        match line.done.get() {
            Some(Err(error)) => Err(io::Error::new(error.kind(), Arc::clone(error))),
            Some(Ok(())) => Ok(()),
            None => Err(io::Error::other("the line was never queued here")),
        }
    }

    /// Appends lines as one write under the file's lock, and waits for the disk.
    fn write(&self, lines: &[Line]) -> io::Result<()> {
        let file = self.open()?;
        lock(&file)?;
        let metadata = file.metadata()?;
        let mut text = Vec::new();
        if metadata.is_file() && !ends_with_line_break(&file, metadata.len())? {
            text.push(b'\n');
        }
        for line in lines {
            text.extend_from_slice(line.text.as_bytes());
            text.push(b'\n');
        }
        // A second write could land behind a foreign one; a line cut short is ended by the next
        // append and read by nobody, because its key is cut.
        let written = (&file).write(&text)?;
        if written < text.len() {
            return Err(io::Error::new(
                io::ErrorKind::WriteZero,
                "the file took a part only",
            ));
        }
        // Devices such as /dev/null cannot be synced, and need not be.
        if metadata.is_file() {
            file.sync_all()
        } else {
            Ok(())
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn makes_directory_and_file_private() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/known_hosts");
        let store = Store::new(path.clone());
        store.flush(&store.queue("x")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "x\n");
        let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn ends_a_line_that_another_program_left_open() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("known_hosts");
        std::fs::write(&path, "open").unwrap();
        let store = Store::new(path.clone());
        store.flush(&store.queue("x")).unwrap();
        store.flush(&store.queue("y")).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "open\nx\ny\n");
    }

    #[test]
    fn one_flush_writes_all_that_wait() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("known_hosts");
        let store = Store::new(path.clone());
        let lines = ["x", "y"].map(|text| store.queue(text));
        store.flush(&lines[1]).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "x\ny\n");
        std::fs::remove_file(&path).unwrap();
        store.flush(&lines[0]).unwrap();
        assert!(!path.exists(), "a line is written once");
    }

    #[test]
    fn appends_to_a_device_and_fails_on_a_directory() {
        let store = Store::new("/dev/null".into());
        store.flush(&store.queue("x")).unwrap();
        let root = tempfile::tempdir().unwrap();
        let store = Store::new(root.path().into());
        store.flush(&store.queue("x")).unwrap_err();
    }
}
