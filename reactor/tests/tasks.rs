//! Tasks of executors at the queue and at the join of green threads (law R4), in both forms of the loop.
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

use sshoal_reactor::sync::{Event, Queue, Watch};
use sshoal_reactor::{spawn, yield_now};
use support::tasks::{Count, block_on, next};
use support::{Numbers, pass_with_the_thread_form, watchdog};

#[test]
fn r3_both_forms_pass_the_same_tests() {
    pass_with_the_thread_form("r3_both_forms_pass_the_same_tests");
}

#[test]
fn a_task_takes_what_green_threads_push_in_order_until_the_end() {
    let guard = watchdog();
    let queue = Arc::new(Queue::bounded(3));
    let filled = Arc::clone(&queue);
    let pusher = spawn(move || {
        for number in 0..1000 {
            filled.push(number, &guard).unwrap();
        }
        filled.close();
    });
    let taken = block_on(async {
        let (mut watch, mut taken) = (Watch::new(), Vec::new());
        while let Some(number) = next(&queue, &mut watch).await {
            taken.push(number);
        }
        taken
    });
    assert!(taken.into_iter().eq(0..1000));
    pusher.unwrap().join().unwrap();
}

/// A task waits with one waker, then with another: only the last one is woken, and once.
#[test]
fn a_task_that_moved_is_woken_where_it_is() {
    let guard = watchdog();
    let (queue, mut watch) = (Queue::bounded(2), Watch::new());
    let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
    for count in [&first, &second, &second] {
        let waker = Waker::from(Arc::clone(count));
        let polled = queue.poll_pop(&mut watch, &Context::from_waker(&waker));
        assert_eq!(polled, Poll::Pending);
    }
    queue.push('a', &guard).unwrap();
    queue.push('b', &guard).unwrap();
    assert_eq!((first.woken(), second.woken()), (0, 1));
    // What a watch held of a waker is gone with it.
    queue.unwatch(&mut watch);
    assert_eq!(
        (Arc::strong_count(&first), Arc::strong_count(&second)),
        (1, 1)
    );
}

/// The task is first in line and woken, but gives up: the thread behind it gets the item.
#[test]
fn a_wake_up_that_a_task_does_not_use_goes_to_another() {
    let guard = watchdog();
    let (queue, mut watch) = (Arc::new(Queue::bounded(2)), Watch::new());
    let waker = Waker::from(Arc::new(Count::default()));
    let polled = queue.poll_pop(&mut watch, &Context::from_waker(&waker));
    assert_eq!(polled, Poll::Pending);
    let (behind, waits) = (Arc::clone(&queue), guard.clone());
    let green = spawn(move || behind.pop(&waits)).unwrap();
    let listed = |count| format!("{queue:?}").matches("Task(").count() == count;
    assert!(listed(1), "{queue:?}");
    while !format!("{queue:?}").contains("Green(") {
        yield_now();
    }
    queue.push('x', &guard).unwrap();
    assert!(listed(0), "the task was taken off the list: {queue:?}");
    queue.unwatch(&mut watch);
    assert_eq!(green.join().unwrap(), Ok(Some('x')));
}

#[test]
fn a_dropped_watch_swallows_no_wake_up() {
    let guard = watchdog();
    let (queue, mut watch) = (Arc::new(Queue::bounded(2)), Watch::new());
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let polled = queue.poll_pop(&mut watch, &Context::from_waker(&waker));
    assert_eq!(polled, Poll::Pending);
    drop(watch);
    let (behind, waits) = (Arc::clone(&queue), guard.clone());
    let green = spawn(move || behind.pop(&waits)).unwrap();
    while !format!("{queue:?}").contains("Green(") {
        yield_now();
    }
    queue.push('x', &guard).unwrap();
    assert_eq!(green.join().unwrap(), Ok(Some('x')));
    assert_eq!(count.woken(), 0);
}

#[test]
fn a_waker_that_panics_ends_nobody_else() {
    let guard = watchdog();
    let (queue, mut watch) = (Arc::new(Queue::bounded(2)), Watch::new());
    let count = Arc::new(Count {
        panics: true,
        ..Count::default()
    });
    let waker = Waker::from(Arc::clone(&count));
    let polled = queue.poll_pop(&mut watch, &Context::from_waker(&waker));
    assert_eq!(polled, Poll::Pending);
    let filled = Arc::clone(&queue);
    let green = spawn(move || filled.push('x', &guard).is_ok());
    assert!(green.unwrap().join().unwrap());
    assert_eq!((count.woken(), queue.try_pop()), (1, Some('x')));
}

/// Pushers of both kinds fill a small queue; green threads, plain threads and tasks empty it, and the tasks often
/// give up while they wait. A wake-up lost on the way would leave items and poppers for ever.
#[test]
fn no_item_and_no_wake_up_is_lost_among_threads_and_tasks() {
    const PUSHERS: usize = 4;
    const ITEMS: usize = 2000;
    let guard = watchdog();
    let (queue, sum) = (Arc::new(Queue::bounded(2)), Arc::new(AtomicUsize::new(0)));
    let pushers: Vec<_> = (0..PUSHERS)
        .map(|_| {
            let (queue, guard) = (Arc::clone(&queue), guard.clone());
            spawn(move || (1..=ITEMS).for_each(|n| queue.push(n, &guard).unwrap())).unwrap()
        })
        .collect();
    let popper = || {
        let (queue, sum, guard) = (Arc::clone(&queue), Arc::clone(&sum), guard.clone());
        move || {
            while let Some(n) = queue.pop(&guard).unwrap() {
                sum.fetch_add(n, Ordering::SeqCst);
            }
        }
    };
    let green: Vec<_> = (0..3).map(|_| spawn(popper()).unwrap()).collect();
    let mut plain: Vec<_> = (0..2).map(|_| thread::spawn(popper())).collect();
    for seed in 0..3 {
        let (queue, sum) = (Arc::clone(&queue), Arc::clone(&sum));
        plain.push(thread::spawn(move || fickle(&queue, &sum, seed)));
    }
    pushers
        .into_iter()
        .for_each(|pusher| pusher.join().unwrap());
    queue.close();
    green.into_iter().for_each(|green| green.join().unwrap());
    plain.into_iter().for_each(|plain| plain.join().unwrap());
    assert_eq!(
        sum.load(Ordering::SeqCst),
        PUSHERS * ITEMS * (ITEMS + 1) / 2
    );
}

/// Takes items as a task that every now and then gives its place up, woken or not.
fn fickle(queue: &Queue<usize>, sum: &AtomicUsize, seed: u64) {
    let (mut numbers, mut watch) = (Numbers::from(seed), Watch::new());
    let count = Arc::new(Count::default());
    let waker = Waker::from(count);
    loop {
        if numbers.below(3) == 0 {
            let polled = queue.poll_pop(&mut watch, &Context::from_waker(&waker));
            match polled {
                Poll::Ready(Some(n)) => drop(sum.fetch_add(n, Ordering::SeqCst)),
                Poll::Ready(None) => return,
                Poll::Pending => {}
            }
            yield_now();
            queue.unwatch(&mut watch);
            continue;
        }
        match block_on(next(queue, &mut watch)) {
            Some(n) => drop(sum.fetch_add(n, Ordering::SeqCst)),
            None => return,
        }
    }
}

#[test]
fn a_green_thread_is_awaited() {
    let guard = watchdog();
    let gate = Arc::new(Event::new());
    let waits = Arc::clone(&gate);
    let slow = spawn(move || waits.wait(&guard).map(|()| 7)).unwrap();
    let quick = spawn(|| 1).unwrap();
    let joined = block_on(async {
        let quick = quick.await;
        gate.set();
        (quick, slow.await)
    });
    assert_eq!(joined, (Ok(1), Ok(Ok(7))));
    let panics = spawn(|| assert_eq!(1, 2, "made up")).unwrap();
    let panic = block_on(panics.into_future()).unwrap_err();
    assert!(panic.message().contains("made up"), "{panic}");
}

/// A join that is given up leaves the green thread alone, and nothing of its waker.
#[test]
fn a_join_that_is_given_up_lets_the_green_thread_run_on() {
    let guard = watchdog();
    let (gate, done) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (waits, ends, inner) = (Arc::clone(&gate), Arc::clone(&done), guard.clone());
    let green = spawn(move || {
        waits.wait(&inner).unwrap();
        ends.set();
    });
    let mut joining = Box::pin(green.unwrap().into_future());
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let polled = joining.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending() && !joining.is_finished());
    drop((joining, waker));
    assert_eq!(Arc::strong_count(&count), 1, "its waker is gone with it");
    gate.set();
    done.wait(&guard).unwrap();
    assert_eq!(count.woken(), 0);
}
