//! The command of this machine that looks at a wave and says whether the next one is begun.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::Word;
use super::tally::Tally;
use crate::drive::{Message, Messages};
use crate::sanitise::one_line;

/// A command for `sh`.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    pub(crate) command: String,
    /// The run's name, if it has a journal.
    pub(crate) run: Option<String>,
}

/// A gate's command under way.
#[derive(Debug)]
pub(super) struct Guard {
    /// `None` once nobody may be signalled by it any more.
    pid: Arc<Mutex<Option<Pid>>>,
}

impl Gate {
    /// Returns what the command finds in its environment after the wave at this place, from 1, of so
    /// many.
    pub(super) fn variables(
        &self,
        (wave, waves): (usize, usize),
        own: &Tally,
        all: &Tally,
    ) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("SSHOAL_GATE_WAVE", wave.to_string()),
            ("SSHOAL_GATE_WAVES", waves.to_string()),
            ("SSHOAL_GATE_HOSTS", own.hosts().to_string()),
            ("SSHOAL_GATE_OK", own.ok.to_string()),
            ("SSHOAL_GATE_FAILED", own.failed.to_string()),
            ("SSHOAL_GATE_ALL_HOSTS", all.hosts().to_string()),
            ("SSHOAL_GATE_ALL_OK", all.ok.to_string()),
            ("SSHOAL_GATE_ALL_FAILED", all.failed.to_string()),
        ];
        variables.extend(self.run.clone().map(|run| ("SSHOAL_GATE_RUN", run)));
        variables
    }

    /// Starts the command. Each line that it writes is said, and its end is a word: whether the next
    /// wave may be begun.
    ///
    /// # Errors
    /// Fails if there is no `sh`, or no thread to wait for it.
    pub(super) fn start(
        &self,
        variables: &[(&'static str, String)],
        words: Sender<Word>,
        messages: Messages,
    ) -> Result<Guard> {
        let (reader, writer) = std::io::pipe().context("cannot run it")?;
        let errors = writer.try_clone().context("cannot run it")?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.command);
        // What it runs may be this program, which is not to take its own settings from here.
        command.env_remove("SSHOAL_WAVE").env_remove("SSHOAL_GATE");
        command.env_remove("SSHOAL_WAVE_PAUSE");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(writer).stderr(errors);
        let child = command.spawn().context("cannot run sh")?;
        // It holds the ends of the pipe that are to close with the command.
        drop(command);
        let pid = Pid::from_child(&child);
        let guard = Guard {
            pid: Arc::new(Mutex::new(Some(pid))),
        };
        let (said, all_said) = sync_channel(0);
        let pid_of = Arc::clone(&guard.pid);
        thread::Builder::new()
            .name("gate-output".to_owned())
            .spawn(move || {
                say_lines(reader, &messages);
                drop(said);
            })
            .context("cannot read from it")?;
        thread::Builder::new()
            .name("gate".to_owned())
            .spawn(move || {
                let verdict = wait(child, &pid_of, &all_said);
                let _ = words.send(Word::Gate(verdict));
            })
            .context("cannot wait for it")?;
        Ok(guard)
    }
}

impl Guard {
    /// Asks the command to end; does not wait for it.
    pub(super) fn end(&self) {
        let pid = self.pid.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = *pid {
            // It may have ended meanwhile, which is as well.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

/// Waits for the command's end, and a moment for what it still has to say.
fn wait(mut child: Child, pid: &Mutex<Option<Pid>>, all_said: &Receiver<()>) -> Result<(), String> {
    // Its id is its own until it is reaped, which is done when nobody signals it any more.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let id = Pid::from_child(&child);
    while waitid(WaitId::Pid(id), ended).is_err_and(|error| error == Errno::INTR) {}
    pid.lock().unwrap_or_else(PoisonError::into_inner).take();
    let status = child.wait().map_err(|error| error.to_string())?;
    // Something that it left running may hold the pipe open.
    let _ = all_said.recv_timeout(LINES_WITHIN);
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("it ended with exit status {code}")),
        (None, signal) => Err(format!("signal {} ended it", signal.unwrap_or(0))),
    }
}

/// Says each line until the last writer is gone.
fn say_lines(reader: impl Read, messages: &Messages) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line);
        if !matches!(read, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line));
        let said = Message::Said(one_line(&format!("gate: {text}")).into_owned());
        if messages.send(said).is_err() {
            return;
        }
    }
}

/// A longer line is said in pieces.
const LINE_BYTES_MAX: u64 = 4096;

/// How long the last lines of a command that has ended are waited for.
const LINES_WITHIN: Duration = Duration::from_millis(500);
