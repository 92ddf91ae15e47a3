//! The SFTP subsystem, version 3, over the files in memory.
//!
//! Requests are answered one after another in the order they came. Links are not supported.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use parking_lot::Mutex;
use russh_sftp::protocol::{
    Attrs, Data, File as Entry, FileAttributes, Handle, Name, OpenFlags, Packet, StatusCode,
    Version,
};

use crate::counters::Tally;
use crate::store::{Replace, SharedFile, Tree};

/// One SFTP session: the open handles over one host's files.
#[derive(Debug)]
pub(crate) struct Sftp {
    tree: Arc<Mutex<Tree>>,
    handles: HashMap<String, Open>,
    handles_made: u64,
}

#[derive(Debug)]
enum Open {
    File {
        file: SharedFile,
        flags: OpenFlags,
    },
    /// The names that are still to be listed, last first.
    Dir {
        names: Vec<(String, FileAttributes)>,
    },
}

impl Sftp {
    pub(crate) fn new(tree: Arc<Mutex<Tree>>) -> Self {
        Self {
            tree,
            handles: HashMap::new(),
            handles_made: 0,
        }
    }

    /// Answers one request, given and returned as on the wire (the answer with its length).
    pub(crate) fn answer(&mut self, request: &[u8], tally: &Tally) -> Option<Bytes> {
        // A request that cannot be read as a whole still has its number right after its type.
        let number = request
            .get(1..5)
            .and_then(|b| Some(u32::from_be_bytes(b.try_into().ok()?)));
        let answer = match Packet::try_from(&mut Bytes::copy_from_slice(request)) {
            Ok(request) => {
                let id = request.get_request_id();
                self.dispatch(request, tally)
                    .unwrap_or_else(|status| Packet::error(id, status))
            }
            Err(_) => Packet::error(number.unwrap_or(0), StatusCode::BadMessage),
        };
        Bytes::try_from(answer).ok()
    }

    fn dispatch(&mut self, request: Packet, tally: &Tally) -> Result<Packet, StatusCode> {
        let id = request.get_request_id();
        let done = |result: Result<(), StatusCode>| result.map(|()| ok(id));
        let attrs_of = |attrs| Packet::Attrs(Attrs { id, attrs });
        match request {
            Packet::Init(_) => Ok(version().into()),
            Packet::Open(p) => self.open(id, &p.filename, p.pflags, &p.attrs),
            Packet::OpenDir(p) => {
                let mut names = self.tree.lock().list(&normal(&p.path))?;
                names.reverse();
                self.handle(id, Open::Dir { names })
            }
            Packet::Close(p) => match self.handles.remove(&p.handle) {
                Some(_) => Ok(ok(id)),
                None => Err(StatusCode::Failure),
            },
            Packet::Read(p) => {
                let file = self.file(&p.handle, OpenFlags::READ)?.0.lock();
                match file.read(p.offset, p.len.min(READ_BYTES_MAX)) {
                    [] => Err(StatusCode::Eof),
                    bytes => {
                        tally.sftp_out_bytes.fetch_add(bytes.len() as u64, Relaxed);
                        Ok(Data {
                            id,
                            data: bytes.to_vec(),
                        }
                        .into())
                    }
                }
            }
            Packet::Write(p) => {
                tally.sftp_in_bytes.fetch_add(p.data.len() as u64, Relaxed);
                let (file, flags) = self.file(&p.handle, OpenFlags::WRITE)?;
                let offset = (!flags.contains(OpenFlags::APPEND)).then_some(p.offset);
                done(file.lock().write(offset, &p.data))
            }
            Packet::ReadDir(p) => self.read_dir(id, &p.handle),
            Packet::Stat(p) => self.tree.lock().attrs(&normal(&p.path)).map(attrs_of),
            Packet::Lstat(p) => self.tree.lock().attrs(&normal(&p.path)).map(attrs_of),
            Packet::Fstat(p) => {
                let attrs = self.file(&p.handle, OpenFlags::empty())?.0.lock().attrs();
                Ok(attrs_of(attrs))
            }
            Packet::SetStat(p) => done(self.tree.lock().set_attrs(&normal(&p.path), &p.attrs)),
            Packet::FSetStat(p) => done(
                self.file(&p.handle, OpenFlags::empty())?
                    .0
                    .lock()
                    .set_attrs(&p.attrs),
            ),
            Packet::Remove(p) => done(self.tree.lock().remove(&normal(&p.filename))),
            Packet::MkDir(p) => done(self.tree.lock().mkdir(&normal(&p.path), &p.attrs)),
            Packet::RmDir(p) => done(self.tree.lock().rmdir(&normal(&p.path))),
            Packet::Rename(p) => done(self.rename(&p.oldpath, &p.newpath, Replace::No)),
            Packet::RealPath(p) => Ok(Name {
                id,
                files: vec![Entry::dummy(normal(&p.path))],
            }
            .into()),
            Packet::Extended(p) => done(self.extended(&p.request, &p.data)),
            _ => Err(StatusCode::OpUnsupported),
        }
    }

    fn open(
        &mut self,
        id: u32,
        path: &str,
        flags: OpenFlags,
        attrs: &FileAttributes,
    ) -> Result<Packet, StatusCode> {
        let file = self.tree.lock().open(&normal(path), flags, attrs)?;
        self.handle(id, Open::File { file, flags })
    }

    fn handle(&mut self, id: u32, open: Open) -> Result<Packet, StatusCode> {
        if self.handles.len() >= HANDLES_MAX {
            return Err(StatusCode::Failure);
        }
        self.handles_made += 1;
        let handle = format!("h{}", self.handles_made);
        self.handles.insert(handle.clone(), open);
        Ok(Handle { id, handle }.into())
    }

    /// Returns an open file, if it was opened for what is `needed`.
    fn file(
        &self,
        handle: &str,
        needed: OpenFlags,
    ) -> Result<(&SharedFile, OpenFlags), StatusCode> {
        match self.handles.get(handle) {
            Some(Open::File { file, flags }) if flags.contains(needed) => Ok((file, *flags)),
            Some(Open::File { .. }) => Err(StatusCode::PermissionDenied),
            _ => Err(StatusCode::Failure),
        }
    }

    fn read_dir(&mut self, id: u32, handle: &str) -> Result<Packet, StatusCode> {
        let Some(Open::Dir { names }) = self.handles.get_mut(handle) else {
            return Err(StatusCode::Failure);
        };
        if names.is_empty() {
            return Err(StatusCode::Eof);
        }
        let first = names.len().saturating_sub(READ_DIR_NAMES_MAX);
        let batch = names.drain(first..).rev();
        Ok(Name {
            id,
            files: batch.map(|(name, attrs)| Entry::new(name, attrs)).collect(),
        }
        .into())
    }

    fn rename(&self, from: &str, to: &str, replace: Replace) -> Result<(), StatusCode> {
        self.tree.lock().rename(&normal(from), &normal(to), replace)
    }

    fn extended(&self, name: &str, data: &[u8]) -> Result<(), StatusCode> {
        match name {
            POSIX_RENAME => {
                let (from, rest) = string(data).ok_or(StatusCode::BadMessage)?;
                let (to, _) = string(rest).ok_or(StatusCode::BadMessage)?;
                self.rename(from, to, Replace::Yes)
            }
            // Memory has nothing to flush.
            FSYNC => {
                let (handle, _) = string(data).ok_or(StatusCode::BadMessage)?;
                self.file(handle, OpenFlags::empty()).map(|_| ())
            }
            _ => Err(StatusCode::OpUnsupported),
        }
    }
}

/// Cuts the stream of an SFTP channel into packets.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that were handed out.
    taken: usize,
}

impl Packets {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole packet without its length; an error if that is over the maximum.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, PacketTooLong> {
        let rest = &self.buffer[self.taken..];
        let Some((length, body)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > PACKET_BYTES_MAX {
            return Err(PacketTooLong);
        }
        let Some(packet) = body.get(..length) else {
            return Ok(None);
        };
        self.taken += 4 + length;
        Ok(Some(packet))
    }
}

/// A request is longer than this subsystem takes; the stream cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PacketTooLong;

fn version() -> Version {
    let mut version = Version::new();
    version
        .extensions
        .insert(POSIX_RENAME.to_owned(), "1".to_owned());
    version.extensions.insert(FSYNC.to_owned(), "1".to_owned());
    version
}

fn ok(id: u32) -> Packet {
    Packet::error(id, StatusCode::Ok)
}

/// Splits one length-prefixed string off the front.
fn string(data: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = data.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// Returns the absolute form of a path; relative ones start at `/home`.
fn normal(path: &str) -> String {
    let base = if path.starts_with('/') { "" } else { "home" };
    let mut names: Vec<&str> = Vec::new();
    for name in [base].into_iter().chain(path.split('/')) {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

const POSIX_RENAME: &str = "posix-rename@openssh.com";
const FSYNC: &str = "fsync@openssh.com";

/// The longest request; OpenSSH's server takes the same.
const PACKET_BYTES_MAX: usize = 256 * 1024;

/// The most bytes in one answer to a read.
const READ_BYTES_MAX: u32 = 255 * 1024;

/// The most names in one answer to a listing.
const READ_DIR_NAMES_MAX: usize = 100;

/// The most open handles in one SFTP session.
const HANDLES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_without_dots() {
        for (path, wanted) in [
            (".", "/home"),
            ("", "/home"),
            ("f", "/home/f"),
            ("/", "/"),
            ("/a/./b//../c/", "/a/c"),
            ("../../..", "/"),
        ] {
            assert_eq!(normal(path), wanted, "{path}");
        }
    }

    #[test]
    fn packets_come_out_whole_however_the_bytes_arrive() {
        let stream = [&[0, 0, 0, 2, 7, 8][..], &[0, 0, 0, 0], &[0, 0, 0, 1, 9]].concat();
        for size in 1..=stream.len() {
            let mut packets = Packets::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(size) {
                packets.push(piece);
                while let Some(packet) = packets.next().unwrap() {
                    seen.push(packet.to_vec());
                }
            }
            assert_eq!(seen, [vec![7, 8], vec![], vec![9]], "in pieces of {size}");
        }
    }

    #[test]
    fn a_packet_over_the_maximum_is_refused_by_its_length() {
        let mut packets = Packets::default();
        packets.push(&u32::MAX.to_be_bytes());
        assert_eq!(packets.next(), Err(PacketTooLong));
    }

    #[test]
    fn garbage_is_answered_with_its_own_number() {
        let mut sftp = Sftp::new(crate::store::Store::new(1 << 20).tree(0));
        let answer = sftp
            .answer(&[3, 0, 0, 1, 44, 255, 255, 255, 255], &Tally::default())
            .unwrap();
        // Length, SSH_FXP_STATUS, the request's number, SSH_FX_BAD_MESSAGE.
        assert_eq!(answer[4..13], [101, 0, 0, 1, 44, 0, 0, 0, 5]);
    }
}
