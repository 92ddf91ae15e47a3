//! The lock, the condition, the promise, the cleared event, the queue without a bound, and the
//! wait for the first of several (laws G5, G6, R4), in both forms of the loop.
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sshoal_reactor::green::{Task, join_all, spawn_after, spawn_in};
use sshoal_reactor::sync::{Condition, Event, Mutex, Promise, Queue, wait_any};
use sshoal_reactor::{Scope, Stop, spawn, yield_now};
use support::{Numbers, pass_with_the_thread_form, watchdog};

#[test]
fn r3_both_forms_pass_the_same_tests() {
    pass_with_the_thread_form("r3_both_forms_pass_the_same_tests");
}

/// Runs `work` as a plain or a green thread, by turns, and returns what waits for it.
fn thread(number: usize, work: impl FnOnce() + Send + 'static) -> Box<dyn FnOnce()> {
    if number.is_multiple_of(8) {
        let plain = std::thread::spawn(work);
        Box::new(move || plain.join().unwrap())
    } else {
        let green = spawn(work).unwrap();
        Box::new(move || green.join().unwrap())
    }
}

/// More holders than there are scheduler threads hold the lock across waits: nobody is shut out,
/// nobody meets another, nothing is lost; those that are cancelled take no turn along.
#[test]
fn a_lock_is_held_across_waits_by_one_at_a_time() {
    let guard = watchdog();
    let (total, inside) = (Arc::new(Mutex::new(0)), Arc::new(AtomicUsize::new(0)));
    let threads: Vec<_> = (0..40)
        .map(|number| {
            let (total, inside, guard) = (total.clone(), inside.clone(), guard.clone());
            let work = move || {
                let mut numbers = Numbers::from(number as u64);
                for _ in 0..50 {
                    let scope = guard.child(None);
                    if numbers.below(4) == 0 {
                        let stop = scope.clone();
                        drop(spawn(move || stop.cancel()).unwrap());
                    }
                    let mut held = match total.lock(&scope) {
                        Ok(held) => held,
                        Err(_) => total.lock(&guard).unwrap(),
                    };
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    let before: usize = *held;
                    yield_now();
                    *held = before + 1;
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            };
            thread(number, work)
        })
        .collect();
    threads.into_iter().for_each(|wait| wait());
    let total = Arc::into_inner(total).unwrap();
    assert_eq!(total.into_inner(), 40 * 50);
}

#[test]
fn a_lock_whose_holder_panics_is_free_again() {
    let guard = watchdog();
    let value = Arc::new(Mutex::new(vec![1]));
    let (inner, scope) = (value.clone(), guard.clone());
    let holder = spawn(move || {
        let mut held = inner.lock(&scope).unwrap();
        held.push(2);
        panic!("with the lock");
    });
    assert!(holder.unwrap().join().is_err());
    let held = value.lock(&guard).unwrap();
    assert_eq!(*held, [1, 2]);
    assert!(value.try_lock().is_none());
    let short = guard.child(Some(Duration::from_millis(5)));
    assert_eq!(value.lock(&short).unwrap_err(), Stop::TimedOut);
    drop(held);
    assert_eq!(*value.try_lock().unwrap(), [1, 2]);
}

/// Makers and takers of a bounded store on one lock and two conditions, each notifying one; takers
/// are cancelled at random and try again: nothing stands still and nothing is lost.
#[test]
fn a_condition_passes_every_notification_on() {
    const EACH: usize = 200;
    const ROOM: usize = 2;
    type Store = Arc<(Mutex<VecDeque<usize>>, Condition, Condition)>;
    let guard = watchdog();
    let store: Store = Arc::default();
    let sum = Arc::new(AtomicUsize::new(0));
    let mut threads = Vec::new();
    for number in 0..8 {
        let (makes, guard) = (store.clone(), guard.clone());
        let (takes, scope, sum) = (store.clone(), guard.clone(), sum.clone());
        threads.push(thread(number, move || {
            let (items, not_full, not_empty) = &*makes;
            for item in 0..EACH {
                let mut held = items.lock(&guard).unwrap();
                while held.len() >= ROOM {
                    held = not_full.wait(held, &guard).unwrap();
                }
                held.push_back(item);
                drop(held);
                not_empty.notify_one();
            }
        }));
        threads.push(thread(number + 8, move || {
            let (items, not_full, not_empty) = &*takes;
            let mut numbers = Numbers::from(number as u64);
            let mut left = EACH;
            while left > 0 {
                let mine = scope.child(None);
                if numbers.below(5) == 0 {
                    let stop = mine.clone();
                    drop(spawn(move || stop.cancel()).unwrap());
                }
                let Ok(item) = take(items, not_empty, &mine) else {
                    continue;
                };
                not_full.notify_one();
                sum.fetch_add(item, Ordering::SeqCst);
                left -= 1;
            }
        }));
    }
    threads.into_iter().for_each(|wait| wait());
    assert_eq!(sum.load(Ordering::SeqCst), 8 * EACH * (EACH - 1) / 2);
}

/// Two wait for a condition. The first is notified, and cancelled while it waits for the lock: its
/// notification goes to the second.
#[test]
fn a_notification_is_not_lost_with_who_was_cancelled() {
    let guard = watchdog();
    let shared = Arc::new((Mutex::new(()), Condition::new()));
    let tasks: Vec<_> = (1..=2)
        .map(|number| {
            let waits = shared.clone();
            let task = move |scope: &Scope| {
                let held = waits.0.lock(scope)?;
                waits.1.wait(held, scope).map(drop)
            };
            let task = spawn_in(&guard, task).unwrap();
            while !format!("{:?}", shared.1).contains(&format!("waiting: {number}")) {
                yield_now();
            }
            task
        })
        .collect();
    let held = shared.0.lock(&guard).unwrap();
    shared.1.notify_one();
    while !format!("{:?}", shared.0).contains("waiting: 1") {
        yield_now();
    }
    tasks[0].cancel_and_wait(&guard).unwrap();
    drop(held);
    let joined = join_all(tasks);
    assert_eq!(joined, [Ok(Err(Stop::Cancelled)), Ok(Ok(()))]);
}

fn take(
    items: &Mutex<VecDeque<usize>>,
    not_empty: &Condition,
    scope: &Scope,
) -> Result<usize, Stop> {
    let mut held = items.lock(scope)?;
    loop {
        if let Some(item) = held.pop_front() {
            return Ok(item);
        }
        held = not_empty.wait(held, scope)?;
    }
}

#[test]
fn a_promise_is_set_once_and_seen_by_all() {
    let guard = watchdog();
    let promise = Arc::new(Promise::new());
    assert_eq!(promise.try_get(), None);
    let short = guard.child(Some(Duration::from_millis(5)));
    assert_eq!(promise.get(&short), Err(Stop::TimedOut));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let promise = promise.clone();
            spawn_in(&guard, move |scope| promise.get(scope).cloned()).unwrap()
        })
        .collect();
    promise.set("a".to_owned()).unwrap();
    assert_eq!(promise.set("b".to_owned()), Err("b".to_owned()));
    for joined in join_all(tasks) {
        assert_eq!(joined, Ok(Ok("a".to_owned())));
    }
    assert_eq!(promise.get(&guard).unwrap(), "a");
}

/// An event is set and cleared at once, over and over: who waits at that moment goes on each time.
#[test]
fn an_event_that_is_cleared_at_once_wakes_who_waited() {
    let guard = watchdog();
    let event = Arc::new(Event::new());
    for _ in 0..300 {
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let event = event.clone();
                spawn_in(&guard, move |scope| event.wait(scope)).unwrap()
            })
            .collect();
        while !format!("{event:?}").contains("waiting: 3") {
            yield_now();
        }
        event.set();
        event.clear();
        assert!(join_all(tasks).into_iter().all(|end| end == Ok(Ok(()))));
        assert!(!event.is_set());
    }
    let short = guard.child(Some(Duration::from_millis(5)));
    assert_eq!(event.wait(&short), Err(Stop::TimedOut));
}

#[test]
fn a_push_that_does_not_wait_gives_the_item_back() {
    let guard = watchdog();
    let bounded = Queue::bounded(1);
    assert_eq!(bounded.try_push(1), Ok(()));
    assert_eq!(bounded.try_push(2), Err(2));
    assert_eq!(bounded.pop(&guard), Ok(Some(1)));
    let unbounded = Arc::new(Queue::unbounded());
    let (from, scope) = (unbounded.clone(), guard.clone());
    let sum = spawn(move || {
        let mut sum = 0;
        while let Some(item) = from.pop(&scope).unwrap() {
            sum += item;
        }
        sum
    });
    for item in 0..10_000_u64 {
        unbounded.try_push(item).unwrap();
    }
    unbounded.close();
    assert_eq!(unbounded.try_push(1), Err(1));
    assert_eq!(sum.unwrap().join().unwrap(), 9_999 * 10_000 / 2);
}

/// The first of several kinds, whichever it is; one that is ready counts at once, and so does one
/// that was set and cleared meanwhile.
#[test]
fn a_wait_for_several_ends_with_the_first() {
    let guard = watchdog();
    let (event, promise) = (Arc::new(Event::new()), Arc::new(Promise::new()));
    let never = Event::new();
    let task: Task<Stop> = spawn_in(&guard, Scope::ended).unwrap();
    let short = guard.child(Some(Duration::from_millis(5)));
    let all = |scope: &Scope| wait_any(&[&never, &*event, &*promise, &task], scope);
    assert_eq!(all(&short), Err(Stop::TimedOut));
    assert_eq!(wait_any(&[], &short), Err(Stop::TimedOut));

    let setter = event.clone();
    let flash = spawn_after(&guard, Duration::from_millis(5), move |_| {
        while !format!("{setter:?}").contains("waiting: 1") {
            yield_now();
        }
        setter.set();
        setter.clear();
    });
    assert_eq!(all(&guard), Ok(1));
    flash.unwrap().join().unwrap();
    task.cancel();
    assert_eq!(all(&guard), Ok(3));
    promise.set(()).unwrap();
    assert_eq!(all(&guard), Ok(2));
    assert!(format!("{never:?}").contains("waiting: 0"), "{never:?}");
}

/// Many threads wait for many events that are set in a random order, each in its own: none stays
/// behind, and nothing of them stays in the lists.
#[test]
fn r4_waits_for_several_lose_no_wake_up() {
    const EVENTS: usize = 12;
    let guard = watchdog();
    for round in 0..40 {
        let events: Arc<Vec<Event>> = Arc::new((0..EVENTS).map(|_| Event::new()).collect());
        let threads: Vec<_> = (0..16)
            .map(|number| {
                let (events, guard) = (events.clone(), guard.clone());
                thread(number, move || {
                    let mut left: Vec<&Event> = events.iter().collect();
                    while !left.is_empty() {
                        let things: Vec<_> = left.iter().map(|one| *one as &_).collect();
                        let first = wait_any(&things, &guard).expect("a waiter was left behind");
                        assert!(left.swap_remove(first).is_set());
                    }
                })
            })
            .collect();
        let mut numbers = Numbers::from(round);
        let mut unset: Vec<&Event> = events.iter().collect();
        while !unset.is_empty() {
            unset.swap_remove(numbers.below(unset.len())).set();
            if numbers.below(3) == 0 {
                yield_now();
            }
        }
        threads.into_iter().for_each(|wait| wait());
        assert!(
            events
                .iter()
                .all(|event| format!("{event:?}").contains("waiting: 0"))
        );
    }
}
