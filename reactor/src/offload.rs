//! CPU-bound work, on threads of its own (law R5).

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::coroutine::{Panic, caught};
use crate::runtime::runtime;
use crate::waiter::Cell;

/// As many threads as the scheduler has workers, rayon's own and nobody else's.
fn pool() -> Option<&'static ThreadPool> {
    static POOL: OnceLock<Option<ThreadPool>> = OnceLock::new();
    POOL.get_or_init(|| {
        ThreadPoolBuilder::new()
            .num_threads(runtime().workers)
            .thread_name(|index| format!("sshoal-cpu-{index}"))
            .build()
            .ok()
    })
    .as_ref()
}

/// Runs CPU-bound work on the offload pool. Parks the calling thread until it is done.
///
/// It is not cut short by anything, so it must be bounded. Called from the pool itself, or where
/// the system gave no threads for a pool, it runs in place.
///
/// # Errors
///
/// The work's panic.
///
/// # Panics
///
/// Never: the result is there once the work has woken the caller.
pub fn offload<T, F>(work: F) -> Result<T, Panic>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let Some(pool) = pool().filter(|pool| pool.current_thread_index().is_none()) else {
        return caught(work);
    };
    let cell = Cell::of_current();
    let slot = Arc::new(Mutex::new(None));
    let (waker, place) = (cell.clone(), slot.clone());
    pool.spawn(move || {
        let result = caught(work);
        *place.lock() = Some(result);
        waker.wake();
    });
    cell.park();
    let result = slot.lock().take();
    result.expect("the work left its result before it woke us")
}
