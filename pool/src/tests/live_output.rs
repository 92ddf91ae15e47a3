//! Output of started runs: read as it comes, within bounds, and nothing lost.

use std::io::Read;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sshoal_session::Exit;
use sshoal_session::OutputStream::{Stderr, Stdout};

use super::fake::{builder, count};
use super::puppet::Puppets;
use crate::worker::CHUNK_MAX;
use crate::{Encoding, HostRun, Line, OnBadBytes, ReadError, RunSpec};

const SHORT: Duration = Duration::from_millis(40);
const LONG: Option<Duration> = Some(Duration::from_secs(30));

fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8)
        .collect()
}

fn line(host: &HostRun) -> Line {
    host.stdout()
        .lines()
        .next()
        .expect("a line")
        .expect("is read")
}

/// Waits until a host is held up: until no more is taken from it, however often one looks.
fn settled(taken: impl Fn() -> usize) -> usize {
    let (mut last, mut looks) = (taken(), 0);
    while looks < 25 {
        sshoal_reactor::sleep(Duration::from_millis(5));
        let now = taken();
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
    }
    last
}

#[test]
fn lines_are_read_while_the_command_runs_and_the_end_is_known_after_the_last() {
    let puppets = Puppets::new(1);
    let run = puppets.pool().start("x").unwrap();
    let (host, puppet) = (run.host(0), puppets.host(0));
    let mut lines = host.stdout().lines();
    for (print, expected) in [("one\n", "one"), ("two\r\n", "two"), ("\n", "")] {
        puppet.print(Stdout, print.as_bytes());
        assert_eq!(lines.next().unwrap().unwrap().bytes(), expected.as_bytes());
        assert!(host.exit().is_none());
    }
    puppet.print(Stdout, b"tai");
    puppet.print(Stdout, b"l");
    puppet.end(Exit::Status(3));
    assert_eq!(lines.next().unwrap().unwrap().bytes(), b"tail");
    assert!(lines.next().is_none());
    assert_eq!(host.exit(), Some(Exit::Status(3)), "without a wait");
}

/// A reader that is dropped, whatever it was, leaves what it has not given.
#[test]
fn a_reader_that_is_dropped_is_gone_on_with_at_the_next_byte() {
    let puppets = Puppets::new(1);
    let run = puppets.pool().start("x").unwrap();
    let host = run.host(0);
    puppets.host(0).print(Stdout, b"first\nsecond\nthi");
    assert_eq!(line(host).bytes(), b"first");
    let mut buf = [0; 3];
    assert_eq!(host.stdout().read(&mut buf).unwrap(), 3);
    assert_eq!(&buf, b"sec");
    assert_eq!(line(host).bytes(), b"ond");
    let reader = host.stdout().idle_timeout(Some(SHORT));
    let timed_out = reader.lines().next().unwrap();
    assert!(matches!(timed_out, Err(ReadError::IdleTimeout { limit }) if limit == SHORT));
    puppets.host(0).print(Stdout, b"rd\nrest");
    puppets.end();
    assert_eq!(host.stdout().read(&mut buf).unwrap(), 3);
    assert_eq!(&buf, b"thi");
    let _ = run.wait(LONG);
    let mut rest = String::new();
    host.stdout().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "rd\nrest");
}

/// `printf abc; sleep; echo def`: the partial line is kept over a timeout; and idle time is time
/// without a byte of this stream, total time that of the whole stream.
#[test]
fn idle_and_total_timeouts_are_two_things_and_lose_nothing() {
    let puppets = Puppets::new(1);
    let run = puppets.pool().start("x").unwrap();
    let (host, puppet) = (run.host(0), puppets.host(0));
    let mut lines = host.stdout().idle_timeout(Some(SHORT)).lines();
    puppet.print(Stdout, b"abc");
    puppet.print_without_end(Stderr, b"noise");
    assert!(matches!(
        lines.next().unwrap(),
        Err(ReadError::IdleTimeout { .. })
    ));
    assert!(
        matches!(lines.next().unwrap(), Err(ReadError::IdleTimeout { .. })),
        "and again"
    );
    drop(run);

    let puppets = Puppets::new(1);
    let run = puppets.pool().start("x").unwrap();
    let (host, puppet) = (run.host(0), puppets.host(0));
    puppet.print(Stdout, b"abc");
    let mut lines = host.stdout().idle_timeout(Some(SHORT)).lines();
    assert!(matches!(
        lines.next().unwrap(),
        Err(ReadError::IdleTimeout { .. })
    ));
    puppet.print(Stdout, b"def\n");
    assert_eq!(lines.next().unwrap().unwrap().bytes(), b"abcdef");

    let reader = host
        .stdout()
        .idle_timeout(LONG)
        .total_timeout(Some(SHORT * 3));
    let (mut lines, mut seen) = (reader.lines(), 0);
    let timed_out = loop {
        puppet.print(Stdout, b"tick\n");
        match lines.next().unwrap() {
            Ok(line) => assert_eq!(line.bytes(), b"tick"),
            Err(error) => break error,
        }
        seen += 1;
        sshoal_reactor::sleep(Duration::from_millis(2));
    };
    assert!(matches!(timed_out, ReadError::TotalTimeout { limit } if limit == SHORT * 3));
    assert!(
        seen > 1 && lines.next().is_none(),
        "it is over for this reader"
    );
    puppets.end();
    assert_eq!(
        host.stdout().lines().count(),
        1,
        "and the last line is there for another"
    );
}

#[test]
fn text_is_decoded_and_what_follows_a_bad_byte_is_there() {
    let print = |encoding: &str, on_bad, bytes: &[u8]| {
        let puppets = Puppets::new(1);
        let run = puppets.pool().start("x").unwrap();
        puppets.host(0).print(Stdout, bytes);
        puppets.end();
        let text = run
            .host(0)
            .stdout()
            .text(Encoding::by_name(encoding).unwrap(), on_bad);
        text.collect::<Vec<_>>()
    };
    let bad = b"gr\xc3\xbcn\nb\xffd\r\nrest\xe2\x82".as_slice();
    let lossy = print("utf-8", OnBadBytes::Replace, bad);
    let lossy: Vec<String> = lossy.into_iter().map(Result::unwrap).collect();
    assert_eq!(lossy, ["grün", "b\u{fffd}d", "rest\u{fffd}"]);
    let strict = print("utf-8", OnBadBytes::Fail, bad);
    assert_eq!(strict[0].as_deref().unwrap(), "grün");
    match &strict[1] {
        Err(ReadError::BadText { line, encoding }) => {
            assert_eq!(
                (line.with_terminator(), *encoding),
                (&b"b\xffd\r\n"[..], "UTF-8")
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(strict.len() == 3 && strict[2].is_err());
    let latin = print("latin1", OnBadBytes::Fail, b"gr\xfcn\n");
    assert_eq!(latin[0].as_deref().unwrap(), "grün");
}

/// A host that nobody reads is held up at its bound, and printing without end goes on from there
/// as it is read, byte for byte.
#[test]
fn an_unread_host_is_held_up_at_its_bound() {
    const BOUND: usize = 64 * 1024;
    let puppets = Puppets::new(3);
    let run = puppets
        .pool()
        .start(RunSpec::new("x").unread_bytes_max(BOUND))
        .unwrap();
    let bytes = pattern(10_007);
    for host in 0..3 {
        puppets.host(host).print_without_end(Stdout, &bytes);
    }
    let printed = |host: usize| puppets.host(host).printed.load(Ordering::Relaxed);
    let held = settled(|| (0..3).map(printed).sum());
    assert!(held <= 3 * (BOUND + CHUNK_MAX), "{held}");
    assert!(
        (0..3).all(|host| printed(host) >= BOUND - 1024),
        "each to its bound"
    );
    let (mut at, mut buf) = (0, vec![0; 7_001]);
    let mut reader = run.host(1).stdout();
    while at < 4_000_000 {
        let len = reader.read(&mut buf).unwrap();
        for byte in &buf[..len] {
            assert_eq!(*byte, bytes[at % bytes.len()]);
            at += 1;
        }
        assert!(printed(1) <= at + BOUND + CHUNK_MAX);
    }
    assert!(printed(0) <= BOUND + CHUNK_MAX, "others wait on");
}

/// The run's bound is taken up by hosts that nobody reads; one that is read goes on all the same,
/// and those that were refused memory get it when there is some.
#[test]
fn readers_of_one_host_do_not_wait_for_readers_of_others() {
    const HOSTS: usize = 40;
    const BOUND: usize = 1024 * 1024;
    let puppets = Puppets::new(HOSTS);
    let spec = RunSpec::new("x").run_unread_bytes_max(BOUND);
    let run = puppets.pool().start(spec).unwrap();
    let bytes = pattern(5_003);
    for host in 0..HOSTS {
        puppets.host(host).print_without_end(Stdout, &bytes);
    }
    let printed = |host: usize| puppets.host(host).printed.load(Ordering::Relaxed);
    let total = || (0..HOSTS).map(printed).sum::<usize>();
    let held = settled(total);
    assert!(held <= BOUND + HOSTS * CHUNK_MAX, "{held}");
    let unread = |run: &crate::Started| run.hosts().iter().map(|h| h.unread(Stdout)).sum::<u64>();
    assert!(unread(&run) as usize <= BOUND, "{}", unread(&run));
    for host in [0, HOSTS - 1, HOSTS / 2] {
        let mut reader = run.host(host).stdout().idle_timeout(LONG);
        let (mut at, mut buf) = (0, vec![0; 10_000]);
        while at < 2_000_000 {
            let len = reader.read(&mut buf).unwrap();
            assert!((0..len).all(|n| buf[n] == bytes[(at + n) % bytes.len()]));
            at += len;
        }
    }
    assert!(settled(total) <= 6_000_000 + BOUND + HOSTS * CHUNK_MAX);
    assert!(unread(&run) as usize <= BOUND, "{}", unread(&run));
}

/// Join, then read: a wait lets hosts end that print more than any bound, and it is all there.
#[test]
fn a_wait_collects_what_is_beyond_the_bounds() {
    let puppets = Puppets::new(4);
    let run = puppets
        .pool_of(builder(4).memory_bytes_max(1_500_000))
        .start(RunSpec::new("x").run_unread_bytes_max(100_000))
        .unwrap();
    let bytes = pattern(3_000_000);
    for part in bytes.chunks(1_000_000) {
        puppets.print(Stdout, part);
        puppets.print(Stderr, b"err\n");
    }
    puppets.end();
    assert_eq!(settled(|| usize::from(run.is_finished())), 0, "held up");
    assert!(run.wait(LONG).is_complete());
    let mut read = Vec::new();
    run.host(2).stdout().read_to_end(&mut read).unwrap();
    assert!(read == bytes);
    assert_eq!(run.host(2).stderr().lines().count(), 3);
    assert_eq!(line(run.host(3)).with_terminator().first(), bytes.first());
    let report = run.into_report().unwrap();
    assert!(report[0].stdout().bytes().unwrap() == bytes && report[0].stdout().is_spilled());
    assert_eq!(report[1].stderr().text().unwrap(), "err\nerr\nerr\n");
    assert!(report[2].stdout().is_empty(), "it was read");
}

#[test]
fn output_is_cut_on_request_and_marked() {
    let puppets = Puppets::new(2);
    let spec = RunSpec::new("x").output_bytes_max(Some(100_000));
    let run = puppets.pool().start(spec).unwrap();
    let bytes = pattern(400_000);
    puppets.print(Stdout, &bytes);
    puppets.print(Stderr, b"whole");
    puppets.end();
    assert!(
        run.host(0).wait(LONG).is_some(),
        "what is cut holds nobody up"
    );
    assert!(run.host(0).is_truncated(Stdout) && !run.host(0).is_truncated(Stderr));
    let report = run.into_report().unwrap();
    assert!(report[1].stdout().bytes().unwrap()[..] == bytes[..100_000]);
    assert!(report[1].stdout().is_truncated() && !report[1].stderr().is_truncated());
}

/// Whoever reads one stream to its end and then the other must not wait for ever, however much
/// comes of the other; nor who reads hosts in turn where they wait for places.
#[test]
fn streams_and_hosts_can_be_read_one_after_the_other() {
    let puppets = Puppets::new(6);
    let pool = puppets.pool_of(builder(6).size(count(2)));
    let run = pool
        .start(RunSpec::new("x").unread_bytes_max(10_000))
        .unwrap();
    let bytes = pattern(500_000);
    puppets.print(Stderr, &bytes);
    puppets.print(Stdout, b"done\n");
    puppets.end();
    for host in run.hosts().iter().rev() {
        assert_eq!(line(host).bytes(), b"done");
        assert_eq!(host.stdout().idle_timeout(LONG).lines().count(), 0);
        let mut stderr = Vec::new();
        host.stderr().read_to_end(&mut stderr).unwrap();
        assert!(stderr == bytes);
    }
    assert!(run.is_finished(), "all were read to their ends");
}

/// Who waits for a host, or feeds it, that has to wait for others' places lets those end.
#[test]
fn a_host_without_a_place_does_not_wait_for_readers_of_others() {
    let puppets = Puppets::new(3);
    let pool = puppets.pool_of(builder(3).size(count(1)));
    let run = pool
        .start(RunSpec::new("x").unread_bytes_max(10_000))
        .unwrap();
    puppets.print(Stdout, &pattern(200_000));
    puppets.end();
    assert_eq!(
        settled(|| usize::from(run.host(0).is_finished())),
        0,
        "held up"
    );
    // By then it may have ended.
    let _ = run.host(1).write_stdin(b"x");
    assert!(run.host(0).is_finished());
    assert!(run.host(2).wait(LONG).is_some());
    assert_eq!(run.host(0).unread(Stdout), 200_000);
}

#[test]
fn both_streams_can_be_read_as_they_came() {
    let puppets = Puppets::new(1);
    let run = puppets.pool().start("x").unwrap();
    for n in 0..100 {
        puppets.host(0).print(Stdout, format!("o{n}\n").as_bytes());
        puppets.host(0).print(Stderr, format!("e{n}\n").as_bytes());
    }
    puppets.end();
    let mut reader = run.host(0).output();
    for n in 0..50 {
        for (stream, expected) in [(Stdout, format!("o{n}")), (Stderr, format!("e{n}"))] {
            let (of, line) = reader.next_line().unwrap().unwrap();
            assert_eq!((of, line.bytes()), (stream, expected.as_bytes()));
        }
    }
    let rest: Vec<_> = reader.map(Result::unwrap).collect();
    assert_eq!((rest.len(), &rest[0]), (100, &(Stdout, b"o50\n".to_vec())));
}

/// A host is held up for longer than it may be silent, because nobody reads it; its time counts
/// from when its output was taken, so that what it prints then is not too late, on a busy machine
/// with a longer limit.
#[test]
fn a_host_that_is_held_up_is_not_silent() {
    let limits = [400, 4_000, 20_000].map(Duration::from_millis);
    assert!(limits.into_iter().any(is_not_silent_while_held_up));
}

fn is_not_silent_while_held_up(limit: Duration) -> bool {
    let puppets = Puppets::new(1);
    let pool = puppets.pool_of(builder(1).silence_timeout(Some(limit)));
    let run = pool
        .start(RunSpec::new("x").unread_bytes_max(10_000))
        .unwrap();
    let (puppet, host) = (puppets.host(0), run.host(0));
    puppet.print(Stdout, &pattern(30_000));
    let began = Instant::now();
    while began.elapsed() < limit * 2 {
        settled(|| puppet.printed.load(Ordering::Relaxed));
    }
    let mut reader = host.stdout();
    let (mut buf, mut all) = (vec![0; 1000], 0);
    while all < 30_000 {
        all += reader.read(&mut buf).unwrap();
    }
    puppet.print(Stdout, b"more");
    puppet.end(Exit::Status(0));
    let more = reader.read(&mut buf).unwrap();
    more == 4 && host.wait(LONG).is_some_and(crate::Outcome::is_success)
}

/// Another run has one of the two places: hosts of this one take turns at what is left, and who
/// waits for one that has to wait for another lets that end, as in a smaller pool.
#[test]
fn hosts_whose_places_another_run_has_do_not_wait_for_readers() {
    let puppets = Puppets::new(2);
    let pool = puppets.pool();
    let other = pool.start("other").unwrap();
    assert!(other.accepted(LONG).is_complete());
    other.host(0).close();
    assert!(other.host(0).wait(LONG).is_some());
    puppets.host(0).print(Stdout, &pattern(200_000));
    puppets.host(0).end(Exit::Status(0));
    let run = pool
        .start(RunSpec::new("x").unread_bytes_max(10_000))
        .unwrap();
    let printed = || puppets.host(0).printed.load(Ordering::Relaxed);
    assert!(settled(printed) < 50_000, "held up");
    assert!(run.accepted(LONG).is_complete());
    assert!(run.host(0).is_finished());
    assert_eq!(run.host(0).unread(Stdout), 200_000);
}
