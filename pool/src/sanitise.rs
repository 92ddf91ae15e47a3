//! Makes host bytes harmless on a terminal: nothing a host sends may move the cursor, change
//! colours, answer queries or reorder text.
//!
//! Pure; what is replaced is shown as `\xNN`, byte by byte.

use std::borrow::Cow;

/// Appends `bytes` to `out` with every byte that could act on a terminal written as `\xNN`.
///
/// Kept are `\n`, `\t`, printable ASCII and valid UTF-8 but for C1 and bidi controls.
pub fn sanitise(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        let mut kept = 0;
        for (at, c) in valid.char_indices() {
            if !is_harmless(c) {
                let end = at + c.len_utf8();
                out.extend_from_slice(&valid.as_bytes()[kept..at]);
                escape(&valid.as_bytes()[at..end], out);
                kept = end;
            }
        }
        out.extend_from_slice(&valid.as_bytes()[kept..]);
        escape(chunk.invalid(), out);
    }
}

/// Returns `text` fit for one line on a terminal: sanitised, line ends and tabs escaped too.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if text
        .chars()
        .all(|c| is_harmless(c) && c != '\n' && c != '\t')
    {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 8);
    sanitise(text.as_bytes(), &mut out);
    let line = String::from_utf8_lossy(&out);
    Cow::Owned(line.replace('\n', "\\x0a").replace('\t', "\\x09"))
}

/// Whether a terminal only shows the character.
pub fn is_harmless(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' => false,
        '\u{61c}' | '\u{200e}' | '\u{200f}' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        _ => true,
    }
}

fn escape(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        out.extend_from_slice(b"\\x");
        out.extend_from_slice(&digits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(input: &[u8], expected: &str) {
        let mut out = Vec::new();
        sanitise(input, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn escapes_what_acts_and_keeps_what_shows() {
        check(b"plain text\tand\nlines\n", "plain text\tand\nlines\n");
        check("grüße, 世界 🦀".as_bytes(), "grüße, 世界 🦀");
        check(b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m");
        check(b"a\rb\x07\x08\x7f\x00", "a\\x0db\\x07\\x08\\x7f\\x00");
        check("\u{9b}31m".as_bytes(), "\\xc2\\x9b31m");
        check(b"\x9b31m\xff", "\\x9b31m\\xff");
        check(
            "a\u{202e}b\u{2066}c\u{200f}".as_bytes(),
            "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6c\\xe2\\x80\\x8f",
        );
        check(b"cut \xe2\x82", "cut \\xe2\\x82");
    }

    #[test]
    fn one_line_never_breaks_the_line() {
        assert_eq!(one_line("plain"), "plain");
        assert_eq!(one_line("a\nb\tc\x1b"), "a\\x0ab\\x09c\\x1b");
    }

    /// Random inputs, `SSHOAL_SANITISED` of them (200000 unless it is set, 1000000 in full), in which
    /// what terminals act on is frequent: nothing of it is left, and what is no byte of those is.
    #[test]
    fn nothing_acts_in_a_million_random_inputs() {
        let inputs = std::env::var("SSHOAL_SANITISED").map_or(200_000, |n| n.parse().unwrap());
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let often = [
            0x1b, b'[', b']', 0x9b, 0xc2, 0x9d, b'\r', 0x07, 0x08, 0x7f, 0xe2, 0x80,
        ];
        let (mut input, mut out) = (Vec::new(), Vec::new());
        for _ in 0..inputs {
            input.clear();
            out.clear();
            for _ in 0..next() % 32 {
                let byte = match next() % 3 {
                    0 => often[next() % often.len()],
                    _ => (next() % 256) as u8,
                };
                input.push(byte);
            }
            sanitise(&input, &mut out);
            let text = str::from_utf8(&out).expect("the output is UTF-8");
            assert!(
                text.chars().all(is_harmless),
                "{input:?} is shown as {text:?}"
            );
            let letters =
                |bytes: &[u8]| bytes.iter().filter(|b| (b'g'..=b'w').contains(*b)).count();
            assert_eq!(
                letters(&input),
                letters(&out),
                "{input:?} is shown as {text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_control_reaches_the_terminal(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            sanitise(&input, &mut out);
            let text = String::from_utf8(out).expect("the output is UTF-8");
            prop_assert!(text.chars().all(is_harmless));
            prop_assert!(text.bytes().all(|b| b == b'\n' || b == b'\t' || (b >= 0x20 && b != 0x7f)));
        }

        #[test]
        fn harmless_text_passes_unchanged(input in "[ -~\\n\\t\u{a0}-\u{24f}]{0,100}") {
            let mut out = Vec::new();
            sanitise(input.as_bytes(), &mut out);
            prop_assert_eq!(out, input.as_bytes());
        }
    }
}
