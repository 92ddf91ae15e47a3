//! `-b`, `--gather-live`, `--fuzzy`, `--diff`: hosts that ended alike and wrote the same, together.
//!
//! Hosts without output that were not reached, or lost, are not here: their status lines, and the
//! summary, say what became of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::fuzzy::{self, Reading};
use super::heading::Headings;
use super::kept::Store;
use crate::console::Console;
use crate::record::{Ending, Record};

mod group;
mod show;
#[cfg(test)]
mod tests;

use group::{Group, Own};

/// How hosts are shown together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gathering {
    /// Every output in full.
    pub(crate) blocks: bool,
    /// As hosts end, and not at the end alone.
    pub(crate) live: bool,
    /// What is a host's own does not count.
    pub(crate) fuzzy: bool,
    /// What differs from the most common output.
    pub(crate) diff: bool,
    /// Nothing but what the hosts wrote.
    pub(crate) bare: bool,
    /// How hosts ended is said with their names.
    pub(crate) remarks: bool,
}

/// The different ends and outputs of one run.
#[derive(Debug)]
pub(crate) struct Gather {
    how: Gathering,
    headings: Headings,
    /// In the order in which they were first seen.
    groups: Vec<Group>,
    /// Where in `groups` an end and output stands, by its digest; of those that are read fuzzily, by
    /// the digests of their readings too.
    places: HashMap<[u8; 32], usize>,
    store: Store,
    /// Hosts that nothing was shown of, by group; only live.
    untold: Vec<(usize, usize)>,
    /// When these are to be shown.
    due: Option<Instant>,
}

impl Gather {
    /// Begins without hosts.
    pub(crate) fn new(how: Gathering, headings: Headings) -> Self {
        Self {
            how,
            headings,
            groups: Vec::new(),
            places: HashMap::new(),
            store: Store::default(),
            untold: Vec::new(),
            due: None,
        }
    }

    /// Adds a finished host.
    pub(crate) fn add(&mut self, record: &Record) {
        let ended = matches!(
            record.ending,
            Ending::Exited(_) | Ending::Signaled(_) | Ending::NoStatus
        );
        if !ended && record.stdout.is_empty() && record.stderr.is_empty() {
            return;
        }
        let verdict = record.verdict();
        let said = [record.stdout.as_slice(), &record.stderr];
        let exactly = digest(0, &verdict, said.map(|bytes| Sha256::digest(bytes).into()));
        let place = match self.places.get(&exactly) {
            Some(place) => *place,
            None => {
                let place = self.place(record, &verdict);
                self.places.insert(exactly, place);
                place
            }
        };
        self.groups[place].hosts.push(record.index);
        if self.how.live {
            self.untold.push((place, record.index));
            self.due.get_or_insert_with(|| Instant::now() + TELL_EVERY);
        }
    }

    /// Returns the group of an output that was not seen before; makes one if need be.
    fn place(&mut self, record: &Record, verdict: &str) -> usize {
        let readings = match self.how.fuzzy {
            true => readings(record),
            false => Vec::new(),
        };
        let digests: Vec<[u8; 32]> = readings
            .iter()
            .map(|said| digest(1, verdict, [said[0].digest, said[1].digest]))
            .collect();
        for (digest, reading) in digests.iter().zip(&readings) {
            if let Some(place) = self.places.get(digest) {
                self.groups[*place].note(digest, reading);
                return *place;
            }
        }
        let place = self.groups.len();
        for digest in &digests {
            self.places.insert(*digest, place);
        }
        let owns = digests.into_iter().zip(readings);
        self.groups.push(Group {
            verdict: verdict.to_owned(),
            is_cut: record.truncated,
            said: [&record.stdout, &record.stderr].map(|bytes| self.store.keep(bytes)),
            first: (record.label.clone(), record.host.clone()),
            owns: owns.map(|(digest, said)| Own::new(digest, said)).collect(),
            hosts: Vec::new(),
            pieces: 0,
        });
        place
    }

    /// Returns whether not all hosts wrote the same, where that was asked for.
    pub(crate) fn differs(&self) -> bool {
        self.how.diff && self.groups.len() > 1
    }

    /// Returns when [`Self::tell`] has something to show.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Shows what came since it was called last.
    ///
    /// # Errors
    /// What was written cannot be read back.
    pub(crate) fn tell(&mut self, console: &mut Console) -> Result<()> {
        self.due = None;
        let mut untold = std::mem::take(&mut self.untold);
        untold.sort_unstable();
        for hosts in untold.chunk_by(|one, next| one.0 == next.0) {
            let place = hosts[0].0;
            let hosts: Vec<usize> = hosts.iter().map(|(_, host)| *host).collect();
            self.groups[place].pieces += 1;
            if self.groups[place].pieces > 1 {
                self.show_more(place, &hosts, console);
            } else {
                self.show_block(place, &hosts, console)
                    .context(UNREADABLE)?;
            }
        }
        Ok(())
    }

    /// Shows what is asked for at the end.
    ///
    /// # Errors
    /// What was written cannot be read back.
    pub(crate) fn end(mut self, console: &mut Console) -> Result<()> {
        self.tell(console)?;
        self.groups
            .iter_mut()
            .for_each(|group| group.hosts.sort_unstable());
        if self.how.live {
            self.show_all(console);
            return Ok(());
        }
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.sort_by_key(|place| {
            let hosts = &self.groups[*place].hosts;
            (std::cmp::Reverse(hosts.len()), hosts[0])
        });
        self.show_end(&order, console).context(UNREADABLE)
    }
}

/// Reads what a host wrote, as it may be compared: with its name as its own, and, as an output may
/// be about other hosts too, with its name as any other word.
fn readings(record: &Record) -> Vec<[Reading; 2]> {
    let read =
        |names: &[&str]| [&record.stdout, &record.stderr].map(|bytes| Reading::of(bytes, names));
    let own = read(&fuzzy::names(&record.label, &record.host));
    match own.iter().any(Reading::has_name) {
        true => vec![own, read(&[])],
        false => vec![own],
    }
}

/// Returns the digest of an end and of two outputs; those of different kinds are never the same.
fn digest(kind: u8, verdict: &str, said: [[u8; 32]; 2]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update([kind]);
    hash.update(said[0]);
    hash.update(said[1]);
    hash.update(verdict);
    hash.finalize().into()
}

/// How long hosts wait for others that write the same.
const TELL_EVERY: Duration = Duration::from_secs(1);

const UNREADABLE: &str = "what the hosts wrote cannot be read back";
