//! What a shell's output is searched for.
//!
//! The principal type is [`Pattern`].

use std::ops::Range;

use regex::bytes::Regex;
use sshoal_reactor::{blocking, is_green};

/// Something to wait for in a shell's output: bytes, a regular expression, or one of several.
///
/// Bytes and texts turn into a pattern of themselves, as do arrays of them into one that any of
/// them fits.
#[derive(Debug, Clone)]
pub struct Pattern {
    alternatives: Vec<Alternative>,
}

#[derive(Debug, Clone)]
enum Alternative {
    Literal(Vec<u8>),
    Regex(Regex),
}

/// Why a regular expression cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
#[error("regular expression: {message}")]
pub struct PatternError {
    message: String,
}

/// A place where a pattern fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    /// Which alternative, from 0.
    pub(super) which: usize,
    pub(super) range: Range<usize>,
}

impl Pattern {
    /// Returns a pattern that these bytes fit.
    pub fn literal(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            alternatives: vec![Alternative::Literal(bytes.into())],
        }
    }

    /// Returns a pattern that what a regular expression describes fits, over bytes. Parks, where a
    /// green thread calls it: expressions are read on a thread with a large stack.
    ///
    /// The output is searched as it comes, so an open end, as of `[0-9]+`, is where it had come to;
    /// end it with what follows. `(?m)` makes `^` and `$` mean lines; the syntax is the `regex`
    /// crate's.
    ///
    /// # Errors
    ///
    /// What is wrong with the expression.
    pub fn regex(expression: &str) -> Result<Self, PatternError> {
        let compiled = if is_green() {
            let expression = expression.to_owned();
            let compiled = blocking(move || Regex::new(&expression));
            compiled.map_err(|panic| PatternError {
                message: panic.message().to_owned(),
            })?
        } else {
            Regex::new(expression)
        };
        let regex = compiled.map_err(|error| PatternError {
            message: error.to_string(),
        })?;
        Ok(Self {
            alternatives: vec![Alternative::Regex(regex)],
        })
    }

    /// Returns a pattern that whatever fits one of these fits; of two that fit at one place, the
    /// one listed first.
    pub fn any<P: Into<Self>>(patterns: impl IntoIterator<Item = P>) -> Self {
        let alternatives = patterns
            .into_iter()
            .flat_map(|pattern| pattern.into().alternatives);
        Self {
            alternatives: alternatives.collect(),
        }
    }

    /// Returns the first place that fits. Nothing that begins before `searched` fits a literal as
    /// far as `searched`: it is searched for from there on.
    pub(super) fn find(&self, bytes: &[u8], searched: usize) -> Option<Hit> {
        let mut first: Option<Hit> = None;
        for (which, alternative) in self.alternatives.iter().enumerate() {
            let found = match alternative {
                Alternative::Literal(literal) => find_literal(bytes, literal, searched),
                Alternative::Regex(regex) => regex.find(bytes).map(|found| found.range()),
            };
            if let Some(range) = found
                && (first.as_ref()).is_none_or(|first| range.start < first.range.start)
            {
                first = Some(Hit { which, range });
            }
        }
        first
    }
}

/// Returns the first place of a literal that is not wholly within what was searched.
fn find_literal(bytes: &[u8], literal: &[u8], searched: usize) -> Option<Range<usize>> {
    let Some((head, tail)) = literal.split_first() else {
        return Some(0..0);
    };
    let mut from = (searched + 1).saturating_sub(literal.len());
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| byte == head)?;
        if bytes[at + 1..].starts_with(tail) {
            return Some(at..at + literal.len());
        }
        from = at + 1;
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self::literal(text)
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self::literal(text)
    }
}

impl From<&[u8]> for Pattern {
    fn from(bytes: &[u8]) -> Self {
        Self::literal(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Pattern {
    fn from(bytes: &[u8; N]) -> Self {
        Self::literal(bytes.as_slice())
    }
}

impl From<Vec<u8>> for Pattern {
    fn from(bytes: Vec<u8>) -> Self {
        Self::literal(bytes)
    }
}

impl<const N: usize> From<[&str; N]> for Pattern {
    fn from(texts: [&str; N]) -> Self {
        Self::any(texts)
    }
}

impl From<&Self> for Pattern {
    fn from(pattern: &Self) -> Self {
        pattern.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: impl Into<Pattern>, text: &str, expected: Option<(usize, Range<usize>)>) {
        let found = pattern.into().find(text.as_bytes(), 0);
        assert_eq!(found.map(|hit| (hit.which, hit.range)), expected);
    }

    #[test]
    fn the_first_place_counts_and_then_the_first_alternative() {
        check("$ ", "a$b$ c$ ", Some((0, 3..5)));
        check(["no", "yes"], "yes or no", Some((1, 0..3)));
        check(["ab", "a"], "xab", Some((0, 1..3)));
        check(["a", "ab"], "xab", Some((0, 1..2)));
        check("", "x", Some((0, 0..0)));
        check("abc", "ab", None);
    }

    #[test]
    fn expressions_go_over_bytes_and_along_with_literals() {
        let prompt = Pattern::regex(r"(?m)^[a-z]+[$#] $").unwrap();
        let both = Pattern::any([Pattern::literal("denied"), prompt.clone()]);
        check(&prompt, "x\nroot# ", Some((0, 2..8)));
        check(&both, "x\nroot# denied", Some((0, 8..14)));
        let hit = Pattern::regex(r"(?-u)\xff+").unwrap();
        assert_eq!(hit.find(b"a\xff\xff", 0).unwrap().range, 1..3);
        assert!(Pattern::regex("(").is_err());
    }

    #[test]
    fn expressions_are_read_on_green_threads_too() {
        let green = sshoal_reactor::spawn(|| {
            let pattern = Pattern::regex(r"(?i)([a-z]+[0-9]{2,8}|\w+)\s").unwrap();
            pattern.find("web12 ".as_bytes(), 0).unwrap().range
        });
        assert_eq!(green.unwrap().join().unwrap(), 0..6);
    }

    proptest! {
        /// What a search in pieces finds is what a search of the whole finds.
        #[test]
        fn a_search_goes_on_where_it_had_come_to(
            text in proptest::collection::vec(0..3u8, 0..40),
            literal in proptest::collection::vec(0..3u8, 1..5),
            cut in 0..40usize,
        ) {
            let pattern = Pattern::literal(literal.clone());
            let cut = cut.min(text.len());
            let early = pattern.find(&text[..cut], 0);
            let found = early.or_else(|| pattern.find(&text, cut));
            let expected = text.windows(literal.len()).position(|window| window == literal);
            prop_assert_eq!(found.map(|hit| hit.range.start), expected);
        }
    }
}
