//! Hosts files: the lines that pssh has, and node sets and groups in lines that it would refuse.

use anyhow::{Context, Result, anyhow, bail};
use sshoal::hosts::{Selector, Words};
use sshoal::{Host, HostLine, parse_host_lines};

/// Reads a hosts file. A line whose first field names a host means that host, whatever else it could
/// mean; another one is a node set.
///
/// # Errors
/// Fails at the first line that is neither, with its number.
pub(super) fn read(text: &[u8], origin: &str, selector: &Selector<'_>) -> Result<Vec<HostLine>> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let mut plain = Vec::with_capacity(text.len());
    // The node sets, by their line, and by the position of the host that stands in for them.
    let mut sets: Vec<(usize, usize, &str)> = Vec::new();
    let mut hosts = 0;
    for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let begin = line.trim_ascii_start();
        let end = begin.iter().position(u8::is_ascii_whitespace);
        let (field, rest) = begin.split_at(end.unwrap_or(begin.len()));
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

/// Whether a field that names no host is meant as a node set.
fn is_set(field: &str) -> bool {
    let looks = field.starts_with('@') || field.contains(['[', ',', '!', '&', '^', '*', '?']);
    looks && !field.starts_with('#') && field.parse::<Host>().is_err()
}

/// A host that no line can name twice for another reason: its place in the list is what counts.
const STAND_IN: &[u8] = b"node-set";
