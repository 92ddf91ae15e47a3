//! The spool without a run: held against plain queues of bytes and a plain splitter of lines.

use proptest::prelude::*;
use sshoal_session::OutputStream::{self, Stderr, Stdout};

use super::line::{Line, LineEnding};
use super::spool::{Limits, OWN_BYTES, Spool, Which, position};
use crate::store::Store;

/// A spool with what belongs to it.
struct Bench {
    spool: Spool,
    store: Store,
    limits: Limits,
    /// Memory that hosts would share.
    shared: usize,
}

impl Bench {
    fn new(unread_bytes_max: usize, shared: usize) -> Self {
        Self {
            spool: Spool::default(),
            store: Store::new(4_000, None),
            limits: Limits {
                unread_bytes_max,
                output_bytes_max: None,
            },
            shared,
        }
    }

    /// Appends what fits within the bounds, and all with `collects`; returns how much.
    fn append(&mut self, stream: OutputStream, bytes: &[u8], collects: bool) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            let shared = &mut self.shared;
            let mut some = self
                .spool
                .append((stream, rest), &self.limits, |least, most| {
                    let got = most.min(*shared);
                    (got >= least).then(|| {
                        *shared -= got;
                        got
                    })
                });
            if some == 0 && collects {
                let (collected, result) = self.spool.collect((stream, rest), &self.store);
                result.unwrap();
                some = collected;
            }
            if some == 0 {
                break;
            }
            taken += some;
        }
        taken
    }

    fn read(&mut self, which: Which, len: usize) -> (OutputStream, Vec<u8>) {
        let mut buf = vec![0; len];
        let (stream, len, freed) = self.spool.read(which, &mut buf, &self.store).unwrap();
        self.shared += self.spool.settle(freed, &self.store);
        buf.truncate(len);
        (stream, buf)
    }

    fn take_line(&mut self, which: Which, bytes_max: usize) -> Option<(OutputStream, Line)> {
        let (line, freed) = self.spool.take_line(which, bytes_max, &self.store);
        self.shared += self.spool.settle(freed, &self.store);
        line.unwrap()
    }
}

/// Splits as a line should be: at each `\n`, a `\r` before it being of the terminator.
fn split(bytes: &[u8]) -> Vec<Line> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let line = |line: &[u8]| match line.last() {
        Some(b'\n') => Line::new(line.to_vec()),
        _ => Line::with_ending(line.to_vec(), LineEnding::None),
    };
    lines.map(line).collect()
}

fn stream() -> impl Strategy<Value = OutputStream> {
    prop_oneof![Just(Stdout), Just(Stderr)]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![2 => stream().prop_map(Which::One), 1 => Just(Which::Both)]
}

/// Text with many ends of lines of every sort.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => Just(b'a'), 2 => Just(b'\n'), 2 => Just(b'\r'), 1 => any::<u8>()];
    prop::collection::vec(byte, 0..400)
}

#[derive(Debug, Clone)]
enum Op {
    Append(OutputStream, usize, bool),
    Read(Which, usize),
    Line(Which, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let appended = prop_oneof![0..100_usize, 0..40_000_usize];
    prop_oneof![
        (stream(), appended, any::<bool>()).prop_map(|(s, n, c)| Op::Append(s, n, c)),
        (which(), prop_oneof![1..64_usize, 1..50_000_usize]).prop_map(|(w, n)| Op::Read(w, n)),
        (which(), prop_oneof![2..64_usize, 2..9_000_usize]).prop_map(|(w, n)| Op::Line(w, n)),
    ]
}

/// Bytes that tell their position, with an end of line at every seventh.
fn byte(stream: OutputStream, at: u64) -> u8 {
    match at % 7 {
        0 => b'\n',
        1 if at.is_multiple_of(2) => b'\r',
        _ => (at ^ (at >> 8) ^ (position(stream) as u64 * 91)) as u8 | 0x80,
    }
}

proptest! {
    /// Whatever is appended, read and taken as lines, in whatever order: each stream's bytes come
    /// in order, none is lost and none comes twice; and memory stays within its bounds and comes
    /// back.
    #[test]
    fn every_byte_comes_once_and_in_order(
        ops in prop::collection::vec(op(), 1..60),
        unread_bytes_max in OWN_BYTES..100_000,
        shared in 0..50_000_usize,
    ) {
        let mut bench = Bench::new(unread_bytes_max, shared);
        let (mut came, mut given) = ([0_u64; 2], [0_u64; 2]);
        let mut check = |stream: OutputStream, bytes: &[u8]| {
            let given = &mut given[position(stream)];
            let expected: Vec<u8> = (*given..*given + bytes.len() as u64)
                .map(|at| byte(stream, at)).collect();
            *given += bytes.len() as u64;
            expected == bytes
        };
        for op in ops {
            match op {
                Op::Append(stream, len, collects) => {
                    let came = &mut came[position(stream)];
                    let bytes: Vec<u8> = (*came..*came + len as u64)
                        .map(|at| byte(stream, at)).collect();
                    let taken = bench.append(stream, &bytes, collects);
                    prop_assert!(taken == len || !collects);
                    *came += taken as u64;
                }
                Op::Read(which, len) => {
                    let (stream, bytes) = bench.read(which, len);
                    prop_assert!(check(stream, &bytes));
                    prop_assert!(!bytes.is_empty() || bench.spool.is_empty(which));
                }
                Op::Line(which, max) => if let Some((stream, line)) = bench.take_line(which, max) {
                    prop_assert!(line.with_terminator().len() <= max + 1);
                    prop_assert!(check(stream, line.with_terminator()));
                }
            }
            prop_assert!(shared - bench.shared <= unread_bytes_max, "within the bounds");
        }
        while !bench.spool.is_empty(Which::Both) {
            let (stream, bytes) = bench.read(Which::Both, 10_000);
            prop_assert!(!bytes.is_empty() && check(stream, &bytes));
        }
        prop_assert_eq!(given, came);
        prop_assert_eq!((bench.shared, bench.store.memory()), (shared, 0), "all is given back");
    }

    /// However output is cut up on its way, from memory and from the file: its lines are those of
    /// the whole, and joined they are the output.
    #[test]
    fn lines_are_those_of_the_whole_however_it_came(
        text in text(),
        cuts in prop::collection::vec(1..50_usize, 1..40),
        early in any::<bool>(),
        collects in any::<bool>(),
    ) {
        let mut bench = Bench::new(OWN_BYTES, if collects { 0 } else { 100_000 });
        if collects {
            bench.append(Stderr, &[b'x'; OWN_BYTES + 4_000], true);
        }
        let (mut rest, mut lines) = (text.as_slice(), Vec::new());
        for cut in cuts.into_iter().chain(std::iter::repeat(400)) {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            prop_assert_eq!(bench.append(Stdout, piece, collects), piece.len());
            rest = after;
            while early && let Some((_, line)) = bench.take_line(Which::One(Stdout), 1_000) {
                lines.push(line);
            }
            if rest.is_empty() {
                break;
            }
        }
        bench.spool.ended = true;
        while let Some((_, line)) = bench.take_line(Which::One(Stdout), 1_000) {
            lines.push(line);
        }
        prop_assert_eq!(&lines, &split(&text));
        let joined: Vec<u8> = lines.iter().flat_map(|l| l.with_terminator()).copied().collect();
        prop_assert_eq!(joined, text);
    }

    /// A line that is too long comes in pieces, none of which divides `\r\n`, and joined they are
    /// the line.
    #[test]
    fn long_lines_come_in_marked_pieces(text in text(), bytes_max in 2..20_usize) {
        let mut bench = Bench::new(OWN_BYTES, 0);
        bench.append(Stdout, &text, false);
        bench.spool.ended = true;
        let mut lines: Vec<Line> = Vec::new();
        let mut cut = false;
        while let Some((_, line)) = bench.take_line(Which::One(Stdout), bytes_max) {
            let len = line.with_terminator().len();
            match line.ending() {
                LineEnding::Cut => prop_assert!(len == bytes_max || len + 1 == bytes_max),
                _ => prop_assert!(len <= bytes_max + 1),
            }
            let goes_on = std::mem::replace(&mut cut, line.ending() == LineEnding::Cut);
            match lines.last_mut().filter(|_| goes_on) {
                Some(last) => {
                    let whole = [last.with_terminator(), line.with_terminator()].concat();
                    *last = Line::with_ending(whole, line.ending());
                }
                None => lines.push(line),
            }
        }
        prop_assert_eq!(lines, split(&text).into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn lines_have_their_terminators_apart() {
    let mut bench = Bench::new(OWN_BYTES, 0);
    bench.append(Stdout, b"hello\nworld\r\n\r\n\n\rx\ry\rlast", false);
    bench.spool.ended = true;
    let mut lines = Vec::new();
    while let Some((_, line)) = bench.take_line(Which::One(Stdout), 100) {
        lines.push((line.ending(), line.into_bytes()));
    }
    let expected: [(LineEnding, &[u8]); 5] = [
        (LineEnding::Lf, b"hello"),
        (LineEnding::CrLf, b"world"),
        (LineEnding::CrLf, b""),
        (LineEnding::Lf, b""),
        (LineEnding::None, b"\rx\ry\rlast"),
    ];
    assert_eq!(
        lines,
        expected.map(|(ending, bytes)| (ending, bytes.to_vec()))
    );
}

#[test]
fn both_streams_come_in_the_order_of_their_bytes() {
    let mut bench = Bench::new(OWN_BYTES, 0);
    for (stream, bytes) in [
        (Stdout, "a"),
        (Stderr, "b"),
        (Stdout, "c\n"),
        (Stderr, "d\n"),
    ] {
        bench.append(stream, bytes.as_bytes(), false);
    }
    assert_eq!(bench.read(Which::Both, 10), (Stdout, b"a".to_vec()));
    assert_eq!(bench.read(Which::One(Stdout), 1), (Stdout, b"c".to_vec()));
    let (stream, line) = bench.take_line(Which::Both, 10).unwrap();
    assert_eq!((stream, line.bytes()), (Stderr, &b"bd"[..]));
    assert_eq!(bench.read(Which::Both, 10), (Stdout, b"\n".to_vec()));
    assert_eq!(bench.read(Which::Both, 10), (Stdout, Vec::new()));
}

/// Streams that take turns byte for byte: the memory of the order is bounded, and no byte is lost.
#[test]
fn the_order_is_kept_in_bounded_memory() {
    let mut bench = Bench::new(OWN_BYTES, 0);
    for _ in 0..5_000 {
        bench.append(Stdout, b"o", true);
        bench.append(Stderr, b"e", true);
    }
    let (mut turns, mut bytes) = (0, 0);
    loop {
        let (_, piece) = bench.read(Which::Both, 100_000);
        if piece.is_empty() {
            break;
        }
        (turns, bytes) = (turns + 1, bytes + piece.len());
    }
    assert_eq!((turns, bytes), (1_024, 10_000));
}

/// A host takes little memory for little output, and no more than the bound for much.
#[test]
fn memory_follows_what_is_unread() {
    let mut bench = Bench::new(64 * 1024, usize::MAX / 2);
    assert_eq!(bench.append(Stdout, b"up 3 days\n", false), 10);
    let after_a_line = bench.spool.held();
    assert!(after_a_line <= 64, "{after_a_line}");
    let taken = bench.append(Stdout, &vec![b'x'; 1_000_000], false);
    assert!((63 * 1024..=64 * 1024).contains(&taken), "{taken}");
    assert!(bench.spool.held() <= 64 * 1024);
    assert_eq!(bench.read(Which::One(Stdout), 60_000).1.len(), 60_000);
    assert!(bench.spool.held() <= 32 * 1024, "{}", bench.spool.held());
    assert_eq!(bench.append(Stdout, &vec![b'x'; 10_000], false), 10_000);
}
