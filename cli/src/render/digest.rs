//! Equal outputs merged: what the hosts said, and how many of them said it.

use std::collections::HashMap;

use crate::record::Record;
use crate::sanitise::sanitise;

/// The different ends and outputs of one run.
#[derive(Debug, Default)]
pub(crate) struct Digest {
    /// In the order in which they were first seen.
    groups: Vec<Group>,
    /// Where in `groups` an end and output stands.
    places: HashMap<Said, usize>,
}

/// How a host ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Said {
    verdict: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// The hosts that ended alike.
#[derive(Debug)]
struct Group {
    said: Said,
    /// The one that comes first in the input, with its position there.
    first: (usize, String),
    hosts: usize,
}

impl Digest {
    /// Adds a finished host.
    pub(crate) fn add(&mut self, record: &Record) {
        let said = Said {
            verdict: record.verdict(),
            stdout: record.stdout.clone(),
            stderr: record.stderr.clone(),
        };
        let host = (record.index, record.label.clone());
        if let Some(&place) = self.places.get(&said) {
            let group = &mut self.groups[place];
            group.hosts += 1;
            group.first = host.min(std::mem::take(&mut group.first));
        } else {
            self.places.insert(said.clone(), self.groups.len());
            self.groups.push(Group {
                said,
                first: host,
                hosts: 1,
            });
        }
    }

    /// Returns the groups as text that is safe on a terminal, the largest first, at most
    /// `groups_max` of them and `lines_max` lines of each.
    pub(crate) fn text(&self, groups_max: usize, lines_max: usize) -> String {
        let mut groups: Vec<&Group> = self.groups.iter().collect();
        groups.sort_by_key(|group| (std::cmp::Reverse(group.hosts), group.first.0));
        let mut text = String::new();
        for group in groups.iter().take(groups_max) {
            group.show(lines_max, &mut text);
        }
        if groups.len() > groups_max {
            let left: usize = groups[groups_max..].iter().map(|group| group.hosts).sum();
            let outputs = groups.len() - groups_max;
            let s = |count: usize| if count == 1 { "" } else { "s" };
            text.push_str(&format!(
                "… and {outputs} other output{}, of {left} host{}\n",
                s(outputs),
                s(left)
            ));
        }
        text
    }
}

impl Group {
    fn show(&self, lines_max: usize, text: &mut String) {
        let (label, verdict) = (&self.first.1, &self.said.verdict);
        match self.hosts {
            1 => text.push_str(&format!("{label}: {verdict}\n")),
            n => text.push_str(&format!("{n} hosts ({label} …): {verdict}\n")),
        }
        for bytes in [&self.said.stdout, &self.said.stderr] {
            let mut shown = Vec::new();
            sanitise(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)], &mut shown);
            let shown = String::from_utf8_lossy(&shown);
            let lines = shown.lines().count();
            shown
                .lines()
                .take(lines_max)
                .for_each(|line| text.push_str(&format!("  {line}\n")));
            if lines > lines_max || bytes.len() > SHOWN_BYTES_MAX {
                text.push_str(&format!("  … ({} bytes in all)\n", bytes.len()));
            }
        }
    }
}

/// What is looked at to find the first lines.
const SHOWN_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Ending;
    use crate::record::tests::{refused, sample};

    fn add(digest: &mut Digest, index: usize, stdout: &str) {
        let mut record = sample(Ending::Exited(0));
        record.index = index;
        record.label = format!("h{index}");
        record.stdout = stdout.as_bytes().to_vec();
        digest.add(&record);
    }

    #[test]
    fn equal_outputs_are_merged_and_the_largest_group_comes_first() {
        let mut digest = Digest::default();
        digest.add(&sample(Ending::Failed(refused())));
        for index in [3, 1, 2] {
            add(&mut digest, index, "same\n\x1b[2J\n");
        }
        assert_eq!(
            digest.text(5, 5),
            "3 hosts (h1 …): ok\n  same\n  \\x1b[2J\n\
             web1:2222: failed: connect: Connection refused\n"
        );
    }

    #[test]
    fn many_different_outputs_stay_few_lines() {
        let mut digest = Digest::default();
        for index in 0..100 {
            add(&mut digest, index, &format!("{index}\n").repeat(10));
        }
        let text = digest.text(2, 1);
        assert_eq!(
            text,
            "h0: ok\n  0\n  … (20 bytes in all)\nh1: ok\n  1\n  … (20 bytes in all)\n\
             … and 98 other outputs, of 98 hosts\n"
        );
    }
}
