//! One line: its keyword, and its arguments with quotes, escapes and comments, as ssh divides them.
//!
//! ssh has two rules. The keyword and the criteria of `Match` end at white space or one `=` and
//! know only `"`; all other arguments know `"`, `'` and `\`.

use super::error::Fault;

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Lowercase.
    pub(super) keyword: String,
    /// Everything after it, never empty.
    pub(super) rest: &'a str,
}

/// Divides a line into keyword and rest; `None` if it is blank or a comment.
///
/// On an error the keyword, as far as it is known, comes with it.
pub(super) fn divide(line: &str) -> Result<Option<Line<'_>>, (String, Fault)> {
    // As in ssh, the first character stays even if it is a blank.
    let kept = line.chars().next().map_or(0, char::len_utf8);
    let end = line.trim_end_matches([' ', '\t', '\r', '\n', '\x0c']).len();
    let line = &line[..end.max(kept)];

    let unclosed = || (String::new(), Fault::UnbalancedQuote);
    let (mut keyword, mut rest) = next_word(line).ok_or_else(unclosed)?;
    if let (true, Some(text)) = (keyword.is_empty(), rest) {
        // What came first was white space.
        (keyword, rest) = next_word(text).ok_or_else(unclosed)?;
    }
    if keyword.is_empty() || keyword.starts_with('#') {
        return Ok(None);
    }
    keyword.make_ascii_lowercase();
    let rest = rest.unwrap_or_default().trim_start_matches(BLANKS);
    if rest.is_empty() {
        return Err((keyword, Fault::NoArgument));
    }
    Ok(Some(Line { keyword, rest }))
}

/// Takes the next word up to white space, one `=` or the end of a quoted part, and what follows it.
///
/// `None` if a quote is not closed. There is no rest if nothing ended the word.
pub(super) fn next_word(text: &str) -> Option<(String, Option<&str>)> {
    let Some(end) = text.find([' ', '\t', '\r', '\n', '"', '=']) else {
        return Some((text.to_owned(), None));
    };
    let (word, rest) = text.split_at(end);
    if let Some(quoted) = rest.strip_prefix('"') {
        let (quoted, rest) = quoted.split_once('"')?;
        let rest = rest.trim_start_matches(BLANKS);
        return Some((format!("{word}{quoted}"), Some(rest)));
    }
    let by_equals = rest.starts_with('=');
    let mut rest = rest[1..].trim_start_matches(BLANKS);
    if !by_equals && let Some(after) = rest.strip_prefix('=') {
        rest = after.trim_start_matches(BLANKS);
    }
    Some((word.to_owned(), Some(rest)))
}

/// Splits arguments at blanks; a `#` that begins one ends them.
pub(super) fn arguments(text: &str) -> Result<Vec<String>, Fault> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if word.is_none() {
            match c {
                ' ' | '\t' => continue,
                '#' => break,
                _ => word = Some(String::new()),
            }
        }
        let current = word.get_or_insert_default();
        match (c, quote) {
            ('\\', _) => match chars.peek() {
                Some('\'' | '"' | '\\') => current.extend(chars.next()),
                Some(' ') if quote.is_none() => current.extend(chars.next()),
                _ => current.push(c),
            },
            (' ' | '\t', None) => words.extend(word.take()),
            ('"' | '\'', None) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            _ => current.push(c),
        }
    }
    if quote.is_some() {
        return Err(Fault::UnbalancedQuote);
    }
    words.extend(word);
    Ok(words)
}

/// Writes a word so that it stands for itself as an argument of an ssh_config line.
///
/// A word with a line break cannot be written in one line; nothing else is lost.
///
/// # Examples
/// ```
/// use sshoal_session::ssh_config::quote;
///
/// assert_eq!(quote("/home/me/my keys/id"), "\"/home/me/my keys/id\"");
/// assert_eq!(quote("id_ed25519"), "id_ed25519");
/// ```
pub fn quote(word: &str) -> String {
    let plain = |c: char| !c.is_whitespace() && !"\"'\\#=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('"');
    for c in word.chars() {
        if matches!(c, '"' | '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// What ssh skips between a keyword and its arguments.
const BLANKS: [char; 4] = [' ', '\t', '\r', '\n'];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn divided(line: &str, keyword: &str, rest: &str) {
        let line = divide(line).unwrap().unwrap();
        assert_eq!((line.keyword.as_str(), line.rest), (keyword, rest));
    }

    #[test]
    fn a_keyword_ends_at_blanks_or_one_equals_sign() {
        divided("Port 22\n", "port", "22");
        divided("  PORT\t =  22 \r\n", "port", "22");
        divided("Port=22", "port", "22");
        divided("Port==22", "port", "=22");
        divided("Port = = 22", "port", "= 22");
        divided("\"Port\" 22", "port", "22");
        divided("=Port 22", "port", "22");
        divided(
            "ProxyCommand nc %h # no comment",
            "proxycommand",
            "nc %h # no comment",
        );
    }

    #[test]
    fn blank_lines_and_comments_say_nothing() {
        for line in ["", " ", "\n", "\t \n", "# Port", "  #Port 22", "\n"] {
            assert_eq!(divide(line).ok().flatten(), None, "{line:?}");
        }
    }

    #[test]
    fn a_keyword_alone_is_an_error() {
        for line in ["Port", "Port ", "port=", "port = \t"] {
            let (keyword, fault) = divide(line).unwrap_err();
            assert!(matches!(fault, Fault::NoArgument), "{line:?}: {fault:?}");
            assert_eq!(keyword, "port");
        }
    }

    #[track_caller]
    fn split(text: &str, words: &[&str]) {
        assert_eq!(arguments(text).unwrap(), words, "{text:?}");
    }

    #[test]
    fn arguments_know_quotes_escapes_and_comments() {
        split("a b\tc", &["a", "b", "c"]);
        split("\"a b\" 'c d'", &["a b", "c d"]);
        split("a\" b\"c", &["a bc"]);
        split("a\\ b \"c\\ d\"", &["a b", "c\\ d"]);
        split("\\\\ \\\" \\' \\x", &["\\", "\"", "'", "\\x"]);
        split("'a\\'b' \"it's\"", &["a'b", "it's"]);
        split("\"\" ''", &["", ""]);
        split("a #b c", &["a"]);
        split("a#b", &["a#b"]);
        split("\"#\"", &["#"]);
        split("# all", &[]);
        assert!(matches!(arguments("\"a"), Err(Fault::UnbalancedQuote)));
        assert!(matches!(arguments("a'b"), Err(Fault::UnbalancedQuote)));
    }

    proptest! {
        #[test]
        fn a_quoted_word_reads_back_as_itself(words in proptest::collection::vec("[^\r\n]*", 0..4)) {
            let text = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(arguments(&text).unwrap(), words);
        }

        #[test]
        fn no_line_panics(line in "\\PC*", other in "[\"'\\\\# =\ta\u{e4}]*") {
            for line in [line, other] {
                let _ = divide(&line);
                let _ = arguments(&line);
            }
        }
    }
}
