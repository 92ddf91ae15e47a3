//! Quoting for a POSIX shell.
//!
//! The rules are those of the Shell Command Language, IEEE 1003.1-2024, 2.2 "Quoting" and 2.4
//! "Reserved Words".

use std::borrow::Cow;

/// Returns bytes as one word of a POSIX shell, which the shell gives back as they were.
///
/// A word that no shell takes for anything else is left as it is; anything else stands between
/// single quotes, in which nothing has a meaning but the single quote. The empty word becomes `''`.
/// All bytes are kept, newlines and what is not UTF-8 included; only NUL cannot be in a word, and
/// who runs the command refuses it.
///
/// The result is for a place outside of quotes, and for one reading: within quotes of the
/// caller's, or where a shell reads it twice, as with `eval`, it is not safe. Digits directly
/// before `<` or `>` would be a descriptor's number.
///
/// # Examples
///
/// ```
/// use sshoal_session::quote;
///
/// assert_eq!(quote(b"web-1.example").as_ref(), b"web-1.example");
/// assert_eq!(quote(b"it's $5").as_ref(), br"'it'\''s $5'");
/// ```
pub fn quote(bytes: &[u8]) -> Cow<'_, [u8]> {
    if is_plain(bytes) {
        return Cow::Borrowed(bytes);
    }
    let mut quoted = Vec::with_capacity(bytes.len() + 2);
    quoted.push(b'\'');
    for byte in bytes {
        match byte {
            b'\'' => quoted.extend_from_slice(br"'\''"),
            byte => quoted.push(*byte),
        }
    }
    quoted.push(b'\'');
    Cow::Owned(quoted)
}

/// Returns whether a shell reads the word as it is, wherever it stands.
fn is_plain(word: &[u8]) -> bool {
    // Not `=`, which makes an assignment, nor `%`, with which a job's name begins.
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-+@:,./".contains(byte);
    !word.is_empty() && word.iter().all(is_safe) && !RESERVED.contains(&word)
}

/// Words that are no command's name where one is expected, in any of the usual shells.
const RESERVED: [&[u8]; 21] = [
    b"if",
    b"then",
    b"else",
    b"elif",
    b"fi",
    b"do",
    b"done",
    b"case",
    b"esac",
    b"while",
    b"until",
    b"for",
    b"in",
    b"function",
    b"select",
    b"time",
    b"coproc",
    b"repeat",
    b"foreach",
    b"end",
    b"nocorrect",
];

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    use proptest::prelude::*;

    use super::quote;

    /// Shells, each with what starts it.
    const SHELLS: [(&str, &[&str]); 6] = [
        ("sh", &[]),
        ("dash", &[]),
        ("bash", &[]),
        ("busybox", &["sh"]),
        ("ksh", &[]),
        ("zsh", &["-f"]),
    ];

    fn is_there(shell: &(&str, &[&str])) -> bool {
        let mut probe = Command::new(shell.0);
        probe.args(shell.1).args(["-c", ":"]).output().is_ok()
    }

    /// The shells of this machine.
    fn shells() -> Vec<(&'static str, &'static [&'static str])> {
        SHELLS.into_iter().filter(is_there).collect()
    }

    /// Returns what a shell makes of words that are quoted, each followed by NUL.
    fn read_back(shell: (&str, &[&str]), words: &[Vec<u8>]) -> Vec<u8> {
        let mut script = br"printf '%s\0' ".to_vec();
        for word in words {
            script.extend_from_slice(&quote(word));
            script.push(b' ');
        }
        let output = Command::new(shell.0)
            .args(shell.1)
            .arg("-c")
            .arg(OsStr::from_bytes(&script))
            .output()
            .expect("the shell starts");
        assert!(output.status.success(), "{shell:?}: {output:?}");
        output.stdout
    }

    fn word() -> impl Strategy<Value = Vec<u8>> {
        let nasty =
            prop::sample::select(b"'\"$\\`\n\r\t !*?[]{}()<>|&;#~=%^,a-\xff\xc3\x01".to_vec());
        prop_oneof![
            prop::collection::vec(1_u8..=255, 0..40),
            prop::collection::vec(nasty, 0..12),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Many words at once, since each case starts every shell of the machine.
        #[test]
        fn every_shell_gives_the_bytes_back(words in prop::collection::vec(word(), 1..60)) {
            let expected: Vec<u8> = words.iter().flat_map(|w| w.iter().copied().chain([0])).collect();
            for shell in shells() {
                prop_assert_eq!(&read_back(shell, &words), &expected, "{:?}", shell);
            }
        }
    }

    #[test]
    fn this_machine_has_shells_to_ask() {
        let (there, missing): (Vec<_>, Vec<_>) = SHELLS.into_iter().partition(is_there);
        println!("shells: {there:?}");
        for (name, _) in missing {
            println!("skipped: words for {name}, which is not installed");
        }
        assert!(there.contains(&SHELLS[0]), "{there:?}");
    }

    #[test]
    fn leaves_plain_words_alone_and_no_others() {
        for plain in [
            "a",
            "web-01.example.org",
            "/srv/a_b",
            "me@host:22",
            "1,2",
            "+x",
        ] {
            assert_eq!(quote(plain.as_bytes()).as_ref(), plain.as_bytes());
        }
        for (word, quoted) in [
            ("", "''"),
            ("a b", "'a b'"),
            ("a=b", "'a=b'"),
            ("%1", "'%1'"),
            ("~", "'~'"),
            ("if", "'if'"),
            ("'", r"''\'''"),
            ("*", "'*'"),
        ] {
            assert_eq!(quote(word.as_bytes()).as_ref(), quoted.as_bytes());
        }
    }

    /// A word in a command's place names a command, whatever it is.
    #[test]
    fn a_quoted_word_is_a_commands_name() {
        for shell in shells() {
            for word in ["a=b", "if", "esac", "in", "!"] {
                let script = [&quote(word.as_bytes()), &b" 2>/dev/null"[..]].concat();
                let status = Command::new(shell.0)
                    .args(shell.1)
                    .arg("-c")
                    .arg(OsStr::from_bytes(&script))
                    .status()
                    .expect("the shell starts");
                assert_eq!(status.code(), Some(127), "{shell:?}: {word}");
            }
        }
    }
}
