//! Paths of hosts and of this machine: their last part, and what two of them make.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Returns a host's path as SFTP takes it: from the login directory on where a shell's user would
/// have written `~`.
pub(super) fn remote(path: &[u8]) -> &[u8] {
    match path {
        b"~" | b"~/" => b".",
        [b'~', b'/', rest @ ..] => rest,
        path => path,
    }
}

/// Returns the last part of a host's path, without the slashes at its end.
///
/// # Errors
/// It has none that a file could have.
pub(super) fn file_of(path: &[u8]) -> Result<&[u8]> {
    let mut parts = path.split(|byte| *byte == b'/');
    match parts.rfind(|part| !part.is_empty()) {
        Some(name) if !matches!(name, b"." | b".." | b"~") => Ok(name),
        _ => bail!("{} has no name at its end", shown(path)),
    }
}

/// Returns a host's path as one that stays in the directory that it is put in.
///
/// # Errors
/// It leads up.
pub(super) fn inside(path: &[u8]) -> Result<PathBuf> {
    let mut inside = PathBuf::new();
    for part in remote(path).split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => bail!(
                "{} leads up, and makes no name below a host's; use --name '{{host}}/{{file}}'",
                shown(path)
            ),
            part => inside.push(OsStr::from_bytes(part)),
        }
    }
    Ok(inside)
}

/// Returns the name of something on this machine, also where it is called `.` or the like.
///
/// # Errors
/// It is the root, or cannot be looked at.
pub(super) fn name_of(path: &Path) -> Result<OsString> {
    if let Some(name) = path.file_name() {
        return Ok(name.to_owned());
    }
    let whole = path.canonicalize();
    let whole = whole.with_context(|| path.display().to_string())?;
    let name = whole.file_name().map(OsStr::to_owned);
    name.with_context(|| format!("{} has no name", path.display()))
}

/// Returns a host's path of a name in a directory.
pub(super) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match directory {
        [.., b'/'] => [directory, name].concat(),
        _ => [directory, b"/", name].concat(),
    }
}

/// Returns whether a path says that it is a directory.
pub(super) fn is_directory(path: &[u8]) -> bool {
    matches!(path, [.., b'/'] | b"." | b".." | b"~") || path.ends_with(b"/.")
}

/// Returns bytes as a path.
pub(super) fn local(path: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(path.to_vec()))
}

/// Returns a path for messages.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// Checks that no two hosts write one path, nor one in another's; `paths` are by host. `labels`
/// names the hosts.
///
/// # Errors
/// Two do.
pub(super) fn check_apart(paths: &[Vec<PathBuf>], labels: &[String]) -> Result<()> {
    let mut all: Vec<(PathBuf, usize)> = Vec::new();
    for (host, paths) in paths.iter().enumerate() {
        all.extend(paths.iter().map(|path| (plain(path), host)));
    }
    all.sort();
    // What begins with a path stands right behind it: those that the last one is in.
    let mut above: Vec<&(PathBuf, usize)> = Vec::new();
    for next in &all {
        while above
            .pop_if(|(path, _)| !next.0.starts_with(path))
            .is_some()
        {}
        for (path, host) in &above {
            if *host == next.1 && *path != next.0 {
                continue;
            }
            let (one, other) = (&labels[*host], &labels[next.1]);
            let path = path.display();
            match host == &next.1 {
                true => bail!("two SRC of {one} would be copied to {path}; copy one at a time"),
                false => bail!(
                    "{one} and {other} would both be copied to {path}; put {{host}} or {{n}} into \
                     the name"
                ),
            }
        }
        above.push(next);
    }
    Ok(())
}

/// Returns a path without what says nothing, for comparisons.
fn plain(path: &Path) -> PathBuf {
    let parts = path.components();
    parts.filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_last_parts() {
        for (path, name) in [("/etc/motd", "motd"), ("dir/", "dir"), ("a//b//", "b")] {
            assert_eq!(file_of(path.as_bytes()).unwrap(), name.as_bytes());
        }
        for path in ["", "/", ".", "..", "a/..", "~", "./"] {
            assert!(file_of(path.as_bytes()).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_path_of_a_host_stays_below_it() {
        for (path, expected) in [
            ("/etc/motd", "etc/motd"),
            ("~/a/./b//c", "a/b/c"),
            ("/", ""),
            ("~", ""),
        ] {
            let path = inside(path.as_bytes()).unwrap();
            assert_eq!(path, Path::new(expected));
        }
        assert!(inside(b"/etc/../../x").is_err());
    }

    #[track_caller]
    fn check(paths: &[&[&str]], wrong: Option<&str>) {
        let labels = ["web1".to_owned(), "web2".to_owned()];
        let paths = paths.iter().map(|paths| paths.iter().map(PathBuf::from));
        let paths: Vec<Vec<PathBuf>> = paths.map(Iterator::collect).collect();
        let checked = check_apart(&paths, &labels).map_err(|error| error.to_string());
        match wrong {
            None => assert_eq!(checked, Ok(())),
            Some(part) => {
                let error = checked.unwrap_err();
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn no_two_hosts_get_one_path_or_one_in_another() {
        check(&[&["out/web1/a"], &["out/web2/a"]], None);
        check(&[&["out/a"], &["out/ab", "out/a.b"]], None);
        check(&[&["out/web1", "out/web1/a"], &["out/web2"]], None);
        check(
            &[&["out/a"], &["./out//a"]],
            Some("both be copied to out/a"),
        );
        check(
            &[&["out", "out/x"], &["out/y"]],
            Some("both be copied to out;"),
        );
        check(&[&["out/a", "out/a"], &[]], Some("two SRC of web1"));
    }
}
