//! Commands that are ended before they end by themselves: what is left of them on a real host, and what is said of it.

mod support;

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use sshoal::{Child, EndedBy, Ending, Exit, Left, OutputStream, Scope, Session, Unclear};
use support::{
    fleet::EmbeddedFleet,
    sessions::{config_for_fleet, connect, fleet_host, limit},
    sleepers::{clean_up, mark, sleeping},
    sshd::Sshd,
};

support::fleet::embedded_fleet!();

/// Long enough that a busy machine does not make a command look as if it took no notice.
const GRACE: Duration = Duration::from_secs(20);
/// For commands that take no notice.
const SHORT: Duration = Duration::from_millis(300);

#[track_caller]
fn quiet(lines: &[&str]) -> Option<Sshd> {
    let mut sshd = Sshd::builder().log_level("INFO");
    for line in lines {
        sshd = sshd.config(line);
    }
    sshd.start()
}

/// Waits until there are so many.
#[track_caller]
fn await_sleeping(mark: &str, count: usize) {
    let began = Instant::now();
    while sleeping(mark) != count {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{} sleep instead of {count}",
            sleeping(mark)
        );
        std::thread::yield_now();
    }
}

/// Starts a command, `MARK` in it replaced, and waits until it has printed `ready`.
#[track_caller]
fn start(session: &Session, command: &str, mark: &str) -> Child {
    let command = command.replace("MARK", mark);
    let child = session.command(command).scope(&limit()).no_stdin().spawn();
    let child = child.expect("starts");
    // Byte by byte: what comes right behind is for the test.
    let (mut buffer, mut seen) = ([0; 1], Vec::new());
    while !seen.ends_with(b"ready\n") {
        let bytes = child.read_stdout(&mut buffer, &limit()).expect("prints");
        assert!(bytes > 0, "ended early");
        seen.extend_from_slice(&buffer[..bytes]);
    }
    child
}

/// Ends a command; gives what is said of it and what it printed meanwhile.
fn end(child: &Child, grace: Duration) -> (Ending, String) {
    let mut printed = Vec::new();
    let ending = child.end(grace, &limit(), &mut |_: OutputStream, bytes: &[u8]| {
        printed.extend_from_slice(bytes);
        ControlFlow::Continue(())
    });
    (ending, String::from_utf8_lossy(&printed).into_owned())
}

const TERM: Ending = Ending::Ended { by: EndedBy::Term };
const KILL: Ending = Ending::Ended { by: EndedBy::Kill };

/// Each command is started with so many sleeps, and ended: none is left, and the session is of use.
#[test]
fn nothing_of_an_ended_command_is_left() {
    let Some(sshd) = quiet(&[]) else { return };
    let session = connect(&sshd);
    for (command, sleeps) in [
        // The shell makes way for the sleep.
        ("echo ready; exec sleep MARK", 1),
        (
            "sleep MARK & sleep MARK & echo ready; sleep MARK; echo never",
            3,
        ),
        (
            "sh -c 'sleep MARK & sh -c \"sleep MARK & echo ready; wait\"; echo never'",
            2,
        ),
        (
            "set -m 2>/dev/null; sleep MARK & sleep MARK & echo ready; wait",
            2,
        ),
        // A session of its own, but a child still.
        ("setsid sleep MARK & echo ready; sleep MARK", 2),
        (
            "(setsid sh -c 'sleep MARK & echo ready; wait'); echo never",
            1,
        ),
        // Orphans of the same session.
        ("(sleep MARK & sleep MARK &) ; echo ready; sleep MARK", 3),
        (
            "sleep MARK </dev/null >/dev/null 2>&1 & echo ready; wait",
            1,
        ),
    ] {
        let mark = mark();
        let child = start(&session, command, &mark);
        await_sleeping(&mark, sleeps);
        assert_eq!(end(&child, GRACE), (TERM, String::new()), "{command}");
        assert_eq!(sleeping(&mark), 0, "{command}");
        // The host has closed the channel, too.
        let exit = child.wait(&limit()).expect("has ended");
        assert!(
            matches!(exit, Exit::Signal { .. } | Exit::Status(_)),
            "{exit:?}"
        );
    }
    let output = session.command("echo of use").output().expect("runs");
    assert_eq!(output.stdout, b"of use\n");
}

#[test]
fn what_takes_no_notice_is_killed() {
    let Some(sshd) = quiet(&[]) else { return };
    let session = connect(&sshd);
    for (command, sleeps) in [
        ("trap '' TERM; sleep MARK & echo ready; sleep MARK", 2),
        // What it starts when it is told to end, and again.
        (
            "trap 'sleep MARK & sleep MARK' TERM; echo ready; while :; do sleep MARK; done",
            1,
        ),
    ] {
        let mark = mark();
        let child = start(&session, command, &mark);
        await_sleeping(&mark, sleeps);
        assert_eq!(end(&child, SHORT).0, KILL, "{command}");
        assert_eq!(sleeping(&mark), 0, "{command}");
    }
    // Without a grace nobody is asked.
    let mark = mark();
    let child = start(
        &session,
        "trap 'echo bye' TERM; echo ready; sleep MARK & wait",
        &mark,
    );
    assert_eq!(end(&child, Duration::ZERO), (KILL, String::new()));
    assert_eq!(sleeping(&mark), 0);
}

#[test]
fn last_words_are_passed_on() {
    let Some(sshd) = quiet(&[]) else { return };
    let session = connect(&sshd);
    let command = "trap 'echo out; echo err >&2; exit 3' TERM; echo ready; sleep MARK & wait";
    let child = start(&session, command, &mark());
    let (ending, printed) = end(&child, GRACE);
    assert_eq!(ending, TERM);
    assert!(
        printed == "out\nerr\n" || printed == "err\nout\n",
        "{printed:?}"
    );
    assert_eq!(child.wait(&limit()).expect("has ended"), Exit::Status(3));
}

/// A command held up by output that nobody took: what was on its way is passed on, and it ends.
#[test]
fn a_command_that_prints_without_end_is_ended() {
    let Some(sshd) = quiet(&[]) else { return };
    let session = connect(&sshd);
    let mark = mark();
    let child = start(&session, "echo ready; sleep MARK & yes", &mark);
    let (ending, printed) = end(&child, GRACE);
    assert_eq!(ending, TERM);
    assert!(printed.starts_with("y\ny\n"));
    assert_eq!(sleeping(&mark), 0);
    // And where it is not taken even then.
    let child = start(&session, "echo ready; sleep MARK & yes", &mark);
    let ending = child.end(GRACE, &limit(), &mut |_, _| ControlFlow::Break(()));
    assert_eq!((ending, sleeping(&mark)), (TERM, 0));
}

/// Several commands on one session, started one upon the other: each is ended alone.
#[test]
fn other_commands_of_the_session_are_left_alone() {
    let Some(sshd) = quiet(&[]) else { return };
    let session = connect(&sshd);
    let command = "sleep MARK & echo ready; sleep MARK";
    let marks: Vec<String> = (0..6).map(|_| mark()).collect();
    let spawn = |mark: &String| {
        let command = session.command(command.replace("MARK", mark));
        command.scope(&limit()).no_stdin().spawn().expect("starts")
    };
    let mut children: Vec<Child> = marks.iter().map(spawn).collect();
    for mark in &marks {
        await_sleeping(mark, 2);
    }
    let mut left: Vec<usize> = vec![2; 6];
    // One that is given up runs on, on the host, and is not taken for another.
    drop(children.remove(1));
    for (child, place) in [(3, 4), (0, 0), (2, 5), (1, 3)] {
        let child = children.remove(child);
        assert_eq!(end(&child, GRACE).0, TERM);
        left[place] = 0;
        let sleeping: Vec<usize> = marks.iter().map(|mark| sleeping(mark)).collect();
        assert_eq!(sleeping, left);
    }
    let output = session.command("echo of use").output().expect("runs");
    assert_eq!(output.stdout, b"of use\n");
    drop(children);
    drop(session);
    for (mark, left) in marks.iter().zip(left) {
        assert_eq!(left, sleeping(mark));
        clean_up(mark);
    }
}

/// A daemon has left the session and its parent: it is not the command any more, and stays.
#[test]
fn a_daemon_is_left() {
    let Some(sshd) = quiet(&[]) else { return };
    let session = connect(&sshd);
    let (daemon, own) = (mark(), mark());
    let command =
        format!("(setsid sleep {daemon} </dev/null >/dev/null 2>&1 &); echo ready; sleep MARK");
    let child = start(&session, &command, &own);
    await_sleeping(&own, 1);
    await_sleeping(&daemon, 1);
    assert_eq!(end(&child, GRACE).0, TERM);
    assert_eq!((sleeping(&own), sleeping(&daemon)), (0, 1));
    clean_up(&daemon);
}

/// Where there is no second channel, or another command runs on it, the signals go through the first one; sshd passes
/// none on for root, and says so to nobody.
#[test]
fn one_that_cannot_be_ended_is_told() {
    for lines in [
        &["MaxSessions 1"],
        &["ForceCommand echo ready; eval \"${SSH_ORIGINAL_COMMAND#exec sh}\""],
    ] {
        let Some(sshd) = quiet(lines) else { return };
        let session = connect(&sshd);
        let mark = mark();
        let child = start(&session, "echo ready; sleep MARK; :", &mark);
        await_sleeping(&mark, 1);
        let (ending, _) = end(&child, SHORT);
        let left = Left::Channel;
        if rustix::process::geteuid().is_root() || lines[0].starts_with('F') {
            assert_eq!(ending, Ending::NotEnded { left }, "{lines:?}");
            assert_eq!(sleeping(&mark), 1);
        } else {
            assert_eq!(ending, Ending::Closed { by: EndedBy::Term }, "{lines:?}");
        }
        drop((child, session));
        clean_up(&mark);
    }
}

/// The embedded fleet has no shell, and heeds signals.
#[test]
fn a_host_without_a_shell_is_told_through_the_channel() {
    let fleet = EmbeddedFleet::with_args(2, &["--fault", "stall-exec=1"]);
    let config = config_for_fleet(&fleet).build().expect("a configuration");
    let command = |host| {
        let session = Session::connect(&fleet_host(&fleet, host), &config).expect("connects");
        let child = session.command("sleep 1000").spawn().expect("starts");
        (session, child)
    };
    let (session, child) = command(0);
    assert_eq!(end(&child, GRACE).0, Ending::Closed { by: EndedBy::Term });
    let exit = child.wait(&limit()).expect("has ended");
    assert!(matches!(exit, Exit::Signal { name, .. } if name == "TERM"));
    let output = session.command("echo of use").output().expect("runs");
    assert_eq!(output.stdout, b"of use\n");
    // One that takes no notice of anything.
    let (_session, child) = command(1);
    let left = Left::Channel;
    assert_eq!(end(&child, SHORT).0, Ending::NotEnded { left });
}

#[test]
fn a_command_that_has_ended_is_told() {
    let Some(sshd) = quiet(&[]) else { return };
    let session = connect(&sshd);
    let child = start(&session, "echo ready", "");
    child.wait(&limit()).expect("ends");
    let by = EndedBy::Itself;
    assert_eq!(end(&child, GRACE).0, Ending::Closed { by });
}

#[test]
fn a_lost_connection_and_a_lack_of_time_are_told() {
    let Some(sshd) = quiet(&[]) else { return };
    let session = connect(&sshd);
    let mark = mark();
    let child = start(&session, "echo ready; exec sleep MARK", &mark);
    let over = Scope::root().child(Some(Duration::from_nanos(1)));
    let ending = child.end(GRACE, &over, &mut |_, _| ControlFlow::Continue(()));
    let why = Unclear::Stopped;
    assert_eq!(ending, Ending::Unknown { why });
    session.close().expect("closes");
    let why = Unclear::Lost;
    assert_eq!(end(&child, GRACE).0, Ending::Unknown { why });
    clean_up(&mark);
}

/// On `TERM` the command stops every other process of its connection, the helper among them, which then answers no
/// more. Nobody limits the call but itself, so it runs on a green thread that is waited for.
#[test]
fn a_helper_that_stops_answering_holds_nobody_up() {
    let Some(sshd) = quiet(&[]) else { return };
    let session = connect(&sshd);
    let stopped = sshd.scratch().join("stopped");
    let command = format!(
        "trap 'for p in $(cat /proc/$PPID/task/$PPID/children); do [ $p = $$ ] || \
         {{ kill -STOP $p; echo $p >>{}; }}; done' TERM; echo ready; while :; do sleep 0.01; done",
        stopped.display()
    );
    let child = start(&session, &command, "");
    let ending = end_unlimited(child);
    let pids = std::fs::read_to_string(&stopped).expect("the helper was stopped");
    for pid in pids.lines().map(|pid| pid.parse().expect("a number")) {
        let pid = rustix::process::Pid::from_raw(pid).expect("above zero");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::CONT);
    }
    let ending = ending.expect("comes back by itself");
    assert_ne!(ending.is_ended(), Some(true), "{ending:?}");
}

/// The host runs the command, and `yes` in the helper's place, whose output never ends.
#[test]
fn a_host_that_prints_without_end_in_the_helpers_place_holds_nobody_up() {
    let yes = "ForceCommand case $SSH_ORIGINAL_COMMAND in *sshoal-helper*) exec yes;; \
               *) eval \"$SSH_ORIGINAL_COMMAND\";; esac";
    let Some(sshd) = quiet(&[yes]) else { return };
    let session = connect(&sshd);
    let mark = mark();
    let child = start(&session, "echo ready; sleep MARK; :", &mark);
    let ending = end_unlimited(child).expect("comes back by itself");
    assert_ne!(ending.is_ended(), Some(true), "{ending:?}");
    clean_up(&mark);
}

/// Without a helper the signal takes its turn among the writers of the channel, one of which waits for ever.
#[test]
fn input_that_nobody_takes_holds_no_ending_up() {
    let Some(sshd) = quiet(&["MaxSessions 1"]) else {
        return;
    };
    let session = connect(&sshd);
    let mark = mark();
    let command = format!("echo ready; sleep {mark}; :");
    let child = session.command(command).spawn().expect("starts");
    let child = std::sync::Arc::new(child);
    let (writer, life) = (child.clone(), Scope::root().child(None));
    let within = life.clone();
    let write = move || writer.write_stdin(&vec![0; 8 * 1024 * 1024], &within);
    let writing = sshoal::spawn(write).expect("starts");
    await_sleeping(&mark, 1);
    let ender = child.clone();
    let task = sshoal::spawn(move || {
        ender.end(SHORT, &Scope::root(), &mut |_, _| ControlFlow::Continue(()))
    });
    let task = task.expect("starts");
    let ended = task.wait(&Scope::root().child(Some(GRACE)));
    life.cancel();
    let written = writing.join().expect("returns");
    assert!(written.is_err(), "nobody takes it");
    assert_eq!(ended, Ok(()), "comes back by itself");
    let ending = task.join().expect("returns");
    assert_ne!(ending.is_ended(), Some(true), "{ending:?}");
    clean_up(&mark);
}

/// Ends a command with no limit but the call's own; `None` if that does not hold.
fn end_unlimited(child: Child) -> Option<Ending> {
    let task = sshoal::spawn(move || {
        child.end(SHORT, &Scope::root(), &mut |_, _| ControlFlow::Continue(()))
    });
    let task = task.expect("starts");
    let ended = task.wait(&Scope::root().child(Some(GRACE)));
    ended.is_ok().then(|| task.join().expect("returns"))
}
