//! A toolkit of green threads, for who knows gevent's: tasks, joins, pools, timeouts.
//!
//! Every function works alike from green and from plain threads. What can last takes a [`Scope`]:
//! it carries the timeout and the cancellation that gevent throws into a greenlet.
//! [`Scope::root`] is one that does not end by itself. Nothing is ever thrown into a green thread:
//! a wait returns that its scope ended, and `?` does the rest. Two things follow.
//!
//! - Cancelling ends a task at its next wait *in its scope*. Code that waits in another scope, or
//!   computes, or blocks, is not ended; a loop that computes asks [`Scope::check`] now and then.
//! - There are several scheduler threads, so green threads run at once, and what they share is
//!   `Sync`, as between plain threads. They do not switch but at a wait; a computation keeps its
//!   scheduler thread and belongs in [`offload`](crate::offload()), a blocking call in
//!   [`blocking`](crate::blocking()).
//!
//! # Names
//!
//! | gevent | here |
//! |---|---|
//! | `gevent.spawn(f, …)` | [`spawn_in`]`(&scope, \|scope\| …)`, arguments by capture; [`spawn`](crate::spawn()) for one that nobody cancels |
//! | `gevent.spawn_later(s, f)` | [`spawn_after`]`(&scope, delay, f)` |
//! | `gevent.spawn_raw` | [`spawn`](crate::spawn()), its handle dropped |
//! | `gevent.joinall(gs)` | [`join_all`]`(tasks)`: each one's result |
//! | `gevent.joinall(gs, timeout=s)` | [`wait_all`]`(&tasks, &scope.child(Some(s)))`; takes nothing, can be repeated |
//! | `gevent.joinall(gs, raise_error=True)` | [`try_join_all`]`(&mut tasks, &scope)`: all values, or the first error in time |
//! | `gevent.joinall(gs, count=n)` | [`as_completed`]`(tasks).take(n)` |
//! | `gevent.iwait(gs)`, `gevent.wait(gs, count=1)` | [`as_completed`]`(tasks)`; [`sync::wait_any`](crate::sync::wait_any) for events, promises and tasks together |
//! | `gevent.killall(gs, block=False)` | [`cancel_all`]`(&tasks)`, or [`Scope::cancel`] of the scope they were started in |
//! | `gevent.killall(gs)` | [`cancel_all`], then [`wait_all`] |
//! | `gevent.kill(g)`, `Greenlet.kill(block=False)` | [`Task::cancel`] |
//! | `Greenlet.kill(timeout=s)` | [`Task::cancel_and_wait`] |
//! | `Greenlet.join(timeout=s)` | [`Task::wait`] |
//! | `Greenlet.get()` | [`Task::join`]; with a timeout, [`Task::wait`] first |
//! | `Greenlet.ready()`, `.dead` | [`Task::is_finished`] |
//! | `Greenlet.successful()` | [`Task::is_successful`]: it did not panic; an `Err` that it returned is a value |
//! | `Greenlet.value` | [`Task::join`], once [`Task::is_finished`]; it does not wait then |
//! | `Greenlet.exception` | [`Task::error`]: a panic, as [`TaskError::Panicked`] |
//! | `Greenlet.link(callback)` | [`Task::on_end`] |
//! | `GreenletExit` | [`Stop::Cancelled`](crate::Stop), which the task's wait returns; [`TaskError::NotBegun`] before it began |
//! | `gevent.sleep(s)`, `gevent.sleep(0)`, `gevent.idle()` | [`sleep`](crate::sleep), or `scope.child(Some(s)).ended()` where it is to be cut short; [`yield_now`](crate::yield_now) |
//! | `gevent.getcurrent()` | none: a task is given its scope; [`is_green`](crate::is_green) |
//! | `gevent.local.local` | none: pass what a task needs |
//! | `gevent.pool.Pool(n).map(f, xs)` | [`map`](map())`(&scope, n, xs, \|scope, x\| …)` |
//! | `Pool.imap(f, xs)`, `Pool.imap_unordered(f, xs)` | [`imap`], [`imap_unordered`]: items are taken as results are |
//! | `Pool.spawn(f)`, waiting while full | [`Group::spawn`](crate::sync::Group::spawn) |
//! | `Pool.kill()` | [`Scope::cancel`] of the scope that its closures wait in |
//! | `Pool.join()`, `Group.join()` | [`Group::join_all`](crate::sync::Group::join_all) |
//! | `gevent.Timeout(s)` as a `with` block, `gevent.with_timeout` | [`timeout`](timeout())`(&scope, s, \|scope\| …)`; [`TimeoutError::TimedOut`] is its own, as gevent's `t is timeout` |
//! | `Timeout.start_new(s)`, `.cancel()` | [`Scope::child`]`(Some(s))`; dropping it |
//! | `gevent.event.Event` | [`sync::Event`](crate::sync::Event), with `set`, `clear`, `wait` |
//! | `gevent.event.AsyncResult` | [`sync::Promise`](crate::sync::Promise); `set_exception` is the promise of a `Result` |
//! | `gevent.queue.Queue(n)`, `Queue()` | [`sync::Queue::bounded`](crate::sync::Queue::bounded), [`sync::Queue::unbounded`](crate::sync::Queue::unbounded) |
//! | `Queue.put`, `put_nowait`, `get`, `get_nowait`, `qsize` | `push`, `try_push`, `pop`, `try_pop`, `len` |
//! | `StopIteration` put into a queue | [`Queue::close`](crate::sync::Queue::close): `pop` gives what is left, then `None` |
//! | `JoinableQueue`, `PriorityQueue`, `LifoQueue`, `Queue(0)` | none |
//! | `gevent.lock.Semaphore(n)`, `BoundedSemaphore(n)` | [`sync::Semaphore`](crate::sync::Semaphore): a permit is given back by its drop, so never twice |
//! | `gevent.lock.RLock` | [`sync::Mutex`](crate::sync::Mutex), around its value, without re-entrance |
//! | `threading.Condition`, patched | [`sync::Condition`](crate::sync::Condition) |
//! | `gevent.threadpool.ThreadPool(n).apply(f)` | [`blocking`](crate::blocking()) for calls that block, [`offload`](crate::offload()) for work on the processor |
//! | `gevent.monkey`, `gevent.socket`, `gevent.subprocess` | none: the standard library's calls block, and go through [`blocking`](crate::blocking()) |
//! | `gevent.hub`, loops, watchers | none: the scheduler starts by itself |
//!
//! # Examples
//!
//! ```
//! use std::num::NonZeroUsize;
//! use std::time::Duration;
//! use sshoal_reactor::green::{TaskError, map, spawn_in, timeout, try_join_all};
//! use sshoal_reactor::{Scope, Stop};
//!
//! let all = Scope::root();
//!
//! // Ten at once, in order.
//! let ten = NonZeroUsize::new(10).ok_or("zero")?;
//! let squares = map(&all, ten, 0..100_u64, |_, n| n * n)?;
//! assert_eq!(squares[9], Ok(81));
//!
//! // The first error in time, and the end of the others.
//! let waits = all.child(None);
//! let mut tasks = vec![
//!     spawn_in(&waits, |scope| Err::<(), _>(scope.ended().to_string()))?,
//!     spawn_in(&waits, |_| Err("no such host".to_owned()))?,
//! ];
//! assert_eq!(try_join_all(&mut tasks, &all).unwrap_err().to_string(), "task 1: no such host");
//! waits.cancel();
//! // By its wait, or because it had not begun.
//! let other = tasks.remove(0).join();
//! assert!(matches!(other, Ok(Err(_)) | Err(TaskError::NotBegun(_))));
//!
//! // A timeout around waits.
//! let waited = timeout(&all, Duration::from_millis(5), |scope| Err::<(), Stop>(scope.ended()));
//! assert_eq!(waited.unwrap_err().to_string(), "timed out after 5ms");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod join;
mod map;
mod order;
mod task;
mod timeout;

pub use join::{
    AsCompleted, JoinError, as_completed, cancel_all, join_all, try_join_all, wait_all,
};
pub use map::{InOrder, Unordered, imap, imap_unordered, map};
pub use task::{Task, TaskError, spawn_after, spawn_in};
pub use timeout::{TimeoutError, timeout};

#[cfg(doc)]
use crate::Scope;
