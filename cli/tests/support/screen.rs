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
        script.env("TERM", "xterm");
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
        }
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

/// Returns what a text leaves on a terminal of 80 columns that is high enough for all of it: lines
/// that were written over or taken away are gone, and so are colours; those that went on below are
/// whole again.
pub(crate) fn left_on(text: &str) -> String {
    let mut rows: Vec<Row> = vec![Row::default()];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\r' => column = 0,
            '\n' => row += 1,
            '\x1b' => match control(&mut chars) {
                (count, 'A') => row = row.saturating_sub(count),
                (count, 'B') => row += count,
                (2, 'K') => {
                    rows[row] = Row::default();
                    if let Some(above) = row.checked_sub(1) {
                        rows[above].goes_on = false;
                    }
                }
                (_, 'K') => rows[row].shown.truncate(column),
                _ => {}
            },
            shown => {
                if column == COLUMNS {
                    rows[row].goes_on = true;
                    (row, column) = (row + 1, 0);
                    rows.resize_with(rows.len().max(row + 1), Row::default);
                }
                let line = &mut rows[row].shown;
                line.resize(line.len().max(column + 1), ' ');
                line[column] = shown;
                column += 1;
            }
        }
        rows.resize_with(rows.len().max(row + 1), Row::default);
    }
    let mut left = String::new();
    for row in rows {
        left.extend(row.shown);
        if !row.goes_on {
            left.truncate(left.trim_end_matches(' ').len());
            left.push('\n');
        }
    }
    left.trim_end().to_owned()
}

/// A row of a screen.
#[derive(Default)]
struct Row {
    shown: Vec<char>,
    /// Whether the line goes on in the next one.
    goes_on: bool,
}

/// As wide as a terminal is taken to be that does not say how wide it is.
const COLUMNS: usize = 80;

/// Reads what follows an escape: its number, 1 if there is none (0 for what it erases), and its last
/// letter.
fn control(chars: &mut std::str::Chars<'_>) -> (usize, char) {
    let mut number = String::new();
    for char in chars.skip_while(|char| *char == '[') {
        match char {
            '0'..='9' => number.push(char),
            ';' | '?' => number.clear(),
            'K' => return (number.parse().unwrap_or(0), char),
            last => return (number.parse().unwrap_or(1), last),
        }
    }
    (0, ' ')
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
