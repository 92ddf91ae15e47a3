//! Groups of hosts on standard output, and what they wrote to standard error on ours.

use std::io;

use super::super::diff::{Line, unified};
use super::super::fuzzy;
use super::super::heading::{BOLD, CYAN, GREEN, RED};
use super::Gather;
use super::group::Group;
use crate::console::{Console, Sink};

impl Gather {
    /// Shows what a group's hosts wrote, under the names of these.
    pub(super) fn show_block(
        &self,
        place: usize,
        hosts: &[usize],
        console: &mut Console,
    ) -> io::Result<()> {
        let group = &self.groups[place];
        let stdout = group.text(0, &self.store)?;
        let stderr = group.text(1, &self.store)?;
        let remarks = match self.how.remarks {
            true => group.remarks(stdout.is_empty() && stderr.is_empty()),
            false => String::new(),
        };
        let text = self.headings.names(hosts) + &remarks;
        let is_shared = console.is_shared();
        if !stdout.is_empty() || stderr.is_empty() || is_shared {
            self.heading(Sink::Stdout, &text, console);
            console.host_bytes(Sink::Stdout, &stdout);
            console.end_line(Sink::Stdout);
        }
        if !stderr.is_empty() {
            if !is_shared {
                self.heading(Sink::Stderr, &text, console);
            }
            console.host_bytes(Sink::Stderr, &stderr);
            console.end_line(Sink::Stderr);
        }
        Ok(())
    }

    fn heading(&self, sink: Sink, text: &str, console: &mut Console) {
        if !self.how.bare {
            console.lines(sink, self.headings.block(text).as_bytes());
        }
    }

    /// Says that more hosts wrote what was shown before.
    pub(super) fn show_more(&self, place: usize, hosts: &[usize], console: &mut Console) {
        if self.how.bare {
            return;
        }
        let group = &self.groups[place];
        let first = self.headings.names(&group.hosts[..1]);
        let line = format!("{}: as {first}", self.headings.names(hosts));
        console.lines(
            Sink::Stdout,
            (self.headings.colored(CYAN, &line) + "\n").as_bytes(),
        );
    }

    /// Says once more who wrote the same, if some of it was said in pieces.
    pub(super) fn show_all(&self, console: &mut Console) {
        let in_pieces = self.groups.iter().any(|group| group.pieces > 1);
        if self.how.bare || !in_pieces {
            return;
        }
        let mut text = format!("{} different outputs\n", self.groups.len());
        if self.groups.len() == 1 {
            text = "1 output\n".to_owned();
        }
        for group in &self.groups {
            let remarks = group.remarks(false);
            text.push_str(&format!("{}{remarks}\n", self.headings.names(&group.hosts)));
        }
        let text = self.headings.colored(BOLD, text.trim_end()) + "\n";
        console.lines(Sink::Stdout, text.as_bytes());
    }

    /// Shows the groups, the first one of `order` as what most hosts wrote.
    pub(super) fn show_end(&self, order: &[usize], console: &mut Console) -> io::Result<()> {
        let Some((most, others)) = order.split_first() else {
            return Ok(());
        };
        if self.how.blocks {
            let blocks = match self.how.diff {
                true => &order[..1],
                false => order,
            };
            for place in blocks {
                self.show_block(*place, &self.groups[*place].hosts, console)?;
            }
        }
        if self.how.diff {
            for place in others {
                self.show_diff(*most, *place, console)?;
            }
        }
        if self.how.fuzzy && !others.is_empty() && !self.how.bare {
            self.show_odd(others, console);
        }
        Ok(())
    }

    /// Names the hosts that stand out.
    fn show_odd(&self, others: &[usize], console: &mut Console) {
        let hosts = |place: &usize| self.groups[*place].hosts.iter().copied();
        let mut odd: Vec<usize> = others.iter().flat_map(hosts).collect();
        odd.sort_unstable();
        let all: usize = self.groups.iter().map(|group| group.hosts.len()).sum();
        let names = self.headings.folded(&odd);
        let line = format!("odd: {names} ({} of {all} hosts)", odd.len());
        let line = self.headings.colored(BOLD, &line) + "\n";
        console.lines(Sink::Stdout, line.as_bytes());
    }

    /// Shows what a group wrote differently from what most wrote.
    fn show_diff(&self, most: usize, other: usize, console: &mut Console) -> io::Result<()> {
        let (most, other) = (&self.groups[most], &self.groups[other]);
        let names = [most, other].map(|group| fuzzy::names(&group.first.0, &group.first.1));
        let names = names.concat();
        let key = |line: &[u8]| match self.how.fuzzy {
            true => fuzzy::masked_line(line, &names),
            false => line.to_vec(),
        };
        let mut text = Vec::new();
        for (stream, what) in [(0, ""), (1, " (standard error)")] {
            let old = self.store.read(&most.said[stream])?;
            let new = self.store.read(&other.said[stream])?;
            let lines = unified(&old, &new, key);
            // That hosts ended otherwise has to stand somewhere.
            let is_first = stream == 0 && most.verdict != other.verdict;
            if !lines.is_empty() || is_first {
                text.extend(self.diff_heading(most, other, what).bytes());
            }
            for line in &lines {
                self.diff_line(line, console, &mut text);
            }
        }
        console.lines(Sink::Stdout, &text);
        Ok(())
    }

    fn diff_heading(&self, most: &Group, other: &Group, what: &str) -> String {
        let name = |mark, group: &Group| {
            let verdict = match most.verdict == other.verdict {
                true => String::new(),
                false => format!(": {}", group.verdict),
            };
            let names = self.headings.names(&group.hosts);
            let line = format!("{mark} {names}{verdict}{what}");
            self.headings.colored(BOLD, &line) + "\n"
        };
        name("---", most) + &name("+++", other)
    }

    fn diff_line(&self, line: &Line<'_>, console: &Console, text: &mut Vec<u8>) {
        let (color, mark, bytes) = match line {
            Line::Place(place) => (Some(CYAN), "", place.as_bytes()),
            Line::Same(bytes) => (None, " ", *bytes),
            Line::Removed(bytes) => (Some(RED), "-", *bytes),
            Line::Added(bytes) => (Some(GREEN), "+", *bytes),
            Line::NoNewline => (None, "", &b"\\ No newline at end of file"[..]),
        };
        let (on, off) = self.headings.around(color);
        text.extend_from_slice(on.as_bytes());
        text.extend_from_slice(mark.as_bytes());
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        console.shown(Sink::Stdout, bytes, text);
        text.extend_from_slice(off.as_bytes());
        text.push(b'\n');
    }
}
