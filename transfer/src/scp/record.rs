//! The lines of the protocol that `scp` speaks (that of `rcp`, which no standard describes; OpenSSH's
//! `scp.c` is what counts).

/// What a host's `scp` announces before a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'a> {
    /// A file: `C`, its mode, size and name.
    File {
        mode: u32,
        size: u64,
        name: &'a [u8],
    },
    /// A directory: `D`, its mode and name; what is in it follows.
    Directory { mode: u32, name: &'a [u8] },
    /// The end of a directory: `E`.
    End,
    /// Times for what follows: `T`, in seconds since 1970.
    Times { modified: u64, accessed: u64 },
}

/// Reads a line without its `\n`. The name is as the host sent it: it is for the caller to check.
pub(super) fn parse(line: &[u8]) -> Result<Record<'_>, &'static str> {
    match line.split_first() {
        Some((b'C', rest)) => {
            let (mode, size, name) = named(rest)?;
            Ok(Record::File { mode, size, name })
        }
        Some((b'D', rest)) => {
            let (mode, _, name) = named(rest)?;
            Ok(Record::Directory { mode, name })
        }
        Some((b'E', [])) => Ok(Record::End),
        Some((b'T', rest)) => times(rest),
        _ => Err("neither a file nor a directory nor times"),
    }
}

/// Reads a line as a host's; its numbers fit what they stand for.
#[cfg(fuzzing)]
pub(crate) fn check(line: &[u8]) {
    match parse(line) {
        Ok(Record::File { mode, size, .. }) => assert!(mode <= 0o7777 && size <= i64::MAX as u64),
        Ok(Record::Directory { mode, .. }) => assert!(mode <= 0o7777),
        Ok(Record::Times { modified, accessed }) => {
            assert!(modified.max(accessed) <= i64::MAX as u64);
        }
        Ok(Record::End) | Err(_) => {}
    }
    assert!(!cleaned(line).chars().any(char::is_control));
}

fn named(line: &[u8]) -> Result<(u32, u64, &[u8]), &'static str> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let mut word = || words.next().unwrap_or_default();
    let (mode, size, name) = (word(), word(), word());
    let octal = mode.len() == 4 && mode.iter().all(|byte| matches!(byte, b'0'..=b'7'));
    if !octal {
        return Err("a mode that is none");
    }
    let mode = (mode.iter()).fold(0, |mode, digit| mode * 8 + u32::from(digit - b'0'));
    let size = decimal(size).ok_or("a size that is none")?;
    Ok((mode, size, name))
}

fn times(line: &[u8]) -> Result<Record<'_>, &'static str> {
    let words: Vec<_> = line.split(|byte| *byte == b' ').map(decimal).collect();
    match words[..] {
        // Seconds and microseconds, of the change and of the last access.
        [
            Some(modified),
            Some(0..1_000_000),
            Some(accessed),
            Some(0..1_000_000),
        ] => Ok(Record::Times { modified, accessed }),
        _ => Err("times that are none"),
    }
}

/// Returns a number of nothing but digits that fits a file's size or time.
fn decimal(word: &[u8]) -> Option<u64> {
    let digits = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    (digits && i64::try_from(number).is_ok()).then_some(number)
}

/// Returns bytes of a host's as text for a message: without what a terminal would obey, and cut.
pub(crate) fn cleaned(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MESSAGE_BYTES_MAX)]);
    let seen: String = text.chars().filter(|c| !c.is_control()).collect();
    seen.trim().to_owned()
}

/// Bytes of a host's message that are kept.
pub(super) const MESSAGE_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_openssh_sends() {
        let file = |mode, size, name| Ok(Record::File { mode, size, name });
        assert_eq!(parse(b"C0644 0 a"), file(0o644, 0, b"a"));
        let spaces = file(0o4755, 12345, b"name  with spaces");
        assert_eq!(parse(b"C4755 12345 name  with spaces"), spaces);
        // Whoever asked says whether it is a name.
        assert_eq!(parse(b"C0600 1 ../x"), file(0o600, 1, b"../x"));
        let (mode, name) = (0o2755, &b"dir"[..]);
        assert_eq!(parse(b"D2755 0 dir"), Ok(Record::Directory { mode, name }));
        assert_eq!(parse(b"E"), Ok(Record::End));
        let times = Record::Times {
            modified: 1_700_000_000,
            accessed: 1,
        };
        assert_eq!(parse(b"T1700000000 0 1 0"), Ok(times));
    }

    #[test]
    fn refuses_everything_else() {
        for line in [
            "",
            "C",
            "EE",
            "E ",
            "D755 0 dir",
            "D0755 x dir",
            "X0644 1 a",
            "C644 1 a",
            "C00644 1 a",
            "C0648 1 a",
            "C-644 1 a",
            "C0644  1 a",
            "C0644 -1 a",
            "C0644 +1 a",
            "C0644 a a",
            "C0644 99999999999999999999 a",
            "C0644 18446744073709551615 a",
            "T1 0 1",
            "T1 0 1 0 1",
            "T1 0 1 1000000",
            "T-1 0 1 0",
            "Tx 0 1 0",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn messages_are_cleaned_and_cut() {
        assert_eq!(
            cleaned(b"scp: \x1b]0;x\x07\xff: no\r\n"),
            "scp: ]0;x\u{fffd}: no"
        );
        assert_eq!(cleaned(&[b'a'; 5000]).len(), MESSAGE_BYTES_MAX);
    }

    proptest! {
        /// What is read of a line is what the line says, and none makes it panic.
        #[test]
        fn any_line_is_read_or_refused(
            kind in "[CDET]?", rest in "[0-7]{0,5} ?[0-9]{0,4} ?", name in any::<Vec<u8>>(),
        ) {
            let line = [kind.as_bytes(), rest.as_bytes(), &name].concat();
            if let Ok(Record::File { mode, name, .. } | Record::Directory { mode, name }) = parse(&line) {
                prop_assert!(mode <= 0o7777 && line.ends_with(name));
            }
        }
    }
}
