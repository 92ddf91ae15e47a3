//! The names field of a known_hosts line: plain names, patterns with negation, or one hash.

use super::hash::{HashedName, Lookup};

/// The names of one line.
#[derive(Debug, Clone)]
pub(super) enum Names {
    /// Names without wildcards, lowercase.
    Plain(Box<[Box<[u8]>]>),
    /// Patterns, of which one must match and no negated one may.
    Patterns(PatternList),
    /// A name hidden by a hash.
    Hashed(Box<HashedName>),
}

impl Names {
    /// Reads a names field; `None` if it can match nothing.
    pub(super) fn parse(field: &[u8]) -> Option<Self> {
        if field.first() == Some(&b'|') {
            return HashedName::parse(field).map(|hashed| Self::Hashed(Box::new(hashed)));
        }
        let field = field.to_ascii_lowercase();
        let parts = || field.split(|byte| *byte == b',');
        // ssh lets such a list match nothing, negations included.
        if parts().any(|part| part.len() >= PATTERN_BYTES_MAX) {
            return None;
        }
        if field.iter().any(|byte| matches!(byte, b'*' | b'?' | b'!')) {
            return Some(Self::Patterns(PatternList::new(parts())));
        }
        Some(Self::Plain(parts().map(Box::from).collect()))
    }

    /// Returns whether the line speaks of a host; `lookup` is lowercase.
    pub(super) fn matches(&self, lookup: &str) -> bool {
        match self {
            Self::Plain(names) => names.iter().any(|name| **name == *lookup.as_bytes()),
            Self::Patterns(list) => list.matches(lookup),
            Self::Hashed(hashed) => hashed.matches(&Lookup::new(lookup)),
        }
    }
}

/// A list of patterns, each with `*` and `?`, some negated by `!`.
#[derive(Debug, Clone)]
pub(super) struct PatternList {
    wanted: Box<[Box<[u8]>]>,
    /// Any of these vetoes the line.
    negated: Box<[Box<[u8]>]>,
}

impl PatternList {
    fn new<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Self {
        let (mut wanted, mut negated) = (Vec::new(), Vec::new());
        for part in parts {
            match part.strip_prefix(b"!") {
                Some(part) => negated.push(part.into()),
                None => wanted.push(part.into()),
            }
        }
        Self {
            wanted: wanted.into(),
            negated: negated.into(),
        }
    }

    fn matches(&self, lookup: &str) -> bool {
        let any = |list: &[Box<[u8]>]| list.iter().any(|p| glob(p, lookup.as_bytes()));
        any(&self.wanted) && !any(&self.negated)
    }
}

/// Matches `*` and `?` in time of at most pattern by text, however many stars there are.
pub(crate) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and up to where it has taken the text.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else {
                    return false;
                };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// The buffer that ssh copies one pattern into (match.c).
const PATTERN_BYTES_MAX: usize = 1023;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, without a thought for time.
    fn naive_glob(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| naive_glob(rest, &text[at..])),
            Some((b'?', rest)) => !text.is_empty() && naive_glob(rest, &text[1..]),
            Some((byte, rest)) => text.first() == Some(byte) && naive_glob(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn glob_agrees_with_its_definition(pattern in "[ab*?]{0,8}", text in "[ab*]{0,8}") {
            prop_assert_eq!(
                glob(pattern.as_bytes(), text.as_bytes()),
                naive_glob(pattern.as_bytes(), text.as_bytes())
            );
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(500) + "b";
        assert!(!glob(pattern.as_bytes(), "a".repeat(1000).as_bytes()));
    }
}
