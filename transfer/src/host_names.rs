//! Names on this machine for what comes from many hosts: one for each, and never one for two.
//!
//! The principal type is [`HostNames`]. Nothing here touches a file.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// How what comes from each of many hosts is named on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HostNames {
    /// `DIR/HOST`, from which [`HostNames::host_of`] reads the host again. A host that is listed
    /// again gets `HOST#2`, `HOST#3` and so on, as does one that differs from it only in case, since
    /// not all file systems tell `a` from `A`. Of a host's name `/`, `%`, `#`, a dot at the begin,
    /// spaces, and what is no printable ASCII become `%` and two digits.
    #[default]
    Encoded,
    /// `FILE` + separator + `HOST`, as parallel-ssh names what it copies, with the separator `_`
    /// by default.
    ParallelSsh {
        /// Stands between both.
        separator: Vec<u8>,
    },
    /// `DIR/HOST/FILE`, as pslurp does.
    Pssh,
    /// `DIR/FILE.HOST`, as clush does.
    Clush,
}

/// Why hosts could not be given names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostNamesError {
    /// Two hosts would get one path, or two that differ in case alone, which only
    /// [`HostNames::Encoded`] rules out.
    #[error("host {} is there twice, and both would write {}", host.escape_ascii(), path.display())]
    Collision {
        /// The later one.
        host: Vec<u8>,
        /// The path.
        path: PathBuf,
    },
    /// The name is longer than a file system takes, or is none.
    #[error("host {} makes no name of a file", host.escape_ascii())]
    NoName {
        /// The host.
        host: Vec<u8>,
    },
}

impl HostNames {
    /// Returns the path for each host, in their order, before anything is copied.
    ///
    /// `local` is what the caller named: a directory for all presets but parallel-ssh's, whose hosts
    /// are appended to it. `file` is the last part of the remote path, which `Pssh` and `Clush` keep.
    ///
    /// # Errors
    ///
    /// Two hosts would get one path, or a host makes no name.
    pub fn paths<H: AsRef<[u8]>>(
        &self,
        hosts: &[H],
        local: &Path,
        file: &[u8],
    ) -> Result<Vec<PathBuf>, HostNamesError> {
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut taken: HashSet<Vec<u8>> = HashSet::new();
        let mut paths = Vec::with_capacity(hosts.len());
        for host in hosts.iter().map(AsRef::as_ref) {
            let times = seen.entry(host.to_ascii_lowercase()).or_default();
            *times += 1;
            let path = self.path(host, *times, (local, file));
            let path = path.ok_or_else(|| HostNamesError::NoName {
                host: host.to_vec(),
            })?;
            if !taken.insert(path.as_os_str().as_bytes().to_ascii_lowercase()) {
                let host = host.to_vec();
                return Err(HostNamesError::Collision { host, path });
            }
            paths.push(path);
        }
        Ok(paths)
    }

    fn path(&self, host: &[u8], times: usize, (local, file): (&Path, &[u8])) -> Option<PathBuf> {
        let joined = |name: Vec<u8>| fits(&name).then(|| local.join(OsString::from_vec(name)));
        match self {
            Self::Encoded => joined(encode(host, times)),
            // A name of a host is a name here as well: what is none is not made one.
            _ if host.contains(&b'/') => None,
            Self::ParallelSsh { separator } => {
                let name = [separator.as_slice(), host].concat();
                let whole = [local.as_os_str().as_bytes(), &name].concat();
                let last = whole
                    .rsplit(|byte| *byte == b'/')
                    .next()
                    .unwrap_or_default();
                (fits(last) && !separator.contains(&b'/'))
                    .then(|| PathBuf::from(OsString::from_vec(whole)))
            }
            Self::Pssh => {
                let path = joined(host.to_vec())?;
                fits(file).then(|| path.join(std::ffi::OsStr::from_bytes(file)))
            }
            Self::Clush => joined([file, b".", host].concat()),
        }
    }

    /// Reads the host again of a name that [`HostNames::Encoded`] made, and which of the hosts of
    /// that name it is, from 1 on; `None` of any other name.
    pub fn host_of(name: &[u8]) -> Option<(Vec<u8>, usize)> {
        let (text, times) = match name.iter().position(|byte| *byte == MARK) {
            Some(at) => {
                let digits = std::str::from_utf8(&name[at + 1..]).ok()?;
                (&name[..at], digits.parse().ok()?)
            }
            None => (name, 1),
        };
        let mut host = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            if byte == b'%' && !(tail.is_empty() && host.is_empty()) {
                let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
                host.push(u8::from_str_radix(digits, 16).ok()?);
                rest = &tail[2..];
            } else if byte != b'%' {
                host.push(byte);
            }
        }
        // Only what the rule itself makes of it is such a name.
        (encode(&host, times) == name).then_some((host, times))
    }
}

/// Returns the name of a host that is there for the so many-th time.
fn encode(host: &[u8], times: usize) -> Vec<u8> {
    let mut name = Vec::with_capacity(host.len());
    for (at, byte) in host.iter().enumerate() {
        let plain = byte.is_ascii_graphic() && !matches!(*byte, b'/' | b'%' | MARK);
        if plain && (at > 0 || *byte != b'.') {
            name.push(*byte);
        } else {
            name.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    if name.is_empty() {
        // No other host's: behind a `%` there are two digits.
        name.push(b'%');
    }
    if times > 1 {
        name.extend_from_slice(format!("#{times}").as_bytes());
    }
    name
}

fn fits(name: &[u8]) -> bool {
    let inside = !name.iter().any(|byte| matches!(byte, b'/' | 0));
    inside && !matches!(name, b"" | b"." | b"..") && name.len() <= NAME_BYTES_MAX
}

/// Stands before the number of a host that is there again.
const MARK: u8 = b'#';
/// The longest name that a file system takes.
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paths(names: &HostNames, hosts: &[&str]) -> Vec<String> {
        let paths = names.paths(hosts, Path::new("out"), b"log").expect("names");
        let shown = paths.iter().map(|path| path.display().to_string());
        shown.collect()
    }

    #[test]
    fn presets_name_as_their_programs_do() {
        let hosts = ["web1", "10.0.0.2"];
        let parallel = HostNames::ParallelSsh {
            separator: b"_".to_vec(),
        };
        assert_eq!(paths(&parallel, &hosts), ["out_web1", "out_10.0.0.2"]);
        assert_eq!(
            paths(&HostNames::Pssh, &hosts),
            ["out/web1/log", "out/10.0.0.2/log"]
        );
        assert_eq!(
            paths(&HostNames::Clush, &hosts),
            ["out/log.web1", "out/log.10.0.0.2"]
        );
        let expected = ["out/web1", "out/web1#2", "out/%2E.", "out/a%2Fb", "out/::1"];
        let hosts = ["web1", "web1", "..", "a/b", "::1"];
        assert_eq!(paths(&HostNames::default(), &hosts), expected);
    }

    #[test]
    fn presets_refuse_what_would_collide_or_leave() {
        for names in [HostNames::Pssh, HostNames::Clush] {
            let twice = names.paths(&["a", "a"], Path::new("out"), b"log");
            assert!(matches!(twice, Err(HostNamesError::Collision { .. })));
            let outside = names.paths(&["../a"], Path::new("out"), b"log");
            assert!(matches!(outside, Err(HostNamesError::NoName { .. })));
        }
        let parent = HostNames::Pssh.paths(&[".."], Path::new("out"), b"log");
        assert!(matches!(parent, Err(HostNamesError::NoName { .. })));
        let long = HostNames::Encoded.paths(&["\u{fc}".repeat(60)], Path::new("out"), b"");
        assert!(matches!(long, Err(HostNamesError::NoName { .. })));
    }

    fn hosts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let byte = prop_oneof![
            Just(b'.'),
            Just(b'/'),
            Just(b'%'),
            Just(b'#'),
            Just(b'2'),
            Just(b'E'),
            Just(b'e'),
            Just(b'F'),
            any::<u8>()
        ];
        prop::collection::vec(prop::collection::vec(byte, 0..4), 1..20)
    }

    proptest! {
        #[test]
        fn names_are_reversible_and_never_collide(hosts in hosts()) {
            let out = Path::new("out");
            let paths = HostNames::Encoded.paths(&hosts, out, b"").expect("all make names");
            // Nor on a file system that does not tell `a` from `A`.
            let folded = paths.iter().map(|path| path.as_os_str().to_ascii_lowercase());
            let unlike: HashSet<_> = folded.collect();
            prop_assert_eq!(unlike.len(), hosts.len());
            for (path, host) in paths.iter().zip(&hosts) {
                prop_assert_eq!(path.parent(), Some(out));
                let name = path.file_name().expect("has a name").as_bytes();
                let (read, _) = HostNames::host_of(name).expect("is one of ours");
                prop_assert_eq!(&read, host);
            }
        }

        /// What the presets give is one path for each host, beneath what the caller named; else
        /// nothing is given.
        #[test]
        fn presets_give_each_host_its_own_path_or_none(
            hosts in hosts(), file in prop::collection::vec(any::<u8>(), 0..4)
        ) {
            let separator = b"_".to_vec();
            for names in [HostNames::Pssh, HostNames::Clush, HostNames::ParallelSsh { separator }] {
                let Ok(paths) = names.paths(&hosts, Path::new("out"), &file) else {
                    continue;
                };
                let folded = paths.iter().map(|path| path.as_os_str().to_ascii_lowercase());
                let unlike: HashSet<_> = folded.collect();
                prop_assert_eq!(unlike.len(), hosts.len());
                for path in &paths {
                    let normal = |part| matches!(part, std::path::Component::Normal(_));
                    prop_assert!(path.components().all(normal), "{:?}", path);
                    let depth = if names == HostNames::Pssh { 3 } else { 2 };
                    let parallel = !matches!(names, HostNames::Pssh | HostNames::Clush);
                    let depth = if parallel { 1 } else { depth };
                    prop_assert_eq!(path.components().count(), depth);
                }
            }
        }

        /// A name that is too long for a file system is refused, and one that is not is made.
        #[test]
        fn names_end_at_255_bytes(length in 240..270_usize, times in 1..12_usize) {
            let hosts = vec![vec![b'h'; length]; times];
            let paths = HostNames::Encoded.paths(&hosts, Path::new("out"), b"");
            let mark = if times > 1 { format!("#{times}").len() } else { 0 };
            prop_assert_eq!(paths.is_ok(), length + mark <= NAME_BYTES_MAX);
        }

        #[test]
        fn only_what_was_made_is_read(name in prop::collection::vec(any::<u8>(), 0..6)) {
            if let Some((host, times)) = HostNames::host_of(&name) {
                prop_assert_eq!(encode(&host, times), name);
            }
        }
    }
}
