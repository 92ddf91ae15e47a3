//! Interactive shells on all hosts of a fleet: lines down, output up, ends apart.

mod support;

use std::{fs, process::Command, sync::Arc, time::Duration};

use sshoal::{
    Exit, Fleet, FleetBuilder, Kind, Phase, Scope, ShellError, ShellSpec, Shells, ShellsError,
};
use support::{
    client::host,
    sessions::{limit, within_ms},
    sshd::Sshd,
};

fn builder(sshd: &Sshd) -> FleetBuilder {
    let config = sshd.config().build().expect("is whole");
    Fleet::builder(sshd.targets(), config.into())
}

/// A server of several hosts and a fleet of them.
#[track_caller]
fn fleet(count: u32) -> Option<(Sshd, Fleet)> {
    let sshd = Sshd::builder()
        .addresses(count)
        .log_level("VERBOSE")
        .config("MaxStartups 1000")
        .start()?;
    let fleet = builder(&sshd).build().expect("is good");
    Some((sshd, fleet))
}

#[track_caller]
fn open(fleet: &Fleet) -> Shells {
    let shells = fleet.shells(&ShellSpec::new(), &limit());
    shells.expect("opens shells")
}

/// Sends the lines to every host that has a shell.
#[track_caller]
fn run_all(shells: &Shells, lines: &[String]) {
    for (index, sent) in shells.run_all(lines, &limit()).into_iter().enumerate() {
        assert!(sent.is_ok(), "{index}: {sent:?}");
    }
}

/// Everything that is left to read, by host.
#[track_caller]
fn read_all(shells: &Shells) -> Vec<String> {
    let mut all = vec![Vec::new(); shells.hosts().len()];
    while let Some(output) = shells.read(&limit()).expect("reads") {
        all[output.index].extend(output.stdout);
    }
    let text = |bytes| String::from_utf8(bytes).expect("is text");
    all.into_iter().map(text).collect()
}

fn statuses(count: usize, status: impl Fn(usize) -> u32) -> Vec<(usize, Exit)> {
    let exit = |index| (index, Exit::Status(status(index)));
    (0..count).map(exit).collect()
}

/// Goal: many lines go down each shell in order, all answers come up in order, and each host's last
/// exit status is its own. Method: state that lines leave for the next, on 20 hosts.
#[test]
fn many_lines_run_in_order_on_every_host() {
    let Some((sshd, fleet)) = fleet(20) else {
        return;
    };
    let shells = open(&fleet);
    let mut expected = String::new();
    run_all(&shells, &["n=0".to_owned()]);
    for round in 0..10 {
        let line = |n: u32| format!("n=$((n + 1)); echo {round}.{n}.$n");
        run_all(&shells, &(0..10).map(line).collect::<Vec<_>>());
        for n in 0..10 {
            expected += &format!("{round}.{n}.{}\n", round * 10 + n + 1);
        }
    }
    for (index, (_, shell)) in shells.iter().enumerate() {
        let shell = shell.expect("has a shell");
        shell
            .run(format!("(exit {index})"), &limit())
            .expect("sends");
    }
    let joined = shells.join(&limit());
    assert_eq!(
        joined.finished,
        statuses(20, |index| u32::try_from(index).unwrap())
    );
    assert!(
        joined.is_complete() && joined.failed.is_empty(),
        "{joined:?}"
    );
    assert_eq!(read_all(&shells), vec![expected; 20]);
    assert_eq!(shells.exit(7), Some(Exit::Status(7)));
    // A second join is the same, and no shell takes lines any more.
    assert_eq!(shells.join(&limit()).finished.len(), 20);
    assert!(
        shells
            .run_all(&["echo"], &limit())
            .iter()
            .all(Result::is_err)
    );
    // The sessions are kept, and serve what comes next.
    let report = fleet.run("echo after").expect("starts").report();
    assert!(report.outcomes().iter().all(|outcome| outcome.is_success()));
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 20);
}

/// Goal: a run goes on beside open shells, over the same connections. Method: the run's commands end
/// while every shell is still open.
#[test]
fn a_run_goes_on_beside_open_shells() {
    let Some((sshd, fleet)) = fleet(3) else {
        return;
    };
    let shells = open(&fleet);
    let report = fleet.run("echo beside").expect("starts").report();
    assert!(report.outcomes().iter().all(|outcome| outcome.is_success()));
    assert!((0..3).all(|index| shells.exit(index).is_none()));
    assert!(shells.join(&limit()).is_complete());
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 3);
}

/// Goal: output is read while the shells run, from whichever host has some. Method: each host waits
/// for a pipe that is written only once the host before it was read.
#[test]
fn output_is_read_as_it_comes() {
    let Some((sshd, fleet)) = fleet(3) else {
        return;
    };
    let pipe = |n: usize| sshd.scratch().join(format!("pipe {n}"));
    for n in 0..3 {
        let made = Command::new("mkfifo").arg(pipe(n)).status();
        assert!(made.expect("mkfifo runs").success());
    }
    let shells = open(&fleet);
    for (n, (_, shell)) in shells.iter().enumerate() {
        let line = format!("cat '{}'; echo more; exit 3", pipe(n).display());
        shell
            .expect("has a shell")
            .run(line, &limit())
            .expect("sends");
    }
    let stopped = shells.read(&within_ms(20)).map(drop);
    assert_eq!(stopped, Err(sshoal::Stop::TimedOut), "nothing is there yet");
    for n in [2, 0, 1] {
        fs::write(pipe(n), format!("from {n}\n")).expect("writes to the pipe");
        let mut text = String::new();
        while !text.ends_with("more\n") {
            let output = shells.read(&limit()).expect("reads").expect("is open");
            assert_eq!(output.index, n);
            text += std::str::from_utf8(&output.stdout).expect("is text");
        }
        assert_eq!(text, format!("from {n}\nmore\n"));
    }
    assert_eq!(read_all(&shells), ["", "", ""]);
    assert_eq!(shells.join(&limit()).finished, statuses(3, |_| 3));
}

/// Goal: a join that ran out of time tells who has ended and who has not, loses nothing, and is made
/// again. Method: every other host waits for a pipe of ours.
#[test]
fn a_join_keeps_finished_and_unfinished_apart() {
    let Some((sshd, fleet)) = fleet(4) else {
        return;
    };
    let pipe = sshd.scratch().join("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo runs").success());
    let shells = open(&fleet);
    for (n, (_, shell)) in shells.iter().enumerate() {
        let wait = if n % 2 == 1 { "read x <" } else { ": " };
        let line = format!("echo {n}; {wait}'{}'; echo end; (exit {n})", pipe.display());
        shell
            .expect("has a shell")
            .run(line, &limit())
            .expect("sends");
    }
    // The others' ends are waited for first: the limit is then for those that never come.
    for n in [0, 2] {
        let shell = shells.shell(n).expect("has a shell");
        shell.join(&limit()).expect("ends");
    }
    for _ in 0..2 {
        let joined = shells.join(&within_ms(50));
        assert_eq!(
            joined.finished,
            [(0, Exit::Status(0)), (2, Exit::Status(2))]
        );
        let unfinished: Vec<_> = joined
            .unfinished
            .iter()
            .map(|(n, e)| (*n, e.kind()))
            .collect();
        assert_eq!(unfinished, [(1, Kind::Timeout), (3, Kind::Timeout)]);
        assert!(joined.failed.is_empty() && !joined.is_complete());
        assert_eq!(
            (shells.exit(1), shells.exit(2)),
            (None, Some(Exit::Status(2)))
        );
    }
    // Both readers of the pipe get their line, whoever comes first.
    let writer = std::thread::spawn(move || {
        let mut pipe = fs::File::options().read(true).write(true).open(pipe)?;
        std::io::Write::write_all(&mut pipe, b"line\nline\n").map(|()| pipe)
    });
    let held = writer.join().expect("does not panic").expect("writes");
    let joined = shells.join(&limit());
    drop(held);
    assert_eq!(joined.finished, statuses(4, |n| u32::try_from(n).unwrap()));
    let expected: Vec<_> = (0..4).map(|n| format!("{n}\nend\n")).collect();
    assert_eq!(read_all(&shells), expected);
}

/// Goal: a host that fails is a value in its place. Method: one host where nobody listens, one whose
/// connection is killed later.
#[test]
fn a_host_without_a_shell_is_an_error_in_its_place() {
    let Some(sshd) = Sshd::builder().addresses(3).log_level("INFO").start() else {
        return;
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let nobody = free.local_addr().expect("is bound");
    drop(free);
    let mut hosts = sshd.targets();
    hosts.insert(1, host(nobody));
    let config = sshd.config().build().expect("is whole");
    let fleet = Fleet::builder(hosts, config.into())
        .build()
        .expect("is good");
    let shells = open(&fleet);
    let error = shells.shell(1).expect_err("nobody listens");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Connect, Kind::Refused)
    );
    let sent = shells.run_all(&["echo here"], &limit());
    let sent: Vec<_> = sent.iter().map(Result::is_ok).collect();
    assert_eq!(sent, [true, false, true, true]);
    // $PPID is the host's end of the connection.
    let third = shells.shell(3).expect("has a shell");
    third.expect("here\n", &limit()).expect("comes");
    third
        .run("kill -9 $PPID; sleep 100", &limit())
        .expect("sends");
    let joined = shells.join(&limit());
    assert_eq!(
        joined.finished,
        [(0, Exit::Status(0)), (2, Exit::Status(0))]
    );
    let [(1, refused), (3, lost)] = &joined.failed[..] else {
        panic!("{joined:?}");
    };
    assert_eq!(refused.kind(), Kind::Refused);
    // A process that is killed with bytes unread resets its connection.
    assert!(
        matches!(lost.kind(), Kind::Closed | Kind::Reset),
        "{lost:?}"
    );
    assert!(joined.is_complete());
    assert_eq!(read_all(&shells), ["here\n", "", "here\n", ""]);
}

#[test]
fn a_pool_without_room_for_all_opens_nothing() {
    let Some(sshd) = Sshd::builder().addresses(2).log_level("VERBOSE").start() else {
        return;
    };
    let one = std::num::NonZeroUsize::MIN;
    let fleet = builder(&sshd).pool_size(one).build().expect("is good");
    let error = fleet
        .shells(&ShellSpec::new(), &limit())
        .expect_err("has no room");
    assert!(
        matches!(error, ShellsError::PoolSize { hosts: 2, size: 1 }),
        "{error}"
    );
    assert_eq!(sshd.log().matches("Connection from").count(), 0);
}

/// Goal: memory is bounded per shell, and a join says who waits for a reader. Method: one host
/// prints more than is kept.
#[test]
fn a_host_that_nobody_reads_is_told_and_loses_nothing() {
    let Some((_sshd, fleet)) = fleet(2) else {
        return;
    };
    let spec = ShellSpec::new().unread_bytes_max(10_000);
    let shells = fleet.shells(&spec, &limit()).expect("opens shells");
    let loud = shells.shell(1).expect("has a shell");
    loud.run("seq 100000", &limit()).expect("sends");
    let joined = shells.join(&limit());
    assert_eq!(joined.finished, [(0, Exit::Status(0))]);
    assert!(
        matches!(joined.unfinished[..], [(1, ShellError::Full { .. })]),
        "{joined:?}"
    );
    let expected: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    assert!(read_all(&shells) == [String::new(), expected]);
    assert!(shells.join(&limit()).is_complete());
}

/// Goal: shells that are dropped, or whose run's deadline came, end on the host, and their sessions
/// go on. Method: a command looks for the shells' processes.
#[test]
fn shells_that_are_given_up_end_on_the_host() {
    let Some(sshd) = Sshd::builder().addresses(2).log_level("VERBOSE").start() else {
        return;
    };
    let deadline = Some(Duration::from_secs(6));
    for (deadline, kind) in [(None, None), (deadline, Some(Kind::NotRun))] {
        let fleet = builder(&sshd).deadline(deadline).build().expect("is good");
        let shells = open(&fleet);
        run_all(&shells, &["echo $$".to_owned()]);
        let number = sshoal::Pattern::regex(r"[0-9]+\n").expect("is an expression");
        let pids: Vec<_> = (shells.iter())
            .map(|(_, shell)| shell.expect("is open").expect(&number, &limit()))
            .map(|found| String::from_utf8(found.expect("prints").matched).expect("is text"))
            .collect();
        if let Some(kind) = kind {
            let error = shells
                .shell(0)
                .expect("is open")
                .read(&mut [0; 9], &limit());
            assert_eq!(error.expect_err("the deadline comes").kind(), kind);
        }
        let after = builder(&sshd).build().expect("is good");
        drop(shells);
        for pid in pids.iter().map(|pid| pid.trim()) {
            // One that nobody has waited for yet has no command line.
            let gone =
                format!("while grep -q . /proc/{pid}/cmdline 2>/dev/null; do sleep 0.02; done");
            let report = after.run(gone).expect("starts").report();
            assert!(report.outcomes().iter().all(|outcome| outcome.is_success()));
        }
    }
}

#[test]
fn a_scope_that_ends_gives_up_those_that_are_not_open() {
    let Some((_sshd, fleet)) = fleet(2) else {
        return;
    };
    let scope = Scope::root();
    scope.cancel();
    let shells = fleet.shells(&ShellSpec::new(), &scope).expect("begins");
    for (host, shell) in shells.iter() {
        let error = shell.expect_err("was not waited for");
        assert_eq!(
            (error.phase(), error.kind()),
            (Phase::Open, Kind::NotRun),
            "{host}"
        );
    }
    assert!(read_all(&shells).iter().all(String::is_empty));
}

#[test]
fn shells_are_shared_between_threads() {
    let Some((_sshd, fleet)) = fleet(2) else {
        return;
    };
    let shells = Arc::new(open(&fleet));
    let reader = shells.clone();
    let reader = std::thread::spawn(move || read_all(&reader));
    let lines: Vec<_> = (0..50).map(|n| format!("seq {n} 100")).collect();
    run_all(&shells, &lines);
    assert!(shells.join(&limit()).is_complete());
    let expected: String = (0..50)
        .flat_map(|n| (n..=100).map(|line| format!("{line}\n")))
        .collect();
    let read = reader.join().expect("does not panic");
    assert!(read == [expected.clone(), expected]);
}
