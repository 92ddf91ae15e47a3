//! The semaphore, the queue, the event and the group (law R4), in both forms of the loop.
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use sshoal_reactor::sync::{Event, Group, PushError, Queue, Semaphore};
use sshoal_reactor::{Interest, Scope, Stop, WaitList, spawn, yield_now};
use support::{Numbers, pass_with_the_thread_form, watchdog};

#[test]
fn r3_both_forms_pass_the_same_tests() {
    pass_with_the_thread_form("r3_both_forms_pass_the_same_tests");
}

/// Waiters queue up one after the other for one permit; they get it in that order, although each
/// that has had it asks for it again at once.
#[test]
fn a_semaphore_serves_who_waits_longest() {
    let guard = watchdog();
    let (permits, order) = (Semaphore::new(1), Arc::new(Queue::bounded(100)));
    let held = permits.try_acquire().unwrap();
    let mut waiters = Vec::new();
    for number in 0..20 {
        let (mine, order, scope) = (permits.clone(), order.clone(), guard.clone());
        let wait = move || {
            for round in 0..3 {
                let _permit = mine.acquire(&scope).unwrap();
                order.push((round, number), &scope).unwrap();
            }
        };
        waiters.push(spawn(wait).unwrap());
        while !format!("{permits:?}").contains(&format!("waiting: {}", number + 1)) {
            yield_now();
        }
    }
    drop(held);
    waiters
        .into_iter()
        .for_each(|waiter| waiter.join().unwrap());
    let served: Vec<_> = (0..60).map(|_| order.try_pop().unwrap()).collect();
    let expected: Vec<_> = (0..3)
        .flat_map(|round| (0..20).map(move |n| (round, n)))
        .collect();
    assert_eq!(served, expected);
}

/// Permits go round among many that are cancelled at random: none is lost, none is made.
#[test]
fn a_cancelled_waiter_takes_no_permit_along() {
    const PERMITS: usize = 3;
    let guard = watchdog();
    let (permits, inside) = (Semaphore::new(PERMITS), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..60_u64)
        .map(|seed| {
            let (permits, inside, guard) = (permits.clone(), inside.clone(), guard.clone());
            let work = move || {
                let mut numbers = Numbers::from(seed);
                for _ in 0..100 {
                    let scope = guard.child(None);
                    let inner = scope.clone();
                    let canceller = (numbers.below(3) == 0).then(|| spawn(move || inner.cancel()));
                    if let Ok(_permit) = permits.acquire(&scope) {
                        let now = inside.fetch_add(1, Ordering::SeqCst);
                        assert!(now < PERMITS);
                        yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                    if let Some(canceller) = canceller {
                        canceller.unwrap().join().unwrap();
                    }
                }
            };
            if seed % 10 == 0 {
                let plain = std::thread::spawn(work);
                spawn(move || {
                    while !plain.is_finished() {
                        yield_now()
                    }
                })
                .unwrap()
            } else {
                spawn(work).unwrap()
            }
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap());
    let all: Vec<_> = std::iter::from_fn(|| permits.try_acquire()).collect();
    assert_eq!(all.len(), PERMITS);
}

const BOUND: usize = 4;
const ITEMS: usize = 500;

/// Returns a scope that a green thread of its own cancels at once, if asked.
fn perhaps_cancelled(within: &Scope, cancelled: bool) -> Scope {
    let scope = within.child(None);
    if cancelled {
        let inner = scope.clone();
        drop(spawn(move || inner.cancel()).unwrap());
    }
    scope
}

fn push_all(queue: &Queue<(usize, usize)>, pusher: usize, guard: &Scope) {
    for number in 0..ITEMS {
        let mut item = (pusher, number);
        loop {
            let pushed = queue.push(item, &perhaps_cancelled(guard, number % 7 == 0));
            assert!(queue.len() <= BOUND);
            match pushed {
                Ok(()) => break,
                Err(PushError::Stopped(back, Stop::Cancelled)) => item = back,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

fn pop_all(queue: &Queue<(usize, usize)>, popper: usize, guard: &Scope) -> Vec<(usize, usize)> {
    let mut got = Vec::new();
    loop {
        match queue.pop(&perhaps_cancelled(guard, got.len() % 5 == popper)) {
            Ok(Some(item)) => got.push(item),
            Ok(None) => return got,
            Err(stop) => assert_eq!(stop, Stop::Cancelled),
        }
    }
}

/// Many push, many pop, some are cancelled; every item arrives once, each pusher's in its order,
/// and there are never more than the bound.
#[test]
fn a_queue_keeps_its_bound_and_its_order() {
    let guard = watchdog();
    let queue = Arc::new(Queue::bounded(BOUND));
    let pushers: Vec<_> = (0..8)
        .map(|pusher| {
            let (queue, guard) = (queue.clone(), guard.clone());
            spawn(move || push_all(&queue, pusher, &guard)).unwrap()
        })
        .collect();
    let poppers: Vec<_> = (0..6)
        .map(|popper| {
            let (queue, guard) = (queue.clone(), guard.clone());
            spawn(move || pop_all(&queue, popper, &guard)).unwrap()
        })
        .collect();
    pushers
        .into_iter()
        .for_each(|pusher| pusher.join().unwrap());
    queue.close();
    let refused = queue.push((0, 0), &guard);
    assert!(matches!(refused, Err(PushError::Closed((0, 0)))));
    let mut all = Vec::new();
    for popper in poppers {
        let got = popper.join().unwrap();
        for pusher in 0..8 {
            let mine = got.iter().filter(|item| item.0 == pusher);
            assert!(
                mine.is_sorted(),
                "a popper sees each pusher's items in their order"
            );
        }
        all.extend(got);
    }
    all.sort_unstable();
    let expected: Vec<_> = (0..8)
        .flat_map(|p| (0..ITEMS).map(move |n| (p, n)))
        .collect();
    assert_eq!(all, expected);
}

#[test]
fn an_event_wakes_all_and_stays_set() {
    let guard = watchdog();
    for _ in 0..200 {
        let event = Arc::new(Event::new());
        let waits: Vec<_> = (0..20)
            .map(|_| {
                let (event, scope) = (event.clone(), guard.clone());
                spawn(move || event.wait(&scope)).unwrap()
            })
            .collect();
        event.set();
        waits
            .into_iter()
            .for_each(|wait| wait.join().unwrap().unwrap());
        event.wait(&guard).unwrap();
    }
}

#[test]
fn a_group_runs_at_most_its_limit_and_keeps_its_order() {
    let guard = watchdog();
    let (group, inside) = (Group::new(5), Arc::new(AtomicUsize::new(0)));
    for number in 0..200 {
        let inside = inside.clone();
        let member = move || {
            assert!(inside.fetch_add(1, Ordering::SeqCst) < 5);
            yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            assert!(number != 77, "one of them panics");
            number
        };
        group.spawn(&guard, member).unwrap();
    }
    let results = group.join_all();
    assert_eq!(results.len(), 200);
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Ok(got) => assert_eq!(got, number),
            Err(panic) => assert!(number == 77 && panic.message().contains("one of them")),
        }
    }
    let ended = guard.child(None);
    let full = Group::new(1);
    let event = Arc::new(Event::new());
    let (waits, scope) = (event.clone(), guard.clone());
    full.spawn(&guard, move || waits.wait(&scope).unwrap())
        .unwrap();
    ended.cancel();
    assert!(full.spawn(&ended, || ()).is_err());
    event.set();
    assert_eq!(full.join_all().len(), 1);
}

/// Storms of wake-ups of every kind over waiters of every kind: each that was registered before
/// the last one is woken, and none twice.
#[test]
fn r4_storms_of_wake_ups_leave_nobody_behind() {
    let guard = watchdog();
    let (list, level) = (Arc::new(WaitList::default()), Arc::new(AtomicUsize::new(0)));
    let wait = |list: Arc<WaitList>, level: Arc<AtomicUsize>, scope: Scope, interest: Interest| {
        move || {
            for want in 1..=200 {
                loop {
                    let sequence = list.sequence();
                    if level.load(Ordering::SeqCst) >= want {
                        break;
                    }
                    if let Some(ticket) = list.register(sequence, interest) {
                        ticket.wait(&scope).expect("a waiter was left behind");
                    }
                }
            }
        }
    };
    let kinds = [Interest::READ, Interest::WRITE, Interest::BOTH];
    let green: Vec<_> = (0..60)
        .map(|n| {
            spawn(wait(
                list.clone(),
                level.clone(),
                guard.clone(),
                kinds[n % 3],
            ))
            .unwrap()
        })
        .collect();
    let plain: Vec<_> = (0..4)
        .map(|n| {
            std::thread::spawn(wait(
                list.clone(),
                level.clone(),
                guard.clone(),
                kinds[n % 3],
            ))
        })
        .collect();
    let mut numbers = Numbers::from(4);
    for _ in 0..200 {
        level.fetch_add(1, Ordering::SeqCst);
        for _ in 0..numbers.below(4) {
            match numbers.below(3) {
                0 => list.wake(kinds[numbers.below(3)]),
                1 => list.wake_one(),
                _ => list.wake_registered(),
            }
        }
        list.wake(Interest::BOTH);
    }
    green.into_iter().for_each(|waiter| waiter.join().unwrap());
    plain.into_iter().for_each(|waiter| waiter.join().unwrap());
}

#[derive(Debug, Clone)]
enum Operation {
    Register(u8),
    Wake(u8),
    WakeOne,
    Withdraw(usize),
}

fn interest(number: u8) -> Interest {
    [Interest::READ, Interest::WRITE, Interest::BOTH][usize::from(number % 3)]
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let one = prop_oneof![
        3 => any::<u8>().prop_map(Operation::Register),
        1 => any::<u8>().prop_map(Operation::Wake),
        1 => Just(Operation::WakeOne),
        1 => (0usize..16).prop_map(Operation::Withdraw),
    ];
    prop::collection::vec(one, 0..60)
}

proptest! {
    /// Against a plain list: who is woken, by what, and who is still there.
    #[test]
    fn a_wait_list_agrees_with_a_plain_list(operations in operations()) {
        let (list, ended) = (WaitList::default(), Scope::root());
        ended.cancel();
        let mut tickets = Vec::new();
        for operation in operations {
            match operation {
                Operation::Register(number) => {
                    let stale = list.sequence().wrapping_sub(1);
                    prop_assert!(list.register(stale, interest(number)).is_none());
                    let ticket = list.register(list.sequence(), interest(number)).unwrap();
                    tickets.push((ticket, interest(number), false));
                }
                Operation::Wake(number) => {
                    list.wake(interest(number));
                    for (_, waits_for, woken) in &mut tickets {
                        *woken |= waits_for.meets(interest(number));
                    }
                }
                Operation::WakeOne => {
                    list.wake_one();
                    if let Some(first) = tickets.iter_mut().find(|(_, _, woken)| !woken) {
                        first.2 = true;
                    }
                }
                Operation::Withdraw(index) if index < tickets.len() => drop(tickets.remove(index)),
                Operation::Withdraw(_) => {}
            }
        }
        // An ended scope never waits: it only says whether the wake-up came first.
        for (ticket, _, woken) in tickets {
            prop_assert_eq!(ticket.wait(&ended).is_ok(), woken);
        }
    }
}
