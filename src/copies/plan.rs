//! The paths of copies by host, made and checked before anything moves.
//!
//! The principal type is [`Plan`].

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use sshoal_pool::{Paths, Pool};
use sshoal_session::Host;
use sshoal_transfer::{HostNames, HostNamesError};

use super::{CopiesError, LocalPaths, Locals};

/// Both paths of each host, in the order of the hosts.
#[derive(Debug)]
pub(crate) struct Plan(Vec<(PathBuf, Vec<u8>)>);

/// Whether what is copied has a name that a path ending in `/` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    File,
    /// Its content goes to where the path leads.
    Tree,
}

impl Plan {
    /// Makes the paths of copies to the hosts.
    pub(crate) fn put(
        pool: &Pool,
        what: What,
        (local, remote): (&Paths, &Paths),
    ) -> Result<Self, CopiesError> {
        let locals = pool.paths(local).map_err(CopiesError::Local)?;
        let remotes = pool.paths(remote).map_err(CopiesError::Remote)?;
        let pairs = locals.into_iter().zip(remotes);
        let pairs = pairs.map(|(local, remote)| {
            let mut remote = remote.into_os_string().into_vec();
            if what == What::File && remote.ends_with(b"/") {
                // A source without a name is told as one that cannot be read.
                let name = local.file_name().unwrap_or_default();
                remote.extend_from_slice(name.as_bytes());
            }
            (local, remote)
        });
        Ok(Self(pairs.collect()))
    }

    /// Makes the paths of copies from the hosts.
    pub(crate) fn get(
        pool: &Pool,
        what: What,
        (remote, local): (&Paths, &LocalPaths),
    ) -> Result<Self, CopiesError> {
        let remotes = pool.paths(remote).map_err(CopiesError::Remote)?;
        let remotes: Vec<Vec<u8>> = remotes
            .into_iter()
            .map(|path| path.into_os_string().into_vec())
            .collect();
        let hosts = pool.hosts();
        let locals = match &local.0 {
            Locals::Named(names, base) => named(names, (base, what), (hosts, &remotes))?,
            Locals::Exact(paths) => {
                let mut locals = pool.paths(paths).map_err(CopiesError::Local)?;
                if what == What::File {
                    for ((local, remote), host) in locals.iter_mut().zip(&remotes).zip(hosts) {
                        if ends_in_slash(local) {
                            local.push(name_of(remote, host)?);
                        }
                    }
                }
                locals
            }
        };
        check_apart(hosts, &locals, matches!(local.0, Locals::Named(..)))?;
        Ok(Self(locals.into_iter().zip(remotes).collect()))
    }

    /// Returns a host's path here and its path there.
    pub(crate) fn of(&self, index: usize) -> (&Path, &[u8]) {
        let (local, remote) = &self.0[index];
        (local, remote)
    }

    /// Returns the paths on this machine.
    pub(crate) fn locals(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(local, _)| local.as_path())
    }
}

/// Names each host by a rule.
fn named(
    names: &HostNames,
    (base, what): (&Path, What),
    (hosts, remotes): (&[Host], &[Vec<u8>]),
) -> Result<Vec<PathBuf>, CopiesError> {
    let keeps = what == What::File && ends_in_slash(base);
    if *names == HostNames::Encoded {
        // All at once: a host that is listed again is numbered.
        let listed: Vec<&str> = hosts.iter().map(Host::name).collect();
        let mut paths = names
            .paths(&listed, base, b"")
            .map_err(CopiesError::Names)?;
        if keeps {
            for ((path, remote), host) in paths.iter_mut().zip(remotes).zip(hosts) {
                path.push(name_of(remote, host)?);
            }
        }
        return Ok(paths);
    }
    let name = |(host, remote): (&Host, &Vec<u8>)| {
        let file = match what {
            What::File if keeps || takes_file(names) => name_of(remote, host)?,
            _ => last(remote),
        };
        let base = match names {
            HostNames::ParallelSsh { .. } if keeps => base.join(file),
            _ => base.to_path_buf(),
        };
        let path = names.paths(&[host.name()], &base, file.as_bytes());
        let mut path = path.map_err(CopiesError::Names)?;
        path.pop().ok_or_else(|| {
            let host = host.name().as_bytes().to_vec();
            CopiesError::Names(HostNamesError::NoName { host })
        })
    };
    hosts.iter().zip(remotes).map(name).collect()
}

/// Returns whether a rule's names have the file's own in them.
fn takes_file(names: &HostNames) -> bool {
    matches!(names, HostNames::Pssh | HostNames::Clush)
}

/// Looks for two hosts that would write one path, or one beneath another's. With `folded`, also for
/// names that are one on file systems that do not tell `a` from `A`: the caller did not choose them.
fn check_apart(hosts: &[Host], locals: &[PathBuf], folded: bool) -> Result<(), CopiesError> {
    let key = |(index, path): (usize, &PathBuf)| {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let whole = match folded {
            true => PathBuf::from(whole.into_os_string().to_ascii_lowercase()),
            false => whole,
        };
        (whole, index)
    };
    let mut sorted: Vec<(PathBuf, usize)> = locals.iter().enumerate().map(key).collect();
    // By components, so that what is beneath a path comes right behind it.
    sorted.sort();
    for pair in sorted.windows(2) {
        let [(one, first), (other, second)] = pair else {
            continue;
        };
        if other.starts_with(one) {
            let (first, second) = (*first.min(second), *first.max(second));
            return Err(CopiesError::Collision {
                first: hosts[first].clone().into(),
                second: hosts[second].clone().into(),
                path: locals[second].clone(),
            });
        }
    }
    Ok(())
}

/// Returns the name of what a remote path leads to, if it is one that a file here can have.
fn name_of<'a>(remote: &'a [u8], host: &Host) -> Result<&'a OsStr, CopiesError> {
    let name = last(remote);
    match name.as_bytes() {
        b"" | b"." | b".." => Err(CopiesError::NoName {
            host: host.clone().into(),
            remote: remote.to_vec(),
        }),
        _ => Ok(name),
    }
}

/// Returns the last part of a remote path that is not empty.
fn last(remote: &[u8]) -> &OsStr {
    let mut parts = remote.rsplit(|byte| *byte == b'/');
    let found = parts.find(|part| !part.is_empty());
    OsStr::from_bytes(found.unwrap_or_default())
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}
