//! Several channels of one session at once, up to what the host allows, against OpenSSH's sshd.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use sshoal::{Child, Error, Exit, Kind, Phase, Scope, Session, spawn};
use support::{
    proxy::Proxy,
    sessions::{
        assert_failed, config_for, config_knowing, connect, connect_with, host, limit, within_ms,
    },
    sshd::{Sshd, known_hosts_line},
};

fn sshd(max_sessions: usize) -> Option<Sshd> {
    let builder = Sshd::builder().log_level("INFO");
    builder
        .config(&format!("MaxSessions {max_sessions}"))
        .start()
}

/// A command that runs until its input ends.
fn cat(session: &Session) -> Child {
    session
        .command("cat")
        .scope(&limit())
        .spawn()
        .expect("starts")
}

#[track_caller]
fn end(child: &Child) {
    child.close_stdin(&limit()).expect("closes");
    assert_eq!(child.wait(&limit()).expect("ends"), Exit::Status(0));
}

/// What an SFTP channel is made of.
fn files(session: &Session, scope: &Scope) -> Result<Child, Error> {
    session.subsystem("sftp", 2 * 1024 * 1024, scope)
}

#[track_caller]
fn echo(session: &Session, text: &str) {
    let output = session
        .command(format!("echo {text}"))
        .scope(&limit())
        .output();
    let output = output.unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(output.stdout, format!("{text}\n").into_bytes());
    assert_eq!(output.exit, Exit::Status(0));
}

/// Starts 40 commands at once on one session, half of them from plain threads, at servers that allow one, two and ten
/// at a time, also with lengths hidden and short reads: each of them runs, and none is refused.
#[test]
fn more_commands_than_the_host_allows_wait_and_all_run() {
    for max_sessions in [1, 2, 10] {
        let Some(sshd) = sshd(max_sessions) else {
            return;
        };
        all_run(connect(&sshd), max_sessions);
        let config = config_for(&sshd).ciphers("chacha20-poly1305@openssh.com");
        all_run(connect_with(&sshd, config.inject_short_io(7)), max_sessions);
    }
}

#[track_caller]
fn all_run(session: Session, max_sessions: usize) {
    let session = Arc::new(session);
    let started: Vec<_> = (0..20)
        .map(|number| {
            let (green, plain) = (session.clone(), session.clone());
            let green = spawn(move || echo(&green, &format!("green {number}")));
            let plain = thread::spawn(move || echo(&plain, &format!("plain {number}")));
            (green.expect("starts"), plain)
        })
        .collect();
    for (green, plain) in started {
        let green = green.join();
        green.unwrap_or_else(|panic| panic!("MaxSessions {max_sessions}: {panic}"));
        plain.join().expect("runs");
    }
    // What was learnt does not keep the session from anything.
    echo(&session, "after");
}

/// Has eight green threads run 20 commands each where two run at a time. Those who wait are served in order, so that
/// nobody falls far behind: when the first is through, all others are half way at least.
#[test]
fn commands_that_wait_are_served_in_order() {
    let Some(sshd) = sshd(2) else { return };
    let session = Arc::new(connect(&sshd));
    let counts: Arc<[AtomicUsize; 8]> = Arc::default();
    let behind = Arc::new(AtomicUsize::new(usize::MAX));
    let running = (0..counts.len()).map(|thread| {
        let (session, counts, behind) = (session.clone(), counts.clone(), behind.clone());
        spawn(move || {
            for _ in 0..20 {
                echo(&session, "turn");
                counts[thread].fetch_add(1, Ordering::Relaxed);
            }
            let least = counts
                .iter()
                .map(|count| count.load(Ordering::Relaxed))
                .min();
            let least = least.expect("there are some");
            let _ =
                behind.compare_exchange(usize::MAX, least, Ordering::Relaxed, Ordering::Relaxed);
        })
    });
    let running: Vec<_> = running.collect();
    for thread in running {
        thread.expect("starts").join().expect("all run");
    }
    let behind = behind.load(Ordering::Relaxed);
    assert!(behind >= 10, "one had {behind} when the first had 20");
}

/// A host that allows none refuses at once, and there is nothing to wait for; others of ours are no reason then.
#[test]
fn a_refusal_without_others_is_the_hosts() {
    let Some(sshd) = sshd(0) else { return };
    let session = connect(&sshd);
    let error = session.command("true").scope(&limit()).spawn();
    assert_failed(&error.expect_err("is refused"), Phase::Open, Kind::Denied);
    let error = files(&session, &limit()).expect_err("is refused");
    assert_failed(&error, Phase::Open, Kind::Denied);
    let error = session.open_ahead(&limit()).expect_err("is refused");
    assert_failed(&error, Phase::Open, Kind::Denied);
    assert!(session.is_open());
}

/// A command that waits for a place does so within its scope, and costs the session nothing when that ends.
#[test]
fn a_command_waits_for_its_place_within_its_scope() {
    let Some(sshd) = sshd(1) else { return };
    let session = connect(&sshd);
    let child = cat(&session);
    for _ in 0..3 {
        let error = session.command("true").scope(&within_ms(100)).spawn();
        assert_failed(
            &error.expect_err("has no place"),
            Phase::Open,
            Kind::Timeout,
        );
    }
    let scope = limit();
    scope.cancel();
    let error = session.command("true").scope(&scope).spawn();
    assert_failed(
        &error.expect_err("is not wanted"),
        Phase::Open,
        Kind::NotRun,
    );
    child.write_stdin(b"still here", &limit()).expect("writes");
    end(&child);
    echo(&session, "next");
}

/// A channel for files is one of those that the host counts: it waits for a command's end, and commands wait for its.
#[test]
fn files_and_commands_share_what_the_host_allows() {
    let Some(sshd) = sshd(1) else { return };
    let session = Arc::new(connect(&sshd));
    let child = cat(&session);
    let opening = {
        let session = session.clone();
        spawn(move || files(&session, &limit())).expect("starts")
    };
    let error = files(&session, &within_ms(200)).expect_err("has no place");
    assert_failed(&error, Phase::Open, Kind::Timeout);
    end(&child);
    let files = opening.join().expect("no panic");
    let files = files.expect("opens once there is a place");
    let error = session.command("true").scope(&within_ms(200)).spawn();
    assert_failed(
        &error.expect_err("has no place"),
        Phase::Open,
        Kind::Timeout,
    );
    end(&files);
    echo(&session, "next");
}

/// Commands that are left behind are closed, and their places come back, also where the host had to be waited for.
#[test]
fn places_of_dropped_commands_come_back() {
    let Some(sshd) = sshd(10) else { return };
    let session = Arc::new(connect(&sshd));
    let dropped: Vec<_> = (0..8).map(|_| cat(&session)).collect();
    drop(dropped);
    let started: Vec<_> = (0..8)
        .map(|number| {
            let session = session.clone();
            spawn(move || echo(&session, &format!("after {number}"))).expect("starts")
        })
        .collect();
    for started in started {
        started.join().expect("runs");
    }
}

/// Who waits for a place hears of the session's end, while nobody reads on it.
#[test]
fn a_command_that_waits_hears_of_the_end() {
    let Some(sshd) = sshd(1) else { return };
    let proxy = Proxy::to(sshd.socket()).start();
    let session = Arc::new(through(&proxy, &sshd));
    let child = cat(&session);
    let waiting: Vec<_> = (0..4)
        .map(|_| {
            let session = session.clone();
            spawn(move || session.command("true").scope(&limit()).spawn().map(drop))
                .expect("starts")
        })
        .collect();
    // Held up until the limit is learnt: from then on they wait, or are about to.
    let error = session.command("true").scope(&within_ms(200)).spawn();
    assert_failed(
        &error.expect_err("has no place"),
        Phase::Open,
        Kind::Timeout,
    );
    drop(proxy);
    for waiting in waiting {
        let error = waiting.join().expect("no panic").expect_err("is over");
        assert_failed(&error, Phase::Open, Kind::Closed);
    }
    drop(child);
}

/// Without a reply to come, giving up an open is no loss: it is awaited behind the scenes, and what else runs on the
/// session goes on. The next command takes the channel.
#[test]
fn an_open_that_is_given_up_costs_nothing_else() {
    let Some(sshd) = sshd(10) else { return };
    let delay = Duration::from_millis(300);
    let proxy = Proxy::to(sshd.socket()).round_trip(delay).start();
    let session = through(&proxy, &sshd);
    let child = cat(&session);
    let error = session.command("true").scope(&within_ms(50)).spawn();
    assert_failed(&error.expect_err("is too late"), Phase::Open, Kind::Timeout);
    let before = proxy.turns();
    echo(&session, "next");
    let turns = proxy.turns() - before;
    assert!(turns <= 2, "the channel was opened before: {turns} turns");
    end(&child);
}

fn through(proxy: &Proxy, sshd: &Sshd) -> Session {
    let address = proxy.address();
    let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
    let config = config_knowing(sshd, &known).build();
    let config = config.expect("a whole configuration");
    Session::connect(&host(address), &config).expect("connects")
}

/// What was opened ahead is for whoever comes: where one channel is allowed, it is taken by a command and gives way to
/// files; with all places taken, nothing is opened.
#[test]
fn a_channel_opened_ahead_is_in_nobodys_way() {
    let Some(sshd) = sshd(1) else { return };
    let session = connect(&sshd);
    for _ in 0..3 {
        session.open_ahead(&limit()).expect("opens");
        // The second finds no place.
        session.open_ahead(&limit()).expect("is as well");
        echo(&session, "ahead");
    }
    let child = cat(&session);
    session.open_ahead(&limit()).expect("does without");
    end(&child);
    session.open_ahead(&limit()).expect("opens");
    let _files = files(&session, &limit()).expect("opens in its place");
    session.open_ahead(&limit()).expect("does without");
}

/// A session that dies with a channel opened ahead fails the next command like any other, and one that is closed says so.
#[test]
fn a_channel_opened_ahead_goes_with_its_session() {
    let Some(sshd) = sshd(10) else { return };
    let proxy = Proxy::to(sshd.socket()).start();
    let session = through(&proxy, &sshd);
    session.open_ahead(&limit()).expect("opens");
    drop(proxy);
    let error = session.command("true").scope(&limit()).output();
    assert_failed(&error.expect_err("is over"), Phase::Open, Kind::Closed);
}

/// Goal: what was given up before its turn came is never asked for, and costs nobody anything. Method: a scope that has
/// ended, with a channel there, so that the command is all that is left to ask for.
#[test]
fn nothing_is_run_for_who_has_given_up() {
    let Some(sshd) = sshd(10) else { return };
    let session = connect(&sshd);
    let beside = cat(&session);
    let file = sshd.scratch().join("run");
    let over = limit();
    over.cancel();
    session.open_ahead(&limit()).expect("opens");
    let command = format!("touch {}", file.display());
    let given_up = session.command(command).scope(&over).output();
    assert!(
        matches!(given_up, Err(Error::Cancelled { .. })),
        "{given_up:?}"
    );
    echo(&session, "goes on");
    end(&beside);
    assert!(!file.exists());
}

/// A request that is given up before its answer takes the session with it: to the command beside it the session is lost,
/// and nobody's misuse. A busy machine may need some more rounds until one is given up at the right time.
#[test]
fn a_call_that_is_cut_short_loses_the_session_for_others() {
    let Some(sshd) = sshd(10) else { return };
    let proxy = Proxy::to(sshd.socket()).round_trip(Duration::from_millis(300));
    let proxy = proxy.start();
    let session = through(&proxy, &sshd);
    let (beside, over) = (cat(&session), limit());
    while session.is_open() {
        over.check().expect("one is cut in time");
        // With a channel there, what is asked for is the command.
        let _ = session.open_ahead(&over);
        let _ = session.command("true").scope(&within_ms(50)).output();
    }
    let error = beside.read_stdout(&mut [0; 1], &limit());
    let error = error.expect_err("is lost");
    assert_failed(&error, Phase::Run, Kind::Closed);
}

/// With a grace the answer is awaited, and nothing else on the session is harmed. As above, until one was asked for.
#[test]
fn a_request_that_may_be_answered_late_costs_nothing_else() {
    let Some(sshd) = sshd(10) else { return };
    let proxy = Proxy::to(sshd.socket()).round_trip(Duration::from_millis(300));
    let proxy = proxy.start();
    let session = through(&proxy, &sshd);
    let (beside, over) = (cat(&session), limit());
    let mut asked = false;
    while !asked {
        over.check().expect("one is cut in time");
        session.open_ahead(&over).expect("opens");
        let command = session.command("true").scope(&within_ms(50));
        let command = command.reply_grace(Duration::from_secs(60));
        let error = command.spawn_noting(&mut asked).expect_err("is too late");
        assert_failed(&error, Phase::Open, Kind::Timeout);
    }
    echo(&session, "goes on");
    end(&beside);
}
