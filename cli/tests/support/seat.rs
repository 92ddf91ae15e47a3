//! A program in the foreground of a pseudo-terminal that outlives it: its modes can be looked at behind the end.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::Pid;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, tcgetattr};

use super::openssh::process::descendants;
use super::started_by;
use super::working::{arguments, wait_until};

/// Opens a pseudo-terminal: its own end and the one of the programs on it.
pub(crate) fn pseudo_terminal() -> (OwnedFd, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let mut slave = File::options();
    let slave = slave.read(true).write(true).open(name.to_str().unwrap());
    (master, slave.unwrap())
}

/// A shell that has the terminal, and the program as its child.
pub(crate) struct Seat {
    shell: Child,
    keyboard: File,
    code: Receiver<i32>,
    before: Termios,
    /// The program itself.
    pub(crate) program: Pid,
}

/// Ctrl-C reaches the shell, too, which takes no notice. It keeps the terminal until a line is typed.
const SCRIPT: &str = r#"trap : INT; "$@" >/dev/tty 2>&1; echo $?; until read -r _; do :; done"#;

impl Seat {
    /// Starts a program, with its environment. What it shows goes to a file.
    pub(crate) fn start(program: &Command, shown: &Path) -> Self {
        let (master, slave) = pseudo_terminal();
        let before = tcgetattr(&master).unwrap();
        let mut command = started_by(&["setsid", "--ctty", "sh", "-c", SCRIPT, "sh"], program);
        command.stdin(slave).stdout(Stdio::piped());
        let mut shell = command.spawn().expect("setsid comes with util-linux");
        drop(command);
        let keyboard = File::from(master);
        drain(&keyboard, shown);
        let (sender, code) = channel();
        let mut told = BufReader::new(shell.stdout.take().unwrap());
        thread::spawn(move || {
            let mut line = String::new();
            told.read_line(&mut line).unwrap();
            let _ = sender.send(line.trim().parse().expect("an exit code"));
        });
        let program = child_of(&mut shell, program);
        Self {
            shell,
            keyboard,
            code,
            before,
            program,
        }
    }

    /// Types Ctrl-C.
    pub(crate) fn interrupt(&mut self) {
        self.keyboard.write_all(b"\x03").unwrap();
    }

    /// Waits so long for the program's end at most; its exit code, as a shell has it.
    pub(crate) fn wait(&self, limit: Duration) -> Option<i32> {
        match self.code.recv_timeout(limit) {
            Ok(code) => Some(code),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the shell has gone"),
        }
    }

    /// Checks that the terminal is as it was, and lets the shell go. Only behind the program's end.
    #[track_caller]
    pub(crate) fn leave(mut self) {
        let after = tcgetattr(&self.keyboard).unwrap();
        let of = |modes: &Termios| format!("{modes:?}");
        assert_eq!(of(&after), of(&self.before), "the terminal's modes");
        self.keyboard.write_all(b"\n").unwrap();
        self.shell.wait().unwrap();
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Where a check has failed; the program goes with its terminal.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// Takes what is shown, so that nobody waits for it.
fn drain(keyboard: &File, shown: &Path) {
    let (mut screen, mut file) = (keyboard.try_clone().unwrap(), File::create(shown).unwrap());
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        // A master whose terminal is closed fails.
        while let Ok(len @ 1..) = screen.read(&mut buffer) {
            file.write_all(&buffer[..len]).unwrap();
        }
    });
}

/// Waits until the shell has begun the program: what is typed before would not be for it.
fn child_of(shell: &mut Child, program: &Command) -> Pid {
    let root = Pid::from_child(shell);
    let path = program.get_program();
    let mut found = None;
    wait_until("the program's begin", || {
        found = descendants(root)
            .into_iter()
            .find(|pid| arguments(*pid).starts_with(path.as_encoded_bytes()));
        found.is_some()
    });
    found.unwrap()
}
