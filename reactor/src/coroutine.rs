//! Green threads: the only place that spawns them.
//!
//! Invariants, cited by the `SAFETY` comments:
//! - **G4**: an overflow of a green thread's stack ends the process (`overflow.rs`), it is never
//!   recovered from.
//! - **G5**: no reference to a thread-local is held across a wait; the crates of this workspace
//!   touch thread-locals only in functions that cannot park and are not inlined.

use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use may::coroutine::Builder;
use parking_lot::Mutex;

use crate::fairness;
use crate::runtime::runtime;
use crate::scope::{Scope, Stop};
use crate::sync::Queue;
use crate::waiter::{Interest, WaitList};

mod joining;

pub use joining::Joining;
mod together;
pub use together::{Calls, join, try_join};

/// A green thread's stack, in words: 64 KiB. Only stacks of this size are pooled (law G2).
pub(crate) const STACK_WORDS: usize = 0x2000;

/// A panic that was caught at the end of a green thread or an offloaded call.
#[derive(Clone, PartialEq, Eq)]
pub struct Panic {
    message: String,
}

impl Panic {
    pub(crate) fn from_payload(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let message = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self {
            message: message.unwrap_or_else(|| "panic without a message".into()),
        }
    }

    /// Returns the panic's message.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", self.message)
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message).finish()
    }
}

impl std::error::Error for Panic {}

/// Runs `f` and turns a panic into a value.
pub(crate) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let panic = Panic::from_payload(payload.as_ref());
        // A payload may panic again when it is dropped: what it then leaves is given up.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
        panic
    })
}

/// Where a green thread leaves its result.
struct Packet<T> {
    result: Mutex<Option<Result<T, Panic>>>,
    finished: AtomicBool,
    waiters: WaitList,
    /// Who is told of the end. `finished` is looked at under its lock before one is added, and set
    /// before all are taken: none is missed. A leaf lock.
    links: Mutex<Vec<Link>>,
}

/// Who is told of a green thread's end.
pub(crate) enum Link {
    /// A callback, called on the green thread that ends.
    Call(Box<dyn FnOnce() + Send>),
    /// A queue that takes the number, if anybody still has it.
    Tell(Weak<Queue<usize>>, usize),
}

impl Link {
    /// A queue that nobody has any more is not worth its place.
    fn is_heeded(&self) -> bool {
        match self {
            Self::Call(_) => true,
            Self::Tell(queue, _) => queue.strong_count() > 0,
        }
    }

    fn follow(self) {
        match self {
            Self::Call(call) => {
                // A panic in it is nobody's: the thread's result is there already.
                let _ = caught(call);
            }
            Self::Tell(queue, number) => {
                if let Some(queue) = queue.upgrade() {
                    let _ = queue.try_push(number);
                }
            }
        }
    }
}

impl<T> Packet<T> {
    fn finish(&self, result: Result<T, Panic>) {
        *self.result.lock() = Some(result);
        self.finished.store(true, Ordering::Release);
        self.waiters.wake(Interest::BOTH);
        let links = { std::mem::take(&mut *self.links.lock()) };
        links.into_iter().for_each(Link::follow);
    }
}

/// Waits for a green thread; dropping it lets the thread run on by itself.
pub struct JoinHandle<T>(Arc<Packet<T>>);

impl<T> JoinHandle<T> {
    /// Returns what the green thread returned. Parks the calling thread.
    ///
    /// # Errors
    ///
    /// The green thread's panic.
    ///
    /// # Panics
    ///
    /// Never: the result is taken once, because this consumes the handle.
    pub fn join(self) -> Result<T, Panic> {
        // A scope that nobody else has does not end.
        let _ = self.wait(&Scope::root());
        let result = { self.0.result.lock().take() };
        result.expect("a handle is joined once, after the end")
    }

    /// Parks the calling thread until the green thread has ended; can be repeated.
    ///
    /// # Errors
    ///
    /// Why the scope ended; the green thread goes on.
    pub fn wait(&self, scope: &Scope) -> Result<(), Stop> {
        loop {
            let sequence = self.0.waiters.sequence();
            if self.is_finished() {
                return Ok(());
            }
            if let Some(ticket) = self.0.waiters.register(sequence, Interest::BOTH) {
                ticket.wait(scope)?;
            }
        }
    }

    /// Returns whether the green thread has ended.
    pub fn is_finished(&self) -> bool {
        self.0.finished.load(Ordering::Acquire)
    }

    /// Adds who is told of the end; at once if it has come.
    pub(crate) fn link(&self, link: Link) {
        {
            let mut links = self.0.links.lock();
            if !self.is_finished() {
                links.retain(Link::is_heeded);
                links.push(link);
                return;
            }
        }
        link.follow();
    }

    /// Looks at the result, if it is there, under a lock: `look` must be short and not park.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&Result<T, Panic>) -> R) -> Option<R> {
        self.0.result.lock().as_ref().map(look)
    }

    pub(crate) fn waiters(&self) -> &WaitList {
        &self.0.waiters
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// Starts a green thread with a stack of 64 KiB.
///
/// Its panic is caught and becomes the error of [`JoinHandle::join`]. In it, blocking calls stop
/// other green threads: use [`crate::blocking()`] and [`crate::offload()`].
///
/// # Errors
///
/// The system gave no memory for the stack: two memory maps per green thread are needed, see
/// `vm.max_map_count`.
pub fn spawn<F, T>(f: F) -> io::Result<JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    runtime();
    let packet = Arc::new(Packet {
        result: Mutex::new(None),
        finished: AtomicBool::new(false),
        waiters: WaitList::default(),
        links: Mutex::default(),
    });
    let shared = packet.clone();
    start(Builder::new(), move || shared.finish(caught(f)))?;
    Ok(JoinHandle(packet))
}

/// Starts a green thread on a chosen worker, without a handle; used while the runtime starts.
pub(crate) fn spawn_on(worker: usize, f: impl FnOnce() + Send + 'static) -> io::Result<()> {
    start(Builder::new().id(worker), f)
}

/// Runs an empty green thread to its end, so that the scheduler and its handlers are in place.
pub(crate) fn run_one() -> io::Result<()> {
    let (sender, receiver) = std::sync::mpsc::channel();
    start(Builder::new(), move || {
        let _ = sender.send(());
    })?;
    receiver.recv().map_err(io::Error::other)
}

fn start(builder: Builder, f: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = builder.stack_size(STACK_WORDS);
    // The scheduler panics where it gets no stack.
    let started = caught(|| {
        let body = move || {
            f();
            // A green thread that is woken while it is still on its way into its park goes on
            // inside the call that parks it. Ending there, it would drop its park, which waits
            // for that very call to return: the worker would spin for ever. A yield leaves it.
            may::coroutine::yield_now();
        };
        // SAFETY: G4, G5: an overflow aborts, and no thread-local is held across a wait.
        unsafe { builder.spawn(body) }
    });
    match started {
        Ok(started) => started.map(drop),
        Err(panic) => Err(io::Error::new(io::ErrorKind::OutOfMemory, panic)),
    }
}

/// Lets other threads run; the calling one goes on soon.
pub fn yield_now() {
    if is_green() {
        fairness::switching();
        may::coroutine::yield_now();
    } else {
        std::thread::yield_now();
    }
}

/// Returns whether the caller is a green thread.
#[inline(never)]
pub fn is_green() -> bool {
    may::coroutine::is_coroutine()
}
