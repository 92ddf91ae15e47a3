//! `-P`: output as it comes, each complete line after `host: `.

use std::collections::HashMap;

use super::status::Colors;
use crate::console::{Console, Sink};
use crate::sanitise::one_line;

/// The live output of one run.
#[derive(Debug)]
pub(crate) struct Print {
    /// What stands before a host's lines, by host, in input order.
    prefixes: Vec<String>,
    /// Lines that have not ended, of running hosts only; at most [`LINE_BYTES_MAX`] each.
    unfinished: HashMap<(usize, u8), Vec<u8>>,
    scratch: Vec<u8>,
}

impl Print {
    /// Begins with what stands before each host's lines, in input order.
    pub(crate) fn new(prefixes: Vec<String>) -> Self {
        Self {
            prefixes,
            unfinished: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    /// Shows the lines that these bytes complete.
    pub(crate) fn bytes(&mut self, index: usize, from: Sink, bytes: &[u8], console: &mut Console) {
        let mut text = std::mem::take(&mut self.scratch);
        text.clear();
        let clean = |bytes: &[u8], text: &mut Vec<u8>| console.shown(from, bytes, text);
        self.take((index, from), bytes, &clean, &mut text);
        if !text.is_empty() {
            console.lines(from, &text);
        }
        self.scratch = text;
    }

    /// Shows the host's last lines if they never ended.
    pub(crate) fn finished(&mut self, index: usize, console: &mut Console) {
        for from in [Sink::Stdout, Sink::Stderr] {
            if let Some(rest) = self.unfinished.remove(&(index, from as u8)) {
                let mut text = Vec::new();
                let clean = |bytes: &[u8], text: &mut Vec<u8>| console.shown(from, bytes, text);
                self.line(index, &[&rest], &clean, &mut text);
                console.lines(from, &text);
            }
        }
    }

    fn take(
        &mut self,
        (index, from): (usize, Sink),
        bytes: &[u8],
        clean: Clean<'_>,
        text: &mut Vec<u8>,
    ) {
        let key = (index, from as u8);
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            // Only the first line may have begun in earlier bytes.
            let before = match start {
                0 => self.unfinished.remove(&key).unwrap_or_default(),
                _ => Vec::new(),
            };
            self.line(index, &[&before, &bytes[start..end]], clean, text);
            start = end + 1;
        }
        let rest = &bytes[start..];
        if rest.is_empty() {
            return;
        }
        let line = self.unfinished.entry(key).or_default();
        line.extend_from_slice(rest);
        if line.len() > LINE_BYTES_MAX {
            let line = self.unfinished.remove(&key).unwrap_or_default();
            self.line(index, &[&line], clean, text);
        }
    }

    fn line(&self, index: usize, parts: &[&[u8]], clean: Clean<'_>, text: &mut Vec<u8>) {
        text.extend_from_slice(self.prefixes[index].as_bytes());
        match parts {
            // A character may have a part in each.
            [before, after] if !before.is_empty() => clean(&[*before, *after].concat(), text),
            parts => parts.iter().for_each(|part| clean(part, text)),
        }
        text.push(b'\n');
    }
}

/// Appends host bytes as they may be shown.
type Clean<'a> = &'a dyn Fn(&[u8], &mut Vec<u8>);

/// Returns what stands before the lines of hosts that are called so; each has a colour that it keeps,
/// where there are colours.
pub(crate) fn prefixes(labels: &[String], bare: bool, colors: Colors) -> Vec<String> {
    let prefix = |(index, label): (usize, &String)| {
        let label = one_line(label);
        match colors {
            _ if bare => String::new(),
            Colors::Off => format!("{label}: "),
            Colors::On => format!("\x1b[{}m{label}:\x1b[0m ", COLORS[index % COLORS.len()]),
        }
    };
    labels.iter().enumerate().map(prefix).collect()
}

/// The colours of names; red is for what went wrong.
const COLORS: [u8; 10] = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

/// A line that grows beyond this is shown in pieces, so that no host can fill our memory.
const LINE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(print: &mut Print, of: (usize, Sink), bytes: &[u8]) -> Vec<u8> {
        let mut shown = Vec::new();
        let clean = |bytes: &[u8], text: &mut Vec<u8>| text.extend_from_slice(bytes);
        print.take(of, bytes, &clean, &mut shown);
        shown
    }

    fn feed(print: &mut Print, index: usize, bytes: &[u8]) -> String {
        String::from_utf8(take(print, (index, Sink::Stdout), bytes)).unwrap()
    }

    proptest! {
        /// Two streams of two hosts in pieces of any size, in any order: what is shown of each are
        /// its complete lines behind its host's name, and with what is left they are its bytes.
        #[test]
        fn lines_are_those_of_the_whole_however_it_was_cut(
            texts in prop::collection::vec(prop::collection::vec(prop::sample::select(b"\n\r\0ab:\xc3\xa4".to_vec()), 0..80), 4),
            pieces in prop::collection::vec((0_usize..4, 1_usize..20), 0..80),
        ) {
            let mut print = Print::new(vec!["a: ".into(), "b: ".into()]);
            let of = |stream: usize| (stream / 2, [Sink::Stdout, Sink::Stderr][stream % 2]);
            let (mut given, mut back) = ([0; 4], [const { Vec::new() }; 4]);
            let rest = (0..4).map(|stream| (stream, usize::MAX));
            for (stream, len) in pieces.into_iter().chain(rest) {
                let left = &texts[stream][given[stream]..];
                let piece = &left[..len.min(left.len())];
                given[stream] += piece.len();
                let shown = take(&mut print, of(stream), piece);
                for line in shown.split_inclusive(|byte| *byte == b'\n') {
                    let name = [&b"a: "[..], b"b: "][stream / 2];
                    let line = line.strip_prefix(name);
                    prop_assert!(line.is_some_and(|line| line.ends_with(b"\n")), "{:?}", line);
                    back[stream].extend_from_slice(line.unwrap_or_default());
                }
            }
            for (stream, back) in back.iter_mut().enumerate() {
                let (index, from) = of(stream);
                let last = print.unfinished.remove(&(index, from as u8)).unwrap_or_default();
                prop_assert!(!last.contains(&b'\n'));
                back.extend(last);
                prop_assert_eq!(&*back, &texts[stream]);
            }
        }
    }

    #[test]
    fn only_complete_lines_are_shown_each_after_its_host() {
        let mut print = Print::new(vec!["a: ".into(), "b: ".into()]);
        assert_eq!(feed(&mut print, 0, b"one\ntwo\nthr"), "a: one\na: two\n");
        assert_eq!(feed(&mut print, 1, b"other\n"), "b: other\n");
        assert_eq!(feed(&mut print, 0, b"ee\n\nfour"), "a: three\na: \n");
        assert_eq!(print.unfinished[&(0, Sink::Stdout as u8)], b"four");
    }

    #[test]
    fn a_line_without_end_stays_bounded() {
        let mut print = Print::new(vec!["a: ".into()]);
        let piece = [b'x'; 1000];
        let shown: usize = (0..1000)
            .map(|_| feed(&mut print, 0, &piece).matches('x').count())
            .sum();
        assert!(shown >= 1_000_000 - LINE_BYTES_MAX);
        assert!(
            print
                .unfinished
                .values()
                .all(|line| line.len() <= LINE_BYTES_MAX)
        );
    }
}
