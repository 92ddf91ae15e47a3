//! SFTP packets, version 3 (draft-ietf-secsh-filexfer-02 §3): made and taken apart.
//!
//! Nothing here does input or output. What a host sends is read by [`Reader`] and [`Reply::parse`],
//! which bound every length by what is there.

use super::attributes::Attributes;
use super::status::SftpStatus;

/// What a host sent is no SFTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The largest packet that is taken: what OpenSSH's server sends at most is 256 KiB and some.
pub(crate) const PACKET_BYTES_MAX: usize = 300 * 1024;

/// Types of requests and replies (§3).
pub(super) mod kind {
    pub(crate) const INIT: u8 = 1;
    pub(crate) const VERSION: u8 = 2;
    pub(crate) const OPEN: u8 = 3;
    pub(crate) const CLOSE: u8 = 4;
    pub(crate) const READ: u8 = 5;
    pub(crate) const WRITE: u8 = 6;
    pub(crate) const LSTAT: u8 = 7;
    pub(crate) const FSTAT: u8 = 8;
    pub(crate) const SETSTAT: u8 = 9;
    pub(crate) const FSETSTAT: u8 = 10;
    pub(crate) const OPENDIR: u8 = 11;
    pub(crate) const READDIR: u8 = 12;
    pub(crate) const REMOVE: u8 = 13;
    pub(crate) const MKDIR: u8 = 14;
    pub(crate) const RMDIR: u8 = 15;
    pub(crate) const REALPATH: u8 = 16;
    pub(crate) const STAT: u8 = 17;
    pub(crate) const RENAME: u8 = 18;
    pub(crate) const READLINK: u8 = 19;
    pub(crate) const SYMLINK: u8 = 20;
    pub(crate) const STATUS: u8 = 101;
    pub(crate) const HANDLE: u8 = 102;
    pub(crate) const DATA: u8 = 103;
    pub(crate) const NAME: u8 = 104;
    pub(crate) const ATTRS: u8 = 105;
    pub(crate) const EXTENDED: u8 = 200;
    pub(crate) const EXTENDED_REPLY: u8 = 201;
}

/// A packet in the making; its length is filled in by [`Writer::finish`].
#[derive(Debug)]
pub(crate) struct Writer {
    packet: Vec<u8>,
    /// Whether a path in it holds a NUL byte.
    holds_nul: bool,
}

impl Writer {
    /// Begins a packet that answers to no request.
    pub(crate) fn bare(kind: u8) -> Self {
        let mut packet = Vec::with_capacity(64);
        packet.extend_from_slice(&[0, 0, 0, 0, kind]);
        Self {
            packet,
            holds_nul: false,
        }
    }

    /// Begins a request.
    pub(crate) fn request(kind: u8, id: u32) -> Self {
        let mut packet = Self::bare(kind);
        packet.u32(id);
        packet
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.packet.extend_from_slice(&number.to_be_bytes());
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.packet.extend_from_slice(&number.to_be_bytes());
    }

    /// Appends bytes with their length before them.
    ///
    /// # Panics
    /// They are longer than a packet can be, which callers check.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).expect("callers bound what they send"));
        self.packet.extend_from_slice(bytes);
    }

    /// As [`Writer::bytes`], of a path or what a link leads to.
    pub(crate) fn path(&mut self, path: &[u8]) {
        self.holds_nul |= path.contains(&0);
        self.bytes(path);
    }

    /// Returns whether a path in it holds a NUL byte. OpenSSH's server takes one at the end for
    /// nothing, and so another path, and ends at any other.
    pub(crate) fn holds_nul(&self) -> bool {
        self.holds_nul
    }

    /// Returns the whole packet.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.finish_before(0)
    }

    /// Returns the packet but for its last bytes, which are so many.
    ///
    /// # Panics
    /// They are longer than a packet can be, which callers check.
    pub(crate) fn finish_before(mut self, bytes: usize) -> Vec<u8> {
        let length = self.packet.len() - 4 + bytes;
        let length = u32::try_from(length).expect("callers bound what they send");
        self.packet[..4].copy_from_slice(&length.to_be_bytes());
        self.packet
    }
}

/// Takes a packet apart from its front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*first))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*first))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()? as usize;
        let (first, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(first)
    }
}

/// One name of a directory, or the answer to a question for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) name: Vec<u8>,
    pub(crate) attributes: Attributes,
}

/// What a server answers (§7, and `EXTENDED_REPLY` of §8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Status(SftpStatus),
    Handle(Vec<u8>),
    /// A handle that is longer than one may be.
    LongHandle,
    Data(Vec<u8>),
    Names(Vec<Name>),
    Attributes(Attributes),
    Extended(Vec<u8>),
}

impl Reply {
    /// Reads a packet without its length: to which request it is the answer, and the answer.
    pub(crate) fn parse(packet: &[u8]) -> Result<(u32, Self), Malformed> {
        let mut from = Reader::new(packet);
        let kind = from.u8()?;
        let id = from.u32()?;
        let reply = match kind {
            // Message and language, which some servers leave out, are the host's bytes: unused.
            kind::STATUS => Self::Status(SftpStatus::new(from.u32()?)),
            kind::HANDLE => {
                let handle = from.bytes()?;
                match handle.len() > HANDLE_BYTES_MAX {
                    true => Self::LongHandle,
                    false => Self::Handle(handle.to_vec()),
                }
            }
            kind::DATA => Self::Data(from.bytes()?.to_vec()),
            kind::NAME => Self::Names(names(&mut from)?),
            kind::ATTRS => Self::Attributes(Attributes::read(&mut from)?),
            kind::EXTENDED_REPLY => Self::Extended(from.0.to_vec()),
            _ => return Err(Malformed),
        };
        Ok((id, reply))
    }
}

fn names(from: &mut Reader<'_>) -> Result<Vec<Name>, Malformed> {
    let count = from.u32()? as usize;
    // A name takes twelve bytes at least: no more is set aside than can be there.
    let mut names = Vec::with_capacity(count.min(from.0.len() / 12));
    for _ in 0..count {
        let name = from.bytes()?.to_vec();
        from.bytes()?; // The line for people, of no use here.
        let attributes = Attributes::read(from)?;
        names.push(Name { name, attributes });
    }
    Ok(names)
}

/// The longest handle that a server may give (§6.3).
const HANDLE_BYTES_MAX: usize = 256;

/// What a server can do beyond the protocol, as it said at the begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extensions {
    pub(crate) posix_rename: bool,
    pub(crate) statvfs: bool,
    pub(crate) hardlink: bool,
    pub(crate) fsync: bool,
    pub(crate) lsetstat: bool,
    pub(crate) limits: bool,
}

/// Reads a server's first packet, without its length: its version and what it can do beyond.
pub(crate) fn parse_version(packet: &[u8]) -> Result<(u32, Extensions), Malformed> {
    let mut from = Reader::new(packet);
    if from.u8()? != kind::VERSION {
        return Err(Malformed);
    }
    let version = from.u32()?;
    let mut extensions = Extensions::default();
    while !from.is_empty() {
        let (name, data) = (from.bytes()?, from.bytes()?);
        let place = match (name, data) {
            (b"posix-rename@openssh.com", b"1") => &mut extensions.posix_rename,
            (b"statvfs@openssh.com", b"2") => &mut extensions.statvfs,
            (b"hardlink@openssh.com", b"1") => &mut extensions.hardlink,
            (b"fsync@openssh.com", b"1") => &mut extensions.fsync,
            (b"lsetstat@openssh.com", b"1") => &mut extensions.lsetstat,
            (b"limits@openssh.com", b"1") => &mut extensions.limits,
            _ => continue,
        };
        *place = true;
    }
    Ok((version, extensions))
}

#[cfg(test)]
mod tests;
