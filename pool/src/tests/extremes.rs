//! Values at the end of their range, and what is the caller's and panics where nobody looks.

use std::io::{self, Read};
use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::panic_any;
use std::sync::Arc;
use std::time::Duration;

use sshoal_reactor::Scope;
use sshoal_reactor::sync::Event;
use sshoal_session::{EndedBy, Ending, Error, Kind};

use super::fake::*;
use crate::{Detail, Input, KeepOpen, PoolBuilder, RunSpec};

/// Only what hangs takes it.
const LONG: Option<Duration> = Some(Duration::from_secs(60));
const FOREVER: Option<Duration> = Some(Duration::MAX);

fn endless(hosts: usize) -> PoolBuilder {
    builder(hosts)
        .size(NonZeroUsize::MAX)
        .handshakes(NonZeroUsize::MAX)
        .destination_handshakes(NonZeroUsize::MAX)
        .rate(Some(NonZeroU32::MAX))
        .destination_rate(Some(NonZeroU32::MAX))
        .retries(u32::MAX)
        .connect_timeout(FOREVER)
        .command_timeout(FOREVER)
        .host_timeout(FOREVER)
        .silence_timeout(FOREVER)
        .deadline(FOREVER)
        .end_grace(Duration::MAX)
}

/// Every bound and limit at its largest and its smallest: hosts end well, with what the bound leaves of their output.
#[test]
fn no_bound_is_too_large_or_too_small() {
    const BYTES: u64 = 100_000;
    for (bytes, idle) in [
        (usize::MAX, FOREVER),
        (1, FOREVER),
        (0, Some(Duration::ZERO)),
    ] {
        let most = bytes as u64;
        let kept = most.min(BYTES);
        let builder = endless(4).keep_open(KeepOpen::Yes).idle_close(idle);
        let builder = builder.memory_bytes_max(bytes).event_bytes_max(bytes);
        let fake = Fake::new(Script::printing(&[b'x'; BYTES as usize]));
        let pool = fake.pool_of(builder.output_bytes_max(Some(most)));
        let run = pool.run(RunSpec::new("x").detail(Detail::Output)).unwrap();
        let report = run.for_each_event(|_| {});
        assert!(report.is_success(), "{report:?}");
        assert_eq!(report[3].stdout().len(), kept);
        let spec = RunSpec::new("x").unread_bytes_max(bytes);
        let spec = spec.run_unread_bytes_max(bytes);
        let run = pool.start(spec.output_bytes_max(Some(most))).unwrap();
        assert!(run.wait(LONG).is_complete());
        let report = run.into_report().unwrap();
        assert_eq!(report[1].stdout().len(), kept);
    }
}

#[test]
fn lines_have_no_bound_if_none_is_wanted() {
    let fake = Fake::new(Script::printing(b"one\ntwo"));
    let run = fake.pool(1).start("x").unwrap();
    let reader = run.host(0).stdout().line_bytes_max(usize::MAX);
    let lines = reader.idle_timeout(FOREVER).total_timeout(FOREVER).lines();
    let lines: Vec<_> = lines.map(|line| line.unwrap().bytes().to_vec()).collect();
    assert_eq!(lines, [b"one", b"two"]);
}

#[test]
fn an_interval_without_end_ends_with_the_hosts() {
    let visits = Fake::new(Script::default()).pool(2).each(|_| ()).visits();
    let told: Vec<_> = visits.every(Duration::MAX).collect();
    assert!(matches!(&told[..], [all] if all.is_complete()), "{told:?}");
}

#[test]
fn a_grace_without_end_leaves_the_timeout_what_it_is() {
    let ending = Ending::Ended { by: EndedBy::Term };
    let script = Script {
        run: Step::Stalls,
        ending,
        ..Script::default()
    };
    let builder = builder(2).end_grace(Duration::MAX);
    let builder = builder.command_timeout(Some(Duration::from_millis(20)));
    let report = Fake::new(script).pool_of(builder).run("x").unwrap();
    for outcome in report {
        assert_eq!(outcome.end().kind(), Some(Kind::Timeout), "{outcome:?}");
        assert_eq!(outcome.ending(), Some(&ending));
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a drop that panics");
        }
    }
}

#[test]
fn what_a_panic_carries_may_panic_again() {
    let pool = Fake::new(Script::default()).pool_of(builder(3).size(count(1)));
    let program = |host: &crate::Reached<'_>| {
        if host.index() == 1 {
            panic_any(Bomb);
        }
    };
    let visits = pool.each(program).visits();
    assert!(visits.wait(LONG).is_complete());
    let errors: Vec<_> = visits.hosts().iter().map(|host| host.error()).collect();
    assert!(
        matches!(errors[..], [None, Some(Error::Internal { .. }), None]),
        "{errors:?}"
    );
}

#[test]
fn a_reader_that_panics_is_an_input_that_fails() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic_any(Bomb)
        }
    }
    let script = Script {
        run: Step::Stalls,
        ..Script::default()
    };
    let pool = Fake::new(script).pool(2);
    let run = pool.start(RunSpec::new("x").stdin(Input::reader(Panics)));
    let run = run.unwrap();
    assert!(run.wait(LONG).is_complete());
    let error = run.host(1).error().unwrap();
    assert!(matches!(error, Error::Local { .. }), "{error:?}");
}

/// A run that nobody has any more goes with its last host: what it held panics then, and the next run gets the place.
#[test]
fn what_a_program_holds_may_panic_when_it_is_dropped() {
    let pool = Fake::new(Script::default()).pool(1);
    let (gate, begun) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let (waits, tells, bomb) = (Arc::clone(&gate), Arc::clone(&begun), Bomb);
    let each = pool.each(move |_| {
        let _held = &bomb;
        tells.set();
        let _ = waits.wait(&Scope::root());
    });
    begun.wait(&Scope::root()).unwrap();
    let next = pool.start("x").unwrap();
    drop(each);
    gate.set();
    assert!(next.wait(LONG).is_complete());
    assert!(next.into_report().unwrap().is_success());
}
