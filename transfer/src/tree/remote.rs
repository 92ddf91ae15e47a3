//! Directories of a host, as trees need them: listed, and deleted with all that is in them.

use std::collections::HashMap;

use sshoal_reactor::Scope;

use super::name::is_one_name;
use crate::error::{Error, Operation};
use crate::remote_path;
use crate::sftp::{Attributes, FileType, Sftp, SftpError, SftpStatus};

/// What a directory holds: each name with what the host tells of it.
pub(crate) type Listing = HashMap<Vec<u8>, Attributes>;

/// Lists a directory; names that cannot be names are left out. Parks.
pub(crate) fn list(
    sftp: &Sftp,
    directory: &[u8],
    entries_max: usize,
    scope: &Scope,
) -> Result<Listing, Error> {
    let failed = |error: SftpError| Error::remote(Operation::List, directory, error);
    let mut open = sftp.directory(directory, scope).map_err(failed)?;
    let (mut listing, mut told) = (Listing::new(), 0);
    while let Some(entry) = open.next(scope).map_err(failed)? {
        told += 1;
        if told > entries_max {
            return Err(Error::TooManyEntries { entries_max });
        }
        if is_one_name(&entry.name) {
            listing.insert(entry.name, entry.attributes);
        }
    }
    Ok(listing)
}

/// Deletes a file, or a directory with all that is in it; links are not followed. Returns how much
/// was deleted. Parks.
pub(crate) fn delete(
    sftp: &Sftp,
    path: &[u8],
    about: &Attributes,
    entries_max: usize,
    scope: &Scope,
) -> Result<u64, Error> {
    let (mut deleted, mut seen) = (0, 0);
    let mut todo = vec![(path.to_vec(), about.file_type(), Step::In)];
    while let Some((path, file_type, step)) = todo.pop() {
        let failed = |error| Error::remote(Operation::Remove, &path, error);
        let gone = match (file_type, step) {
            (FileType::Directory, Step::In) => {
                let listing = list(sftp, &path, entries_max, scope)?;
                seen += listing.len();
                if seen > entries_max {
                    return Err(Error::TooManyEntries { entries_max });
                }
                todo.push((path.clone(), file_type, Step::Out));
                todo.extend(listing.into_iter().map(|(name, about)| {
                    let path = remote_path::join(&path, &name);
                    (path, about.file_type(), Step::In)
                }));
                continue;
            }
            (FileType::Directory, Step::Out) => sftp.remove_directory(&path, scope),
            _ => sftp.remove(&path, scope),
        };
        match gone {
            Ok(()) => deleted += 1,
            // Somebody else was there first.
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE)) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(deleted)
}

/// Before what is in a directory, or behind it.
#[derive(Clone, Copy)]
enum Step {
    In,
    Out,
}
