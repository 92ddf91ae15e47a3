//! A thousand hosts through [`sshoal::Fleet`]: every outcome once, the pool's bound, kept sessions, programs, files.

mod support;

use std::{
    collections::HashSet,
    fs,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sshoal::transfer::{CopyOptions, Source};
use sshoal::{Fleet, FleetBuilder, KeepOpen, spawn};
use support::{fleet::EmbeddedFleet, sessions::config_for_fleet};

support::fleet::embedded_fleet!();

/// Some tests count this process's sockets, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All hosts of a fleet, with time enough for a machine that is busy with other things.
fn builder(servers: &EmbeddedFleet, pool_size: usize) -> FleetBuilder {
    Fleet::builder(servers.targets(), servers.config())
        .pool_size(NonZeroUsize::new(pool_size).expect("a pool has room"))
        .connect_timeout(Some(Duration::from_secs(60)))
}

/// What the embedded host with this index answers to `hostname`.
fn name(index: usize) -> String {
    format!("host-{index:04}\n")
}

/// How many sockets this process holds.
fn sockets() -> usize {
    let entries = fs::read_dir("/proc/self/fd").expect("reads our descriptors");
    let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn a_thousand_hosts_give_a_thousand_outcomes_in_input_order() {
    let _turn = turn();
    let servers = EmbeddedFleet::start(1000);
    let fleet = builder(&servers, 200)
        .keep_open(KeepOpen::No)
        .build()
        .unwrap();
    let begin = Instant::now();
    let report = fleet.run("hostname").unwrap().report();
    println!("1000 hosts in {:?}", begin.elapsed());
    assert_eq!(report.outcomes().len(), 1000);
    for (index, outcome) in report.outcomes().iter().enumerate() {
        assert!(
            outcome.is_success(),
            "{}: {}",
            outcome.host(),
            outcome.end()
        );
        assert_eq!(outcome.index(), index);
        assert_eq!(outcome.host(), &fleet.hosts()[index]);
        assert_eq!(outcome.stdout().text().unwrap(), name(index));
    }
    assert_eq!(
        (servers.count("accepted"), servers.count("execs")),
        (1000, 1000)
    );
}

#[test]
fn outcomes_come_exactly_once_while_others_still_run() {
    let _turn = turn();
    let servers = EmbeddedFleet::start(300);
    let fleet = builder(&servers, 50).build().unwrap();
    let mut run = fleet.run("hostname").unwrap();
    let mut seen = HashSet::new();
    let first = run.next().expect("a host ends");
    let progress = run.handle().progress();
    assert!(progress.ended < 300, "nothing came before all had ended");
    for outcome in std::iter::once(first).chain(run.by_ref()) {
        assert!(seen.insert(outcome.index()), "{} twice", outcome.host());
        assert_eq!(outcome.stdout().text().unwrap(), name(outcome.index()));
    }
    assert_eq!(seen.len(), 300);
    assert!(run.next().is_none());
}

/// Counts this process's sockets from within each host's program, when the pool is as full as it gets, and asks the
/// servers, who may see the next connection before the end of the last. A session that has ended may leave its socket,
/// which was shut down, to a scheduler thread that is just handing out the event of that.
#[test]
fn live_sessions_stay_within_the_pool_size() {
    const SIZE: usize = 40;
    let _turn = turn();
    let servers = EmbeddedFleet::start(400);
    let ended_max = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    for keep_open in [KeepOpen::No, KeepOpen::Yes] {
        let fleet = builder(&servers, SIZE)
            .keep_open(keep_open)
            .build()
            .unwrap();
        assert_eq!(fleet.pool().size(), SIZE);
        let before = sockets();
        let visited = fleet.each(move |_| sockets());
        let most = visited.map(|visited| visited.into_result().unwrap()).max();
        let most = most.unwrap().saturating_sub(before);
        println!("{keep_open:?}: at most {most} sessions of {SIZE}");
        assert!((1..=SIZE + ended_max).contains(&most), "{most} sessions");
        fleet.close();
    }
    let peak = servers.count("peak");
    println!("the servers saw at most {peak} connections");
    assert!(peak <= SIZE as u64 * 2, "{peak} connections");
    assert_eq!(servers.count("accepted"), 800);
}

#[test]
fn a_host_that_is_listed_twice_runs_twice() {
    let _turn = turn();
    let servers = EmbeddedFleet::start(10);
    let hosts = [servers.targets(), servers.targets()].concat();
    let fleet = Fleet::builder(hosts, servers.config()).build().unwrap();
    let report = fleet.run("hostname").unwrap().report();
    assert_eq!(report.outcomes().len(), 20);
    for (index, outcome) in report.outcomes().iter().enumerate() {
        assert_eq!(outcome.index(), index);
        assert_eq!(outcome.stdout().text().unwrap(), name(index % 10));
        assert_eq!(report.by_name(outcome.host().name()).count(), 2);
    }
    assert_eq!(servers.count("accepted"), 20);
}

#[test]
fn a_second_run_takes_the_sessions_of_the_first() {
    let _turn = turn();
    let servers = EmbeddedFleet::start(100);
    let fleet = builder(&servers, 100).build().unwrap();
    for round in 1..=3 {
        let report = fleet.run("hostname").unwrap().report();
        for (index, outcome) in report.outcomes().iter().enumerate() {
            assert_eq!(outcome.stdout().text().unwrap(), name(index));
        }
        assert!(report.is_success());
        assert_eq!(servers.count("execs"), 100 * round);
        assert_eq!(servers.count("accepted"), 100);
    }
    assert_eq!(servers.count("live"), 100);
    fleet.close();
    wait_until(|| servers.count("live") == 0);
}

/// Asks until it is so; each question waits for the servers' answer.
#[track_caller]
fn wait_until(so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(Instant::now() < end, "it does not come to be so");
    }
}

/// One program per host: what its second command is depends on what the first one printed.
#[test]
fn each_host_runs_a_program_that_reads_as_one_line_after_another() {
    let _turn = turn();
    let servers = EmbeddedFleet::start(100);
    let fleet = builder(&servers, 30).build().unwrap();
    let visited = fleet.each(|host| {
        let name = host.command("hostname").output()?.stdout;
        let name = String::from_utf8_lossy(&name).trim().to_owned();
        let number = name.trim_start_matches("host-").parse().unwrap_or(0);
        assert_ne!(number, 13, "no luck");
        let echoed = host.command("cat").stdin(name).output()?;
        let exit = host.command(format!("exit {number}")).output()?.exit;
        Ok::<_, sshoal::Error>((host.index(), echoed.stdout, exit))
    });
    let visited = visited.in_order();
    assert_eq!(visited.len(), 100);
    for (index, visited) in visited.into_iter().enumerate() {
        if index == 13 {
            let error = visited.into_result().expect_err("its program panicked");
            assert!(error.to_string().contains("no luck"), "{error}");
            continue;
        }
        let (seen, stdout, exit) = visited.into_result().unwrap().unwrap();
        assert_eq!(seen, index);
        assert_eq!(stdout, name(index).trim_end().as_bytes());
        assert_eq!(exit, sshoal::Exit::Status(index as u32));
    }
}

#[test]
fn a_fleet_runs_from_a_green_thread_beside_another_fleet() {
    let _turn = turn();
    let servers = EmbeddedFleet::start(60);
    let half = |half: usize| {
        let hosts: Vec<_> = servers
            .targets()
            .into_iter()
            .skip(half * 30)
            .take(30)
            .collect();
        Fleet::builder(hosts, servers.config()).build().unwrap()
    };
    let run = |fleet: Fleet| move || fleet.run("hostname").unwrap().report();
    let green = [half(0), half(1)].map(|fleet| spawn(run(fleet)).unwrap());
    let plain = run(half(1))();
    let [first, second] = green.map(|thread| thread.join().unwrap());
    for (report, offset) in [(first, 0), (second, 30), (plain, 30)] {
        assert_eq!(report.outcomes().len(), 30);
        for outcome in &report {
            let expected = name(offset + outcome.index());
            assert_eq!(outcome.stdout().text().unwrap(), expected);
        }
    }
}

/// Puts one file on 20 hosts and gets it back from each; what each host received and sent is all of it, once.
#[test]
fn a_file_goes_to_twenty_hosts_and_comes_back() {
    let _turn = turn();
    let servers = EmbeddedFleet::start(20);
    let fleet = builder(&servers, 20).build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (source, copies) = (dir.path().join("source"), dir.path().join("copies"));
    fs::create_dir(&copies).unwrap();
    let bytes: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 249) as u8).collect();
    fs::write(&source, &bytes).unwrap();

    let put: Vec<_> = fleet
        .put(
            &Source::file(&source).unwrap(),
            "payload",
            &CopyOptions::new(),
        )
        .collect();
    assert_eq!(put.len(), 20);
    for visited in put {
        let copied = visited.into_result().unwrap().unwrap();
        assert_eq!(copied.bytes, bytes.len() as u64);
    }
    let to = copies.clone();
    let target = move |index, _: &sshoal::Host| to.join(format!("copy-{index}"));
    for visited in fleet.get("payload", target, &CopyOptions::new()) {
        let index = visited.index();
        let copied = visited.into_result().unwrap().unwrap();
        assert_eq!(copied.bytes, bytes.len() as u64);
        let copy = fs::read(copies.join(format!("copy-{index}"))).unwrap();
        assert!(copy == bytes, "host {index} gave other bytes");
    }
    assert_eq!(fs::read_dir(&copies).unwrap().count(), 20);
    let all = 20 * bytes.len() as u64;
    assert_eq!(servers.count("sftp_in_bytes"), all);
    assert_eq!(servers.count("sftp_out_bytes"), all);
    assert_eq!(servers.count("accepted"), 20);
}

#[test]
fn a_file_that_is_not_there_fails_on_each_host_alone() {
    let _turn = turn();
    let servers = EmbeddedFleet::start(5);
    let fleet = builder(&servers, 5).build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().to_owned();
    let target = move |index, _: &sshoal::Host| to.join(format!("copy-{index}"));
    let got: Vec<_> = fleet.get("nowhere", target, &CopyOptions::new()).collect();
    assert_eq!(got.len(), 5);
    for visited in got {
        let error = visited.into_result().unwrap().expect_err("it is not there");
        assert!(error.to_string().contains("no such file"), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    assert!(fleet.run("true").unwrap().report().is_success());
}

/// So many commands that whatever each one leaves behind in the session's accounts would add up to its caps; with
/// packets whose length can be read, and with those whose length is hidden.
#[test]
fn one_session_runs_thousands_of_commands_in_a_row() {
    const COMMANDS: u64 = 6000;
    let _turn = turn();
    let servers = EmbeddedFleet::start(1);
    for ciphers in ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"] {
        let config = config_for_fleet(&servers).ciphers(ciphers).build().unwrap();
        let fleet = Fleet::builder(servers.targets(), Arc::new(config));
        let mut visited = fleet.build().unwrap().each(|host| {
            for number in 0..COMMANDS {
                let output = host.command("true").no_stdin().output();
                output.map_err(|error| format!("command {number}: {error:?}"))?;
            }
            host.session()
                .algorithms()
                .map_err(|error| error.to_string())
        });
        let algorithms = visited.next().unwrap().into_result().unwrap().unwrap();
        assert_eq!(algorithms.cipher_in, ciphers);
        assert_eq!(algorithms.cipher_out, ciphers);
    }
    assert_eq!(servers.count("execs"), 2 * COMMANDS);
    assert_eq!(servers.count("accepted"), 2);
}
