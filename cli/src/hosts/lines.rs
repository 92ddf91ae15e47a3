//! Hosts files: the lines that pssh has, and node sets and groups in lines that it would refuse.

use anyhow::{Context, Result, anyhow, bail};
use sshoal::hosts::{Selector, Words};
use sshoal::{Host, HostError, HostLine, parse_host_lines};

use crate::complain;

/// Reads a hosts file. A line whose first field names a host means that host, whatever else it could
/// mean; another one is a node set.
///
/// # Errors
/// Fails at the first line that is neither, with its number.
pub(super) fn read(text: &[u8], origin: &str, selector: &Selector<'_>) -> Result<Vec<HostLine>> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        bail!("{origin} is UTF-16; save it as UTF-8");
    }
    let mut plain = Vec::with_capacity(text.len());
    // The node sets, by their line, and by the position of the host that stands in for them.
    let mut sets: Vec<(usize, usize, &str)> = Vec::new();
    let mut hosts = 0;
    for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let begin = line.trim_ascii_start();
        let end = begin.iter().position(u8::is_ascii_whitespace);
        let (field, rest) = begin.split_at(end.unwrap_or(begin.len()));
        if is_of_inventory(field, rest) {
            bail!(
                "{origin}:{}: this is a line of an inventory; give the file to --inventory, and choose \
                 hosts with --group, --limit, or -w '@*' for all",
                index + 1
            );
        }
        if field == b"#include" && !rest.trim_ascii().is_empty() {
            let line = index + 1;
            complain(&format!(
                "{origin}:{line}: #include, which pdsh has, is a comment here; give that file to -h, too"
            ));
        }
        let set = std::str::from_utf8(field)
            .ok()
            .filter(|field| is_set(field));
        match set {
            Some(set) => {
                sets.push((index + 1, hosts, set));
                plain.extend_from_slice(STAND_IN);
                plain.extend_from_slice(rest);
            }
            None => plain.extend_from_slice(line),
        }
        hosts += usize::from(!field.is_empty() && field[0] != b'#');
    }
    let lines = parse_host_lines(plain, origin)?;
    if sets.is_empty() {
        return Ok(lines);
    }
    let mut all = Vec::with_capacity(lines.len());
    let mut sets = sets.into_iter().peekable();
    for (position, line) in lines.into_iter().enumerate() {
        let Some((number, _, set)) = sets.next_if(|(_, at, _)| *at == position) else {
            all.push(line);
            continue;
        };
        let place = || format!("{origin}:{number}");
        if let Some(user) = line.host.user() {
            bail!(
                "{}: {user:?} follows the node set {set:?}; write USER@ before it, and no blanks in it",
                place()
            );
        }
        let names = selector.select(set, Words::Hosts).with_context(place)?;
        for name in names {
            let mut own = line.clone();
            own.host = name
                .parse::<Host>()
                .map_err(|error| anyhow!(error))
                .with_context(place)?;
            all.push(own);
        }
    }
    Ok(all)
}

/// Whether a line is one of Ansible's inventories: the begin of a section, which is not to be taken for
/// a host, or a host with a variable, which is not to be taken for a user.
fn is_of_inventory(field: &[u8], rest: &[u8]) -> bool {
    let inner = field.strip_prefix(b"[").and_then(|f| f.strip_suffix(b"]"));
    let is_name = |inner: &[u8]| {
        let begins = inner
            .first()
            .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
        let is_word = |b: &u8| b.is_ascii_alphanumeric() || b"_-.".contains(b);
        let mut parts = inner.split(|byte| *byte == b':');
        begins
            && parts.next().is_some_and(|name| name.iter().all(is_word))
            && parts.all(|kind| matches!(kind, b"vars" | b"children"))
    };
    let begins_variable = rest.trim_ascii_start().starts_with(b"ansible_");
    inner.is_some_and(is_name) || begins_variable && rest.contains(&b'=')
}

/// Whether a field that names no host is meant as a node set.
fn is_set(field: &str) -> bool {
    let looks = field.starts_with('@') || field.contains(['[', ',', '!', '&', '^', '*', '?']);
    looks && !field.starts_with('#') && field.parse::<Host>().is_err() && !has_password(field)
}

/// Whether a password stands in what should name hosts, so that no error may show it. Where several
/// are named, ports stand before an `@` as well.
pub(super) fn has_password(text: &str) -> bool {
    let refused = |text: &str| text.parse::<Host>() == Err(HostError::Password);
    let is_host = |part: &str| {
        let port = part.rsplit_once(':').map_or("0", |(_, port)| port);
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        let is_group = part.starts_with('@');
        is_group || (is_port && !refused(part)) || part.parse::<Host>().is_ok()
    };
    let divides = |c: char| c.is_whitespace() || ",!&^".contains(c);
    refused(text) && !text.split(divides).all(is_host)
}

/// A host that no line can name twice for another reason: its place in the list is what counts.
const STAND_IN: &[u8] = b"node-set";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_told_from_a_port_before_another_host() {
        for text in [
            "root:pw@web1",
            "root:pw@web[1-3]",
            "root:p,w@web1",
            "web2,root:p!w@web1",
            "root:1234@web1",
            "web1:22,root:1@web2",
        ] {
            assert!(has_password(text), "{text}");
        }
        for text in [
            "web[1-3,5]:22,root@web9",
            "[::1]:22,root@web1",
            "::1,root@web1",
            "web1:22!@old",
            "root@web1:22",
            "web1:ssh",
            "@rack:a,@rack:b",
            "web1 @rack:a root@web2",
        ] {
            assert!(!has_password(text), "{text}");
        }
    }
}
