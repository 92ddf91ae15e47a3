//! `-P`: output as it comes, each complete line after `host: `.

use std::collections::HashMap;

use crate::console::{Console, Sink};

/// The live output of one run.
#[derive(Debug)]
pub(crate) struct Print {
    labels: Vec<String>,
    /// Lines that have not ended, of running hosts only; at most [`LINE_BYTES_MAX`] each.
    unfinished: HashMap<(usize, u8), Vec<u8>>,
    scratch: Vec<u8>,
}

impl Print {
    /// Begins with the hosts' labels in input order.
    pub(crate) fn new(labels: Vec<String>) -> Self {
        Self {
            labels,
            unfinished: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    /// Shows the lines that these bytes complete.
    pub(crate) fn bytes(&mut self, index: usize, from: Sink, bytes: &[u8], console: &mut Console) {
        let mut shown = std::mem::take(&mut self.scratch);
        shown.clear();
        self.take(index, from, bytes, &mut shown);
        console.host_bytes(from, &shown);
        self.scratch = shown;
    }

    /// Shows the host's last lines if they never ended.
    pub(crate) fn finished(&mut self, index: usize, console: &mut Console) {
        for from in [Sink::Stdout, Sink::Stderr] {
            if let Some(rest) = self.unfinished.remove(&(index, from as u8)) {
                let mut shown = Vec::new();
                self.line(index, &[&rest], &mut shown);
                console.host_bytes(from, &shown);
            }
        }
    }

    fn take(&mut self, index: usize, from: Sink, bytes: &[u8], shown: &mut Vec<u8>) {
        let key = (index, from as u8);
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let before = self.unfinished.remove(&key).unwrap_or_default();
            self.line(index, &[&before, &rest[..end]], shown);
            rest = &rest[end + 1..];
        }
        if rest.is_empty() {
            return;
        }
        let line = self.unfinished.entry(key).or_default();
        line.extend_from_slice(rest);
        if line.len() > LINE_BYTES_MAX {
            let line = self.unfinished.remove(&key).unwrap_or_default();
            self.line(index, &[&line], shown);
        }
    }

    fn line(&self, index: usize, parts: &[&[u8]], shown: &mut Vec<u8>) {
        shown.extend_from_slice(self.labels[index].as_bytes());
        shown.extend_from_slice(b": ");
        for part in parts {
            shown.extend_from_slice(part);
        }
        shown.push(b'\n');
    }
}

/// A line that grows beyond this is shown in pieces, so that no host can fill our memory.
const LINE_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(print: &mut Print, index: usize, bytes: &[u8]) -> String {
        let mut shown = Vec::new();
        print.take(index, Sink::Stdout, bytes, &mut shown);
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn only_complete_lines_are_shown_each_after_its_host() {
        let mut print = Print::new(vec!["a".into(), "b".into()]);
        assert_eq!(feed(&mut print, 0, b"one\ntwo\nthr"), "a: one\na: two\n");
        assert_eq!(feed(&mut print, 1, b"other\n"), "b: other\n");
        assert_eq!(feed(&mut print, 0, b"ee\n\nfour"), "a: three\na: \n");
        assert_eq!(print.unfinished[&(0, Sink::Stdout as u8)], b"four");
    }

    #[test]
    fn a_line_without_end_stays_bounded() {
        let mut print = Print::new(vec!["a".into()]);
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
