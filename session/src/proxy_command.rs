//! A command whose standard input and output are the connection to a host (`ProxyCommand`).
//!
//! It runs in the user's shell, as ssh runs it, but what of it comes from a host list is checked
//! first: a host's name is no place for shell code. The principal type is [`ProxyCommand`].

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use sshoal_reactor::{Scope, Stream, blocking_within, sleep, spawn};

use crate::engine::stopped;
use crate::error::{Error, Phase};

/// A command by which hosts are reached; its text may hold `%h`, `%p`, `%r`, `%n` and `%%`.
///
/// # Examples
/// ```
/// use sshoal_session::ProxyCommand;
///
/// let command = ProxyCommand::new("exec nc -X 5 -x proxy:1080 %h %p");
/// assert_eq!(command.text(), "exec nc -X 5 -x proxy:1080 %h %p");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyCommand {
    text: String,
}

/// Why a command did not become a connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyCommandError {
    /// It could not be started.
    #[error("cannot start the proxy command")]
    Start {
        /// What the system said.
        source: io::Error,
    },
    /// It ended before a host answered.
    #[error("the proxy command ended: {said}")]
    Ended {
        /// The last line that it wrote to standard error.
        said: String,
    },
    /// Its text holds a token that it cannot.
    #[error("the proxy command holds %{token}; it can hold %h, %p, %r, %n and %%")]
    Token {
        /// The character behind `%`.
        token: String,
    },
    /// A name would be read by the shell as something else.
    #[error(
        "{name:?} cannot stand in a proxy command: a shell would not take it as one plain word"
    )]
    Unsafe {
        /// The host's or user's name.
        name: String,
    },
}

impl ProxyCommand {
    /// Makes a proxy command from its text, as in ssh_config: `%h` is the host's name, `%p` its
    /// port, `%r` the user, `%n` the same as `%h`, `%%` a percent sign.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// Returns the text, tokens as they are.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Puts the values in.
    fn expand(&self, name: &str, port: u16, user: &str) -> Result<String, ProxyCommandError> {
        let mut command = String::new();
        let mut characters = self.text.chars();
        while let Some(character) = characters.next() {
            if character != '%' {
                command.push(character);
                continue;
            }
            match characters.next() {
                Some('%') => command.push('%'),
                Some('h' | 'n') => command.push_str(plain(name)?),
                Some('p') => command.push_str(&port.to_string()),
                Some('r') => command.push_str(plain(user)?),
                token => {
                    let token = token.map(String::from).unwrap_or_default();
                    return Err(ProxyCommandError::Token { token });
                }
            }
        }
        Ok(command)
    }

    /// Starts the command for a host. Parks.
    pub(crate) fn start(
        &self,
        name: &str,
        port: u16,
        user: &str,
        scope: &Scope,
    ) -> Result<Proxy, Error> {
        let command = self.expand(name, port, user)?;
        let started = blocking_within(scope, move || start(&command));
        let (child, near, errors) = match started {
            Err(stop) => return Err(stopped(stop, Phase::Connect, scope)),
            Ok(Err(panic)) => return Err(failed(io::Error::other(panic))),
            Ok(Ok(started)) => started.map_err(failed)?,
        };
        let stream = Stream::from_socket(near).map_err(failed)?;
        Ok(Proxy {
            stream,
            child: Some(child),
            errors,
        })
    }
}

fn failed(source: io::Error) -> Error {
    ProxyCommandError::Start { source }.into()
}

/// Takes a name that no shell reads as anything but itself, and no program as an option.
fn plain(name: &str) -> Result<&str, ProxyCommandError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-:@%+=,/".contains(c);
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_plain) {
        return Err(ProxyCommandError::Unsafe {
            name: name.to_owned(),
        });
    }
    Ok(name)
}

/// Forks; on a thread that may block.
fn start(command: &str) -> io::Result<(Child, OwnedFd, UnixStream)> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    let (errors, said) = UnixStream::pair()?;
    errors.set_nonblocking(true)?;
    // A child that says more than anybody reads must not wait for a reader.
    said.set_nonblocking(true)?;
    let far = OwnedFd::from(far);
    let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
    let child = Command::new(shell.unwrap_or_else(|| "/bin/sh".into()))
        .arg("-c")
        // The shell makes way for the command, as with ssh.
        .arg(format!("exec {command}"))
        .stdin(Stdio::from(far.try_clone()?))
        .stdout(Stdio::from(far))
        .stderr(Stdio::from(OwnedFd::from(said)))
        // An interrupt from the terminal is for us to act on.
        .process_group(0)
        .spawn()?;
    Ok((child, near.into(), errors))
}

/// A running command, and our end of the connection. Dropped, the command is ended.
#[derive(Debug)]
pub(crate) struct Proxy {
    stream: Stream,
    /// `None` once dropped.
    child: Option<Child>,
    /// What it writes to standard error.
    errors: UnixStream,
}

/// Of what a command said, so much is told.
const SAID_BYTES_MAX: usize = 512;

impl Proxy {
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Returns the last line that the command wrote to standard error, made printable.
    pub(crate) fn said(&self) -> Option<String> {
        let mut bytes = vec![0; 8 * 1024];
        let read = (&self.errors).read(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes[..read]);
        let line = text.lines().rev().find(|line| !line.trim().is_empty())?;
        let printable = line.chars().filter(|c| !c.is_control());
        Some(printable.take(SAID_BYTES_MAX).collect())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stream.shutdown();
        if let Some(child) = self.child.take() {
            end(child);
        }
    }
}

/// Commands that were told to end, and when.
static LEAVING: Mutex<Leaving> = Mutex::new(Leaving {
    children: Vec::new(),
    is_watched: false,
});

struct Leaving {
    children: Vec<(Child, Instant)>,
    is_watched: bool,
}

/// How long a command may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often those that are to end are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Tells a command to end; whoever asks waits for nothing.
fn end(mut child: Child) {
    if matches!(child.try_wait(), Ok(Some(_))) {
        return;
    }
    signal(&child, Signal::HUP);
    let mut leaving = LEAVING.lock();
    leaving.children.push((child, Instant::now()));
    if !leaving.is_watched {
        leaving.is_watched = spawn(reap).is_ok();
    }
}

/// Collects those that have ended, and kills those that do not.
fn reap() {
    loop {
        sleep(TICK);
        let mut leaving = LEAVING.lock();
        leaving.children.retain_mut(|(child, since)| {
            if !matches!(child.try_wait(), Ok(None)) {
                return false;
            }
            if since.elapsed() > PATIENCE {
                signal(child, Signal::KILL);
            }
            true
        });
        if leaving.children.is_empty() {
            leaving.is_watched = false;
            return;
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        // It may have ended by itself.
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_replaced_and_others_refused() {
        let expand = |text: &str| ProxyCommand::new(text).expand("web1", 2222, "me");
        assert_eq!(
            expand("nc %h %p -l %r 100%% %n").expect("expands"),
            "nc web1 2222 -l me 100% web1"
        );
        for text in ["nc %x", "nc %"] {
            assert!(matches!(expand(text), Err(ProxyCommandError::Token { .. })));
        }
    }

    #[test]
    fn a_name_that_a_shell_would_read_is_refused() {
        let command = ProxyCommand::new("nc %h %p");
        for name in [
            "a;b",
            "$(id)",
            "-oProxyCommand=x",
            "a b",
            "`id`",
            "a'b",
            "a\nb",
            "",
            "a*",
        ] {
            let refused = command.expand(name, 22, "me");
            assert!(
                matches!(refused, Err(ProxyCommandError::Unsafe { .. })),
                "{name:?}"
            );
        }
        // What is not put in is not judged.
        assert!(
            ProxyCommand::new("nc fixed 1")
                .expand("a;b", 22, "me")
                .is_ok()
        );
        for name in ["web-1.example.org", "::1", "fe80::1%eth0", "10.0.0.1"] {
            assert!(command.expand(name, 22, "me").is_ok(), "{name:?}");
        }
    }
}
