//! Patterns with `*` and `?`, and comma-separated lists of them with negation.

use crate::known_hosts;

/// What a list of patterns says about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// No pattern matches.
    No,
    /// A pattern matches and no negated one does.
    Yes,
    /// A negated pattern matches.
    Negated,
}

/// Matches `*` and `?`; bytes, as in ssh: one `?` is one byte.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    known_hosts::glob(pattern.as_bytes(), text.as_bytes())
}

/// Holds a text against a list of patterns divided by commas, some negated by `!`.
pub(super) fn list(patterns: &str, text: &str) -> Listed {
    if patterns.is_empty() {
        return Listed::No;
    }
    let patterns = patterns.strip_suffix(',').unwrap_or(patterns);
    let mut found = Listed::No;
    for pattern in patterns.split(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        // ssh lets such a list match nothing.
        if pattern.len() >= PATTERN_BYTES_MAX {
            return Listed::No;
        }
        if glob(pattern, text) {
            if negated {
                return Listed::Negated;
            }
            found = Listed::Yes;
        }
    }
    found
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
                glob(&pattern, &text),
                naive_glob(pattern.as_bytes(), text.as_bytes())
            );
        }
    }

    #[test]
    fn a_negated_pattern_vetoes_a_list() {
        assert_eq!(list("a*,!ab", "ac"), Listed::Yes);
        assert_eq!(list("a*,!ab", "ab"), Listed::Negated);
        assert_eq!(list("!ab", "ac"), Listed::No);
        assert_eq!(list("a,", ""), Listed::No);
        assert_eq!(list("a,", "a"), Listed::Yes);
        assert_eq!(list("", ""), Listed::No);
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = "*a".repeat(500) + "b";
        assert!(!glob(&pattern, &"a".repeat(1000)));
    }
}
