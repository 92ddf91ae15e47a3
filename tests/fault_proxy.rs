//! What happens to bytes on the way: whatever is harmed, the session fails, and nothing false is taken for true.
//!
//! `SSHOAL_FLIPS` sets how many bits are flipped in each direction (default 50, in full 2000).
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use sshoal::{Config, Error, Exit, Phase, Scope, Session, Timings};
use support::{
    messages::packet,
    proxy::{Direction, Ending, Harm, Part, Place, Proxy, Script},
    sessions::{LATE, LIMIT, config_knowing, host, random_bytes},
    sshd::{Sshd, known_hosts_line},
};

/// How long a session behind the proxy may take; only what is harmed takes it.
const SHORT: Duration = Duration::from_secs(3);
/// How much goes each way.
const BYTES: usize = 8000;
/// Every sort of framing and of MAC.
const CIPHERS: [(&str, &str); 5] = [
    ("aes128-gcm@openssh.com", "hmac-sha2-256"),
    ("aes256-gcm@openssh.com", "hmac-sha2-256"),
    ("aes256-ctr", "hmac-sha2-512-etm@openssh.com"),
    ("aes128-ctr", "hmac-sha2-256"),
    ("chacha20-poly1305@openssh.com", "hmac-sha2-256"),
];

fn config(sshd: &Sshd, proxy: &Proxy, (cipher, mac): (&str, &str)) -> Config {
    let address = proxy.address();
    let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
    let config = config_knowing(sshd, &known).ciphers(cipher).macs(mac);
    config.build().unwrap()
}

/// The bytes that came back and how the command ended, or why they did not.
type Came = Result<(Vec<u8>, Exit), Error>;

/// Has bytes go there and back through the proxy; returns what came back, and how it ended.
fn there_and_back(sshd: &Sshd, proxy: &Proxy, algorithms: (&str, &str), limit: Duration) -> Came {
    let scope = Scope::root().child(Some(limit));
    let config = config(sshd, proxy, algorithms);
    let address = host(proxy.address());
    let session = Session::connect_in(&address, &config, &scope, &mut Timings::default())?;
    let command = session.command("cat; exit 7").stdin(random_bytes(BYTES, 1));
    let output = command.scope(&scope).output()?;
    Ok((output.stdout, output.exit))
}

fn is_right(result: &Came) -> bool {
    matches!(result, Ok((bytes, Exit::Status(7))) if *bytes == random_bytes(BYTES, 1))
}

/// Where each direction is when all is over that a client waits for.
fn clean_run(sshd: &Sshd, algorithms: (&str, &str)) -> [u64; 2] {
    let proxy = Proxy::to(sshd.socket()).start();
    let result = there_and_back(sshd, &proxy, algorithms, LIMIT);
    assert!(is_right(&result), "{result:?}");
    [Direction::ToClient, Direction::ToServer].map(|direction| proxy.passed(direction))
}

/// Flips one bit at each of many places of either direction, under every sort of cipher: the session fails, or the host
/// does, in time; what the client holds for true is true. Two things nobody protects: padding before the keys are there,
/// and what comes when all is said.
#[test]
fn a_flipped_bit_is_an_error_wherever_it_is() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let flips: u64 = std::env::var("SSHOAL_FLIPS").map_or(50, |flips| flips.parse().unwrap());
    let lengths = CIPHERS.map(|algorithms| clean_run(&sshd, algorithms));
    let (next, seen) = (AtomicU64::new(0), std::sync::Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let (direction, flip) = (number % 2, number / 2);
            if flip >= flips {
                return;
            }
            let cipher = flip as usize % CIPHERS.len();
            let length = lengths[cipher][direction as usize];
            // The last ones are the end of a channel and of a session, which nobody waits for.
            let place = flip * (length - TAIL_BYTES) / flips;
            let direction = [Direction::ToClient, Direction::ToServer][direction as usize];
            let harm = Harm::Flip((flip % 8) as u8);
            let script = Proxy::to(sshd.socket()).harm(direction, Place::Byte(place), harm);
            let (flipped, result) = through(&sshd, &script, CIPHERS[cipher]);
            let about = format!(
                "byte {place} {direction:?}, {}, {flipped:?}: {result:?}",
                CIPHERS[cipher].0
            );
            assert_eq!(flipped.len(), 1, "{about}");
            assert!(
                result.is_err() || flipped == [Part::Padding] && is_right(&result),
                "{about}"
            );
            let end = result.map_or_else(
                |e| format!("{}: {}", e.phase(), e.kind()),
                |_| "right".into(),
            );
            *seen
                .lock()
                .unwrap()
                .entry((flipped[0].to_string(), end))
                .or_insert(0) += 1;
        }
    };
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(work);
        }
    });
    for ((part, end), count) in &*seen.lock().unwrap() {
        println!("{count:5} {part}: {end}");
    }
}

/// Has bytes go there and back until the harm is reached, for which a busy machine takes its time.
fn through(sshd: &Sshd, script: &Script, algorithms: (&str, &str)) -> (Vec<Part>, Came) {
    let mut limit = SHORT;
    loop {
        let proxy = script.clone().start();
        let begun = Instant::now();
        let result = there_and_back(sshd, &proxy, algorithms, limit);
        let took = begun.elapsed();
        assert!(took < limit + LATE, "{took:?}: {script:?}");
        let flipped = proxy.flipped();
        if !flipped.is_empty() || limit >= LIMIT {
            return (flipped, result);
        }
        limit *= 3;
    }
}

/// The end of a channel and the farewell, at most, with what acknowledges the last bytes.
const TAIL_BYTES: u64 = 300;

/// Bytes that are left out, come twice, come in addition, stop, or come one by one, at every stage of either direction:
/// an error in time. A pause is none.
#[test]
fn harm_at_every_stage_is_an_error() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let slow = Harm::Slow(1, Duration::from_millis(200));
    let harms = [
        Harm::Insert(packet(&[200, 1, 2, 3])),
        Harm::Insert(vec![0]),
        Harm::Remove(1),
        Harm::Remove(16),
        Harm::Repeat(1),
        Harm::Repeat(64),
        slow,
        Harm::End(Ending::Stall),
        Harm::End(Ending::Reset),
        Harm::End(Ending::Close),
    ];
    let places = [
        Place::Byte(8),
        Place::Packet(0),
        Place::Packet(1),
        Place::Packet(2),
        Place::Sealed(0),
        Place::Sealed(100),
        Place::Sealed(2000),
    ];
    let directions = [Direction::ToClient, Direction::ToServer];
    thread::scope(|scope| {
        for (place, direction) in places.iter().flat_map(|p| directions.map(|d| (*p, d))) {
            let (sshd, harms) = (&sshd, &harms);
            scope.spawn(move || {
                for (number, harm) in harms.iter().enumerate() {
                    let script = Proxy::to(sshd.socket()).harm(direction, place, harm.clone());
                    check_harm(sshd, script, CIPHERS[number % CIPHERS.len()]);
                }
                let pause = Harm::Pause(Duration::from_millis(50));
                let script = Proxy::to(sshd.socket()).harm(direction, place, pause);
                let result = there_and_back(sshd, &script.start(), CIPHERS[0], LIMIT);
                assert!(is_right(&result), "{place:?} {direction:?}: {result:?}");
            });
        }
    });
}

#[track_caller]
fn check_harm(sshd: &Sshd, script: Script, algorithms: (&str, &str)) {
    let about = format!("{script:?}");
    let begun = Instant::now();
    let result = there_and_back(sshd, &script.start(), algorithms, SHORT);
    let took = begun.elapsed();
    assert!(result.is_err(), "{about}: {result:?}");
    assert!(took < SHORT + LATE, "{about}: {took:?}");
}

/// The first packet under the new keys is lost on the way, and one that does nothing was added before the keys, so that
/// the counts of both sides agree again: with OpenSSH, whose key exchange is strict, that must not go unseen.
#[test]
fn a_cut_off_begin_of_the_sealed_part_is_an_error() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let script = || Proxy::to(sshd.socket());
    let close = Harm::End(Ending::Close);
    for algorithms in CIPHERS {
        // How many bytes the server sends by itself behind its keys.
        let passed = |script: Script| {
            let proxy = script.start();
            let result = there_and_back(&sshd, &proxy, algorithms, LIMIT);
            assert!(result.is_err(), "{result:?}");
            proxy.passed(Direction::ToClient)
        };
        let clear = passed(script().harm(Direction::ToClient, Place::Sealed(0), close.clone()));
        let all = passed(script().harm(Direction::ToServer, Place::Sealed(0), close.clone()));
        let first = usize::try_from(all - clear).unwrap();
        assert!((60..1000).contains(&first), "{first}");
        let cut = |script: Script| {
            script.harm(Direction::ToClient, Place::Sealed(0), Harm::Remove(first))
        };
        let added = |script: Script| {
            let nothing = Harm::Insert(packet(&[2, 0, 0, 0, 0]));
            script.harm(Direction::ToClient, Place::Packet(1), nothing)
        };
        for script in [cut(script()), added(script()), added(cut(script()))] {
            let about = format!("{script:?}");
            let result = there_and_back(&sshd, &script.start(), algorithms, SHORT);
            let error = result.expect_err(&about);
            assert!(error.phase() <= Phase::Auth, "{about}: {error:?}");
        }
    }
}
