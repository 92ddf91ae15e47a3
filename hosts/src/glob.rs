//! Shell patterns over names: `*`, `?` and `[a-z]`.

/// Returns whether a name matches a shell pattern, as fnmatch(3) without flags: `*` is any text, `?`
/// any character, `[abc]`, `[a-z]` and `[!a-z]` one of those or none of those. A bracket that is not
/// closed is itself.
///
/// # Examples
/// ```
/// use sshoal_hosts::glob;
///
/// assert!(glob("web*.eu", "web12.eu"));
/// assert!(glob("web[1-3]", "web2") && !glob("web[!1-3]", "web2"));
/// ```
pub fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and what it takes up to: only that one is ever gone back to.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], name[n]) {
            p += length;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, n) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Returns how much of the pattern stands for one character, if it matches.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match *pattern.first()? {
        '?' => Some(1),
        '[' => match class(&pattern[1..], c) {
            Some((length, matches)) => matches.then_some(length + 1),
            None => (c == '[').then_some(1),
        },
        own => (own == c).then_some(1),
    }
}

/// Reads a class behind its opening bracket: its length and whether the character is in it.
fn class(class: &[char], c: char) -> Option<(usize, bool)> {
    let negated = matches!(class.first(), Some('!' | '^'));
    let begin = usize::from(negated);
    let (mut at, mut found) = (begin, false);
    loop {
        match class.get(at)? {
            // A bracket that comes first is one of the characters.
            ']' if at > begin => return Some((at + 1, found != negated)),
            first => {
                let last = class
                    .get(at + 2)
                    .filter(|last| class[at + 1] == '-' && **last != ']');
                found |= (*first..=*last.unwrap_or(first)).contains(&c);
                at += if last.is_some() { 3 } else { 1 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        let check = |pattern: &str, yes: &[&str], no: &[&str]| {
            for name in yes {
                assert!(glob(pattern, name), "{pattern} {name}");
            }
            for name in no {
                assert!(!glob(pattern, name), "{pattern} {name}");
            }
        };
        check("web*", &["web", "web1", "web1.eu"], &["xweb", ""]);
        check("*", &["", "a"], &[]);
        check("w?b", &["web", "wéb"], &["wb", "weeb"]);
        check("*a*b*", &["ab", "xaxbx"], &["ba"]);
        check("web[1-3]", &["web1", "web3"], &["web4", "web"]);
        check("web[!1-3]", &["web4"], &["web1"]);
        check("a[]x]", &["a]", "ax"], &["a"]);
        check("a[", &["a["], &["a"]);
        check("a[b-", &["a[b-"], &["ab"]);
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(60);
        assert!(!glob(&pattern, &"b".repeat(5000)));
        assert!(!glob(&format!("{pattern}c"), &"a".repeat(5000)));
    }
}
