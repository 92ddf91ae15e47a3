//! What is awaited costs no thread; in a file of its own, because a process's threads are counted.

mod support;

use std::sync::{Arc, mpsc};

use futures::StreamExt;
use sshoal::{Fleet, Reached, Scope, sync::Event};
use support::fleet::EmbeddedFleet;
use tokio::runtime::Builder;

support::fleet::embedded_fleet!();

/// Counts this process's threads.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("lists our threads");
    tasks.count()
}

/// Opens a hundred streams over runs that wait, and a green thread to await for each: the process has as many
/// threads as before.
#[test]
fn streams_and_joins_take_no_thread() {
    let servers = EmbeddedFleet::start(1);
    let fleet = Fleet::builder(servers.targets(), servers.config());
    let fleet = fleet.build().unwrap();
    assert!(fleet.run("true").unwrap().report().is_success());
    let runtime = Builder::new_current_thread().build().unwrap();
    let (tell, told) = mpsc::channel();
    let before = threads();
    let gate = Arc::new(Event::new());
    let seen = runtime.block_on(async {
        let mut all = Vec::new();
        for _ in 0..100 {
            let (gate, tell) = (Arc::clone(&gate), tell.clone());
            let program = move |_: &Reached<'_>| {
                let _ = tell.send(());
                gate.wait(&Scope::root()).is_ok()
            };
            all.push(fleet.each(program).stream());
        }
        let waits = Arc::clone(&gate);
        let joined = sshoal::spawn(move || waits.wait(&Scope::root()));
        let joined = tokio::spawn(joined.expect("a green thread").into_future());
        // Every stream is polled once, and waits.
        for stream in &mut all {
            let first = futures::poll!(stream.next());
            assert!(first.is_pending());
        }
        tokio::task::yield_now().await;
        told.recv().expect("a program runs");
        let seen = threads();
        gate.set();
        for stream in all {
            let values: Vec<_> = stream.map(|v| v.into_result().unwrap()).collect().await;
            assert_eq!(values, [true]);
        }
        joined.await.unwrap().unwrap().unwrap();
        seen
    });
    assert!(seen <= before, "{seen} threads instead of {before}");
}
