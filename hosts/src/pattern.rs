//! One name with ranges in it, `web[01-40,50].eu`: counted before it is expanded.

use crate::DIGITS_MAX;
use crate::error::NodeSetError;

/// A name with ranges: text and brackets in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// What stands in one pair of brackets, between its commas.
    Brackets(Vec<Item>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    /// Numbers with a step, both ends within, padded to a width where that is not 0.
    Range {
        first: u64,
        last: u64,
        step: u64,
        width: usize,
    },
    /// Letters, as only Ansible has them.
    Letters { first: char, last: char, step: u64 },
    /// Brackets in brackets, with digits around them.
    Nested(Pattern),
}

/// Who wrote the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `[01-40,50]`, `[0-10/2]`, as in ClusterShell.
    NodeSet,
    /// `[01:40]`, `[01:40:2]` and `[a:f]` too, as in Ansible's inventories.
    Ansible,
}

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn parse(text: &str, dialect: Dialect) -> Result<Self, NodeSetError> {
        let mut rest = text;
        let pattern = Self::read(&mut rest, (text, dialect), 0)?;
        match pattern.longest() > NAME_BYTES_MAX {
            true => Err(NodeSetError::TooLong {
                text: shortened(text),
                max: NAME_BYTES_MAX,
            }),
            false => Ok(pattern),
        }
    }

    /// Reads up to the end, or in brackets (`depth` above 0) up to a comma or the closing one.
    fn read(rest: &mut &str, whole: (&str, Dialect), depth: usize) -> Result<Self, NodeSetError> {
        let (mut parts, mut text) = (Vec::new(), String::new());
        while let Some(c) = rest.chars().next() {
            match c {
                ',' | ']' if depth > 0 => break,
                ']' => {
                    return Err(NodeSetError::Unopened {
                        text: shortened(whole.0),
                    });
                }
                '[' => {
                    // An IPv6 address has brackets of its own, with colons in them.
                    let begins =
                        depth == 0 && parts.is_empty() && (text.is_empty() || text.ends_with('@'));
                    if let Some(length) = ipv6_length(rest).filter(|_| begins) {
                        text.push_str(&rest[..length]);
                        *rest = &rest[length..];
                        continue;
                    }
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text)));
                    }
                    parts.push(Part::Brackets(Self::brackets(rest, whole, depth + 1)?));
                }
                c => {
                    text.push(c);
                    *rest = &rest[c.len_utf8()..];
                }
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self(parts))
    }

    /// Reads brackets; `rest` begins with the opening one.
    fn brackets(
        rest: &mut &str,
        whole: (&str, Dialect),
        depth: usize,
    ) -> Result<Vec<Item>, NodeSetError> {
        let text = || shortened(whole.0);
        if depth > DEPTH_MAX {
            return Err(NodeSetError::TooDeep {
                text: text(),
                max: DEPTH_MAX,
            });
        }
        *rest = &rest[1..];
        let mut items = Vec::new();
        loop {
            let before = *rest;
            let pattern = Self::read(rest, whole, depth)?;
            if rest.is_empty() {
                return Err(NodeSetError::Unclosed { text: text() });
            }
            let own = before[..before.len() - rest.len()].trim();
            let bad = |why| NodeSetError::Range {
                text: text(),
                range: shortened(own),
                why,
            };
            items.push(match pattern.is_plain() {
                true => item(own, whole.1).map_err(bad)?,
                false if pattern.is_digits() => Item::Nested(pattern),
                false => return Err(bad("brackets in brackets stand among digits alone")),
            });
            let is_last = !rest.starts_with(',');
            *rest = &rest[1..];
            if is_last {
                return Ok(items);
            }
        }
    }

    /// Returns how many names it stands for; as many as can be counted, if there are more.
    pub(crate) fn count(&self) -> u64 {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(_) => 1,
            Part::Brackets(items) => items
                .iter()
                .fold(0, |sum: u64, item| sum.saturating_add(item.count())),
        });
        parts.fold(1, u64::saturating_mul)
    }

    /// # Errors
    /// There are more names than `max`.
    pub(crate) fn check_count(&self, text: &str, max: usize) -> Result<(), NodeSetError> {
        let (count, text) = (self.count(), shortened(text));
        match count > max as u64 {
            true => Err(NodeSetError::TooMany { text, count, max }),
            false => Ok(()),
        }
    }

    /// Hands out every name, in order; the last number varies first.
    pub(crate) fn each(&self, take: &mut dyn FnMut(&str)) {
        Self::walk(&self.0, &mut String::new(), take);
    }

    fn walk(parts: &[Part], name: &mut String, take: &mut dyn FnMut(&str)) {
        let Some((part, rest)) = parts.split_first() else {
            return take(name);
        };
        let before = name.len();
        match part {
            Part::Text(text) => {
                name.push_str(text);
                Self::walk(rest, name, take);
                name.truncate(before);
            }
            Part::Brackets(items) => {
                for item in items {
                    item.each(&mut |text| {
                        name.push_str(text);
                        Self::walk(rest, name, take);
                        name.truncate(before);
                    });
                }
            }
        }
    }

    /// Whether there are no brackets in it.
    fn is_plain(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Whether all text outside of brackets is digits.
    fn is_digits(&self) -> bool {
        self.0.iter().all(|part| match part {
            Part::Text(text) => text.bytes().all(|byte| byte.is_ascii_digit()),
            Part::Brackets(_) => true,
        })
    }

    /// Returns the most bytes that a name of it can have.
    fn longest(&self) -> usize {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text.len(),
            Part::Brackets(items) => items.iter().map(Item::longest).max().unwrap_or(0),
        });
        parts.fold(0, usize::saturating_add)
    }
}

impl Item {
    fn count(&self) -> u64 {
        match self {
            Self::Range {
                first, last, step, ..
            } => (last - first) / step + 1,
            Self::Letters { first, last, step } => {
                (u64::from(*last) - u64::from(*first)) / step + 1
            }
            Self::Nested(pattern) => pattern.count(),
        }
    }

    fn longest(&self) -> usize {
        match self {
            Self::Nested(pattern) => pattern.longest(),
            Self::Letters { .. } => 1,
            Self::Range { width, .. } => *width.max(&DIGITS_MAX),
        }
    }

    fn each(&self, take: &mut dyn FnMut(&str)) {
        match self {
            Self::Range {
                first,
                last,
                step,
                width,
            } => {
                let mut number = *first;
                loop {
                    take(&format!("{number:0width$}"));
                    match number.checked_add(*step) {
                        Some(next) if next <= *last => number = next,
                        _ => break,
                    }
                }
            }
            Self::Letters { first, last, step } => {
                let step = usize::try_from(*step).unwrap_or(usize::MAX);
                for letter in (*first..=*last).step_by(step) {
                    take(letter.encode_utf8(&mut [0; 4]));
                }
            }
            Self::Nested(pattern) => pattern.each(take),
        }
    }
}

/// Reads what stands between two commas: a number, or a range.
fn item(text: &str, dialect: Dialect) -> Result<Item, &'static str> {
    if text.is_empty() {
        return Err("there is nothing in it");
    }
    let (ends, step) = match dialect {
        Dialect::Ansible if text.contains(':') => {
            let mut parts = text.splitn(3, ':');
            let ends = (parts.next().unwrap_or_default(), parts.next());
            (ends, parts.next())
        }
        _ => {
            let (ends, step) = divide(text, '/');
            (divide(ends, '-'), step)
        }
    };
    let (first, last) = (ends.0.trim(), ends.1.map(str::trim));
    if last.is_none() && step.is_some() {
        return Err("a step follows a range, as in [0-10/2]");
    }
    let step = step.map_or(Ok(1), |step| number(step.trim()))?;
    if step == 0 {
        return Err("a step of 0 goes nowhere");
    }
    let last = last.unwrap_or(first);
    if dialect == Dialect::Ansible
        && let (Some(first), Some(last)) = (letter(first), letter(last))
    {
        return match first <= last && first.is_lowercase() == last.is_lowercase() {
            true => Ok(Item::Letters { first, last, step }),
            false => Err("the first letter is behind the last"),
        };
    }
    // Ansible counts from 0 where nothing stands before the colon.
    let open = dialect == Dialect::Ansible && first.is_empty();
    let (begin, end) = (if open { "0" } else { first }, last);
    let (first, last) = (number(begin)?, number(end)?);
    let padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let width = match padded(begin) || (padded(end) && dialect == Dialect::NodeSet) {
        true if begin.len() != end.len() && dialect == Dialect::NodeSet => {
            return Err("both ends need the same number of digits, as in [01-99,100]");
        }
        true => begin.len(),
        false => 0,
    };
    match first <= last {
        true => Ok(Item::Range {
            first,
            last,
            step,
            width,
        }),
        false => Err("the first number is larger than the last"),
    }
}

fn divide(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn letter(text: &str) -> Option<char> {
    let mut letters = text.chars();
    let letter = letters.next().filter(char::is_ascii_alphabetic);
    letter.filter(|_| letters.next().is_none())
}

fn number(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("a range is NUMBER or NUMBER-NUMBER, with /STEP after it if wanted");
    }
    if text.len() > DIGITS_MAX {
        return Err("the number has more than 18 digits");
    }
    text.parse()
        .map_err(|_| "the number has more than 18 digits")
}

/// Returns the length of an IPv6 address in brackets that a text begins with.
fn ipv6_length(text: &str) -> Option<usize> {
    let (address, _) = text.strip_prefix('[')?.split_once(']')?;
    let bare = address.split_once('%').map_or(address, |(bare, _)| bare);
    let is_address = bare.parse::<std::net::Ipv6Addr>().is_ok();
    let is_plain = !address.contains(|c: char| "[,!&^".contains(c) || c.is_whitespace());
    (is_address && is_plain).then_some(address.len() + 2)
}

/// Returns a text for an error message: whole, or its beginning.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Characters of a node set that an error shows.
const SHOWN_MAX: usize = 120;

/// Far more than a user, a name and a port have, and an end to what a pattern can make of memory.
const NAME_BYTES_MAX: usize = 1024;

/// Brackets in brackets.
const DEPTH_MAX: usize = 8;
