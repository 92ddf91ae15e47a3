//! A program on a pseudo-terminal of its own: what it shows, and a keyboard.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What a pseudo-terminal showed so far.
pub(crate) struct Screen {
    child: Child,
    keyboard: ChildStdin,
    reader: ChildStdout,
    text: String,
    /// Up to where it was waited for.
    seen: usize,
}

impl Screen {
    /// Starts a program, with its environment.
    pub(crate) fn start(program: &Command) -> Self {
        let mut script = Command::new("script");
        script.args([
            "--quiet",
            "--return",
            "--command",
            &shell_line(program),
            "/dev/null",
        ]);
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
        script.env("TERM", "xterm");
        let mut child = script
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script runs: it comes with the package `bsdutils`");
        Self {
            keyboard: child.stdin.take().unwrap(),
            reader: child.stdout.take().unwrap(),
            child,
            text: String::new(),
            seen: 0,
        }
    }

    /// Types something.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until something is shown, after what was waited for before.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, part: &str) {
        loop {
            if let Some(at) = self.text[self.seen..].find(part) {
                self.seen += at + part.len();
                return;
            }
            assert!(self.read(), "{part:?} was never shown: {:?}", self.text);
        }
    }

    /// Everything that was shown.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the program has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the program's end; returns its exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Reads to the end; returns the exit code and everything that was shown.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        while self.read() {}
        (self.wait(), self.text)
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let len = self.reader.read(&mut buffer).unwrap();
        self.text.push_str(&String::from_utf8_lossy(&buffer[..len]));
        len > 0
    }
}

/// Writes a command for a shell.
pub(crate) fn shell_line(command: &Command) -> String {
    let quoted =
        |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap().replace('\'', r"'\''"));
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect();
    words.join(" ")
}
