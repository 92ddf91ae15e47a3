//! Child processes that cannot outlive the test: a guard shell ends them when the test ends, however it ends.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// A program under a guard shell that kills it as soon as the test process closes the shell's standard input.
///
/// A parent-death signal would not do: it fires when the *thread* that started the child ends, and it has to be set
/// between fork and exec.
#[derive(Debug)]
pub(crate) struct Guarded {
    shell: Child,
    pid: Pid,
    log: Log,
}

impl Guarded {
    /// Starts `program`; what it writes to standard error goes to `log`.
    pub(crate) fn start<S: AsRef<OsStr>>(program: &str, args: &[S], log: &Log) -> Self {
        let mut shell = Command::new("sh")
            .arg("-c")
            .arg(GUARD)
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C reaches the test alone, whose end then ends the guard and the program, in this order.
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let stderr = shell.stderr.take().expect("standard error is piped");
        let log = log.source();
        log.clone().drain(stderr);
        let stdout = shell.stdout.take().expect("standard output is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the guard shell prints the process id");
        let pid = line.trim().parse().expect("the process id is a number");
        let pid = Pid::from_raw(pid).expect("a process id is above zero");
        Self { shell, pid, log }
    }

    /// The process id of the program (not of the guard).
    pub(crate) const fn pid(&self) -> Pid {
        self.pid
    }

    /// The log of this program alone.
    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// Sends a signal to the program and everything it started, the program first.
    pub(crate) fn signal_tree(&self, signal: Signal) {
        let tree = descendants(self.pid);
        for pid in std::iter::once(self.pid).chain(tree) {
            // A process that ended in between is what was asked for.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Stopped first, so that it starts nothing between the look at its children and their end.
        let _ = kill_process(self.pid, Signal::STOP);
        self.signal_tree(Signal::KILL);
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// Prints the program's process id, waits for the end of its own standard input, then kills the program.
const GUARD: &str = r#"
"$0" "$@" </dev/null >/dev/null &
pid=$!
exec 2>/dev/null
echo "$pid"
read -r _
kill -9 "$pid"
wait "$pid"
"#;

/// All processes below `root`; empty where there is no `/proc`.
pub(crate) fn descendants(root: Pid) -> Vec<Pid> {
    let mut pairs: Vec<(i32, i32)> = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The second field is the program's name in brackets and may hold anything; the parent is two fields later.
        let Some((_, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        if let Some(parent) = rest.split_whitespace().nth(1).and_then(|p| p.parse().ok()) {
            pairs.push((pid, parent));
        }
    }
    let mut found = vec![root.as_raw_nonzero().get()];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            pairs
                .iter()
                .filter(|(_, p)| *p == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.drain(1..).filter_map(Pid::from_raw).collect()
}

/// The log of one or several programs, line by line, as something to wait on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    text: Arc<(Mutex<Text>, Condvar)>,
    /// Where each line goes as well: the log of the whole set.
    whole: Option<Arc<(Mutex<Text>, Condvar)>>,
}

/// The text so far, and whether the program closed its end.
#[derive(Debug, Default)]
struct Text {
    text: String,
    closed: bool,
}

impl Log {
    /// A log for one program, whose lines also appear in this one.
    fn source(&self) -> Self {
        Self {
            text: Arc::default(),
            whole: Some(Arc::clone(&self.text)),
        }
    }

    /// Reads `from` to its end on a thread of its own.
    pub(crate) fn drain(self, from: impl Read + Send + 'static) {
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).into_owned();
                for to in self.whole.iter().chain([&self.text]) {
                    lock(&to.0).text.push_str(&text);
                    to.1.notify_all();
                }
                line.clear();
            }
            lock(&self.text.0).closed = true;
            self.text.1.notify_all();
        });
    }

    /// The text so far.
    pub(crate) fn text(&self) -> String {
        lock(&self.text.0).text.clone()
    }

    /// How long the text is by now; what comes later is `text()[mark..]`.
    pub(crate) fn mark(&self) -> usize {
        lock(&self.text.0).text.len()
    }

    /// Waits until `done` says so of the text; false when the time ran out or the program ended before.
    pub(crate) fn wait_until(&self, limit: Duration, done: impl Fn(&str) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut text = lock(&self.text.0);
        loop {
            if done(&text.text) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if text.closed || left.is_zero() {
                return false;
            }
            text = self
                .text
                .1
                .wait_timeout(text, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// A panic of another test's thread leaves the text as it was, line by line.
fn lock(text: &Mutex<Text>) -> std::sync::MutexGuard<'_, Text> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}
