//! Hosts that attack before authentication: each ends with its own error, in time, in bounded memory, and a healthy
//! session beside them goes on.

mod support;

use std::time::{Duration, Instant};

use sshoal::{Config, Error, HostKeyPolicy, Kind, Phase, Session};
use support::{
    fleet::EmbeddedFleet,
    messages::{any_kexinit, disconnect, kexinit, packet},
    sessions::{
        LATE, assert_failed, config_for, config_for_fleet, connect_with, fails, fleet_host,
        hangs_in, host, host_keys, resident_kib,
    },
    sshd::Sshd,
    steps::{Hostile, Step},
};

support::fleet::embedded_fleet!();

const VERSION: &[u8] = b"SSH-2.0-hostile\r\n";
/// The limit of every connection here; none needs it but the silent ones.
const LIMIT_MS: u64 = 60_000;

fn config() -> Config {
    let keys = host_keys(HostKeyPolicy::Strict, "");
    let builder = Config::builder(keys).user("nobody");
    builder.build().expect("a whole configuration")
}

/// Connects to a server that runs the steps; returns the error and how long it took.
#[track_caller]
fn attacked(steps: Vec<Step>, limit_ms: u64) -> (Error, Duration) {
    let server = Hostile::start(steps);
    let failed = fails(&host(server.address()), &config(), limit_ms);
    assert!(
        server.said() < 8 * 1024 * 1024,
        "{} bytes were taken",
        server.said()
    );
    failed
}

/// A host that goes past a bound is left at once.
#[track_caller]
fn check_bound(steps: Vec<Step>, phase: Phase, kind: Kind) {
    let (error, took) = attacked(steps, LIMIT_MS);
    assert_failed(&error, phase, kind);
    assert!(took < Duration::from_millis(LIMIT_MS), "{took:?}");
}

#[test]
fn endless_empty_lines_end_at_the_bound() {
    check_bound(
        vec![Step::Forever(b"\n".repeat(4096))],
        Phase::Banner,
        Kind::Limit,
    );
}

#[test]
fn endless_lines_before_the_version_end_at_the_bound() {
    let line = b"this is no version, and neither is the next line\r\n".repeat(80);
    check_bound(vec![Step::Forever(line)], Phase::Banner, Kind::Limit);
}

#[test]
fn endless_bytes_without_a_line_end_at_the_bound() {
    check_bound(
        vec![Step::Forever(vec![b'x'; 4096])],
        Phase::Banner,
        Kind::Limit,
    );
}

#[test]
fn a_version_without_an_end_ends_at_the_bound() {
    let steps = vec![
        Step::Say(b"SSH-2.0-".to_vec()),
        Step::Forever(vec![b'x'; 4096]),
    ];
    let (error, _) = attacked(steps, LIMIT_MS);
    assert!(
        matches!(error.phase(), Phase::Banner | Phase::Kex),
        "{error:?}"
    );
    assert!(
        matches!(error.kind(), Kind::Limit | Kind::Protocol),
        "{error:?}"
    );
}

#[test]
fn an_old_version_is_refused() {
    for version in ["SSH-1.5-old\r\n", "SSH-1.99\r\n\r\n"] {
        let steps = vec![Step::Say(version.into()), Step::AwaitVersion, Step::Close];
        let (error, took) = attacked(steps, LIMIT_MS);
        assert!(
            matches!(error.phase(), Phase::Banner | Phase::Kex),
            "{error:?}"
        );
        assert!(took < Duration::from_millis(LIMIT_MS), "{took:?}");
    }
}

/// Hosts that speak another version are left at once, and the version is told.
#[test]
fn another_version_of_the_protocol_is_refused_by_its_name() {
    for (line, theirs) in [
        ("SSH-1.5-Cisco-1.25\r\n", "SSH-1.5"),
        ("SSH-3.0-x\r\n", "SSH-3.0"),
        ("first a word\r\nSSH-1.98-\x1b[2Jx\n", "SSH-1.98"),
        ("SSH-\x1b[31m-x\n", "SSH-[31m"),
        ("SSH-20-x\n", "SSH-20"),
        ("SSH-\n", "SSH-"),
        ("SSH-99999999999999999999999\n", "SSH-999999999999"),
    ] {
        let (error, took) = attacked(vec![Step::Say(line.into())], LIMIT_MS);
        assert_failed(&error, Phase::Banner, Kind::Protocol);
        assert!(
            matches!(&error, Error::OtherVersion { theirs: told } if told == theirs),
            "{error:?}"
        );
        assert!(took < Duration::from_millis(LIMIT_MS), "{took:?}");
    }
}

/// A farewell instead of a key exchange, first of all or behind the offer: the host left, and its words are told.
#[test]
fn a_farewell_in_the_key_exchange_is_no_breach() {
    let farewell = packet(&disconnect(12, b"Too many\x1b[2J connections\n"));
    for version in ["SSH-2.0-x\r\n", "SSH-2.1-x\r\n", "SSH-1.99-x\r\n"] {
        for offer in [Vec::new(), packet(&any_kexinit())] {
            let steps = vec![
                Step::Say(version.into()),
                Step::Say(offer),
                Step::Say(farewell.clone()),
            ];
            let (error, took) = attacked(steps, LIMIT_MS);
            assert_failed(&error, Phase::Kex, Kind::Closed);
            let said = std::error::Error::source(&error).map(ToString::to_string);
            assert_eq!(
                said.as_deref(),
                Some("the host said: Too many[2J connections")
            );
            assert!(took < Duration::from_millis(LIMIT_MS), "{took:?}");
        }
    }
}

#[test]
fn a_huge_packet_before_the_keys_is_broken_off() {
    for length in [35_001_u32, 0x00ff_ffff, 0x7fff_ffff, u32::MAX] {
        let steps = vec![
            Step::Say(VERSION.to_vec()),
            Step::Say(length.to_be_bytes().to_vec()),
            Step::Forever(vec![20; 4096]),
        ];
        check_bound(steps, Phase::Kex, Kind::Protocol);
    }
}

#[test]
fn a_packet_without_a_message_is_broken_off() {
    for length in [0_u32, 1] {
        let steps = vec![
            Step::Say(VERSION.to_vec()),
            Step::Say(length.to_be_bytes().repeat(9)),
        ];
        check_bound(steps, Phase::Kex, Kind::Protocol);
    }
}

/// NEWKEYS where none may be: libssh2 would change its cipher to one that it does not have yet.
#[test]
fn new_keys_out_of_order_are_broken_off() {
    let offer = kexinit(
        "curve25519-sha256",
        "ssh-ed25519",
        "aes128-ctr",
        "hmac-sha2-256",
    );
    let first = vec![packet(&[21])];
    let after_kexinit = vec![packet(&offer), packet(&[21])];
    let twice = vec![packet(&offer), packet(&[21]), packet(&[21])];
    for packets in [first, after_kexinit, twice] {
        let steps = vec![
            Step::Say(VERSION.to_vec()),
            Step::AwaitVersion,
            Step::Say(packets.concat()),
        ];
        check_bound(steps, Phase::Kex, Kind::Protocol);
    }
}

#[test]
fn silence_after_the_key_exchange_began_times_out_in_kex() {
    let offer = kexinit(
        "curve25519-sha256",
        "ssh-ed25519",
        "aes128-ctr",
        "hmac-sha2-256",
    );
    let steps = vec![Step::Say(VERSION.to_vec()), Step::Say(packet(&offer))];
    let (error, limit, took) = hangs_in(Phase::Kex, 500, |milliseconds| {
        attacked(steps.clone(), milliseconds).0
    });
    assert_failed(&error, Phase::Kex, Kind::Timeout);
    assert!(took < limit + LATE, "{took:?}");
}

#[test]
fn nothing_in_common_is_told_as_such() {
    for offer in [
        kexinit(
            "sntrup761x25519-sha512@openssh.com",
            "ssh-ed25519",
            "aes128-ctr",
            "hmac-sha2-256",
        ),
        kexinit(
            "curve25519-sha256",
            "ssh-dss",
            "aes128-ctr",
            "hmac-sha2-256",
        ),
        kexinit(
            "curve25519-sha256",
            "ssh-ed25519",
            "3des-cbc",
            "hmac-sha2-256",
        ),
        kexinit("curve25519-sha256", "ssh-ed25519", "aes128-ctr", "hmac-md5"),
    ] {
        let steps = vec![Step::Say(VERSION.to_vec()), Step::Say(packet(&offer))];
        check_bound(steps, Phase::Kex, Kind::NoCommonAlgorithm);
    }
}

/// Messages that libssh2 would queue or skip without end, before any key is there.
#[test]
fn floods_of_packets_in_the_clear_end_at_the_bound() {
    let offer = kexinit(
        "curve25519-sha256",
        "ssh-ed25519",
        "aes128-ctr",
        "hmac-sha2-256",
    );
    for message in [2, 4, 3, 7, 60, 81, 94, 200] {
        let mut flood = vec![message];
        flood.resize(1000, 0);
        let steps = vec![
            Step::Say(VERSION.to_vec()),
            Step::Say(packet(&offer)),
            Step::Forever(packet(&flood).repeat(4)),
        ];
        let (error, took) = attacked(steps, LIMIT_MS);
        assert_eq!(error.phase(), Phase::Kex, "message {message}: {error:?}");
        assert_ne!(error.kind(), Kind::Timeout, "message {message}: {error:?}");
        assert!(
            took < Duration::from_millis(LIMIT_MS),
            "message {message}: {took:?}"
        );
    }
}

#[test]
fn garbage_is_an_error_and_no_more() {
    for seed in 0..40 {
        let garbage = support::sessions::random_bytes(3000, seed);
        let mut steps = vec![Step::Say(garbage), Step::Close];
        if seed % 2 == 0 {
            steps.insert(0, Step::Say(VERSION.to_vec()));
        }
        let (error, took) = attacked(steps, LIMIT_MS);
        assert!(
            matches!(error.phase(), Phase::Banner | Phase::Kex),
            "seed {seed}: {error:?}"
        );
        assert!(
            took < Duration::from_millis(LIMIT_MS),
            "seed {seed}: {took:?}"
        );
    }
}

/// A kexinit whose every byte in turn is turned over: an error, or silence until the limit.
#[test]
fn a_damaged_kexinit_is_an_error_and_no_more() {
    let offer = kexinit(
        "curve25519-sha256",
        "ssh-ed25519",
        "aes128-ctr",
        "hmac-sha2-256",
    );
    for place in 0..offer.len() {
        let mut damaged = offer.clone();
        damaged[place] ^= 0xff;
        let steps = vec![
            Step::Say(VERSION.to_vec()),
            Step::Say(packet(&damaged)),
            Step::Close,
        ];
        let (error, took) = attacked(steps, LIMIT_MS);
        assert_eq!(error.phase(), Phase::Kex, "byte {place}: {error:?}");
        assert!(
            took < Duration::from_millis(LIMIT_MS),
            "byte {place}: {took:?}"
        );
    }
}

/// A hundred hosts flood at once, in three manners; a session to a healthy host runs one command after the other
/// meanwhile, none of which takes long, and the memory of the process stays where it was.
#[test]
fn a_hundred_floods_leave_memory_and_a_healthy_session_alone() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let healthy = connect_with(&sshd, config_for(&sshd));
    healthy.command("true").output().expect("runs");
    let floods = [
        Hostile::start(vec![Step::Forever(b"\n".repeat(4096))]),
        Hostile::start(vec![Step::Forever(b"and on and on and on\r\n".repeat(200))]),
        Hostile::start(vec![Step::Forever(vec![b'x'; 4096])]),
    ];
    let before = resident_kib();
    let threads: Vec<_> = (0..100)
        .map(|number| {
            let host = host(floods[number % floods.len()].address());
            let attack = move || {
                let (error, _) = fails(&host, &config(), 60_000);
                assert_failed(&error, Phase::Banner, Kind::Limit);
            };
            sshoal::spawn(attack).expect("starts")
        })
        .collect();
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        healthy.command("echo on").output().expect("runs");
        slowest = slowest.max(begun.elapsed());
    }
    for thread in threads {
        thread.join().expect("each is bounded");
    }
    assert!(slowest < LATE, "{slowest:?}");
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 100 * 1024, "{grown} KiB more than before");
}

/// The embedded fleet's own flood, among healthy hosts.
#[test]
fn a_flooding_host_of_the_fleet_is_bounded() {
    let fleet = EmbeddedFleet::with_args(3, &["--fault", "banner-flood=1", "--fault", "close=2"]);
    let config = config_for_fleet(&fleet)
        .build()
        .expect("a whole configuration");
    let (error, _) = fails(&fleet_host(&fleet, 1), &config, 30_000);
    assert_failed(&error, Phase::Banner, Kind::Limit);
    let (error, _) = fails(&fleet_host(&fleet, 2), &config, 30_000);
    assert_eq!(error.phase(), Phase::Banner);
    assert!(
        matches!(error.kind(), Kind::Closed | Kind::Reset),
        "{error:?}"
    );
    Session::connect(&fleet_host(&fleet, 0), &config).expect("connects");
}
