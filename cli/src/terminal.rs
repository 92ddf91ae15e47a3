//! The terminal that the user sits at, whatever the standard streams are.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use sshoal::Secret;

use crate::signals;

/// The controlling terminal of this process.
#[derive(Debug)]
pub(crate) struct Terminal {
    file: File,
}

/// How the terminal was before something hidden was typed; set only meanwhile.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

impl Terminal {
    /// Opens it; `None` if there is none.
    pub(crate) fn open() -> Option<Self> {
        let file = File::options().read(true).write(true).open("/dev/tty");
        file.ok().map(|file| Self { file })
    }

    /// Returns whether there is one.
    pub(crate) fn is_there() -> bool {
        Self::open().is_some()
    }

    /// Returns its columns and rows, if it says any.
    pub(crate) fn size(&self) -> Option<(u32, u32)> {
        let size = tcgetwinsize(&self.file).ok()?;
        let said = size.ws_col > 0 && size.ws_row > 0;
        said.then(|| (size.ws_col.into(), size.ws_row.into()))
    }

    /// Shows a text that is clean already.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn show(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all(text.as_bytes())
    }

    /// Asks for a line that may be seen as it is typed, without its end; `None` at the end of input.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn ask(&mut self, prompt: &str) -> io::Result<Option<Secret>> {
        self.show(prompt)?;
        self.line()
    }

    /// Asks for a line that is not seen as it is typed; `None` at the end of input. A signal that
    /// ends the process meanwhile leaves the terminal as it was.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn ask_hidden(&mut self, prompt: &str) -> io::Result<Option<Secret>> {
        static WATCH: Once = Once::new();
        // Without a handler there is still the answer.
        WATCH.call_once(|| drop(signals::tidy_before_the_end(Self::restore)));
        let before = tcgetattr(&self.file)?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO;
        hidden.local_modes |= LocalModes::ECHONL;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        // Before the prompt, so that what is typed at its sight is hidden; what was typed before is
        // no answer to it.
        let asked = tcsetattr(&self.file, OptionalActions::Flush, &hidden)
            .map_err(io::Error::from)
            .and_then(|()| self.ask(prompt));
        Self::restore();
        asked
    }

    /// Reads a line: a terminal gives one at a time.
    fn line(&mut self) -> io::Result<Option<Secret>> {
        let mut line = vec![0; LINE_BYTES_MAX];
        let length = self.file.read(&mut line)?;
        line.truncate(length);
        if line.is_empty() {
            return Ok(None);
        }
        let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        line.truncate(end.unwrap_or(line.len()));
        Ok(Some(Secret::from(line)))
    }

    /// Lets what is typed be seen again, where this process ends while somebody is still asked.
    pub(crate) fn restore() {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(before), Some(terminal)) = (before, Self::open()) {
            // There is no other way to set it, and nobody to tell.
            let _ = tcsetattr(&terminal.file, OptionalActions::Now, &before);
        }
    }
}

/// What a terminal gives as one line at most.
const LINE_BYTES_MAX: usize = 4096;
