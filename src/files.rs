//! A host's files as a program per host sees them, and as a session alone does.

use std::io::{Read, Write};
use std::num::NonZeroU64;
use std::path::Path;

use sshoal_pool::Reached;
use sshoal_reactor::Scope;
use sshoal_session::{Session, Sudo};
use sshoal_transfer::sftp::Attributes;
use sshoal_transfer::{
    self as transfer, Copied, CopyOptions, Error, RemoteFs, Scp, Source, SudoFs,
};

/// File calls on a host, for [`Reached`] in a program per host, and for a [`Session`] alone.
///
/// All park the calling thread: within the program's scope, or for a session without a limit, for
/// which the functions of [`transfer`] take a scope. They go over SFTP, and
/// those that begin with `scp` over the host's `scp`.
///
/// # Examples
///
/// ```no_run
/// # fn f(fleet: &sshoal::Fleet) {
/// use sshoal::HostFiles;
///
/// let each = fleet.each(|host| -> Result<String, sshoal::transfer::Error> {
///     let name = host.read_to_string("/etc/hostname")?;
///     let up = host.run("uptime")?;
///     Ok(format!("{} {}", name.trim(), String::from_utf8_lossy(&up.stdout)))
/// });
/// # }
/// ```
pub trait HostFiles {
    #[doc(hidden)]
    fn session_and_scope(&self) -> (&Session, Scope);

    /// Opens the host's files, for much work over one channel; see [`RemoteFs`].
    ///
    /// # Errors
    /// The host has no SFTP, or the session's failure.
    fn fs(&self) -> Result<RemoteFs<'_>, Error> {
        let (session, scope) = self.session_and_scope();
        RemoteFs::open(session, &scope)
    }

    /// Opens the host's files as another user, by commands under `sudo`; see [`SudoFs`].
    fn sudo_fs(&self, sudo: Sudo) -> SudoFs<'_> {
        let (session, scope) = self.session_and_scope();
        SudoFs::new(session, sudo, &scope)
    }

    /// Reads a file, at most 64 MiB of it; [`transfer::read`] takes another
    /// bound.
    ///
    /// # Errors
    /// The host's refusal by operation, `TooLarge`, or the session's failure.
    fn read(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, Error> {
        let (session, scope) = self.session_and_scope();
        transfer::read(session, path.as_ref(), READ_BYTES_MAX, &scope)
    }

    /// Reads a file of text, at most 64 MiB of it.
    ///
    /// # Errors
    /// As [`HostFiles::read`], and `NotText` if it is no UTF-8.
    fn read_to_string(&self, path: impl AsRef<[u8]>) -> Result<String, Error> {
        let remote = path.as_ref();
        let text = String::from_utf8(self.read(remote)?);
        text.map_err(|_| Error::NotText {
            remote: remote.to_vec(),
        })
    }

    /// Writes a file, over one that is there, whole or not at all, as
    /// [`transfer::write`] does.
    ///
    /// # Errors
    /// By what was asked of the host; the target is then as it was.
    fn write(&self, path: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        let (session, scope) = self.session_and_scope();
        transfer::write(session, path.as_ref(), bytes.as_ref(), &scope).map(drop)
    }

    /// Tells what stands at a path; of a symbolic link, its target.
    ///
    /// # Errors
    /// The host's refusal, or the session's failure.
    fn stat(&self, path: impl AsRef<[u8]>) -> Result<Attributes, Error> {
        let (session, scope) = self.session_and_scope();
        transfer::stat(session, path.as_ref(), &scope)
    }

    /// Tells whether anything stands at a path; a link that leads nowhere is nothing.
    ///
    /// # Errors
    /// The host's refusal for another reason, or the session's failure.
    fn exists(&self, path: impl AsRef<[u8]>) -> Result<bool, Error> {
        let (session, scope) = self.session_and_scope();
        transfer::exists(session, path.as_ref(), &scope)
    }

    /// Lists the paths in a directory whose names fit a pattern, such as `*.log`, sorted by their
    /// bytes; see [`transfer::glob`].
    ///
    /// # Errors
    /// The host's refusal, too many names, or the session's failure.
    fn glob(
        &self,
        directory: impl AsRef<[u8]>,
        pattern: impl AsRef<[u8]>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let (session, scope) = self.session_and_scope();
        transfer::glob(session, directory.as_ref(), pattern.as_ref(), &scope)
    }

    /// Copies a local file to the host, over one that is there; see
    /// [`transfer::put`].
    ///
    /// # Errors
    /// By whose file and at what; the remote target is then as it was.
    fn put(&self, local: impl AsRef<Path>, remote: impl AsRef<[u8]>) -> Result<Copied, Error> {
        let (session, scope) = self.session_and_scope();
        let source = Source::file(local.as_ref())?;
        transfer::put(
            session,
            &source,
            remote.as_ref(),
            &CopyOptions::new(),
            &scope,
        )
    }

    /// Copies a host's file to this machine, over one that is there, at most `bytes_max` bytes of
    /// it; see [`transfer::get`].
    ///
    /// # Errors
    /// By whose file and at what; the local target is then as it was.
    fn get(
        &self,
        remote: impl AsRef<[u8]>,
        local: impl AsRef<Path>,
        bytes_max: u64,
    ) -> Result<Copied, Error> {
        let (session, scope) = self.session_and_scope();
        // Of no bytes at all there is no bound: one comes nearest.
        let bytes_max = NonZeroU64::new(bytes_max).unwrap_or(NonZeroU64::MIN);
        let options = CopyOptions::new().bytes_max(bytes_max);
        transfer::get(session, remote.as_ref(), local.as_ref(), &options, &scope)
    }

    /// Copies what a reader gives to the host, over a file that is there; see
    /// [`transfer::put_reader`].
    ///
    /// # Errors
    /// By whose file and at what; the remote target is then as it was.
    fn put_reader(
        &self,
        reader: impl Read + Send + 'static,
        remote: impl AsRef<[u8]>,
    ) -> Result<Copied, Error> {
        let (session, scope) = self.session_and_scope();
        let options = CopyOptions::new();
        transfer::put_reader(session, reader, remote.as_ref(), &options, &scope)
    }

    /// Copies a host's file, at most `bytes_max` bytes of it, into a writer, which is returned; see
    /// [`transfer::get_writer`].
    ///
    /// # Errors
    /// By whose file and at what; the writer may have got a part.
    fn get_writer<W: Write + Send + 'static>(
        &self,
        remote: impl AsRef<[u8]>,
        writer: W,
        bytes_max: u64,
    ) -> Result<W, Error> {
        let (session, scope) = self.session_and_scope();
        let bytes_max = NonZeroU64::new(bytes_max).unwrap_or(NonZeroU64::MIN);
        let options = CopyOptions::new().bytes_max(bytes_max);
        let got = transfer::get_writer(session, remote.as_ref(), writer, &options, &scope);
        got.map(|(writer, _)| writer)
    }

    /// Copies a local file to a path on the host where nothing stands, by the host's `scp`, with its
    /// mode; see [`Scp::send`].
    ///
    /// # Errors
    /// `Exists` if something stands there; what the host's `scp` said; the session's failure.
    fn scp_put(&self, local: impl AsRef<Path>, remote: impl AsRef<[u8]>) -> Result<Copied, Error> {
        let (session, scope) = self.session_and_scope();
        Scp::new(session, &scope).send(local.as_ref(), remote.as_ref())
    }

    /// Copies a host's file to this machine by the host's `scp`, over one that is there, at most
    /// `bytes_max` bytes of it; see [`Scp::receive`].
    ///
    /// # Errors
    /// What the host's `scp` said; `TooLarge`; the local file's or the session's failure.
    fn scp_get(
        &self,
        remote: impl AsRef<[u8]>,
        local: impl AsRef<Path>,
        bytes_max: u64,
    ) -> Result<Copied, Error> {
        let (session, scope) = self.session_and_scope();
        let scp = Scp::new(session, &scope).bytes_max(bytes_max);
        scp.receive(remote.as_ref(), local.as_ref())
    }
}

impl HostFiles for Reached<'_> {
    fn session_and_scope(&self) -> (&Session, Scope) {
        (self.session(), self.scope().clone())
    }
}

impl HostFiles for Session {
    fn session_and_scope(&self) -> (&Session, Scope) {
        (self, Scope::root())
    }
}

/// The bound of what a file is read into memory.
const READ_BYTES_MAX: u64 = 64 * 1024 * 1024;
