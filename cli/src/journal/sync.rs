//! Has the disk take what was written, beside the run: all lines that came meanwhile at once.
//!
//! A line that was written survives the end of the process, whatever that is; only one that was
//! synced survives the machine's. Nobody waits for that but the run's end.

use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Syncs a file from a thread of its own.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_dirty: bool,
    is_over: bool,
}

impl Syncer {
    /// Begins; the file shares its place on the disk with the one that is written to.
    ///
    /// # Errors
    /// Fails if there is no thread for it.
    pub(super) fn start(file: File) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || own.run(&file))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Notes that something was written.
    pub(super) fn written(&self) {
        let mut state = self.shared.lock();
        if !std::mem::replace(&mut state.is_dirty, true) {
            self.shared.changed.notify_one();
        }
    }

    /// Waits until the disk has all that was written.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.shared.over();
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(done)) => done,
            _ => Err(io::Error::other("the thread that syncs it is gone")),
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.over();
    }
}

impl Shared {
    fn run(&self, file: &File) -> io::Result<()> {
        loop {
            let mut state = self.lock();
            while !state.is_dirty && !state.is_over {
                state = wait(self.changed.wait(state));
            }
            let is_over = state.is_over;
            state.is_dirty = false;
            drop(state);
            file.sync_data()?;
            if is_over {
                return Ok(());
            }
            let state = self.lock();
            if !state.is_over {
                let idle = |state: &mut State| !state.is_over;
                drop(wait(self.changed.wait_timeout_while(state, PAUSE, idle)));
            }
        }
    }

    fn over(&self) {
        self.lock().is_over = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody panics while the state is held.
fn wait<T>(waited: Result<T, PoisonError<T>>) -> T {
    waited.unwrap_or_else(PoisonError::into_inner)
}

/// Between two syncs: a disk has more to do than this.
const PAUSE: Duration = Duration::from_millis(100);
