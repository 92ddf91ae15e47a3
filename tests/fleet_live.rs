//! Commands on real OpenSSH servers that are read, fed, signalled and waited for while they run.

mod support;

use std::{
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{
    Commands, Encoding, End, Error, Exit, Fleet, HostRun, KeepOpen, Kind, Line, OnBadBytes,
    OutputStream, ReadError, RunSpec, Started,
};
use support::{
    fleet::EmbeddedFleet,
    proxy::{Direction, Ending, Proxy},
    sessions::{config_for, host, random_bytes},
    sshd::Sshd,
};

support::fleet::embedded_fleet!();

/// Only what hangs takes it.
const LONG: Option<Duration> = Some(Duration::from_secs(60));
const HOSTS: u32 = 12;

struct World {
    fleet: Fleet,
    sshd: Sshd,
}

fn world(hosts: u32) -> Option<World> {
    let sshd = Sshd::builder()
        .addresses(hosts)
        .log_level("INFO")
        .low_priority()
        .start()?;
    let hosts: Vec<_> = sshd.sockets().into_iter().map(host).collect();
    let config = config_for(&sshd).build().expect("a whole configuration");
    let fleet = Fleet::builder(hosts, Arc::new(config)).connect_timeout(LONG);
    let fleet = fleet.build().expect("the fleet is sound");
    Some(World { fleet, sshd })
}

#[track_caller]
fn accepted(run: &Started) {
    let there = run.accepted(LONG);
    assert!(there.is_complete(), "{there:?} {:?}", run.hosts());
}

fn read(host: &HostRun) -> Vec<u8> {
    let mut bytes = Vec::new();
    host.stdout().read_to_end(&mut bytes).expect("reads");
    bytes
}

/// Commands wait for their input while each host is asked and answers in turn: all of it happens
/// while they run. After the last line the exit status is known.
#[test]
fn commands_are_fed_and_read_line_by_line_while_they_run() {
    let Some(World { fleet, sshd: _sshd }) = world(HOSTS) else {
        return;
    };
    let run = fleet
        .start("while read -r l; do echo \"<$l>\"; done; exit 5")
        .expect("starts");
    accepted(&run);
    assert!(!run.is_finished() && run.host(0).exit().is_none());
    for round in 0..3 {
        for host in run.hosts() {
            host.write_stdin(format!("{round} of {}\n", host.index()).as_bytes())
                .expect("is fed");
        }
        for host in run.hosts() {
            let line = host
                .stdout()
                .idle_timeout(LONG)
                .lines()
                .next()
                .expect("a line");
            let expected = format!("<{round} of {}>", host.index());
            assert_eq!(line.expect("is read").bytes(), expected.as_bytes());
        }
    }
    for host in run.hosts() {
        host.close_stdin().expect("closes");
        assert_eq!(host.stdout().lines().count(), 0);
        assert_eq!(host.exit(), Some(Exit::Status(5)));
        assert!(host.command().starts_with(b"while read"));
    }
    assert!(run.is_finished());
}

/// `cat`, written to and never closed, then waited for: it ends, and all of it is there.
#[test]
fn a_wait_ends_commands_that_read_their_input_to_its_end() {
    let Some(World { fleet, sshd: _sshd }) = world(HOSTS) else {
        return;
    };
    let run = fleet.start("cat").expect("starts");
    let bytes = random_bytes(100_000, 7);
    for host in run.hosts() {
        host.write_stdin(&bytes).expect("is fed");
    }
    assert!(run.wait(LONG).is_complete());
    let hosts = run.hosts().to_vec();
    drop(run);
    fleet.close();
    assert!(
        hosts.iter().all(|host| read(host) == bytes),
        "the fleet is gone, the output is not"
    );
}

/// Join, then read, with more output of both streams than any bound.
#[test]
fn output_beyond_all_bounds_is_there_after_a_wait() {
    let Some(World { fleet, sshd: _sshd }) = world(4) else {
        return;
    };
    let command =
        "head -c 3000000 /dev/zero | tr '\\0' o; head -c 2000000 /dev/zero | tr '\\0' e >&2";
    let run = fleet
        .start(RunSpec::new(command).run_unread_bytes_max(0))
        .expect("starts");
    assert!(run.wait(LONG).is_complete());
    assert_eq!(read(run.host(1)), vec![b'o'; 3_000_000]);
    let report = run.into_report().expect("reads");
    assert!(report.is_success());
    assert_eq!(report[0].stdout().len(), 3_000_000);
    assert_eq!(
        report[0].stderr().bytes().expect("reads")[..],
        vec![b'e'; 2_000_000]
    );
    assert!(report[1].stdout().is_empty(), "was read before");
}

/// A limit that runs out tells who has ended; commands go on, and a later wait has the rest.
#[test]
fn a_wait_that_runs_out_can_be_repeated_and_loses_nothing() {
    let Some(World { fleet, sshd: _sshd }) = world(4) else {
        return;
    };
    let commands = (0..4).map(|n| match n {
        0 | 2 => "echo quick".to_owned(),
        _ => "echo slow; read -r l < /dev/stdin; sleep 0.6; echo late".to_owned(),
    });
    let run = fleet.start(Commands::each(commands)).expect("starts");
    accepted(&run);
    assert!(run.host(0).wait(LONG).is_some() && run.host(2).wait(LONG).is_some());
    let waited = run.wait(Some(Duration::from_millis(100)));
    assert_eq!(
        (waited.finished, waited.unfinished),
        (vec![0, 2], vec![1, 3])
    );
    assert!(run.wait(LONG).is_complete());
    let report = run.into_report().expect("reads");
    assert_eq!(report[3].stdout().text().expect("reads"), "slow\nlate\n");
}

/// Three outcomes that are easily confused, each with the output until then (must show 6): a
/// command killed by a signal, a server that closes the channel without a status, and a connection
/// that is lost in the middle, by a proxy or by the end of the server's process.
#[test]
fn a_kill_a_missing_status_and_a_lost_connection_are_three_outcomes() {
    let Some(World { sshd, fleet: _ }) = world(1) else {
        return;
    };
    let cut = Proxy::to(sshd.socket())
        .end_after(Direction::ToClient, 400_000, Ending::Reset)
        .start();
    let hosts = vec![
        host(sshd.socket()),
        host(cut.address()),
        host(sshd.socket()),
    ];
    let known = sshd.known_hosts()
        + &support::sshd::known_hosts_line(
            cut.address().ip(),
            cut.address().port(),
            &sshd.host_keys()[0],
        );
    let config = support::sessions::config_knowing(&sshd, &known);
    let config = Arc::new(config.build().expect("a whole configuration"));
    let fleet = Fleet::builder(hosts, config)
        .keep_open(KeepOpen::No)
        .build()
        .expect("is sound");
    let commands = [
        "echo so far; kill -9 $$",
        "yes 'so far'",
        "echo so far; read -r l; kill -9 $PPID",
    ];
    let run = fleet.start(Commands::each(commands)).expect("starts");
    let mut firsts = Vec::new();
    for host in run.hosts() {
        let mut lines = host.stdout().idle_timeout(LONG).lines();
        firsts.push(lines.next().expect("a line").expect("is read").into_bytes());
        if host.index() == 2 {
            host.write_stdin(b"\n").expect("is fed");
        }
        let _ = lines.map(|line| line.expect("is read")).last();
    }
    assert!(firsts.iter().all(|line| line == b"so far"));
    let end = |index: usize| run.host(index).end().expect("it was read to its end");
    assert!(
        matches!(end(0), End::Signaled { name, .. } if name == "KILL"),
        "{:?}",
        end(0)
    );
    assert_eq!(end(1).kind(), Some(Kind::Reset), "{:?}", end(1));
    assert!(
        matches!(end(2), End::Failed(Error::Disconnected { .. })),
        "{:?}",
        end(2)
    );
    assert!(run.host(1).exit().is_none() && run.host(1).error().is_some());

    let servers = EmbeddedFleet::start(1);
    let fleet = Fleet::builder(servers.targets(), servers.config())
        .build()
        .expect("is sound");
    let run = fleet.start("nostatus so far").expect("starts");
    assert_eq!(read(run.host(0)), b"so far\n");
    assert!(
        matches!(run.host(0).end(), Some(End::NoStatus)),
        "{:?}",
        run.host(0)
    );
    assert_eq!(run.host(0).exit(), Some(Exit::None));
}

/// The embedded fleet passes signals on; OpenSSH does so only for users other than root.
#[test]
fn a_command_is_signalled() {
    let servers = EmbeddedFleet::start(3);
    let fleet = Fleet::builder(servers.targets(), servers.config())
        .build()
        .expect("is sound");
    let run = fleet.start("sleep 1000").expect("starts");
    accepted(&run);
    run.host(1).signal("TERM").expect("is sent");
    let outcome = run.host(1).wait(LONG).expect("has ended");
    assert!(matches!(outcome.end(), End::Signaled { name, .. } if name == "TERM"));
    let waited = run.wait(Some(Duration::ZERO));
    assert_eq!((waited.finished, waited.unfinished), (vec![1], vec![0, 2]));
}

#[test]
fn a_command_without_end_is_closed_and_the_fleet_goes_on() {
    let Some(World { fleet, sshd: _sshd }) = world(2) else {
        return;
    };
    let run = fleet.start("yes").expect("starts");
    assert!(run.host(1).stdout().lines().next().is_some());
    run.host(1).close();
    let outcome = run.host(1).wait(LONG).expect("has ended");
    assert!(
        matches!(outcome.end(), End::Cancelled { .. }),
        "{:?}",
        outcome.end()
    );
    let yes = read(run.host(1));
    assert!(yes.iter().enumerate().all(|(n, b)| *b == b"y\n"[n % 2]));
    assert!(!run.host(0).is_finished());
    drop(run);
    let report = fleet.run("true").expect("runs").report();
    let failures: Vec<_> = report.failures().map(|outcome| outcome.end()).collect();
    assert!(failures.is_empty(), "{failures:?}");
}

/// `printf abc; sleep; echo def`, and a byte that is no text: idle time runs out and nothing is
/// lost; what follows the bad byte is there.
#[test]
fn timeouts_and_bad_bytes_lose_nothing() {
    let Some(World { fleet, sshd: _sshd }) = world(1) else {
        return;
    };
    let run = fleet
        .start("printf abc; read -r l; echo def; printf 'b\\377d\\nend'")
        .expect("starts");
    accepted(&run);
    let host = run.host(0);
    let idle = Some(Duration::from_millis(300));
    let timed_out = host
        .stdout()
        .idle_timeout(idle)
        .lines()
        .next()
        .expect("an item");
    assert!(
        matches!(timed_out, Err(ReadError::IdleTimeout { .. })),
        "{timed_out:?}"
    );
    host.write_stdin(b"\n").expect("is fed");
    let text = host
        .stdout()
        .idle_timeout(LONG)
        .text(Encoding::UTF_8, OnBadBytes::Fail);
    let items: Vec<_> = text.collect();
    assert_eq!(items[0].as_deref().expect("text"), "abcdef");
    assert!(matches!(&items[1], Err(ReadError::BadText { line, .. }) if line.bytes() == b"b\xffd"));
    assert_eq!(items[2].as_deref().expect("text"), "end");
}

/// A host log: lines of all hosts as they come, of both streams, by a wait that takes them.
#[test]
fn a_wait_feeds_a_log_of_lines() {
    let Some(World { fleet, sshd: _sshd }) = world(HOSTS) else {
        return;
    };
    let run = fleet
        .start("for i in 1 2 3; do echo out $i; echo err $i >&2; done")
        .expect("starts");
    let mut log = vec![[Vec::new(), Vec::new()]; HOSTS as usize];
    let note = |host: &HostRun, stream: OutputStream, line: &Line| {
        let text = String::from_utf8_lossy(line.bytes()).into_owned();
        log[host.index()][usize::from(stream == OutputStream::Stderr)].push(text);
    };
    assert!(
        run.wait_with_lines(LONG, note)
            .expect("reads")
            .is_complete()
    );
    for [out, err] in log {
        assert_eq!(out, ["out 1", "out 2", "out 3"]);
        assert_eq!(err, ["err 1", "err 2", "err 3"]);
    }
}

/// Must show 8: eight plain and eight green threads read, feed and wait on one fleet while two more
/// fleets run in the process.
#[test]
fn plain_and_green_threads_share_a_fleet_beside_other_fleets() {
    let Some(world) = world(3) else { return };
    let hosts = world.fleet.hosts().to_vec();
    let config = Arc::clone(world.fleet.pool().config(0));
    let other = || {
        Fleet::builder(hosts.clone(), Arc::clone(&config))
            .build()
            .expect("is sound")
    };
    let others = [other(), other()];
    let command = "sleep 0.2; echo other";
    let other_runs: Vec<_> = others
        .iter()
        .map(|f| f.start(command).expect("starts"))
        .collect();
    let fleet = Arc::new(world.fleet);
    let once = |n: usize| {
        let fleet = Arc::clone(&fleet);
        move || {
            let run = fleet.start("cat; echo over >&2; exit 4").expect("starts");
            let bytes = random_bytes(40_000, n as u64);
            for host in run.hosts() {
                let fed = host.write_stdin(&bytes);
                assert!(fed.is_ok(), "{fed:?}: {host:?}");
                host.close_stdin().expect("closes");
                assert!(read(host) == bytes);
                assert_eq!(host.exit(), Some(Exit::Status(4)));
            }
            let report = run.into_report().expect("reads");
            report
                .outcomes()
                .iter()
                .all(|o| o.stderr().text().expect("reads") == "over\n")
        }
    };
    let begun = Instant::now();
    let plain: Vec<_> = (0..8).map(|n| std::thread::spawn(once(n))).collect();
    let green: Vec<_> = (8..16)
        .map(|n| sshoal::spawn(once(n)).expect("spawns"))
        .collect();
    assert!(
        plain
            .into_iter()
            .all(|thread| thread.join().expect("does not panic"))
    );
    assert!(
        green
            .into_iter()
            .all(|thread| thread.join().expect("does not panic"))
    );
    println!("16 threads over 3 hosts: {:?}", begun.elapsed());
    for run in other_runs {
        let report = run.into_report().expect("reads");
        assert!(
            report
                .outcomes()
                .iter()
                .all(|o| o.stdout().text().expect("reads") == "other\n")
        );
    }
}
