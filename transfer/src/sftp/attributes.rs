//! What an SFTP server tells of a file (draft-ietf-secsh-filexfer-02 §5).

use super::packet::{Malformed, Reader, Writer};

/// What is known of a remote file, or is to be set; what is `None` is not told, or left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(
    clippy::exhaustive_structs,
    reason = "version 3 of the protocol, the only one in use, has these"
)]
pub struct Attributes {
    /// In bytes.
    pub size: Option<u64>,
    /// The owner's and the group's number.
    pub owner: Option<(u32, u32)>,
    /// Type and permissions, as in `st_mode`.
    pub mode: Option<u32>,
    /// When it was last read and last changed, in seconds since 1970.
    pub times: Option<(u32, u32)>,
}

/// What a remote name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "all else is Other")]
pub enum FileType {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, a socket, a pipe, or what the server does not tell.
    Other,
}

impl Attributes {
    /// Returns what the name stands for.
    pub fn file_type(&self) -> FileType {
        match self.mode.map(|mode| mode & S_IFMT) {
            Some(S_IFREG) => FileType::File,
            Some(S_IFDIR) => FileType::Directory,
            Some(S_IFLNK) => FileType::Link,
            _ => FileType::Other,
        }
    }

    /// Returns the permission bits, set-user-id and the like included.
    pub fn permissions(&self) -> Option<u32> {
        self.mode.map(|mode| mode & 0o7777)
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let flags = from.u32()?;
        let mut attributes = Self::default();
        if flags & SIZE != 0 {
            attributes.size = Some(from.u64()?);
        }
        if flags & OWNER != 0 {
            attributes.owner = Some((from.u32()?, from.u32()?));
        }
        if flags & MODE != 0 {
            attributes.mode = Some(from.u32()?);
        }
        if flags & TIMES != 0 {
            attributes.times = Some((from.u32()?, from.u32()?));
        }
        if flags & EXTENDED != 0 {
            for _ in 0..from.u32()? {
                from.bytes()?;
                from.bytes()?;
            }
        }
        Ok(attributes)
    }

    pub(super) fn write(&self, to: &mut Writer) {
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        to.u32(
            flag(self.size.is_some(), SIZE)
                | flag(self.owner.is_some(), OWNER)
                | flag(self.mode.is_some(), MODE)
                | flag(self.times.is_some(), TIMES),
        );
        if let Some(size) = self.size {
            to.u64(size);
        }
        if let Some((user, group)) = self.owner {
            to.u32(user);
            to.u32(group);
        }
        if let Some(mode) = self.mode {
            to.u32(mode);
        }
        if let Some((accessed, modified)) = self.times {
            to.u32(accessed);
            to.u32(modified);
        }
    }
}

const SIZE: u32 = 1;
const OWNER: u32 = 2;
const MODE: u32 = 4;
const TIMES: u32 = 8;
const EXTENDED: u32 = 0x8000_0000;

const S_IFMT: u32 = 0o170_000;
const S_IFREG: u32 = 0o100_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFLNK: u32 = 0o120_000;
