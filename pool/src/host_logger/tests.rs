//! The lines that come out of bytes in pieces.

use proptest::prelude::*;

use super::*;
use OutputStream::{Stderr, Stdout};

fn host(name: &str) -> Host {
    Host::new(name).unwrap()
}

/// What a logger makes of these pieces of two hosts.
#[track_caller]
fn check(pieces: &[(&str, OutputStream, &[u8])], expected: &str) {
    let mut log = Vec::new();
    let mut logger = HostLogger::new(&mut log).line_bytes_max(16);
    for (name, stream, bytes) in pieces {
        logger.output(&host(name), *stream, bytes).unwrap();
    }
    for name in ["a", "b"] {
        logger.end(&host(name)).unwrap();
        logger.end(&host(name)).unwrap();
    }
    assert!(logger.by_host.is_empty() && logger.by_index.is_empty());
    drop(logger);
    assert_eq!(String::from_utf8(log).unwrap(), expected);
}

#[test]
fn lines_are_marked_with_their_host_and_their_stream() {
    check(
        &[("a", Stdout, b"out\n"), ("b", Stderr, b"bad\n")],
        "[a]\tout\n[b]\t[err]\tbad\n",
    );
    check(&[("a", Stdout, b"1\r\n\n2\n")], "[a]\t1\n[a]\t\n[a]\t2\n");
    check(&[("a", Stdout, b"no end")], "[a]\tno end\n");
    check(&[("a", Stdout, b"\r\r\nx\ry\r")], "[a]\t\r\n[a]\tx\ry\r\n");
    check(&[("a", Stdout, b"")], "");
}

#[test]
fn lines_in_pieces_are_put_together_by_host_and_stream() {
    check(
        &[
            ("a", Stdout, b"one "),
            ("b", Stdout, b"of b\nand"),
            ("a", Stderr, b"err"),
            ("a", Stdout, b"line\r"),
            ("a", Stderr, b"or\n"),
            ("a", Stdout, b"\nlast"),
        ],
        "[b]\tof b\n[a]\t[err]\terror\n[a]\tone line\n[a]\tlast\n[b]\tand\n",
    );
}

#[test]
fn a_line_that_is_too_long_comes_in_pieces() {
    let long = b"0123456789abcdef0123456789abcdefXY\nz\n";
    let cut = "[a]\t0123456789abcdef\n[a]\t0123456789abcdef\n[a]\tXY\n[a]\tz\n";
    check(&[("a", Stdout, long)], cut);
    // A line that fills the bound, and an end that stands astride it, add no empty piece.
    check(
        &[("a", Stdout, b"0123456789abcdef\n-\n")],
        "[a]\t0123456789abcdef\n[a]\t-\n",
    );
    for at in 0..=18 {
        let bytes = b"0123456789abcdef\r\n";
        let (first, second) = bytes.split_at(at);
        let whole = "[a]\t0123456789abcdef\n";
        check(&[("a", Stdout, first), ("a", Stdout, second)], whole);
    }
}

#[test]
fn the_safe_form_shows_what_would_act() {
    let mut log = Vec::new();
    let mut logger = HostLogger::new(&mut log).form(LogForm::Safe);
    let bytes = b"\x1b[31mred\tand\xff\r\n";
    logger.output(&host("a"), Stdout, bytes).unwrap();
    drop(logger);
    assert_eq!(log, b"[a]\t\\x1b[31mred\tand\\xff\n");
}

/// The second of three lines cannot be written: the error is told, and the others are written.
#[test]
fn a_line_that_cannot_be_written_is_told_and_loses_no_other() {
    let mut seen = Vec::new();
    let mut logger = HostLogger::with(|name, _, line| {
        assert_eq!(name, "a");
        if line == b"2" {
            return Err(io::Error::other("full"));
        }
        seen.push(line.to_vec());
        Ok(())
    });
    let written = logger.output(&host("a"), Stdout, b"1\n2\n3\n");
    assert_eq!(written.unwrap_err().to_string(), "full");
    logger.output(&host("a"), Stdout, b"4\n").unwrap();
    drop(logger);
    assert_eq!(seen, [b"1", b"3", b"4"]);
}

proptest! {
    /// However the bytes are cut, and whatever they are: without the marks, and with the ends of lines put back, the
    /// log is what was printed.
    #[test]
    fn what_is_logged_is_what_was_printed(
        lines in prop::collection::vec(("[a-c\r\u{0}\u{ff}]{0,40}", any::<bool>()), 0..20),
        last in "[a-c]{0,40}",
        cuts in prop::collection::vec(1..30_usize, 1..40),
    ) {
        let mut printed = Vec::new();
        let mut expected = Vec::new();
        for (line, carriage) in lines {
            // A line's own last carriage return would be taken for one of its end.
            let line = line.trim_end_matches('\r').as_bytes();
            printed.extend_from_slice(line);
            printed.extend_from_slice(if carriage { b"\r\n" } else { b"\n" });
            expected.push(line.to_vec());
        }
        printed.extend_from_slice(last.as_bytes());
        if !last.is_empty() {
            expected.push(last.into_bytes());
        }
        for bytes_max in [LINE_BYTES_MAX, 20] {
            let mut seen: Vec<Vec<u8>> = Vec::new();
            let mut logger = HostLogger::with(|_, _, line| {
                seen.push(line.to_vec());
                Ok(())
            });
            logger = logger.line_bytes_max(bytes_max);
            let (mut rest, mut cut) = (&printed[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, more) = rest.split_at(rest.len().min(*cut.next().unwrap()));
                logger.output(&host("a"), Stdout, piece).unwrap();
                rest = more;
                let held = logger.by_host.values().map(|u| u.stdout.bytes.len()).sum::<usize>();
                prop_assert!(held <= bytes_max);
            }
            logger.end(&host("a")).unwrap();
            drop(logger);
            if bytes_max == LINE_BYTES_MAX {
                prop_assert_eq!(&seen, &expected);
            } else {
                prop_assert_eq!(seen.concat(), expected.concat());
                prop_assert!(seen.iter().all(|line| line.len() <= bytes_max));
            }
        }
    }
}
