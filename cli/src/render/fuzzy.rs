//! What in an output is one host's own and says nothing: numbers, hexadecimal ids, times, and the
//! name of the host.
//!
//! Pure. A [`Reading`] is an output with these places found. Two outputs are alike if their readings
//! have the same digest, and then have as many places.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::LazyLock;

use regex::bytes::Regex;
use sha2::{Digest, Sha256};

/// A place that is a host's own, what it is and what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) range: Range<usize>,
    what: What,
    value: u64,
}

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Name,
    Time,
    Hex,
    Number,
}

impl What {
    fn mask(self) -> &'static [u8] {
        match self {
            Self::Name => b"<host>",
            Self::Time => b"<time>",
            Self::Hex => b"<hex>",
            Self::Number => b"<number>",
        }
    }
}

impl Place {
    /// Returns whether something else stands here than at a place of another output.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.value != other.value
    }
}

/// An output as it is compared.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// Of everything but the places; runs of blanks count as one, so that columns do not matter.
    pub(super) digest: [u8; 32],
    pub(super) places: Vec<Place>,
}

impl Reading {
    /// Reads an output of a host that is called `names`.
    pub(super) fn of(bytes: &[u8], names: &[&str]) -> Self {
        let places = places(bytes, names);
        let mut hash = Sha256::new();
        let mut at = 0;
        for place in &places {
            literal(&bytes[at..place.range.start], &mut hash);
            hash.update([1]);
            at = place.range.end;
        }
        literal(&bytes[at..], &mut hash);
        Self {
            digest: hash.finalize().into(),
            places,
        }
    }

    /// Returns whether the host's name is somewhere in it.
    pub(super) fn has_name(&self) -> bool {
        self.places.iter().any(|place| place.what == What::Name)
    }
}

/// Returns a line with everything masked that is a host's own, and runs of blanks as one, for
/// comparison.
pub(super) fn masked_line(line: &[u8], names: &[&str]) -> Vec<u8> {
    let places = places(line, names);
    let all: Vec<&Place> = places.iter().collect();
    squeezed(&masked(line, &all))
}

/// Returns the bytes with these places, which are in order, masked; of those that overlap the first.
pub(super) fn masked(bytes: &[u8], places: &[&Place]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    for place in places.iter().filter(|place| !place.range.is_empty()) {
        if place.range.start < at {
            at = at.max(place.range.end);
            continue;
        }
        out.extend_from_slice(&bytes[at..place.range.start]);
        out.extend_from_slice(place.what.mask());
        at = place.range.end;
    }
    out.extend_from_slice(&bytes[at..]);
    out
}

/// Returns how a host may be called in its output: as it is listed, and without its domain.
pub(super) fn names<'a>(label: &'a str, host: &'a str) -> Vec<&'a str> {
    let short = host.split('.').next().unwrap_or(host);
    let mut names = vec![label, host, short];
    // Addresses and the like are numbers anyway, and a letter alone is no name.
    names.retain(|name| name.len() > 1 && name.bytes().any(|byte| byte.is_ascii_alphabetic()));
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.dedup();
    names
}

fn literal(bytes: &[u8], hash: &mut Sha256) {
    let squeezed = squeezed(bytes);
    hash.update([0]);
    hash.update((squeezed.len() as u64).to_le_bytes());
    hash.update(&squeezed);
}

fn squeezed(bytes: &[u8]) -> Vec<u8> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut squeezed = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match is_blank(byte) {
            true if squeezed.last() == Some(&b' ') => {}
            true => squeezed.push(b' '),
            false => squeezed.push(*byte),
        }
    }
    squeezed
}

fn places(bytes: &[u8], names: &[&str]) -> Vec<Place> {
    let mut places = Vec::new();
    let mut at = 0;
    for name in occurrences(bytes, names) {
        patterns(bytes, at..name.start, &mut places);
        at = name.end;
        places.push(place(bytes, name, What::Name));
    }
    patterns(bytes, at..bytes.len(), &mut places);
    places
}

fn place(bytes: &[u8], range: Range<usize>, what: What) -> Place {
    let mut hasher = DefaultHasher::new();
    bytes[range.clone()].hash(&mut hasher);
    Place {
        value: hasher.finish(),
        range,
        what,
    }
}

fn patterns(bytes: &[u8], range: Range<usize>, places: &mut Vec<Place>) {
    for found in PATTERNS.captures_iter(&bytes[range.clone()]) {
        let kinds = [(1, What::Hex), (2, What::Time), (3, What::Hex)];
        let kind = kinds
            .iter()
            .find_map(|(group, what)| Some((found.get(*group)?, *what)));
        let (found, what) = match (kind, found.get(0)) {
            (Some(found), _) => found,
            (None, Some(found)) => (found, What::Number),
            (None, None) => continue,
        };
        let found = range.start + found.start()..range.start + found.end();
        places.push(place(bytes, found, what));
    }
}

/// Finds the names, in any case, where no letter or digit is next to them.
fn occurrences(bytes: &[u8], names: &[&str]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    if names.is_empty() {
        return found;
    }
    let mut at = 0;
    while at < bytes.len() {
        let begins = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        let end = begins.then(|| {
            names.iter().find_map(|name| {
                let end = at + name.len();
                let here = bytes.get(at..end)?;
                let ends = bytes.get(end).is_none_or(|b| !b.is_ascii_alphanumeric());
                (ends && here.eq_ignore_ascii_case(name.as_bytes())).then_some(end)
            })
        });
        match end.flatten() {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

/// Ids that have digits and colons or dashes; times; other ids; and, outside of all groups, numbers.
static PATTERNS: LazyLock<Regex> = LazyLock::new(|| {
    let id = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?:[0-9a-fA-F]{2}:){3,}[0-9a-fA-F]{2}|0[xX][0-9a-fA-F]+";
    let clock = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?";
    let month = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
    let day = "(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)?";
    let iso = format!(
        r"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[T ]{clock}(?: ?(?:Z|UTC|[+-][0-9]{{2}}:?[0-9]{{2}}))?)?"
    );
    let date = format!(
        r"{day}(?:{month} +[0-9]{{1,2}}|[0-9]{{1,2}} {month})(?:,? +[0-9]{{4}})?(?: +{clock})?(?: +[AP]M)?(?: +[A-Z]{{3,4}})?(?: +[+-][0-9]{{4}})?(?: +[0-9]{{4}})?"
    );
    let hex = r"\b[0-9a-fA-F]{8,}\b";
    let number = r"[0-9]+(?:[.,][0-9]+)*(?:[kKMGTPE]i?B?\b)?";
    let all = format!("(?-u)({id})|({iso}|{date}|{clock})|({hex})|{number}");
    Regex::new(&all).expect("the pattern is well-formed")
});

#[cfg(test)]
mod tests;
