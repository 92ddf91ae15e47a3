//! Calls side by side that borrow from their caller.

use std::sync::atomic::{AtomicUsize, Ordering};

use sshoal_reactor::sync::Event;
use sshoal_reactor::{Scope, join, spawn, try_join, yield_now};

#[test]
fn calls_that_wait_for_each_other_all_return() {
    let (first, second) = (Event::new(), Event::new());
    let all = Scope::root();
    let text = String::from("borrowed");
    let (a, b, c) = join((
        || first.wait(&all).map(|()| text.len()),
        || {
            second.wait(&all).expect("is set");
            first.set();
            "b"
        },
        || second.set(),
    ));
    assert_eq!((a, b, c), (Ok(8), "b", ()));
}

#[test]
fn a_panic_is_the_result_of_its_call_alone() {
    let (a, b, c) = try_join((|| 1, || -> u8 { panic!("two") }, || 3));
    assert_eq!((a, c), (Ok(1), Ok(3)));
    assert_eq!(
        b.map_err(|panic| panic.message().to_owned()),
        Err("two".into())
    );
    let (a, b) = try_join((|| 1, || -> u8 { panic!("the caller's own") }));
    assert_eq!((a, b.is_err()), (Ok(1), true));
}

/// Goal: nothing borrowed is used after its end (G8), whoever panics. Method: the calls count in
/// what they borrow until after the panic, and the caller looks when it has caught it.
#[test]
fn g8_a_panic_leaves_no_call_behind() {
    let count = AtomicUsize::new(0);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        join((
            || {
                for _ in 0..1000 {
                    yield_now();
                    count.fetch_add(1, Ordering::Relaxed);
                }
            },
            || panic!("at once"),
            || panic!("the caller's own"),
        ));
    }));
    let panic = caught.expect_err("panics");
    assert_eq!(
        panic.downcast_ref::<String>().map(String::as_str),
        Some("at once")
    );
    assert_eq!(count.into_inner(), 1000);
}

#[test]
fn green_threads_make_calls_within_calls() {
    let green = spawn(|| {
        let base = [1, 2, 3];
        let ((a, b), c) = join((
            || join((|| base[0], || base[1])),
            || base.iter().sum::<i32>(),
        ));
        a + b + c
    });
    assert_eq!(green.expect("starts").join(), Ok(9));
}

/// Goal: it stays right under load. Method: many green threads at once, each of which makes calls
/// that borrow from its own stack, over and over.
#[test]
fn g8_many_callers_borrow_from_their_stacks() {
    let greens: Vec<_> = (0..64u64)
        .map(|n| {
            let green = spawn(move || {
                let mut sum = 0;
                for round in 0..50u64 {
                    let numbers = [n, round];
                    let (a, b, c, d) = join((
                        || {
                            yield_now();
                            numbers[0]
                        },
                        || numbers[1],
                        || numbers.len() as u64,
                        || {
                            yield_now();
                            numbers.iter().sum::<u64>()
                        },
                    ));
                    assert_eq!((a + b, c), (d, 2));
                    sum += d;
                }
                sum
            });
            green.expect("starts")
        })
        .collect();
    for (n, green) in (0..64u64).zip(greens) {
        assert_eq!(green.join(), Ok(n * 50 + 49 * 25));
    }
}
