//! Paths with placeholders, which are filled in for each host as they are.

use std::borrow::Cow;

use anyhow::{Result, bail};

/// Fills placeholders in: `value` says what stands for a name, which is one that paths always have, one
/// of `also`, or a variable; `{{` and `}}` are braces.
///
/// # Errors
/// A brace stands alone, or a name is not known.
pub(super) fn fill<'a>(
    text: &[u8],
    also: &str,
    value: impl Fn(&str) -> Option<Cow<'a, [u8]>>,
) -> Result<Vec<u8>> {
    let mut filled = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'{' | b'}')) {
        let (before, found) = rest.split_at(at);
        filled.extend_from_slice(before);
        if let [b'{', b'{', tail @ ..] | [b'}', b'}', tail @ ..] = found {
            filled.push(found[0]);
            rest = tail;
            continue;
        }
        let end = found.iter().position(|byte| *byte == b'}').unwrap_or(0);
        if end == 0 {
            bail!(
                "{:?}: a brace stands alone; write {{{{ or }}}} for one",
                text.escape_ascii().to_string()
            );
        }
        let name = String::from_utf8_lossy(&found[1..end]);
        match value(name.strip_suffix(":raw").unwrap_or(&name)) {
            Some(value) => filled.extend_from_slice(&value),
            None => bail!(
                "{{{name}}} is not known; known are {also}{{host}}, {{user}}, {{port}}, {{n}}, {{total}} \
                 and the host's variables of the inventory"
            ),
        }
        rest = &found[end + 1..];
    }
    filled.extend_from_slice(rest);
    Ok(filled)
}

/// Returns whether a placeholder of this name may be in it.
pub(super) fn has(text: &[u8], name: &str) -> bool {
    let (plain, raw) = (format!("{{{name}}}"), format!("{{{name}:raw}}"));
    let finds = |wanted: &str| {
        text.windows(wanted.len())
            .any(|part| part == wanted.as_bytes())
    };
    finds(&plain) || finds(&raw)
}

/// Returns whether there is a placeholder in it.
pub(super) fn has_placeholder(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| *byte == b'{') {
        match rest.get(at + 1) {
            Some(b'{') => rest = &rest[at + 2..],
            _ => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String> {
        let value = |name: &str| match name {
            "host" => Some(Cow::from(b"web1".as_slice())),
            "n" => Some(Cow::from(b"0".to_vec())),
            _ => None,
        };
        fill(text.as_bytes(), "", value).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn placeholders_are_filled_in_as_they_are() {
        for (text, expected) in [
            ("/etc/motd", "/etc/motd"),
            ("/etc/{host}/{n}", "/etc/web1/0"),
            ("{{{host}}}", "{web1}"),
            ("{host:raw}x", "web1x"),
            ("", ""),
        ] {
            assert_eq!(filled(text).unwrap(), expected, "{text}");
        }
        for wrong in ["{", "a}", "{hosts}", "{host", "{}", "}{"] {
            assert!(filled(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn braces_alone_are_no_placeholders() {
        assert!(has_placeholder(b"out/{host}"));
        assert!(has_placeholder(b"{{{n}"));
        assert!(!has_placeholder(b"out/{{host}}"));
    }
}
