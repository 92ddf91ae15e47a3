//! Hosts that go silent: found out within the limit, never before it, and none of the others is touched.

mod support;

use std::{
    num::NonZeroU32,
    time::{Duration, Instant},
};

use rustix::{
    net::sockopt,
    process::{Pid, Signal, kill_process},
};
use sshoal::{Child, Config, ConfigBuilder, Error, Kind, Phase, Session, TcpKeepalive};
use support::{
    fleet::EmbeddedFleet,
    proxy::{Direction, Ending, Proxy},
    sessions::{
        LATE, assert_failed, config_for, config_for_fleet, config_knowing, connect, connect_with,
        fleet_host, host, limit, one_of_five, within_ms,
    },
    sockets::sockets_to,
    sshd::{Sshd, known_hosts_line},
};

support::fleet::embedded_fleet!();

const INTERVAL: Duration = Duration::from_secs(1);
const MAX: u32 = 3;
const LIMIT: Duration = INTERVAL.saturating_mul(MAX);
/// What sshd logs of a question.
const QUESTION: &str = "ctype keepalive@sshoal";

fn alive(config: ConfigBuilder) -> ConfigBuilder {
    let max = NonZeroU32::new(MAX).expect("above zero");
    config.keepalive(Some(INTERVAL)).keepalive_max(max)
}

/// The sshd process of one session, stopped until this is dropped.
struct Stopped(Pid);

impl Stopped {
    /// Stops the process whose number a command has printed in its first line.
    fn parent_of(child: &Child) -> Self {
        let (scope, mut line, mut byte) = (limit(), Vec::new(), [0]);
        while child.read_stdout(&mut byte, &scope).expect("reads") == 1 && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        let number = String::from_utf8_lossy(&line).parse().expect("a number");
        Self(Pid::from_raw(number).expect("above zero"))
    }

    fn stop(&self) -> Instant {
        kill_process(self.0, Signal::STOP).expect("stops it");
        Instant::now()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Reads to the end of what comes; returns the error, and when the last byte came before it.
fn read_until_error(child: &Child) -> (Error, Instant) {
    let (scope, mut buffer, mut last) = (limit(), vec![0; 4096], Instant::now());
    loop {
        match child.read(&mut buffer, &scope) {
            Ok(Some(_)) => last = Instant::now(),
            Ok(None) => panic!("the command ended"),
            Err(error) => return (error, last),
        }
    }
}

/// Stops the host in the middle of a command, once `ready` says so, and asserts that this is found out in time; returns
/// the time from the last byte of the command on, or from the stop, whichever came later.
#[track_caller]
#[expect(clippy::print_stdout, reason = "the record of the measured times")]
fn check(command: &str, ready: impl FnOnce(&Sshd, &Child)) -> Option<Duration> {
    let sshd = Sshd::start()?;
    let session = connect_with(&sshd, alive(config_for(&sshd)));
    let other = connect_with(&sshd, alive(config_for(&sshd)));
    let child = session.command(command).spawn().expect("starts");
    let host = Stopped::parent_of(&child);
    ready(&sshd, &child);
    let stopped = host.stop();
    let (error, last) = read_until_error(&child);
    let (since_stop, since_last) = (stopped.elapsed(), last.elapsed());
    assert_failed(&error, Phase::Run, Kind::Stalled);
    let Error::Stalled { silence, .. } = error else {
        panic!("{error:?}")
    };
    assert!(silence >= LIMIT, "{silence:?}");
    assert!(since_stop < LIMIT + LATE, "{since_stop:?}");
    println!(
        "{command}: lost {since_stop:?} after the stop, {silence:?} after the last byte, limit {LIMIT:?}"
    );
    assert!(!session.is_open());
    let output = other.command("echo well").output().expect("runs");
    assert_eq!(output.stdout, b"well\n");
    Some(since_last)
}

#[test]
fn a_host_stopped_under_a_silent_command_is_lost_at_the_limit() {
    check("echo $PPID; exec sleep 60", |_, _| {});
}

/// As above, after the host has answered once: an answer begins the count anew.
#[test]
fn a_host_that_answered_before_is_lost_at_the_limit_as_well() {
    check("echo $PPID; exec sleep 60", |sshd, child| {
        let watchdog = limit();
        while !sshd.log().contains(QUESTION) {
            watchdog.check().expect("is asked");
            let waited = child
                .read_stdout(&mut [0], &within_ms(1600))
                .expect_err("is silent");
            assert_eq!(waited.kind(), Kind::Timeout);
        }
    });
}

#[test]
fn a_host_stopped_under_a_command_that_prints_is_lost_at_the_limit() {
    let took = check("echo $PPID; while :; do echo x; sleep 0.1; done", |_, _| {});
    assert!(took.is_none_or(|took| took >= LIMIT), "{took:?}");
}

/// A host is asked only while somebody waits for it and nothing comes; nothing comes on a machine that stands still, too.
#[test]
fn nothing_is_asked_while_bytes_flow_or_nobody_waits() {
    one_of_five(questions_of_the_busy, |asked| {
        asked.is_none_or(|asked| asked == 0)
    });
}

fn questions_of_the_busy() -> Option<usize> {
    let sshd = Sshd::start()?;
    let session = connect_with(&sshd, alive(config_for(&sshd)));
    let idle = connect_with(&sshd, alive(config_for(&sshd)));
    let busy = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i; sleep 0.3; done";
    let output = session.command(busy).output().expect("runs");
    assert_eq!(
        output.stdout.iter().filter(|byte| **byte == b'\n').count(),
        12
    );
    assert!(idle.is_open() && session.is_open());
    Some(sshd.log().matches(QUESTION).count())
}

/// A silent command under a host that answers runs to its end, far beyond the limit.
#[test]
fn a_host_that_answers_is_waited_for() {
    let Some(sshd) = Sshd::start() else { return };
    let config = alive(config_for(&sshd)).keepalive_max(NonZeroU32::MIN);
    let config = config.keepalive(Some(INTERVAL * 2));
    // What the host does not answer in time on a busy machine is another matter.
    let round = || {
        let session = connect_with(&sshd, config.clone());
        let output = session.command("sleep 5; echo done").output();
        output.map(|output| output.stdout)
    };
    one_of_five(round, |read| {
        read.as_ref().is_ok_and(|stdout| stdout == b"done\n")
    });
    let asked = sshd.log().matches(QUESTION).count();
    assert!((1..=25).contains(&asked), "{asked}");
}

/// As above, under the embedded fleet's servers, which are not OpenSSH's.
#[test]
fn another_server_answers_as_well() {
    let fleet = EmbeddedFleet::start(1);
    let config = alive(config_for_fleet(&fleet)).build();
    let config = config.expect("a whole configuration");
    let session = Session::connect(&fleet_host(&fleet, 0), &config).expect("connects");
    for _ in 0..2 {
        let output = session.command("sleep 4").output().expect("runs");
        assert!(output.exit.is_success());
    }
}

/// Commands that end when the host is about to be asked, and while it is: the next one starts all the same.
#[test]
fn a_question_under_way_holds_up_no_command() {
    let Some(sshd) = Sshd::start() else { return };
    let session = connect_with(&sshd, alive(config_for(&sshd)));
    for hundredths in [100, 102, 104, 106, 108, 110, 112, 114] {
        let seconds = f64::from(hundredths) / 100.0;
        let round = || {
            let output = session
                .command(format!("sleep {seconds}; echo well"))
                .output();
            assert_eq!(output.expect("runs").stdout, b"well\n");
            let begun = Instant::now();
            session.command("true").output().expect("runs");
            begun.elapsed()
        };
        one_of_five(round, |took| *took < INTERVAL);
    }
    assert!(sshd.log().contains(QUESTION));
}

/// The peer is gone without an end: what is sent comes nowhere, and nothing comes back. A request fails like a read.
#[test]
fn a_peer_that_is_gone_is_lost_at_the_limit() {
    let Some(sshd) = Sshd::start() else { return };
    // A first session tells how many bytes the server sends until the user is in.
    let through = |ending| {
        let script = Proxy::to(sshd.socket());
        let proxy = match ending {
            None => script.start(),
            Some(bytes) => script
                .end_after(Direction::ToClient, bytes, Ending::Stall)
                .start(),
        };
        let address = proxy.address();
        let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
        let config = alive(config_knowing(&sshd, &known)).build();
        let config: Config = config.expect("a whole configuration");
        let session = Session::connect(&host(address), &config).expect("connects");
        (proxy, session)
    };
    let (proxy, session) = through(None);
    session.command("true").output().expect("runs");
    let whole = proxy.passed(Direction::ToClient);
    // Enough for the user to be let in, too little for a command.
    let (_proxy, session) = through(Some(whole - 100));
    let begun = Instant::now();
    let error = session.command("true").output().expect_err("is lost");
    assert!(matches!(error, Error::Stalled { .. }), "{error:?}");
    assert!(error.phase() >= Phase::Open, "{error:?}");
    assert!(begun.elapsed() < LIMIT + LATE, "{:?}", begun.elapsed());
}

/// Looks at the session's own socket: the system ends what nobody answers after the same time.
#[test]
fn the_system_is_told_the_same_limits() {
    let Some(sshd) = Sshd::start() else { return };
    let session = connect_with(&sshd, alive(config_for(&sshd)));
    let socket = &sockets_to(sshd.socket())[0];
    assert!(sockopt::socket_keepalive(socket).expect("has the option"));
    assert_eq!(sockopt::tcp_user_timeout(socket).expect("has it"), 3000);
    assert_eq!(sockopt::tcp_keepidle(socket).expect("has it"), INTERVAL);
    assert_eq!(sockopt::tcp_keepintvl(socket).expect("has it"), INTERVAL);
    assert_eq!(sockopt::tcp_keepcnt(socket).expect("has it"), MAX);
    drop(session);
    let plain = connect_with(&sshd, config_for(&sshd).tcp_keepalive(TcpKeepalive::No));
    let sockets = sockets_to(sshd.socket());
    let kept = |socket: &_| sockopt::socket_keepalive(socket).expect("has the option");
    assert_eq!(sockets.iter().filter(|s| kept(s)).count(), 0);
    drop(plain);
    let _default = connect(&sshd);
    let sockets = sockets_to(sshd.socket());
    assert_eq!(sockets.iter().filter(|s| kept(s)).count(), 1);
}

#[test]
fn an_interval_below_a_second_is_refused() {
    let Some(sshd) = Sshd::start() else { return };
    let config = config_for(&sshd).keepalive(Some(Duration::from_millis(999)));
    assert!(config.build().is_err());
}
