//! Tasks, joins, timeouts and the bounded map (laws G3, G5, G6), in both forms of the loop.
#![allow(
    clippy::unwrap_used,
    reason = "an unwrap that fails is a test that fails"
)]

mod support;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sshoal_reactor::green::{
    JoinError, TaskError, TimeoutError, as_completed, cancel_all, imap, imap_unordered, join_all,
    map, spawn_after, spawn_in, timeout, try_join_all, wait_all,
};
use sshoal_reactor::sync::{Event, Promise, Queue};
use sshoal_reactor::{Scope, Stop, is_green, spawn, yield_now};
use support::{pass_with_the_thread_form, watchdog};

const FAR: Duration = Duration::from_secs(50);

#[test]
fn r3_both_forms_pass_the_same_tests() {
    pass_with_the_thread_form("r3_both_forms_pass_the_same_tests");
}

fn at_once(limit: usize) -> NonZeroUsize {
    NonZeroUsize::new(limit).unwrap()
}

#[test]
fn a_task_runs_green_in_a_scope_of_its_own() {
    let guard = watchdog();
    let task = spawn_in(&guard, |scope| (is_green(), scope.check())).unwrap();
    task.wait(&guard).unwrap();
    assert!(task.is_finished() && task.is_successful());
    assert_eq!(task.error(), None);
    assert_eq!(task.join(), Ok((true, Ok(()))));
}

#[test]
fn a_task_that_panics_is_its_error_alone() {
    let guard = watchdog();
    let bad = spawn_in(&guard, |_| panic!("number {}", 7)).unwrap();
    let good = spawn_in(&guard, |_| 8).unwrap();
    bad.wait(&guard).unwrap();
    let Some(TaskError::Panicked(panic)) = bad.error() else {
        panic!("{bad:?}");
    };
    assert_eq!(panic.message(), "number 7");
    assert!(bad.is_finished() && !bad.is_successful());
    assert_eq!(bad.join(), Err::<(), _>(TaskError::Panicked(panic)));
    assert_eq!(good.join(), Ok(8));
}

#[test]
fn a_delayed_task_begins_after_its_delay_and_not_if_it_is_cancelled_before() {
    let guard = watchdog();
    let begun = Arc::new(AtomicUsize::new(0));
    let count = begun.clone();
    let start = Instant::now();
    let late = spawn_after(&guard, Duration::from_millis(20), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        start.elapsed()
    });
    let count = begun.clone();
    let never = spawn_after(&guard, FAR, move |_| count.fetch_add(1, Ordering::SeqCst)).unwrap();
    never.cancel_and_wait(&guard).unwrap();
    assert_eq!(never.error(), Some(TaskError::NotBegun(Stop::Cancelled)));
    assert_eq!(never.join(), Err(TaskError::NotBegun(Stop::Cancelled)));
    assert!(late.unwrap().join().unwrap() >= Duration::from_millis(20));
    assert_eq!(begun.load(Ordering::SeqCst), 1);
    let ended = guard.child(None);
    ended.cancel();
    let refused = spawn_in(&ended, |_| ()).unwrap();
    assert_eq!(refused.join(), Err(TaskError::NotBegun(Stop::Cancelled)));
}

/// A cancelled task ends at its next wait in its scope; one that waits elsewhere does not, and
/// waiting for its end can be given up and repeated.
#[test]
fn g6_a_cancelled_task_ends_at_its_next_wait_in_its_scope() {
    let guard = watchdog();
    let begun = Arc::new(Event::new());
    let told = begun.clone();
    let waits = spawn_in(&guard, move |scope| {
        told.set();
        scope.ended()
    });
    let waits = waits.unwrap();
    begun.wait(&guard).unwrap();
    waits.cancel_and_wait(&guard).unwrap();
    assert_eq!(waits.join(), Ok(Stop::Cancelled));

    let (gate, elsewhere) = (Arc::new(Event::new()), guard.clone());
    let shut = gate.clone();
    let deaf = spawn_in(&guard, move |_| shut.wait(&elsewhere)).unwrap();
    while !format!("{gate:?}").contains("waiting: 1") {
        yield_now();
    }
    let short = guard.child(Some(Duration::from_millis(5)));
    assert_eq!(deaf.cancel_and_wait(&short), Err(Stop::TimedOut));
    assert!(!deaf.is_finished());
    gate.set();
    deaf.wait(&guard).unwrap();
    assert_eq!(deaf.join(), Ok(Ok(())));
}

#[test]
fn a_callback_is_called_once_before_or_after_the_end() {
    let guard = watchdog();
    let (gate, called) = (Arc::new(Event::new()), Arc::new(Queue::unbounded()));
    let shut = gate.clone();
    let task = spawn_in(&guard, move |scope| shut.wait(scope)).unwrap();
    let before = called.clone();
    task.on_end(move || before.try_push(is_green()).unwrap());
    task.on_end(|| panic!("a callback's panic is nobody's"));
    assert!(called.is_empty());
    gate.set();
    assert_eq!(called.pop(&guard), Ok(Some(true)));
    let after = called.clone();
    task.wait(&guard).unwrap();
    task.on_end(move || after.try_push(is_green()).unwrap());
    assert_eq!(called.try_pop(), Some(false));
    assert_eq!(called.try_pop(), None);
}

/// Callbacks are added in the moment in which tasks end: each is called once.
#[test]
fn a_callback_added_at_the_end_is_not_missed() {
    const ROUNDS: usize = 20_000;
    let guard = watchdog();
    let called = Arc::new(AtomicUsize::new(0));
    for round in 0..ROUNDS {
        let go = Arc::new(AtomicBool::new(false));
        let gone = go.clone();
        let task = spawn_in(&guard, move |_| {
            while !gone.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
        });
        let task = task.unwrap();
        go.store(true, Ordering::SeqCst);
        for _ in 0..round % 200 {
            std::hint::spin_loop();
        }
        let called = called.clone();
        task.on_end(move || {
            called.fetch_add(1, Ordering::SeqCst);
        });
    }
    while called.load(Ordering::SeqCst) < ROUNDS {
        guard.check().unwrap();
        yield_now();
    }
    assert_eq!(called.load(Ordering::SeqCst), ROUNDS);
}

/// Joining keeps the tasks' order and each one's own result; with a timeout it takes nothing and
/// can be repeated; from a green thread as from a plain one.
#[test]
fn all_tasks_are_joined_in_their_order() {
    let guard = watchdog();
    let body = move || {
        let gate = Arc::new(Event::new());
        let tasks: Vec<_> = (0..100_u32)
            .map(|number| {
                let gate = gate.clone();
                let task = move |scope: &Scope| {
                    gate.wait(scope).unwrap();
                    assert!(number != 50, "the fiftieth");
                    number
                };
                spawn_in(&guard, task).unwrap()
            })
            .collect();
        let short = guard.child(Some(Duration::from_millis(5)));
        assert_eq!(wait_all(&tasks, &short), Err(Stop::TimedOut));
        gate.set();
        wait_all(&tasks, &guard).unwrap();
        let joined = join_all(tasks);
        for (number, result) in (0..100).zip(joined) {
            match result {
                Ok(value) => assert_eq!(value, number),
                Err(error) => assert!(number == 50 && error.to_string().contains("the fiftieth")),
            }
        }
    };
    let green = body.clone();
    body();
    spawn(green).unwrap().join().unwrap();
}

/// The error that comes first in time is the error of the join, not the first in the list; the
/// others go on, and are joined later.
#[test]
fn the_first_error_in_time_is_raised_and_the_others_go_on() {
    let guard = watchdog();
    let gate = Arc::new(Event::new());
    let wait = |gate: Arc<Event>, end: Result<u8, &'static str>| {
        let task = move |scope: &Scope| gate.wait(scope).map_err(|_| "stopped").and(end);
        spawn_in(&guard, task).unwrap()
    };
    let mut tasks = vec![
        wait(gate.clone(), Err("later")),
        wait(gate.clone(), Ok(1)),
        spawn_in(&guard, |_| Err("first")).unwrap(),
    ];
    let raised = try_join_all(&mut tasks, &guard).unwrap_err();
    assert!(
        matches!(
            raised,
            JoinError::Failed {
                index: 2,
                error: "first"
            }
        ),
        "{raised:?}"
    );
    assert_eq!(tasks.len(), 2);
    assert!(tasks.iter().all(|task| !task.is_finished()));

    let short = guard.child(Some(Duration::from_millis(5)));
    let stopped = try_join_all(&mut tasks, &short).unwrap_err();
    assert!(matches!(stopped, JoinError::Stopped(Stop::TimedOut)));
    assert_eq!(tasks.len(), 2, "a join that was stopped takes nothing");
    gate.set();
    let raised = try_join_all(&mut tasks, &guard).unwrap_err();
    assert_eq!(raised.to_string(), "task 0: later");
    assert_eq!(try_join_all(&mut tasks, &guard).unwrap(), [1]);
    assert!(tasks.is_empty());

    let mut tasks = vec![
        wait(gate.clone(), Ok(1)),
        spawn_in(&guard, |_| panic!("of its own")).unwrap(),
    ];
    let raised = try_join_all(&mut tasks, &guard).unwrap_err();
    assert!(matches!(raised, JoinError::Task { index: 1, .. }));
    assert_eq!(try_join_all(&mut tasks, &guard).unwrap(), [1]);
}

#[test]
fn all_tasks_are_cancelled_together() {
    let guard = watchdog();
    let tasks: Vec<_> = (0..500)
        .map(|_| spawn_in(&guard, Scope::ended).unwrap())
        .collect();
    cancel_all(&tasks);
    wait_all(&tasks, &guard).unwrap();
    for joined in join_all(tasks) {
        let cancelled = [
            Ok(Stop::Cancelled),
            Err(TaskError::NotBegun(Stop::Cancelled)),
        ];
        assert!(cancelled.contains(&joined), "{joined:?}");
    }
    assert_eq!(guard.check(), Ok(()));
}

/// Tasks end one by one, last to first, and are yielded so; a wait that is given up loses none.
#[test]
fn tasks_are_yielded_as_they_end() {
    let guard = watchdog();
    let gates: Vec<_> = (0..20).map(|_| Arc::new(Event::new())).collect();
    let tasks = gates.iter().map(|gate| {
        let gate = gate.clone();
        spawn_in(&guard, move |scope| gate.wait(scope)).unwrap()
    });
    let mut completed = as_completed(tasks);
    let short = guard.child(Some(Duration::from_millis(5)));
    assert!(matches!(completed.next_within(&short), Err(Stop::TimedOut)));
    for (index, gate) in gates.iter().enumerate().skip(5).rev() {
        gate.set();
        assert_eq!(completed.next(), Some((index, Ok(Ok(())))));
    }
    assert_eq!(completed.len(), 5);
    let rest = completed.into_rest();
    assert_eq!(rest.len(), 5);
    cancel_all(&rest);
    assert!(join_all(rest).into_iter().all(|end| end != Ok(Ok(()))));
    assert_eq!(
        as_completed(Vec::<sshoal_reactor::green::Task<()>>::new()).next(),
        None
    );
}

/// Timeouts nest: each error says whose it was; a value counts however late it is.
#[test]
fn a_timeout_says_whether_it_was_its_own() {
    let guard = watchdog();
    let (short, long) = (Duration::from_millis(5), FAR);
    let ended = |scope: &Scope| Err::<(), _>(scope.ended());
    let own = timeout(&guard, short, ended).unwrap_err();
    let timed_out = TimeoutError::TimedOut {
        limit: short,
        error: Stop::TimedOut,
    };
    assert_eq!(own, timed_out);
    let inner = timeout(&guard, long, |scope| timeout(scope, short, ended)).unwrap_err();
    assert_eq!(inner, TimeoutError::Failed(timed_out));
    let outer = timeout(&guard, short, |scope| timeout(scope, long, ended)).unwrap_err();
    let TimeoutError::TimedOut { error, .. } = outer else {
        panic!("{outer:?}");
    };
    assert_eq!(error, TimeoutError::Failed(Stop::Cancelled));
    let late = timeout(&guard, short, |scope| {
        scope.ended();
        Ok::<_, Stop>(7)
    });
    assert_eq!(late, Ok(7));
}

/// At most so many calls at once, on as many green threads and no more; each item has its own
/// result, in order; a panic is that of its item alone.
#[test]
fn g3_a_map_keeps_its_bound_and_its_order() {
    const LIMIT: usize = 4;
    let guard = watchdog();
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, seen) = (inside.clone(), most.clone());
    let f = move |_: &Scope, number: usize| {
        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        (0..number % 7).for_each(|_| yield_now());
        now.fetch_sub(1, Ordering::SeqCst);
        assert!(is_green());
        assert!(number != 77, "one of them");
        number * 2
    };
    let results = map(&guard, at_once(LIMIT), 0..1000, f).unwrap();
    assert_eq!(results.len(), 1000);
    for (number, result) in results.into_iter().enumerate() {
        match result {
            Ok(value) => assert_eq!(value, number * 2),
            Err(error) => assert!(number == 77 && error.to_string().contains("one of them")),
        }
    }
    let most = most.load(Ordering::SeqCst);
    assert!((2..=LIMIT).contains(&most), "{most} at once");
}

/// The first item waits until all others that have room are done: they come before it where order
/// does not matter, and behind it where it does. Neither takes more than twice the bound ahead.
#[test]
fn results_come_as_they_complete_or_in_order() {
    const LIMIT: usize = 3;
    let guard = watchdog();
    let taken = Arc::new(AtomicUsize::new(0));
    let items = |taken: &Arc<AtomicUsize>| {
        let taken = taken.clone();
        (0..100).inspect(move |_| {
            taken.fetch_add(1, Ordering::SeqCst);
        })
    };
    let gate = Arc::new(Event::new());
    let shut = gate.clone();
    let f = move |scope: &Scope, number: i32| {
        if number == 0 {
            shut.wait(scope).unwrap();
        }
        number
    };
    let mut unordered = imap_unordered(&guard, at_once(LIMIT), items(&taken), f.clone()).unwrap();
    let mut seen: Vec<_> = unordered.by_ref().take(50).collect();
    assert!(seen.iter().all(|(number, _)| *number != 0));
    assert!(taken.load(Ordering::SeqCst) <= 50 + 2 * LIMIT);
    gate.set();
    seen.extend(unordered);
    let numbers: BTreeSet<_> = seen.iter().map(|(number, _)| *number).collect();
    assert_eq!((seen.len(), numbers.len()), (100, 100));
    assert!(
        seen.iter()
            .all(|(at, end)| *end == Ok(i32::try_from(*at).unwrap()))
    );

    gate.clear();
    taken.store(0, Ordering::SeqCst);
    let mut ordered = imap(&guard, at_once(LIMIT), items(&taken), f).unwrap();
    let opener = gate.clone();
    let opened = spawn_after(&guard, Duration::from_millis(10), move |_| opener.set()).unwrap();
    assert_eq!(ordered.next(), Some(Ok(0)));
    assert!(taken.load(Ordering::SeqCst) <= 2 * LIMIT);
    opened.join().unwrap();
    let rest: Vec<_> = ordered.map(Result::unwrap).collect();
    assert_eq!(rest, (1..100).collect::<Vec<_>>());
}

/// The scope ends under a map: calls end at their wait, and every item still has one result.
#[test]
fn a_map_whose_scope_ends_gives_every_item_a_result() {
    let guard = watchdog();
    let scope = guard.child(None);
    let stop = scope.clone();
    let f = move |within: &Scope, number: u32| {
        if number == 10 {
            stop.cancel();
        }
        within.child(Some(Duration::from_millis(1))).ended();
        within.check().map(|()| number)
    };
    let results = map(&scope, at_once(2), 0..200, f).unwrap();
    assert_eq!(results.len(), 200);
    assert_eq!(results[0], Ok(Ok(0)));
    assert_eq!(results[10], Ok(Err(Stop::Cancelled)));
    let not_begun = Err(TaskError::NotBegun(Stop::Cancelled));
    assert!(results[12..].iter().all(|result| *result == not_begun));
}

#[test]
fn a_map_that_is_dropped_cancels_what_runs() {
    let guard = watchdog();
    let (begun, left) = (Arc::new(Promise::new()), Arc::new(Promise::new()));
    let (tell, end) = (begun.clone(), left.clone());
    let f = move |scope: &Scope, number: u32| {
        if number == 1 {
            tell.set(()).unwrap();
            end.set(scope.ended()).unwrap();
        }
    };
    let mut results = imap(&guard, at_once(2), 0..2, f).unwrap();
    assert_eq!(results.next(), Some(Ok(())));
    begun.get(&guard).unwrap();
    drop(results);
    assert_eq!(left.get(&guard), Ok(&Stop::Cancelled));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a plain loop: items that yield as often as they are told, with some that panic.
    #[test]
    fn a_map_agrees_with_a_plain_loop(
        items in prop::collection::vec(0u8..20, 0..60),
        limit in 1usize..9,
    ) {
        let guard = watchdog();
        let f = |_: &Scope, item: u8| {
            (0..item).for_each(|_| yield_now());
            assert!(item != 13, "unlucky");
            u32::from(item) + 1
        };
        let expected: Vec<_> =
            items.iter().map(|item| (*item != 13).then(|| u32::from(*item) + 1)).collect();
        let ordered = map(&guard, at_once(limit), items.clone(), f).unwrap();
        let ordered: Vec<_> = ordered.into_iter().map(Result::ok).collect();
        prop_assert_eq!(&ordered, &expected);
        let unordered = imap_unordered(&guard, at_once(limit), items, f).unwrap();
        let mut unordered: Vec<_> = unordered.map(|(at, end)| (at, end.ok())).collect();
        unordered.sort_unstable();
        let expected: Vec<_> = expected.into_iter().enumerate().collect();
        prop_assert_eq!(unordered, expected);
    }
}
