//! A host's files as one verb sees them, over SFTP or under sudo: both do the same.

use std::num::NonZeroUsize;

use sshoal::transfer::sftp::{Attributes, Entry, FileSystemStat};
use sshoal::transfer::{Error, Found, LineChange, LineEdit, Owner, RemoteFs, SudoFs, WriteOptions};

/// A host's files.
pub(super) enum Files<'a> {
    Sftp(RemoteFs<'a>),
    Sudo(SudoFs<'a>),
}

/// Calls the method of that name of both.
macro_rules! both {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $value:ty;)*) => {
        impl Files<'_> {
            $(pub(super) fn $name(&self, $($argument: $kind),*) -> Result<$value, Error> {
                match self {
                    Self::Sftp(files) => files.$name($($argument),*),
                    Self::Sudo(files) => files.$name($($argument),*),
                }
            })*
        }
    };
}

both! {
    read(path: &[u8], bytes_max: u64) -> Vec<u8>;
    write(path: &[u8], bytes: &[u8], options: &WriteOptions) -> bool;
    write_preview(path: &[u8], bytes: &[u8], options: &WriteOptions) -> LineChange;
    append(path: &[u8], bytes: &[u8]) -> ();
    stat(path: &[u8]) -> Attributes;
    lstat(path: &[u8]) -> Attributes;
    exists(path: &[u8]) -> bool;
    list(path: &[u8]) -> Vec<Entry>;
    walk(path: &[u8], most: NonZeroUsize) -> Vec<Found>;
    glob(pattern: &[u8]) -> Vec<Vec<u8>>;
    make_directory(path: &[u8]) -> ();
    make_directories(path: &[u8], permissions: Option<u32>) -> bool;
    remove(path: &[u8]) -> bool;
    remove_all(path: &[u8]) -> bool;
    rename(from: &[u8], to: &[u8]) -> ();
    symlink(target: &[u8], path: &[u8]) -> bool;
    hard_link(target: &[u8], path: &[u8]) -> ();
    read_link(path: &[u8]) -> Vec<u8>;
    chmod(path: &[u8], permissions: u32) -> ();
    chown(path: &[u8], user: Option<&Owner>, group: Option<&Owner>) -> ();
    truncate(path: &[u8], bytes: u64) -> ();
    stat_file_system(path: &[u8]) -> FileSystemStat;
    line_in_file(path: &[u8], edit: &LineEdit) -> LineChange;
    line_in_file_preview(path: &[u8], edit: &LineEdit) -> LineChange;
}

impl Files<'_> {
    /// Tells what stands at a path, or that nothing does.
    pub(super) fn standing(&self, path: &[u8]) -> Result<Option<Attributes>, Error> {
        match self.lstat(path) {
            Ok(told) => Ok(Some(told)),
            Err(error) if error.is_not_there() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
