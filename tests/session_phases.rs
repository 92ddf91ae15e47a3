//! However far a host comes before it fails: the error names the phase, in time, and what it gave is kept.

mod support;

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use rustix::net::sockopt;
use sshoal::{
    Config, Error, Exit, Host, HostKeyPolicy, Kind, OutputStream, Phase, Scope, Session, Timings,
};
use sshoal_hostile::{
    attacks::SLOW,
    server::{Cipher, Manner, Stage},
};
use support::{
    faults::{FullBacklog, Refused, Silent},
    fleet::EmbeddedFleet,
    proxy::{Direction, Ending, Proxy, Script},
    sessions::{
        LATE, LIMIT, assert_failed, config_for, config_for_fleet, config_knowing, connect,
        connect_with, fails, fleet_host, hangs_in, host, host_keys, limit, within_ms,
    },
    sockets::sockets_to,
    sshd::{Sshd, known_hosts_line},
};

support::fleet::embedded_fleet!();

/// The limit of hosts that hang, on a machine with nothing else to do.
const SHORT_MS: u64 = 400;

/// Hosts that answer nothing more from some phase on, the phase, and what keeps them.
struct Hanging {
    fleet: EmbeddedFleet,
    _silent: Silent,
    _full: FullBacklog,
    config: Config,
    hosts: Vec<(Host, Phase)>,
}

impl Hanging {
    fn start() -> Self {
        let faults = [
            "stall-kex=0",
            "stall-auth=1",
            "stall-open=2",
            "stall-exec=3",
            "silent=4",
        ];
        let args: Vec<_> = faults
            .iter()
            .flat_map(|fault| ["--fault", *fault])
            .collect();
        let fleet = EmbeddedFleet::with_args(5, &args);
        let silent = Silent::on(Ipv4Addr::new(127, 5, 0, 1));
        let full = FullBacklog::on(Ipv4Addr::new(127, 5, 0, 2));
        let at = |index| fleet_host(&fleet, index);
        let hosts = vec![
            (host(full.address()), Phase::Connect),
            (host(silent.address()), Phase::Banner),
            (at(4), Phase::Banner),
            (at(0), Phase::Kex),
            (at(1), Phase::Auth),
            (at(2), Phase::Open),
            (at(3), Phase::Run),
        ];
        Self {
            config: config_for_fleet(&fleet)
                .build()
                .expect("a whole configuration"),
            fleet,
            _silent: silent,
            _full: full,
            hosts,
        }
    }
}

/// Connects and runs a command, all in one scope.
fn run(host: &Host, config: &Config, scope: &Scope) -> Result<Vec<u8>, Error> {
    let session = Session::connect_in(host, config, scope, &mut Timings::default())?;
    Ok(session.command("echo hi").scope(scope).output()?.stdout)
}

#[test]
fn a_host_that_hangs_times_out_in_its_phase() {
    let hanging = Hanging::start();
    for (host, phase) in &hanging.hosts {
        let (error, within, took) = hangs_in(*phase, SHORT_MS, |milliseconds| {
            run(host, &hanging.config, &within_ms(milliseconds)).expect_err("hangs")
        });
        assert_failed(&error, *phase, Kind::Timeout);
        let Error::TimedOut { limit, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(limit, within);
        assert!(took >= limit && took < limit + LATE, "{phase}: {took:?}");
    }
    // The hosts beside them are as well as ever.
    assert_eq!(hanging.fleet.hosts(), 5);
}

/// The end of the scope around is a cancellation, in whichever phase it comes; the session is of no more use then.
#[test]
fn a_cancellation_ends_the_wait_in_every_phase() {
    let hanging = Hanging::start();
    for (host, phase) in &hanging.hosts {
        let (error, within, took) = hangs_in(*phase, SHORT_MS, |milliseconds| {
            let scope = within_ms(milliseconds).child(Some(2 * LIMIT));
            run(host, &hanging.config, &scope).expect_err("hangs")
        });
        assert!(matches!(error, Error::Cancelled { .. }), "{error:?}");
        assert_eq!(error.phase(), *phase);
        assert!(took < within + LATE, "{phase}: {took:?}");
    }
}

#[test]
fn a_cancel_from_another_thread_ends_the_wait() {
    let silent = Silent::on(Ipv4Addr::new(127, 5, 0, 3));
    let keys = host_keys(HostKeyPolicy::Strict, "");
    let config = Config::builder(keys)
        .build()
        .expect("a whole configuration");
    let scope = Scope::root();
    let connecting = sshoal::spawn({
        let (scope, host) = (scope.clone(), host(silent.address()));
        move || run(&host, &config, &scope).expect_err("hangs")
    });
    let watchdog = limit();
    // The client's version has arrived: it now waits for the server's.
    while silent.received().concat().is_empty() {
        watchdog.check().expect("connects");
        sshoal::yield_now();
    }
    scope.cancel();
    let error = connecting.expect("starts").join().expect("no panic");
    assert!(
        matches!(
            error,
            Error::Cancelled {
                phase: Phase::Banner
            }
        ),
        "{error:?}"
    );
}

/// Hosts that say a byte at a time, or nothing, from each phase on: bytes do not put the limit off, whether the length of
/// packets is hidden or not, and the error names the phase.
#[test]
fn slow_hosts_end_at_the_limit_in_their_phase() {
    const LIMIT_MS: u64 = 1500;
    let ciphers = [Cipher::Readable, Cipher::Hidden];
    let each = SLOW
        .iter()
        .flat_map(|slow| ciphers.map(|cipher| (slow, cipher)));
    let runs = each.map(|(slow, cipher)| {
        let server = slow.start(Manner::new(cipher));
        let phase = match slow.stage() {
            Stage::Connected => Phase::Banner,
            Stage::Greeted | Stage::Keyed => Phase::Kex,
            Stage::Authenticating => Phase::Auth,
            _ if slow.name().starts_with("output") => Phase::Run,
            _ => Phase::Open,
        };
        let running = sshoal::spawn(move || {
            let keys = host_keys(HostKeyPolicy::Strict, server.known_hosts());
            let config = Config::builder(keys).user("anyone").build();
            let config = config.expect("a whole configuration");
            hangs_in(phase, LIMIT_MS, |milliseconds| {
                let result = run(&host(server.address()), &config, &within_ms(milliseconds));
                result.expect_err("never comes to an end")
            })
        });
        (slow, phase, running.expect("starts"))
    });
    let runs: Vec<_> = runs.collect();
    for (slow, phase, running) in runs {
        let (error, limit, took) = running.join().expect("no panic");
        println!("{} after {took:?}: {error:?}", slow.name());
        assert_failed(&error, phase, Kind::Timeout);
        assert!(took >= limit && took < limit + LATE, "{took:?}");
    }
}

#[test]
fn a_refused_port_and_an_unknown_name_are_told_apart() {
    let keys = host_keys(HostKeyPolicy::Strict, "");
    let config = Config::builder(keys)
        .build()
        .expect("a whole configuration");
    let refused = Refused::on(Ipv4Addr::new(127, 5, 0, 4));
    let (error, took) = fails(&host(refused.address()), &config, 60_000);
    assert_failed(&error, Phase::Connect, Kind::Refused);
    assert!(took < LATE, "{took:?}");
    // A label of 64 characters: no resolver asks anyone for it (RFC 1035 §2.3.4).
    let nowhere = Host::new("x".repeat(64)).expect("a name");
    let (error, _) = fails(&nowhere, &config, 30_000);
    assert_failed(&error, Phase::Resolve, Kind::UnknownHost);
}

/// A server before which a proxy stands that ends each connection as its script says.
fn through(sshd: &Sshd, script: impl FnOnce(Script) -> Script) -> (Proxy, Config) {
    let proxy = script(Proxy::to(sshd.socket())).start();
    let address = proxy.address();
    let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
    let config = config_knowing(sshd, &known)
        .build()
        .expect("a whole configuration");
    (proxy, config)
}

/// Ends the connection after N bytes of the server's, for N from none to all of a session, and returns the error of
/// each N, if it failed. All run side by side.
fn sweep(sshd: &Sshd, ending: Ending, limit_ms: u64) -> Vec<(u64, Option<Error>)> {
    let (proxy, config) = through(sshd, |script| script);
    run(&host(proxy.address()), &config, &limit()).expect("runs");
    let total = proxy.passed(Direction::ToClient);
    let ends: Vec<u64> = (1..total).step_by(60).collect();
    let threads = ends.iter().map(|&bytes| {
        let (proxy, config) = through(sshd, |script| {
            script.end_after(Direction::ToClient, bytes, ending)
        });
        let thread = sshoal::spawn(move || {
            let result = run(&host(proxy.address()), &config, &within_ms(limit_ms));
            (bytes, result.err())
        });
        thread.expect("starts")
    });
    let threads: Vec<_> = threads.collect();
    threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic"))
        .collect()
}

/// The phases in which those ended that failed.
fn phases(errors: &[(u64, Option<Error>)]) -> Vec<Phase> {
    let errors = errors.iter().filter_map(|(_, error)| error.as_ref());
    errors.map(Error::phase).collect()
}

/// Asserts that the phases never fall as the server comes further, and which of them were seen.
#[track_caller]
fn assert_phases_rise(errors: &[(u64, Option<Error>)], seen: &[Phase]) {
    let phases = phases(errors);
    assert!(phases.is_sorted(), "{phases:?}");
    for phase in seen {
        assert!(phases.contains(phase), "no {phase} in {phases:?}");
    }
}

#[test]
fn a_stall_after_any_byte_times_out_in_the_phase_it_fell_into() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let sweep = |limit_ms| {
        let errors = sweep(&sshd, Ending::Stall, limit_ms);
        for (bytes, error) in &errors {
            let error = error.as_ref().expect("the end never came");
            assert_eq!(
                error.kind(),
                Kind::Timeout,
                "after {bytes} bytes: {error:?}"
            );
        }
        errors
    };
    // On a busy machine the limit may come before what stalls.
    let mut errors = sweep(6_000);
    if !phases(&errors).is_sorted() {
        errors = sweep(60_000);
    }
    assert_phases_rise(
        &errors,
        &[Phase::Banner, Phase::Kex, Phase::Auth, Phase::Open],
    );
}

#[test]
fn a_reset_after_any_byte_is_a_lost_connection() {
    check_lost(Ending::Reset);
}

#[test]
fn a_close_after_any_byte_is_a_lost_connection() {
    check_lost(Ending::Close);
}

/// Whichever way the connection ends, a command that has all it needs by then succeeds, and all else names where it
/// was.
#[track_caller]
fn check_lost(ending: Ending) {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let errors = sweep(&sshd, ending, 100_000);
    for (bytes, error) in &errors {
        let Some(error) = error else { continue };
        let kind = error.kind();
        let lost = matches!(kind, Kind::Closed | Kind::Reset);
        assert!(lost, "after {bytes} bytes: {error:?}");
        assert!(
            matches!(error, Error::Disconnected { .. }),
            "after {bytes} bytes: {error:?}"
        );
    }
    assert_phases_rise(
        &errors,
        &[Phase::Banner, Phase::Kex, Phase::Auth, Phase::Open],
    );
}

/// The host resets the connection in the middle of the output; what came before is delivered, then the loss is told.
#[test]
fn output_before_a_reset_is_kept() {
    let fleet = EmbeddedFleet::with_args(1, &["--fault", "reset=0"]);
    let config = config_for_fleet(&fleet)
        .build()
        .expect("a whole configuration");
    let session = Session::connect(&fleet_host(&fleet, 0), &config).expect("connects");
    let child = session
        .command("anything")
        .no_stdin()
        .spawn()
        .expect("starts");
    let (mut text, mut buffer) = (Vec::new(), vec![0; 1000]);
    let error = loop {
        match child.read(&mut buffer, &limit()) {
            Ok(Some((OutputStream::Stdout, read))) => text.extend_from_slice(&buffer[..read]),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(
        text.len() > 10_000 && text.starts_with(b"y\ny\ny\n"),
        "{} bytes",
        text.len()
    );
    assert_failed(&error, Phase::Run, Kind::Reset);
    assert!(!session.is_open());
}

/// The connection closes after exactly as many bytes as bring 40 lines; those are read, slowly, after it was closed.
#[test]
fn output_that_arrived_before_the_end_of_the_stream_is_read() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let command =
        "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 3000 /dev/zero; sleep 0.02; done; sleep 1000";
    let (proxy, config) = through(&sshd, |script| script);
    let session = Session::connect(&host(proxy.address()), &config).expect("connects");
    let child = session.command(command).no_stdin().spawn().expect("starts");
    let mut buffer = vec![0; 100];
    let mut read = 0;
    while read < 30_000 {
        let next = child.read_stdout(&mut buffer, &limit()).expect("reads");
        read += next;
        if read >= 3_000 && proxy.passed(Direction::ToClient) > 31_000 {
            break;
        }
    }
    let watchdog = limit();
    while proxy.passed(Direction::ToClient) < 31_000 {
        watchdog.check().expect("all of it comes");
        sshoal::yield_now();
    }
    // Ends every connection through it, with all output in our socket's buffer.
    drop(proxy);
    let error = loop {
        match child.read_stdout(&mut buffer, &limit()) {
            Ok(0) => panic!("an end that the host never told"),
            Ok(next) => read += next,
            Err(error) => break error,
        }
    };
    assert_eq!(read, 30_000);
    assert_eq!(error.phase(), Phase::Run, "{error:?}");
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
}

/// `localhost` has two addresses where the system says so; the server listens on one of them alone.
#[test]
fn every_address_of_a_name_is_tried() {
    let Some(sshd) = Sshd::builder().first_address(Ipv4Addr::LOCALHOST).start() else {
        return;
    };
    let known = format!("[localhost]:{} {}\n", sshd.port(), sshd.host_keys()[0]);
    let config = config_knowing(&sshd, &known)
        .build()
        .expect("a whole configuration");
    let host = Host::new("localhost").and_then(|host| host.with_port(sshd.port()));
    let mut timings = Timings::default();
    let session = Session::connect_in(&host.expect("a name"), &config, &limit(), &mut timings);
    let output = session.expect("connects").command("echo hi").output();
    assert_eq!(output.expect("runs").stdout, b"hi\n");
    let phases: Vec<_> = timings.iter().map(|(phase, _)| phase).collect();
    let all = [
        Phase::Resolve,
        Phase::Connect,
        Phase::Banner,
        Phase::Kex,
        Phase::HostKey,
        Phase::Auth,
    ];
    assert_eq!(phases, all);
}

/// Law S12: looks at the session's own socket, found among this process's descriptors by its peer.
#[test]
fn the_socket_sends_without_delay() {
    let Some(sshd) = Sshd::builder()
        .first_address(Ipv4Addr::new(127, 5, 1, 1))
        .start()
    else {
        return;
    };
    let _session = connect(&sshd);
    let found = sockets_to(sshd.socket());
    assert_eq!(found.len(), 1);
    assert!(sockopt::tcp_nodelay(&found[0]).expect("has the option"));
}

/// Over a round trip of 40 ms and pieces of 1 to 200 bytes everything works as without.
#[test]
fn a_slow_dribbling_network_changes_nothing() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let (proxy, config) = through(&sshd, |script| {
        script
            .round_trip(Duration::from_millis(40))
            .dribble(1..=200)
            .small_buffers()
    });
    let session = Session::connect(&host(proxy.address()), &config).expect("connects");
    let bytes = support::sessions::random_bytes(150_000, 11);
    let output = session
        .command("cat; exit 6")
        .stdin(bytes.clone())
        .output()
        .expect("runs");
    assert!(output.stdout == bytes);
    assert_eq!(output.exit, Exit::Status(6));
}

/// Hosts that are silent in any phase leave a healthy session beside them alone.
#[test]
fn hanging_hosts_leave_a_healthy_session_alone() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let healthy = connect_with(&sshd, config_for(&sshd));
    let hanging = Arc::new(Hanging::start());
    let threads: Vec<_> = (0..70)
        .map(|number| {
            let hanging = hanging.clone();
            sshoal::spawn(move || {
                let (host, phase) = &hanging.hosts[number % hanging.hosts.len()];
                let (error, ..) = hangs_in(*phase, 5000, |milliseconds| {
                    run(host, &hanging.config, &within_ms(milliseconds)).expect_err("hangs")
                });
                assert_failed(&error, *phase, Kind::Timeout);
            })
            .expect("starts")
        })
        .collect();
    let mut beside = 0;
    for number in 0..50 {
        let output = healthy
            .command(format!("echo {number}"))
            .output()
            .expect("runs");
        assert_eq!(output.stdout, format!("{number}\n").as_bytes());
        // On a slow machine some of them are over before the last command.
        beside += usize::from(!threads.iter().any(|thread| thread.is_finished()));
    }
    assert!(beside > 1, "the commands ran only once nobody hung");
    for thread in threads {
        thread.join().expect("each has its phase");
    }
}
