//! Patterns for paths, over whatever lists a host's directories.

use crate::error::Error;
use crate::glob::Glob;
use crate::remote_path;
use crate::remote_tree::too_many;
use crate::sftp::{Entry, FileType};

/// Who knows a host's directories.
pub(super) trait Look {
    /// Tells whether a path is there, a link that leads nowhere too.
    fn is_there(&self, path: &[u8]) -> Result<bool, Error>;
    /// Lists a directory; `None` where that may not be, or where it is none.
    fn within(&self, directory: &[u8]) -> Result<Option<Vec<Entry>>, Error>;
}

/// Returns the paths that fit a pattern, sorted by their bytes; see
/// [`RemoteFs::glob`](super::RemoteFs::glob).
pub(super) fn glob(files: &dyn Look, pattern: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let root: &[u8] = if pattern.starts_with(b"/") { b"/" } else { b"" };
    let parts: Vec<&[u8]> = pattern
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
        .collect();
    let (mut found, mut looked, mut paths) = (Vec::new(), 0, Paths::default());
    // Directories with how many parts of the pattern led there.
    let mut ahead = vec![(root.to_vec(), 0)];
    while let Some((directory, at)) = ahead.pop() {
        match parts.get(at) {
            None if at > 0 => found.push(directory),
            None => {}
            Some(part) if *part == b"**" => {
                // A last `**` is for what is in the directories.
                let within = within(files, &directory, &mut looked)?;
                let last = at + 1 == parts.len();
                for entry in within {
                    if entry.name.starts_with(b".") {
                        continue;
                    }
                    let path = paths.join(&directory, &entry.name)?;
                    if last {
                        found.push(path.clone());
                    }
                    if entry.attributes.file_type() == FileType::Directory {
                        ahead.push((path, at));
                    }
                }
                if !last {
                    ahead.push((directory, at + 1));
                }
            }
            Some(part) if is_plain(part) => {
                let path = remote_path::join(&directory, part);
                let last = at + 1 == parts.len();
                if !last || files.is_there(&path)? {
                    ahead.push((path, at + 1));
                }
            }
            Some(part) => {
                let glob = Glob::new(part);
                let within = within(files, &directory, &mut looked)?;
                let fitting = within.into_iter().filter(|entry| glob.fits(&entry.name));
                for entry in fitting {
                    ahead.push((paths.join(&directory, &entry.name)?, at + 1));
                }
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The paths that were made of what a host lists: in directories of directories without end they
/// become long.
#[derive(Debug, Default)]
pub(super) struct Paths {
    bytes: usize,
}

impl Paths {
    /// Returns the path of a name in a directory.
    pub(super) fn join(&mut self, directory: &[u8], name: &[u8]) -> Result<Vec<u8>, Error> {
        let path = remote_path::join(directory, name);
        self.bytes += path.len();
        match self.bytes > PATHS_BYTES_MAX {
            true => Err(too_many("longer paths in a tree than are looked at")),
            false => Ok(path),
        }
    }
}

/// Lists what may be a directory; nothing if it is none.
fn within(files: &dyn Look, directory: &[u8], looked: &mut usize) -> Result<Vec<Entry>, Error> {
    let path: &[u8] = match directory {
        b"" => b".",
        other => other,
    };
    let Some(listed) = files.within(path)? else {
        return Ok(Vec::new());
    };
    *looked += listed.len() + 1;
    match *looked > LOOKED_MAX {
        true => Err(too_many("more names than a pattern is tried on")),
        false => Ok(listed),
    }
}

/// Returns whether a part of a pattern is a name as it stands.
fn is_plain(part: &[u8]) -> bool {
    !part
        .iter()
        .any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// Bytes of all paths together.
const PATHS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Names that are looked at for a pattern.
const LOOKED_MAX: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_paths_together_have_a_bound() {
        let (mut paths, directory) = (Paths::default(), vec![b'd'; 1024 * 1024 - 2]);
        for _ in 0..256 {
            let path = paths.join(&directory, b"n").expect("fits");
            assert_eq!(path.len(), 1024 * 1024);
        }
        assert!(paths.join(b"d", b"n").is_err());
    }
}
