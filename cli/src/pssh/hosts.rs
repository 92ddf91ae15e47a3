//! Hosts as pssh reads them: `[user@]host[:port]`, in files also `host[:port] user`.
//!
//! The principal type is [`Listed`]. What pssh leaves to ssh to refuse is taken here as well, and
//! fails as a host: a list is never refused for one line.

use std::fs;
use std::net::Ipv6Addr;

use sshoal::Host;

use super::Stop;
use super::options::Options;

/// One host of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// As on status lines and in names of files.
    pub(crate) label: String,
    /// The host alone, as it is named before what it prints.
    pub(crate) name: String,
    /// As it was written.
    pub(crate) port: Option<String>,
    /// What is connected to, or what ssh would say of it.
    pub(crate) host: Result<Host, String>,
}

/// What a text names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    user: Option<String>,
    name: String,
    port: Option<String>,
}

/// Reads all hosts, files first. What is wrong with a line is said by `complain`.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn read(
    options: &Options,
    complain: &mut dyn FnMut(String),
) -> Result<Vec<Listed>, Stop> {
    let mut listed = Vec::new();
    for path in &options.host_files {
        let text = fs::read(path).map_err(|error| {
            let reason = crate::wording::os_text(&error);
            Stop::Fatal(format!("Could not open hosts file: {reason}"))
        })?;
        // Names are ASCII; what is not shows in the host's failure.
        let text = String::from_utf8_lossy(&text);
        // Lines end as on any system.
        for line in text.split(['\n', '\r']) {
            let entry = line_of_file(line, complain);
            let fits = |entry: &Entry| match &options.host_glob {
                Some(glob) => fits(glob, &entry.name),
                None => true,
            };
            listed.extend(entry.filter(|e| !e.name.is_empty() && fits(e)));
        }
    }
    for text in &options.host_strings {
        listed.extend(text.split_whitespace().map(entry));
    }
    let user = options.user.as_deref();
    Ok(listed.into_iter().map(|entry| entry.listed(user)).collect())
}

/// Reads a line of a file; `None` where there is nothing, or nothing right, on it.
fn line_of_file(line: &str, complain: &mut dyn FnMut(String)) -> Option<Entry> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields.as_slice() {
        [] => None,
        [host] => Some(entry(host)),
        [host, user] => {
            let entry = entry(host);
            if entry.user.is_some() {
                complain(format!("User specified twice in line: \"{line}\""));
                return None;
            }
            let user = Some((*user).to_owned());
            Some(Entry { user, ..entry })
        }
        _ => {
            complain(format!(
                "Bad line: \"{line}\". Format should be [user@]host[:port] [user]"
            ));
            None
        }
    }
}

/// Takes `[user@]host[:port]` apart, whatever its parts are.
fn entry(text: &str) -> Entry {
    let (user, rest) = match text.split_once('@') {
        Some((user, rest)) => (Some(user.to_owned()), rest),
        None => (None, text),
    };
    let (name, port) = match rest.rsplit_once(':') {
        // An address of IPv6 has colons of its own.
        _ if rest.parse::<Ipv6Addr>().is_ok() || rest.ends_with(']') => (rest, None),
        Some((name, port)) => (name, Some(port.to_owned())),
        None => (rest, None),
    };
    let name = name.to_owned();
    Entry { user, name, port }
}

impl Entry {
    fn listed(self, default_user: Option<&str>) -> Listed {
        let mut label = self.name.clone();
        if let Some(user) = self
            .user
            .as_deref()
            .filter(|user| Some(*user) != default_user)
        {
            label = format!("{user}@{label}");
        }
        let port = self.port.clone().filter(|port| !port.is_empty());
        if let Some(port) = &port {
            label = format!("{label}:{port}");
        }
        let user = self.user.as_deref().or(default_user);
        Listed {
            label,
            host: host(user, &self.name, port.as_deref()),
            name: self.name,
            port,
        }
    }
}

/// Makes the host, or says of it what ssh says before it connects.
fn host(user: Option<&str>, name: &str, port: Option<&str>) -> Result<Host, String> {
    let number = |port: &str| port.parse().ok().filter(|port| *port > 0);
    let port = match port.map(|port| (port, number(port))) {
        Some((port, None)) => return Err(format!("Bad port '{port}'\n")),
        port => port.and_then(|(_, number)| number),
    };
    // Users of a domain have an `@` of their own.
    let (user, name) = match (user, name.rsplit_once('@')) {
        (Some(user), Some((rest, name))) => (Some(format!("{user}@{rest}")), name),
        _ => (user.map(str::to_owned), name),
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    let host = Host::new(bare.unwrap_or(name)).and_then(|host| match port {
        Some(port) => host.with_port(port),
        None => Ok(host),
    });
    let reason = "Name or service not known";
    let host = host.map_err(|_| format!("ssh: Could not resolve hostname {name}: {reason}\r\n"))?;
    match user.filter(|user| !user.is_empty()) {
        None => Ok(host),
        Some(user) => (host.with_user(user))
            .map_err(|_| "remote username contains invalid characters\r\n".to_owned()),
    }
}

/// Whether a name fits a pattern of a shell, in one case as in Python on this system.
fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    fits_from(&pattern, &name)
}

/// Goes back to the last `*` where something does not fit, so that no pattern takes long.
fn fits_from(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
            continue;
        }
        if let Some(taken) = one(&pattern[p..], name[n]) {
            (p, n) = (p + taken, n + 1);
            continue;
        }
        let Some((at, from)) = star else { return false };
        star = Some((at, from + 1));
        (p, n) = (at + 1, from + 1);
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

/// How much of the pattern stands for this letter; `None` if it does not fit.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => {
            let negated = rest.first() == Some(&'!');
            let set = &rest[usize::from(negated)..];
            // A bracket that comes first stands for itself.
            let end = (set.iter().skip(1)).position(|letter| *letter == ']');
            let Some(end) = end.map(|at| at + 1) else {
                return (letter == '[').then_some(1);
            };
            let is_in = in_set(&set[..end], letter);
            (is_in != negated).then_some(2 + usize::from(negated) + end)
        }
        [own, ..] => (*own == letter).then_some(1),
        [] => None,
    }
}

fn in_set(set: &[char], letter: char) -> bool {
    match set {
        [low, '-', high, rest @ ..] => (*low..=*high).contains(&letter) || in_set(rest, letter),
        [own, rest @ ..] => *own == letter || in_set(rest, letter),
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(text: &str) -> (Vec<Listed>, Vec<String>) {
        let mut said = Vec::new();
        let entries = text
            .lines()
            .filter_map(|line| line_of_file(line, &mut |m| said.push(m)));
        let listed: Vec<Listed> = entries.map(|entry| entry.listed(Some("me"))).collect();
        (listed, said)
    }

    #[test]
    fn lines_are_read_as_pssh_reads_them() {
        let text = "web1\nann@web2:22 # both\nweb3:2222 bob\n# no\n\n  me@web4\na b c\nx@y z\n\
                    [::1]:2200\n::1\nweb5:ssh\n";
        let (listed, said) = lines(text);
        let shown: Vec<_> = listed
            .iter()
            .map(|l| (l.label.as_str(), l.host.is_ok()))
            .collect();
        assert_eq!(
            shown,
            [
                ("web1", true),
                ("ann@web2:22", true),
                ("bob@web3:2222", true),
                ("web4", true),
                ("[::1]:2200", true),
                ("::1", true),
                ("web5:ssh", false),
            ]
        );
        assert_eq!(
            said,
            [
                "Bad line: \"a b c\". Format should be [user@]host[:port] [user]",
                "User specified twice in line: \"x@y z\"",
            ]
        );
        assert_eq!(listed[0].host.as_ref().unwrap().user(), Some("me"));
        assert_eq!(listed[6].host, Err("Bad port 'ssh'\n".to_owned()));
    }

    #[test]
    fn globs_are_those_of_python() {
        for (pattern, name, expected) in [
            ("web*", "web12", true),
            ("web?", "web12", false),
            ("*[0-3].eu", "web2.eu", true),
            ("*[!0-3].eu", "web2.eu", false),
            ("[]a]", "]", true),
            ("[", "[", true),
            ("", "", true),
            ("a*b*c", "aXbXbc", true),
            ("Web*", "web1", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,40}", glob in "[*?\\[\\]!a-c-]{0,8}") {
            let (listed, _) = lines(&text);
            for host in listed {
                fits(&glob, &host.name);
            }
        }

        #[test]
        fn what_is_a_host_is_connected_to(name in "[a-z][a-z0-9-]{0,8}", port in 1u16..) {
            let (listed, _) = lines(&format!("{name}:{port}"));
            let host = listed[0].host.as_ref().unwrap();
            prop_assert_eq!((host.name(), host.port()), (name.as_str(), Some(port)));
        }
    }
}
