//! Patterns for one name, as a POSIX shell reads them (IEEE 1003.1, Shell Command Language, 2.13).

/// A pattern for one name, over bytes.
#[derive(Debug, Clone)]
pub(crate) struct Glob {
    parts: Vec<Part>,
    /// Whether it begins with a dot, without which no name that does fits.
    dotted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// Any number of bytes.
    Any,
    /// Any byte.
    One,
    This(u8),
    /// One byte of these ranges, or of none of them.
    Of {
        ranges: Vec<(u8, u8)>,
        not: bool,
    },
}

impl Glob {
    pub(crate) fn new(pattern: &[u8]) -> Self {
        let (mut parts, mut rest) = (Vec::new(), pattern);
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            let part = match (byte, tail.first()) {
                (b'*', _) => Part::Any,
                (b'?', _) => Part::One,
                (b'\\', Some(&next)) => {
                    rest = &tail[1..];
                    Part::This(next)
                }
                (b'[', _) => match bracket(tail) {
                    Some((part, after)) => {
                        rest = after;
                        part
                    }
                    // Without its end it is a byte like any other.
                    None => Part::This(byte),
                },
                _ => Part::This(byte),
            };
            if part != Part::Any || parts.last() != Some(&Part::Any) {
                parts.push(part);
            }
        }
        let dotted = parts.first() == Some(&Part::This(b'.'));
        Self { parts, dotted }
    }

    /// Returns whether a name fits. Takes at most the product of both lengths: only the last `*`
    /// is ever tried again.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        if name.first() == Some(&b'.') && !self.dotted {
            return false;
        }
        let (mut part, mut byte) = (0, 0);
        let mut star = None;
        loop {
            match self.parts.get(part) {
                Some(Part::Any) => {
                    star = Some((part, byte));
                    part += 1;
                    continue;
                }
                Some(other) if name.get(byte).is_some_and(|byte| other.fits(*byte)) => {
                    part += 1;
                    byte += 1;
                    continue;
                }
                None if byte == name.len() => return true,
                _ => {}
            }
            // The last `*` takes one byte more.
            match star {
                Some((at, taken)) if taken < name.len() => {
                    star = Some((at, taken + 1));
                    (part, byte) = (at + 1, taken + 1);
                }
                _ => return false,
            }
        }
    }
}

impl Part {
    fn fits(&self, byte: u8) -> bool {
        match self {
            Self::Any => false,
            Self::One => true,
            Self::This(this) => *this == byte,
            Self::Of { ranges, not } => {
                let within = ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&byte));
                within != *not
            }
        }
    }
}

/// Reads what follows a `[`; `None` if it has no end.
fn bracket(text: &[u8]) -> Option<(Part, &[u8])> {
    let (not, mut rest) = match text.split_first()? {
        (b'!' | b'^', tail) => (true, tail),
        _ => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        let (&from, tail) = rest.split_first()?;
        // Right behind the begin, a `]` is one of the bytes.
        if from == b']' && !ranges.is_empty() {
            return Some((Part::Of { ranges, not }, tail));
        }
        rest = match tail {
            [b'-', to, after @ ..] if *to != b']' => {
                ranges.push((from, *to));
                after
            }
            _ => {
                ranges.push((from, from));
                tail
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(pattern: &str, fit: &[&str], not: &[&str]) {
        let glob = Glob::new(pattern.as_bytes());
        for (names, expected) in [(fit, true), (not, false)] {
            for name in names {
                assert_eq!(glob.fits(name.as_bytes()), expected, "{pattern} {name}");
            }
        }
    }

    #[test]
    fn names_fit_as_in_a_shell() {
        check(
            "*.log",
            &["a.log", "a.b.log"],
            &[".log", "a.log.1", "log", ".a.log"],
        );
        check("*", &["a", "a b", "\u{fc}"], &[".a"]);
        check(".*", &[".a", "..."], &["a"]);
        check("a?c", &["abc", "a?c"], &["ac", "abbc"]);
        check("[a-c]x", &["ax", "cx"], &["dx", "x", "-x"]);
        check("[!a-c]x", &["dx"], &["ax", "x"]);
        check("[]a]", &["]", "a"], &["[", "b"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("[ab", &["[ab"], &["a"]);
        check(r"\*", &["*"], &["a"]);
        check("a*b*c", &["abc", "aXbYc", "abbcc"], &["acb", "ab"]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn many_stars_take_no_time() {
        let glob = Glob::new("*a".repeat(50).as_bytes());
        let name = [vec![b'a'; 4096], vec![b'b']].concat();
        assert!(!glob.fits(&name));
    }

    proptest! {
        /// What is escaped fits itself and nothing else.
        #[test]
        fn an_escaped_name_fits_itself(name in "[a-c*?\\[\\]\\\\]{0,8}", other in "[a-c*?\\[\\]\\\\]{0,8}") {
            let pattern: String = name.chars().flat_map(|c| ['\\', c]).collect();
            let glob = Glob::new(pattern.as_bytes());
            prop_assert!(glob.fits(name.as_bytes()));
            prop_assert_eq!(glob.fits(other.as_bytes()), name == other);
        }
    }
}
