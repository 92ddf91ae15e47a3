//! Options as pssh's own reader of them takes them: clusters of letters, values glued on or apart,
//! long names cut short, and the end of options at the first word.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// An option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Definition<K> {
    /// Without its dash.
    pub(crate) letter: Option<char>,
    /// Without its dashes.
    pub(crate) name: &'static str,
    pub(crate) key: K,
    /// How the value is called in the help; `None` if there is none.
    pub(crate) value: Option<&'static str>,
    pub(crate) help: &'static str,
}

/// An option that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given<K> {
    pub(crate) key: K,
    /// As it was written, or in full where it was cut short, for messages.
    pub(crate) written: String,
    /// Empty where it takes none.
    pub(crate) value: String,
}

/// Takes options apart up to the first word; returns them, and the words, or the message of the first
/// option that is none, or has no value, or too much of one. Those before it are returned all the
/// same: one of them may end everything first.
pub(crate) fn parse<K: Copy>(
    definitions: &[Definition<K>],
    args: Vec<OsString>,
) -> (Vec<Given<K>>, Result<Vec<OsString>, String>) {
    let mut given = Vec::new();
    let mut rest = args.into_iter();
    while let Some(arg) = rest.next() {
        let text = match arg.to_str() {
            Some("--") => return (given, Ok(rest.collect())),
            Some(text) if text.len() > 1 && text.starts_with('-') => text.to_owned(),
            // An option's value may be any bytes, and its text is shown in messages alone.
            None if arg.as_encoded_bytes().starts_with(b"-") => arg.to_string_lossy().into_owned(),
            _ => return (given, Ok(std::iter::once(arg).chain(rest).collect())),
        };
        let taken = match text.strip_prefix("--") {
            Some(long) => long_option(definitions, long, &mut rest).map(|one| given.push(one)),
            None => letters(definitions, &text[1..], &mut rest, &mut given),
        };
        if let Err(wrong) = taken {
            return (given, Err(wrong));
        }
    }
    (given, Ok(Vec::new()))
}

fn long_option<K: Copy>(
    definitions: &[Definition<K>],
    text: &str,
    rest: &mut impl Iterator<Item = OsString>,
) -> Result<Given<K>, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    let found = full(definitions, name)?;
    let written = format!("--{}", found.name);
    let value = match (found.value, value) {
        (None, None) => String::new(),
        (None, Some(_)) => return Err(format!("{written} option does not take a value")),
        (Some(_), Some(value)) => value,
        (Some(_), None) => next(rest, &written)?,
    };
    let key = found.key;
    Ok(Given {
        key,
        written,
        value,
    })
}

/// Returns the option of this name, or the only one that begins with it.
fn full<'a, K>(definitions: &'a [Definition<K>], name: &str) -> Result<&'a Definition<K>, String> {
    if let Some(found) = definitions.iter().find(|option| option.name == name) {
        return Ok(found);
    }
    let begun = definitions
        .iter()
        .filter(|option| option.name.starts_with(name));
    let mut begun: Vec<_> = begun.collect();
    begun.sort_by_key(|option| option.name);
    match begun.as_slice() {
        [] => Err(format!("no such option: --{name}")),
        [one] => Ok(one),
        several => {
            let names: Vec<_> = several
                .iter()
                .map(|option| format!("--{}", option.name))
                .collect();
            Err(format!(
                "ambiguous option: --{name} ({}?)",
                names.join(", ")
            ))
        }
    }
}

fn letters<K: Copy>(
    definitions: &[Definition<K>],
    text: &str,
    rest: &mut impl Iterator<Item = OsString>,
    given: &mut Vec<Given<K>>,
) -> Result<(), String> {
    for (at, letter) in text.char_indices() {
        let written = format!("-{letter}");
        let found = definitions
            .iter()
            .find(|option| option.letter == Some(letter));
        let found = found.ok_or_else(|| format!("no such option: {written}"))?;
        let key = found.key;
        if found.value.is_none() {
            let value = String::new();
            given.push(Given {
                key,
                written,
                value,
            });
            continue;
        }
        let glued = &text[at + letter.len_utf8()..];
        let value = match glued.is_empty() {
            true => next(rest, &written)?,
            false => glued.to_owned(),
        };
        given.push(Given {
            key,
            written,
            value,
        });
        return Ok(());
    }
    Ok(())
}

/// Takes the next word as an option's value, whatever it looks like.
fn next(rest: &mut impl Iterator<Item = OsString>, written: &str) -> Result<String, String> {
    let value = rest
        .next()
        .map(|value| String::from_utf8_lossy(&value.into_vec()).into_owned());
    value.ok_or_else(|| format!("{written} option requires 1 argument"))
}

/// Reads a whole number as Python does in options: `0x` and `0b`, a leading 0 for octal, a sign.
///
/// # Errors
/// The message, with the option as it was written.
pub(crate) fn integer(written: &str, text: &str) -> Result<i64, String> {
    let lower = text.to_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    let digits = match digits {
        "" if matches!(radix, 2 | 8) => "0",
        digits => digits.trim(),
    };
    let apart = digits.split('_').all(|part| !part.is_empty());
    let number = i64::from_str_radix(&digits.replace('_', ""), radix).ok();
    let number = number.filter(|_| apart);
    number.ok_or_else(|| format!("option {written}: invalid integer value: {}", quoted(text)))
}

/// Writes a text as Python shows it.
fn quoted(text: &str) -> String {
    let mark = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    let mut shown = String::from(mark);
    for letter in text.chars() {
        match letter {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            letter if letter == mark => shown.extend(['\\', mark]),
            letter if letter.is_control() => shown.push_str(&format!("\\x{:02x}", letter as u32)),
            letter => shown.push(letter),
        }
    }
    shown.push(mark);
    shown
}

/// Splits words as a POSIX shell does, with quotes and backslashes and nothing else.
///
/// # Errors
/// A quote is not closed, or nothing follows a backslash.
pub(crate) fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some('"'), '\\') => {
                let next = letters.next().ok_or("No escaped character")?;
                let word = word.get_or_insert_default();
                if !matches!(next, '"' | '\\') {
                    word.push('\\');
                }
                word.push(next);
            }
            (None, '\\') => {
                let next = letters.next().ok_or("No escaped character")?;
                word.get_or_insert_default().push(next);
            }
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err("No closing quotation");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Definition<char>; 6] = [
        option(Some('h'), "hosts", Some("FILE")),
        option(Some('H'), "host", Some("TEXT")),
        option(Some('g'), "host-glob", Some("TEXT")),
        option(Some('p'), "par", Some("N")),
        option(Some('i'), "inline", None),
        option(None, "inline-stdout", None),
    ];

    const fn option(
        letter: Option<char>,
        name: &'static str,
        value: Option<&'static str>,
    ) -> Definition<char> {
        Definition {
            letter,
            name,
            key: match letter {
                Some(letter) => letter,
                None => '-',
            },
            value,
            help: "",
        }
    }

    fn read(args: &[&str]) -> Result<String, String> {
        let args = args.iter().map(OsString::from).collect();
        let (given, words) = parse(&ALL, args);
        let words = words?;
        let given: Vec<_> = given
            .iter()
            .map(|g| format!("{}={}", g.key, g.value))
            .collect();
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        Ok(format!("{} | {}", given.join(" "), words.join(" ")))
    }

    #[test]
    fn options_are_read_as_pssh_reads_them() {
        for (args, expected) in [
            (&["-p32", "-i", "ls", "-l"][..], "p=32 i= | ls -l"),
            (&["-ip", "3", "--", "-x"], "i= p=3 | -x"),
            (&["--par=3", "--par", "4", "-"], "p=3 p=4 | -"),
            (
                &["--inl", "x"],
                "ambiguous option: --inl (--inline, --inline-stdout?)",
            ),
            (&["--inline-s", "x"], "-= | x"),
            (&["--inline=1"], "--inline option does not take a value"),
            (&["--host-g", "*"], "g=* | "),
            (&["--pa"], "--par option requires 1 argument"),
            (&["-iz"], "no such option: -z"),
            (&["--nope=3"], "no such option: --nope"),
            (&["-H", "-p"], "H=-p | "),
        ] {
            assert_eq!(
                read(args).unwrap_or_else(|error| error),
                expected,
                "{args:?}"
            );
        }
    }

    #[test]
    fn numbers_are_read_as_python_reads_them() {
        for (text, expected) in [
            ("32", Some(32)),
            (" 7 ", Some(7)),
            ("-1", Some(-1)),
            ("0x1F", Some(31)),
            ("0b11", Some(3)),
            ("010", Some(8)),
            ("0", Some(0)),
            ("1_000", Some(1000)),
            ("0b", Some(0)),
            ("0x", None),
            ("1.5", None),
            ("", None),
            ("09", None),
            ("_1", None),
        ] {
            assert_eq!(integer("-p", text).ok(), expected, "{text:?}");
        }
        let message = integer("--par", "it's").unwrap_err();
        assert_eq!(message, "option --par: invalid integer value: \"it's\"");
    }

    #[test]
    fn arguments_are_split_as_a_shell_splits_them() {
        for (text, expected) in [
            ("-o A=b  -v", Ok(vec!["-o", "A=b", "-v"])),
            ("'a b'\"c\\\"d\" e\\ f ''", Ok(vec!["a bc\"d", "e f", ""])),
            ("\"a\\b\"", Ok(vec!["a\\b"])),
            ("'open", Err("No closing quotation")),
            ("end\\", Err("No escaped character")),
        ] {
            let split = words(text);
            let split = split
                .as_ref()
                .map(|words| words.iter().map(String::as_str).collect());
            assert_eq!(split.map_err(|error| *error), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_read_or_refused(args in proptest::collection::vec(".{0,12}", 0..6)) {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let _ = read(&args);
            for arg in args {
                let _ = words(arg);
                let _ = integer("-p", arg);
            }
        }
    }
}
