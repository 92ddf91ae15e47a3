//! A fleet from tasks of tokio, on one thread and on several, and of another executor.

mod support;

use std::{
    collections::BTreeSet,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt, stream::FusedStream};
use sshoal::{
    Collect, Detail, Error, Event, Fleet, KeepOpen, OutputStream, RunSpec, StopCause, Streamed,
};
use support::{fleet::EmbeddedFleet, sshd::Sshd};
use tokio::runtime::{Builder, Runtime};

support::fleet::embedded_fleet!();

const HOSTS: usize = 20;
/// A hang is an error that names its place; nothing here takes as long.
const HANG: Duration = Duration::from_secs(60);

fn fleet_on(servers: &EmbeddedFleet) -> Fleet {
    let builder = Fleet::builder(servers.targets(), servers.config());
    builder.build().expect("the fleet is sound")
}

/// tokio on the calling thread alone, and on two threads of its own.
fn runtimes() -> [Runtime; 2] {
    let one = Builder::new_current_thread().enable_time().build();
    let two = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build();
    [one, two].map(|runtime| runtime.expect("tokio starts"))
}

/// Runs a future as a task of its own, so that it has to be `Send`, and for a bounded time.
fn on<F>(runtime: &Runtime, future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let task = runtime.spawn(async { tokio::time::timeout(HANG, future).await });
    let output = runtime.block_on(task).expect("the task does not panic");
    output.expect("the task does not hang")
}

#[test]
fn outcomes_are_a_stream_on_tokio() {
    let servers = EmbeddedFleet::start(HOSTS);
    let fleet = Arc::new(fleet_on(&servers));
    for runtime in runtimes() {
        let fleet = Arc::clone(&fleet);
        let seen: BTreeSet<usize> = on(&runtime, async move {
            let mut outcomes = fleet.run("echo from tokio").expect("runs").stream();
            assert!(!outcomes.is_terminated());
            let mut seen = BTreeSet::new();
            while let Some(outcome) = outcomes.next().await {
                assert!(outcome.is_success(), "{outcome:?}");
                assert_eq!(outcome.stdout().text().unwrap(), "from tokio\n");
                assert!(seen.insert(outcome.index()), "each host once");
            }
            assert!(outcomes.is_terminated() && outcomes.next().await.is_none());
            seen
        });
        assert!(seen.into_iter().eq(0..HOSTS));
    }
}

/// All kinds of streams side by side in one task, by an executor that knows nothing of tokio, on real hosts.
#[test]
fn events_programs_and_a_report_are_awaited_side_by_side() {
    let Some(sshd) = Sshd::builder().addresses(5).start() else {
        return;
    };
    let config = Arc::new(sshd.config().build().unwrap());
    let fleet = Fleet::builder(sshd.targets(), config).build().unwrap();
    let spec = RunSpec::new("echo out; echo again")
        .detail(Detail::Output)
        .collect(Collect::No);
    let events = fleet.run(spec).unwrap().events().stream();
    let visited = fleet.each(|host| host.command("id -un").output()).stream();
    let report = fleet.run("exit 3").unwrap().stream().report();
    let printed = events.fold(0, |bytes, event| async move {
        match event {
            Event::Output {
                stream: OutputStream::Stdout,
                bytes: piece,
                ..
            } => bytes + piece.len(),
            _ => bytes,
        }
    });
    let names = visited.filter_map(|visited| async move {
        let output: Result<_, Error> = visited.into_result().expect("the program ran");
        String::from_utf8(output.expect("the command ran").stdout).ok()
    });
    let names = names.collect::<Vec<_>>();
    let (printed, names, report) =
        futures::executor::block_on(async { futures::join!(printed, names, report) });
    assert_eq!(printed, 5 * "out\nagain\n".len());
    assert_eq!(names, vec![format!("{}\n", sshd.user()); 5]);
    assert_eq!(report.counts().exited, 5);
    let order = report.outcomes().iter().map(sshoal::Outcome::index);
    assert!(order.eq(0..5));
}

/// A stream is dropped while its hosts sleep: their sessions end long before the command would, and nobody waits.
#[test]
fn a_dropped_stream_cancels_the_run() {
    let servers = EmbeddedFleet::start(HOSTS);
    let fleet = fleet_on(&servers);
    for runtime in runtimes() {
        let spec = RunSpec::new("sleep 1000").detail(Detail::Progress);
        let mut events = fleet.run(spec).unwrap().events().stream();
        let handle = events.get_ref().handle();
        on(&runtime, async move {
            assert!(matches!(events.next().await, Some(Event::Started { .. })));
        });
        let end = Instant::now() + HANG;
        while handle.progress().ended < HOSTS {
            assert!(Instant::now() < end, "{:?}", handle.progress());
            sshoal::yield_now();
        }
    }
}

#[test]
fn a_cancelled_stream_ends_with_all_outcomes() {
    let servers = EmbeddedFleet::start(HOSTS);
    let fleet = fleet_on(&servers);
    let [runtime, _] = runtimes();
    let outcomes = fleet.run("sleep 1000").unwrap().stream();
    let handle = outcomes.get_ref().handle();
    let causes = on(&runtime, async move {
        let mut outcomes = outcomes;
        let nothing = tokio::time::timeout(Duration::from_millis(50), outcomes.next()).await;
        assert!(nothing.is_err(), "no host ends by itself");
        handle.cancel();
        let ended = outcomes.map(|outcome| outcome.stopped_by());
        ended.collect::<Vec<_>>().await
    });
    assert_eq!(causes, [Some(StopCause::Caller); HOSTS]);
}

/// What parks goes to a green thread: here the orderly end of a fleet that kept its sessions.
#[test]
fn a_green_thread_is_awaited_on_tokio() {
    let servers = EmbeddedFleet::start(HOSTS);
    for runtime in runtimes() {
        let builder = Fleet::builder(servers.targets(), servers.config());
        let fleet = builder
            .pool_size(NonZeroUsize::new(HOSTS).unwrap())
            .keep_open(KeepOpen::Yes)
            .build()
            .unwrap();
        let word = on(&runtime, async move {
            let report = fleet.run("true").unwrap().stream().report().await;
            assert!(report.is_success());
            let closed = sshoal::spawn(move || {
                fleet.close();
                "closed"
            });
            closed.expect("a green thread").await
        });
        assert_eq!(word.unwrap(), "closed");
    }
    let end = Instant::now() + HANG;
    while servers.count("live") > 0 {
        assert!(Instant::now() < end, "{}", servers.counters());
    }
}

#[test]
fn streams_are_send_and_unpin() {
    fn check<S: Stream + FusedStream + Send + Unpin>() {}
    check::<Streamed<sshoal::Run>>();
    check::<Streamed<sshoal::Events>>();
    check::<Streamed<sshoal::Each<Result<String, Error>>>>();
}
