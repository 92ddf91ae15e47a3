//! Specifications of forwarded ports, which are checked as ssh does and never acted on.

use super::checks::number;

/// Which of the options it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forward {
    Local,
    Remote,
    Dynamic,
}

/// Whether the words are a specification: where to listen, and but for `DynamicForward` where to
/// connect to; environment variables are replaced already.
pub(super) fn is_forward(kind: Forward, words: &[String]) -> bool {
    let (text, dynamic) = match (kind, words) {
        (Forward::Dynamic, [listen]) | (Forward::Remote, [listen]) => (listen.clone(), true),
        (Forward::Local | Forward::Remote, [listen, connect]) => {
            (format!("{listen}:{connect}"), false)
        }
        _ => return false,
    };
    let Some(fields) = fields(text.trim_start()) else {
        return false;
    };
    let path = |at: usize| fields.get(at).is_some_and(|field| field.is_path);
    let port = |at: usize| fields.get(at).and_then(|field| number(&field.text, 65535));
    // Where the port or path to listen on is, and the one to connect to.
    let (listen, connect) = match fields.len() {
        1 => (0, None),
        2 if path(0) && path(1) => (0, Some(1)),
        2 if path(1) => (0, Some(1)),
        2 => (1, None),
        3 if path(0) => (0, Some(2)),
        3 if path(2) => (1, Some(2)),
        3 => (0, Some(2)),
        4 => (1, Some(3)),
        _ => return false,
    };
    // The one to listen on is a path only where it stands first.
    let listens_on_path = listen == 0 && path(0);
    let connects_to_path =
        connect.is_some_and(|at| at != 3 && path(at)) && !(fields.len() == 3 && path(0));
    let connects_to_port = connect.and_then(port).is_some_and(|port| port != 0);
    let shape = if dynamic {
        fields.len() <= 2
    } else {
        let whole = fields.len() >= 3 || connects_to_path || listens_on_path;
        whole && (connects_to_path || connects_to_port)
    };
    let listens = match port(listen) {
        _ if listens_on_path => true,
        Some(0) => kind == Forward::Remote,
        port => port.is_some(),
    };
    shape && listens
}

/// Whether a word of `PermitRemoteOpen` names a host and a port.
pub(super) fn is_destination(word: &str) -> bool {
    let host_end = match word.strip_prefix('[') {
        Some(inner) => inner.find(']').map(|end| end + 2),
        None => word.find([':', '/']),
    };
    let Some(rest) = host_end.and_then(|end| word.get(end..)) else {
        return false;
    };
    let port = rest.strip_prefix(':');
    port.is_some_and(|port| port == "*" || number(port, 65535).is_some_and(|port| port != 0))
}

struct Field {
    text: String,
    is_path: bool,
}

/// Divides at colons outside of brackets; a backslash takes the next character as it is.
fn fields(text: &str) -> Option<Vec<Field>> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if found.len() == 4 {
            return None;
        }
        let mut field = String::new();
        let mut is_path = false;
        if let Some(inner) = rest.strip_prefix('[') {
            let (inside, after) = inner.split_once(']')?;
            if !after.is_empty() && !after.starts_with(':') {
                return None;
            }
            is_path = inside.contains('/');
            field.push_str(inside);
            rest = after.strip_prefix(':').unwrap_or(after);
        } else {
            let mut chars = rest.chars();
            loop {
                match chars.next() {
                    None | Some(':') => break,
                    Some('\\') => field.push(chars.next()?),
                    Some(c) => {
                        is_path |= c == '/';
                        field.push(c);
                    }
                }
            }
            rest = chars.as_str();
        }
        found.push(Field {
            text: field,
            is_path,
        });
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: Forward, text: &str, expected: bool) {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        assert_eq!(is_forward(kind, &words), expected, "{kind:?} {text}");
    }

    #[test]
    fn forwards_name_ports_or_paths() {
        for text in [
            "8080 a:80",
            "h:8080 [::1]:80",
            "/a /b",
            "8080 /b",
            "/a h:80",
            "h:1 /b",
        ] {
            check(Forward::Local, text, true);
            check(Forward::Remote, text, true);
        }
        for text in [
            "8080",
            "0 a:80",
            "x a:80",
            "8080 a:0",
            "8080 a",
            "8080 a:b",
            "[a a:80",
            "1:2:3 a:80",
        ] {
            check(Forward::Local, text, false);
        }
        check(Forward::Remote, "0 a:80", true);
        check(Forward::Remote, "1080", true);
        for (text, expected) in [
            ("1080", true),
            ("h:1080", true),
            ("/a", true),
            ("x", false),
            ("0", false),
        ] {
            check(Forward::Dynamic, text, expected);
        }
        check(Forward::Dynamic, "1080 1081", false);
    }

    #[test]
    fn destinations_name_host_and_port() {
        for (word, expected) in [
            ("a:22", true),
            ("*:*", true),
            ("[::1]:22", true),
            ("a", false),
            ("a:0", false),
            ("a:x", false),
            ("a/22", false),
            ("[::1", false),
            ("[::1]22", false),
        ] {
            assert_eq!(is_destination(word), expected, "{word}");
        }
    }
}
