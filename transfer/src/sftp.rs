//! SFTP, version 3 (draft-ietf-secsh-filexfer-02), with OpenSSH's extensions, over a channel of a
//! session.
//!
//! The principal types are [`Sftp`] and [`RemoteFile`]. Paths are bytes, as they are on the host.
//! All calls park the calling thread, and any number of threads may make them at once.

use std::sync::Arc;

use sshoal_reactor::Scope;
use sshoal_session::Session;

mod attributes;
mod client;
mod directory;
mod file;
mod file_system;
mod packet;
mod received;
mod status;

pub use attributes::{Attributes, FileType};
pub use directory::{Directory, Entry};
pub(crate) use file::CHANNEL_BYTES;
pub use file::RemoteFile;
pub use file_system::FileSystemStat;
pub use status::{SftpError, SftpStatus};

use client::{Client, Pending};
use packet::{Extensions, Reader, Reply, Writer, kind};

/// An SFTP channel. Cheap to clone; it ends with its last clone, file and directory.
#[derive(Debug, Clone)]
pub struct Sftp(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    client: Client,
    extensions: Extensions,
    limits: Limits,
}

/// How much one request may carry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) read: u32,
    pub(crate) write: u32,
}

/// How a remote file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For writing; it must not exist, and gets these permissions less the host's umask.
    CreateNew(u32),
    /// For writing, from its begin on; it is made with these permissions if it does not exist, and
    /// what it holds stays until it is written over.
    Write(u32),
    /// As [`OpenMode::Write`], emptied first.
    Truncate(u32),
    /// For writing at its end, wherever that is by then; made if it does not exist.
    Append(u32),
}

impl Sftp {
    /// Opens an SFTP channel on a session. Parks.
    ///
    /// # Errors
    ///
    /// The host has no SFTP (phase `open`, kind `denied`) or something else in its place, the
    /// connection was lost, or the scope ended.
    pub fn open(session: &Session, scope: &Scope) -> Result<Self, SftpError> {
        let channel = session.subsystem("sftp", WINDOW_BYTES, scope)?;
        let client = Client::new(channel);
        let mut hello = Writer::bare(kind::INIT);
        hello.u32(VERSION);
        client.send_bare(&hello.finish(), scope)?;
        let answer = client.receive_bare(scope)?;
        let (version, extensions) = packet::parse_version(&answer)
            .map_err(|packet::Malformed| SftpError::Protocol("its first answer is no SFTP"))?;
        if version < VERSION {
            return Err(SftpError::Protocol("its version is older than 3"));
        }
        // It was to choose one that both know; what it sends otherwise would be misread.
        if version > VERSION {
            return Err(SftpError::Protocol("its version is newer than 3"));
        }
        let mut shared = Shared {
            client,
            extensions,
            limits: Limits::default(),
        };
        if extensions.limits {
            shared.limits = shared.ask_limits(scope)?;
        }
        Ok(Self(Arc::new(shared)))
    }

    /// Opens a file. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn file(
        &self,
        path: &[u8],
        mode: OpenMode,
        scope: &Scope,
    ) -> Result<RemoteFile, SftpError> {
        let (flags, permissions) = mode.flags();
        let attributes = Attributes {
            mode: permissions,
            ..Attributes::default()
        };
        let handle = self.0.handle(scope, |id| {
            let mut packet = Writer::request(kind::OPEN, id);
            packet.path(path);
            packet.u32(flags);
            attributes.write(&mut packet);
            packet
        })?;
        Ok(RemoteFile::new(self.clone(), handle))
    }

    /// Opens a directory to read its names. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn directory(&self, path: &[u8], scope: &Scope) -> Result<Directory, SftpError> {
        let handle = self
            .0
            .handle(scope, |id| with_path(kind::OPENDIR, id, path))?;
        Ok(Directory::new(self.clone(), handle))
    }

    /// Returns what is known of a file; of a link's target, where it is a link. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn stat(&self, path: &[u8], scope: &Scope) -> Result<Attributes, SftpError> {
        self.0
            .attributes(scope, |id| with_path(kind::STAT, id, path))
    }

    /// Returns what is known of a file; of a link itself, where it is a link. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn lstat(&self, path: &[u8], scope: &Scope) -> Result<Attributes, SftpError> {
        self.0
            .attributes(scope, |id| with_path(kind::LSTAT, id, path))
    }

    /// Sets size, owner, permissions and times, as far as they are given; follows links. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn set_stat(
        &self,
        path: &[u8],
        attributes: &Attributes,
        scope: &Scope,
    ) -> Result<(), SftpError> {
        self.0.done(scope, |id| {
            let mut packet = with_path(kind::SETSTAT, id, path);
            attributes.write(&mut packet);
            packet
        })
    }

    /// Removes a file or a link. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn remove(&self, path: &[u8], scope: &Scope) -> Result<(), SftpError> {
        self.0.done(scope, |id| with_path(kind::REMOVE, id, path))
    }

    /// Makes a directory, with these permissions less the host's umask. Parks.
    ///
    /// # Errors
    ///
    /// The server's status (`FAILURE` where something has the name), or the session's failure.
    pub fn make_directory(
        &self,
        path: &[u8],
        permissions: u32,
        scope: &Scope,
    ) -> Result<(), SftpError> {
        let attributes = Attributes {
            mode: Some(permissions),
            ..Attributes::default()
        };
        self.0.done(scope, |id| {
            let mut packet = with_path(kind::MKDIR, id, path);
            attributes.write(&mut packet);
            packet
        })
    }

    /// Removes an empty directory. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn remove_directory(&self, path: &[u8], scope: &Scope) -> Result<(), SftpError> {
        self.0.done(scope, |id| with_path(kind::RMDIR, id, path))
    }

    /// Returns a path from the root, as the host resolves it. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn real_path(&self, path: &[u8], scope: &Scope) -> Result<Vec<u8>, SftpError> {
        self.0.name(scope, |id| with_path(kind::REALPATH, id, path))
    }

    /// Returns what a link says. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn read_link(&self, path: &[u8], scope: &Scope) -> Result<Vec<u8>, SftpError> {
        self.0.name(scope, |id| with_path(kind::READLINK, id, path))
    }

    /// Makes a symbolic link at `path` that says `target`. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn symlink(&self, target: &[u8], path: &[u8], scope: &Scope) -> Result<(), SftpError> {
        // OpenSSH has the two the other way round than the draft (its PROTOCOL, 4.1), and with it
        // all servers that want to be used.
        self.0.done(scope, |id| {
            let mut packet = with_path(kind::SYMLINK, id, target);
            packet.path(path);
            packet
        })
    }

    /// Makes a hard link at `path` to `target` (`hardlink@openssh.com`). Parks.
    ///
    /// # Errors
    ///
    /// `OP_UNSUPPORTED` where the server cannot, the server's status, or the session's failure.
    pub fn hard_link(&self, target: &[u8], path: &[u8], scope: &Scope) -> Result<(), SftpError> {
        self.0.needs(self.0.extensions.hardlink)?;
        self.0.done(scope, |id| {
            let mut packet = extended(id, "hardlink@openssh.com");
            packet.path(target);
            packet.path(path);
            packet
        })
    }

    /// Renames a file to a name that nothing has; two callers at once cannot both succeed. Parks.
    ///
    /// # Errors
    ///
    /// The server's status (`FAILURE` where something has the name), or the session's failure.
    pub fn rename(&self, from: &[u8], to: &[u8], scope: &Scope) -> Result<(), SftpError> {
        self.0.done(scope, |id| {
            let mut packet = with_path(kind::RENAME, id, from);
            packet.path(to);
            packet
        })
    }

    /// Returns whether the server can rename a file over another at once.
    pub(crate) fn renames_over(&self) -> bool {
        self.0.extensions.posix_rename
    }

    /// Renames a file over another at once, where the server can (`posix-rename@openssh.com`); else
    /// to a name that nothing has. Parks.
    ///
    /// # Errors
    ///
    /// The server's status, or the session's failure.
    pub fn rename_over(&self, from: &[u8], to: &[u8], scope: &Scope) -> Result<(), SftpError> {
        if !self.0.extensions.posix_rename {
            return self.rename(from, to, scope);
        }
        self.0.done(scope, |id| {
            let mut packet = extended(id, "posix-rename@openssh.com");
            packet.path(from);
            packet.path(to);
            packet
        })
    }
}

impl Shared {
    /// Sends a request. Parks while there is no room for it.
    fn send(
        &self,
        scope: &Scope,
        make: impl FnOnce(u32) -> Writer,
    ) -> Result<Pending<'_>, SftpError> {
        self.client.send(make, &[], scope)
    }

    fn ask(&self, scope: &Scope, make: impl FnOnce(u32) -> Writer) -> Result<Reply, SftpError> {
        self.send(scope, make)?.wait(scope)
    }

    fn done(&self, scope: &Scope, make: impl FnOnce(u32) -> Writer) -> Result<(), SftpError> {
        done(self.ask(scope, make)?)
    }

    fn handle(
        &self,
        scope: &Scope,
        make: impl FnOnce(u32) -> Writer,
    ) -> Result<Vec<u8>, SftpError> {
        match self.ask(scope, make)? {
            Reply::Handle(handle) => Ok(handle),
            other => Err(refused(other)),
        }
    }

    fn attributes(
        &self,
        scope: &Scope,
        make: impl FnOnce(u32) -> Writer,
    ) -> Result<Attributes, SftpError> {
        match self.ask(scope, make)? {
            Reply::Attributes(attributes) => Ok(attributes),
            other => Err(refused(other)),
        }
    }

    fn name(&self, scope: &Scope, make: impl FnOnce(u32) -> Writer) -> Result<Vec<u8>, SftpError> {
        match self.ask(scope, make)? {
            Reply::Names(mut names) if names.len() == 1 => Ok(names.swap_remove(0).name),
            other => Err(refused(other)),
        }
    }

    fn extended(
        &self,
        scope: &Scope,
        make: impl FnOnce(u32) -> Writer,
    ) -> Result<Vec<u8>, SftpError> {
        match self.ask(scope, make)? {
            Reply::Extended(data) => Ok(data),
            other => Err(refused(other)),
        }
    }

    /// Refuses what the server has not said that it can do.
    fn needs(&self, extension: bool) -> Result<(), SftpError> {
        match extension {
            true => Ok(()),
            false => Err(SftpError::Status(SftpStatus::OP_UNSUPPORTED)),
        }
    }

    /// Asks how much a request may carry (`limits@openssh.com`, OpenSSH's PROTOCOL 4.8).
    fn ask_limits(&self, scope: &Scope) -> Result<Limits, SftpError> {
        let reply = match self.extended(scope, |id| extended(id, "limits@openssh.com")) {
            // What every server has to take is enough.
            Err(SftpError::Status(_)) => return Ok(Limits::default()),
            other => other?,
        };
        let mut from = Reader::new(&reply);
        let mut number = || from.u64().map_err(|packet::Malformed| SHORT);
        let (_packet, read, write) = (number()?, number()?, number()?);
        let least = Limits::default();
        let within = |told: u64, least: u32| {
            u32::try_from(told).map_or(REQUEST_BYTES_MAX, |told| {
                told.clamp(least, REQUEST_BYTES_MAX)
            })
        };
        Ok(Limits {
            read: within(read, least.read),
            write: within(write, least.write),
        })
    }
}

/// Returns the names in an answer, if it is one of names.
#[cfg(fuzzing)]
pub(crate) fn names_of(packet: &[u8]) -> Vec<Vec<u8>> {
    match Reply::parse(packet) {
        Ok((_, Reply::Names(names))) => names.into_iter().map(|name| name.name).collect(),
        _ => Vec::new(),
    }
}

/// Reads a packet as an answer. One of attributes, written down and read again, is the same.
///
/// # Panics
///
/// It is another.
#[cfg(fuzzing)]
pub fn answer(packet: &[u8]) {
    if let Ok((id, Reply::Attributes(attributes))) = Reply::parse(packet) {
        let mut again = Writer::request(packet[0], id);
        attributes.write(&mut again);
        // What a writer makes has its length in front.
        let again = again.finish();
        let read = Reply::parse(&again[4..]);
        let same = |reply| matches!(reply, (_, Reply::Attributes(read)) if read == attributes);
        assert!(read.is_ok_and(same));
    }
}

/// Reads the answer to a request that only succeeds or fails.
fn done(reply: Reply) -> Result<(), SftpError> {
    match reply {
        Reply::Status(SftpStatus::OK) => Ok(()),
        other => Err(refused(other)),
    }
}

/// What an answer of another sort means.
fn refused(reply: Reply) -> SftpError {
    match reply {
        Reply::Status(status) if status != SftpStatus::OK => SftpError::Status(status),
        Reply::LongHandle => SftpError::Protocol("a handle of more than 256 bytes"),
        _ => SftpError::Protocol("an answer to another question"),
    }
}

fn with_path(kind: u8, id: u32, path: &[u8]) -> Writer {
    let mut packet = Writer::request(kind, id);
    packet.path(path);
    packet
}

fn extended(id: u32, name: &str) -> Writer {
    with_path(kind::EXTENDED, id, name.as_bytes())
}

impl OpenMode {
    /// Returns the flags (§6.3) and the permissions for a file that is made.
    fn flags(self) -> (u32, Option<u32>) {
        match self {
            Self::Read => (READ, None),
            Self::CreateNew(mode) => (WRITE | CREATE | EXCLUSIVE, Some(mode)),
            Self::Write(mode) => (WRITE | CREATE, Some(mode)),
            Self::Truncate(mode) => (WRITE | CREATE | TRUNCATE, Some(mode)),
            Self::Append(mode) => (WRITE | CREATE | APPEND, Some(mode)),
        }
    }
}

impl Default for Limits {
    /// What every server has to take (§3): 34,000 bytes to a packet.
    fn default() -> Self {
        Self {
            read: 32 * 1024,
            write: 32 * 1024,
        }
    }
}

const READ: u32 = 1;
const WRITE: u32 = 2;
const APPEND: u32 = 4;
const CREATE: u32 = 8;
const TRUNCATE: u32 = 16;
const EXCLUSIVE: u32 = 32;

/// The version of the protocol that is spoken.
const VERSION: u32 = 3;
/// The receive window of the channel. libssh2 grants more once a quarter of it was taken, so that a
/// host has three quarters of it to send in one round trip: 45 MB/s at 50 ms.
const WINDOW_BYTES: u32 = 3 * 1024 * 1024;
/// The most that one request carries, whatever the server would take.
const REQUEST_BYTES_MAX: u32 = 255 * 1024;
const SHORT: SftpError = SftpError::Protocol("an answer that is cut short");
