//! `ProxyJump`: hosts to cross on the way, as `[user@]host[:port]` or `ssh://` URIs.

use super::error::Fault;
use crate::host::Host;

/// One host on the way, tokens not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawHop {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

/// Reads the hosts in the order in which they are crossed; `None` is `none`.
pub(super) fn parse(text: &str) -> Result<Option<Vec<RawHop>>, Fault> {
    let text = text.split('#').next().unwrap_or_default().trim();
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let hops = text.split(',').map(|text| {
        let hop = hop(text).ok_or_else(|| Fault::BadValue {
            value: text.to_owned(),
            expected: "jump host: write [user@]host[:port] or ssh://[user@]host[:port]",
        })?;
        // What has no tokens can be judged for every host.
        let fixed = |text: &str| !text.contains('%');
        if fixed(&hop.host) && hop.user.as_deref().is_none_or(fixed) {
            to_host(hop.user.as_deref(), &hop.host, hop.port)?;
        }
        Ok(hop)
    });
    hops.collect::<Result<_, _>>().map(Some)
}

/// Makes a host of the parts of a hop.
pub(super) fn to_host(user: Option<&str>, name: &str, port: Option<u16>) -> Result<Host, Fault> {
    let bad = |text: &str, source| Fault::Host {
        text: text.to_owned(),
        source,
    };
    let mut host = Host::new(name).map_err(|e| bad(name, e))?;
    if let Some(user) = user {
        host = host.with_user(user).map_err(|e| bad(user, e))?;
    }
    match port {
        Some(port) => host.with_port(port).map_err(|e| bad(name, e)),
        None => Ok(host),
    }
}

fn hop(text: &str) -> Option<RawHop> {
    match text.strip_prefix("ssh://") {
        Some(rest) => uri(rest),
        None => plain(text),
    }
}

/// Reads `[user@]host[:port]`; IPv6 addresses stand in brackets.
fn plain(text: &str) -> Option<RawHop> {
    let (user, rest) = match text.rsplit_once('@') {
        Some(("", _)) => return None,
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (host, delimiter, port) = host_and_rest(rest)?;
    if delimiter == Some('/') || host.is_empty() {
        return None;
    }
    Some(RawHop {
        user,
        host: unbracketed(host).to_owned(),
        port: match port {
            "" => None,
            port => Some(super::checks::number(port, 65535).filter(|port| *port != 0)? as u16),
        },
    })
}

/// Reads what follows `ssh://`: a user may be percent-encoded, a path cannot follow.
fn uri(text: &str) -> Option<RawHop> {
    let (user, rest) = match text.split_once('@') {
        Some((user, rest)) => {
            // Connection parameters follow the user; ssh leaves them alone as well.
            let user = user.split(';').next().filter(|user| !user.is_empty())?;
            (Some(decoded(user)?), rest)
        }
        None => (None, text),
    };
    let (host, delimiter, rest) = host_and_rest(rest)?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let begins = host.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || !host.chars().all(allowed) || host.contains("..") {
        return None;
    }
    let (port, path) = match delimiter {
        Some(':') => rest.split_once('/').unwrap_or((rest, "")),
        _ => ("", rest),
    };
    if !path.is_empty() {
        return None;
    }
    Some(RawHop {
        user,
        host: host.strip_suffix('.').unwrap_or(host).to_owned(),
        port: match port {
            "" => None,
            port => Some(super::checks::number(port, 65535).filter(|port| *port != 0)? as u16),
        },
    })
}

/// Divides at the first `:` or `/` outside of brackets: the host, the divider, what follows.
fn host_and_rest(text: &str) -> Option<(&str, Option<char>, &str)> {
    let end = if text.starts_with('[') {
        text.find(']')? + 1
    } else {
        text.find([':', '/']).unwrap_or(text.len())
    };
    let (host, rest) = text.split_at(end);
    match rest.chars().next() {
        None => Some((host, None, "")),
        Some(divider @ (':' | '/')) => Some((host, Some(divider), &rest[1..])),
        Some(_) => None,
    }
}

fn unbracketed(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inner.unwrap_or(host)
}

/// Decodes `%XX` and `+` (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn takes(text: &str, expected: &[&str]) {
        let hops = parse(text).unwrap().unwrap();
        let hosts: Vec<_> = hops
            .iter()
            .map(|hop| {
                to_host(hop.user.as_deref(), &hop.host, hop.port)
                    .unwrap()
                    .to_string()
            })
            .collect();
        assert_eq!(hosts, expected, "{text}");
    }

    #[test]
    fn hosts_come_in_the_order_of_the_way() {
        takes("a", &["a"]);
        takes(
            "me@a:22,b,[::1]:2222 # over there",
            &["me@a:22", "b", "[::1]:2222"],
        );
        takes("a@b@c", &["a@b@c"]);
        takes("a:", &["a"]);
        takes("ssh://me@a.b:22", &["me@a.b:22"]);
        takes("ssh://a/", &["a"]);
        takes("ssh://m%65;x=y@a.", &["me@a"]);
        assert_eq!(parse("NONE").unwrap(), None);
    }

    #[test]
    fn what_names_no_host_is_refused() {
        for text in [
            "", "a,", ",a", "@a", "a:0", "a:x", "a/b", "::1", "[a", "[a]b", "a b", "a;b", "-a",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        for text in [
            "ssh://",
            "ssh://a/b",
            "ssh://@a",
            "ssh://[::1]",
            "ssh://a:0",
            "ssh://%zz@a",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn tokens_wait_for_the_host() {
        let hops = parse("%r@gate-%n").unwrap().unwrap();
        assert_eq!(hops[0].host, "gate-%n");
    }
}
