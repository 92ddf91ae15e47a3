//! What is done around a command's begin: a terminal is requested, `sudo` is answered.
//!
//! And what only a command on a terminal has: a size, and an end of input that is typed.

use std::io::IoSlice;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use sshoal_reactor::Scope;

use super::Child;
use crate::error::{Error, Kind, Phase};
use crate::ffi::OutputStream;
use crate::launch::{Gate, LaunchError, Pty, Seen, Sudo, SudoError, pty_size_is_good};

/// Output that came before the command began; it is read before all other.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<Option<Box<Both>>>);

/// What came of each stream.
type Both = [(OutputStream, Vec<u8>); 2];

impl Held {
    fn put(&self, stdout: Vec<u8>, stderr: Vec<u8>) {
        if !stdout.is_empty() || !stderr.is_empty() {
            let held = [
                (OutputStream::Stdout, stdout),
                (OutputStream::Stderr, stderr),
            ];
            *self.0.lock() = Some(Box::new(held));
        }
    }

    /// Takes bytes of the first of these streams that has any.
    pub(super) fn take(
        &self,
        streams: &[OutputStream],
        buffer: &mut [u8],
    ) -> Option<(OutputStream, usize)> {
        let mut place = self.0.lock();
        let held = place.as_mut()?;
        for (stream, bytes) in held.iter_mut() {
            if bytes.is_empty() || !streams.contains(stream) {
                continue;
            }
            let (stream, count) = (*stream, bytes.len().min(buffer.len()));
            buffer[..count].copy_from_slice(&bytes[..count]);
            bytes.drain(..count);
            if held.iter().all(|(_, bytes)| bytes.is_empty()) {
                *place = None;
            }
            return Some((stream, count));
        }
        None
    }
}

impl Child {
    /// Requests a terminal for what the channel will run. Parks.
    pub(crate) fn open_terminal(&self, pty: &Pty, scope: &Scope) -> Result<(), Error> {
        let channel = self.channel;
        self.engine.request(Phase::Open, scope, |library| {
            library.request_pty(channel, pty)
        })?;
        self.terminal.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.terminal.load(Ordering::Acquire)
    }

    /// Answers `sudo` and waits until it has begun the command. Parks.
    ///
    /// The password is written where the prompt was read, and nowhere else. What came on the way is
    /// held for the reader.
    pub(crate) fn pass_sudo(&self, sudo: &Sudo, scope: &Scope) -> Result<(), Error> {
        let terminal = self.has_terminal();
        let marked = match terminal {
            true => OutputStream::Stdout,
            false => OutputStream::Stderr,
        };
        let mut gate = Gate::new(sudo, terminal);
        let (mut other, mut buffer, mut asked) = (Vec::new(), vec![0; READ_BYTES], None);
        loop {
            match gate.next() {
                Seen::Go => break,
                Seen::Ask if asked.is_some() => {
                    let user = sudo.user().to_owned();
                    return Err(SudoError::WrongPassword { user }.into());
                }
                Seen::Ask => {
                    asked = Some(gate.place());
                    if let Some(password) = sudo.typed_password() {
                        // One that has ended meanwhile says why below.
                        let _ = self.write_stdin(&password, scope);
                    }
                    continue;
                }
                Seen::Nothing => {}
            }
            let streams = [OutputStream::Stdout, OutputStream::Stderr];
            let read = self.read_of(&streams, &mut buffer, scope).map_err(open)?;
            let Some((stream, bytes)) = read else {
                let said = said(&gate.into_held(asked));
                return Err(SudoError::Refused { said }.into());
            };
            match stream == marked {
                true => gate.put(&buffer[..bytes]),
                false => other.extend_from_slice(&buffer[..bytes]),
            }
            if gate.len() + other.len() > HELD_BYTES_MAX {
                let what = "more output before the command than 1 MiB";
                return Err(Error::Overstepped {
                    phase: Phase::Open,
                    what,
                    kind: Kind::Limit,
                });
            }
        }
        let marked = gate.into_held(asked);
        match terminal {
            true => self.held.put(marked, other),
            false => self.held.put(other, marked),
        }
        Ok(())
    }

    /// Tells the host the size of the command's terminal in characters (RFC 4254 §6.7); a command
    /// without one is not told. Parks.
    ///
    /// # Errors
    ///
    /// A terminal cannot have this size; the connection was lost, or the scope ended: the command
    /// can then be told nothing more.
    pub fn resize(&self, columns: u32, rows: u32, scope: &Scope) -> Result<(), Error> {
        if !pty_size_is_good(columns, rows) {
            let what = "it has 1 to 65535 columns and rows";
            return Err(LaunchError::Terminal { what }.into());
        }
        let _turn = self.turn(scope)?;
        let resized = self.engine.call(Phase::Run, scope, |library| {
            library.resize(self.channel, columns, rows)
        });
        // libssh2 keeps a request that it could not send, and would send it in place of the next.
        resized.inspect_err(|_| self.poisoned.store(true, Ordering::Release))
    }

    /// Types the end of input, and leaves the input open, so that it can be typed again. Parks.
    pub(crate) fn type_end_once(&self, scope: &Scope) -> Result<(), Error> {
        let _turn = self.stdin_turn(scope)?;
        self.type_end(scope)?;
        self.in_line.store(false, Ordering::Release);
        Ok(())
    }

    /// Types the end of input: once where a line begins, and else once more, to send the line so
    /// far (POSIX, General Terminal Interface, `EOF`). Parks.
    pub(super) fn type_end(&self, scope: &Scope) -> Result<(), Error> {
        let end: &[u8] = match self.in_line.load(Ordering::Acquire) {
            true => &[CTRL_D, CTRL_D],
            false => &[CTRL_D],
        };
        self.write_all(&mut [IoSlice::new(end)], scope)
    }
}

/// What a command said, as one line.
fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.split(['\n', '\r']).map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let line = lines.join("; ");
    let shown: String = line
        .chars()
        .filter(|c| !c.is_control())
        .take(SAID_MAX)
        .collect();
    match shown.is_empty() {
        true => "it said nothing".to_owned(),
        false => shown,
    }
}

/// Moves an error to the phase that ends with the command's begin.
fn open(error: Error) -> Error {
    let phase = Phase::Open;
    match error {
        Error::Channel { source, .. } => Error::Channel { phase, source },
        Error::Disconnected { source, .. } => Error::Disconnected { phase, source },
        Error::Stalled { silence, .. } => Error::Stalled { phase, silence },
        Error::TimedOut { limit, .. } => Error::TimedOut { phase, limit },
        Error::Cancelled { .. } => Error::Cancelled { phase },
        other => other,
    }
}

/// VEOF, as servers set it unless they are told otherwise.
const CTRL_D: u8 = 4;
/// What is read at once.
const READ_BYTES: usize = 4 * 1024;
/// Output that is held before a command begins: greetings and lectures, not a stream.
const HELD_BYTES_MAX: usize = 1024 * 1024;
/// Characters of what sudo said that an error shows.
const SAID_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_output_is_read_once_and_stream_by_stream() {
        let held = Held::default();
        held.put(b"abc".to_vec(), b"de".to_vec());
        let mut buffer = [0; 2];
        let mut take = |streams: &[OutputStream]| {
            let (stream, count) = held.take(streams, &mut buffer)?;
            Some((
                stream,
                String::from_utf8_lossy(&buffer[..count]).into_owned(),
            ))
        };
        let both = [OutputStream::Stdout, OutputStream::Stderr];
        assert_eq!(
            take(&[OutputStream::Stderr]),
            Some((OutputStream::Stderr, "de".into()))
        );
        assert_eq!(take(&[OutputStream::Stderr]), None);
        assert_eq!(take(&both), Some((OutputStream::Stdout, "ab".into())));
        assert_eq!(take(&both), Some((OutputStream::Stdout, "c".into())));
        assert_eq!(take(&both), None);
    }

    #[test]
    fn what_was_said_is_one_clean_line() {
        let text = b"\x1b[1msudo: unknown user x\r\nsudo: error\n\n";
        assert_eq!(said(text), "[1msudo: unknown user x; sudo: error");
        assert_eq!(said(b" \n"), "it said nothing");
        assert_eq!(said(&[b'x'; 5000]).len(), SAID_MAX);
    }
}
