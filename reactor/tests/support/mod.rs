//! What the tests of this crate share: a hang guard, child processes, socket pairs.
#![allow(
    dead_code,
    reason = "each test file is a crate of its own and uses what it needs"
)]

pub(crate) mod tasks;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::process::{Command, Output};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use sshoal_reactor::{Config, Form, Scope, Stream, configure};

/// Chooses the reactor's form where a parent process asked for one.
pub(crate) const FORM: &str = "SSHOAL_REACTOR_TEST_FORM";
/// Names the one test that a child process is to run in itself.
const ALONE: &str = "SSHOAL_REACTOR_TEST_ALONE";
/// No test file takes as long.
const HANG: Duration = Duration::from_secs(300);

/// A scope that ends long after every test: a hang shows as an error that names its place.
///
/// Where even the reactor's own timer hangs, a plain thread ends the process later still.
pub(crate) fn watchdog() -> Scope {
    static GUARD: Once = Once::new();
    GUARD.call_once(|| {
        std::thread::spawn(|| {
            let start = Instant::now();
            while start.elapsed() < HANG {
                std::thread::park_timeout(HANG);
            }
            let _ = std::io::stderr().write_all(b"the tests hang\n");
            std::process::abort();
        });
    });
    if std::env::var_os(FORM).is_some() {
        configure(Config::default().form(Form::Thread));
    }
    Scope::root().child(Some(Duration::from_secs(60)))
}

/// Runs this process's other tests once more, with the reactor's loop as a thread of its own.
#[track_caller]
pub(crate) fn pass_with_the_thread_form(but: &str) {
    if std::env::var_os(FORM).is_some() {
        return;
    }
    let child = itself().args(["--skip", but]).env(FORM, "thread").output();
    let output = child.unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

/// Runs a test in a process of its own, because what it does or measures is process-wide.
#[track_caller]
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    if std::env::var(ALONE).is_ok_and(|name| name == test) {
        return body();
    }
    let output = child(test);
    assert!(output.status.success(), "{}", text(&output));
}

/// As [`alone`], for a child that is not expected to end well: returns how it ended.
pub(crate) fn child_of(test: &str, body: impl FnOnce()) -> Option<Output> {
    if std::env::var(ALONE).is_ok_and(|name| name == test) {
        body();
        return None;
    }
    Some(child(test))
}

fn child(test: &str) -> Output {
    let mut command = itself();
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]);
    command.env(ALONE, test).output().unwrap()
}

fn itself() -> Command {
    Command::new(std::env::current_exe().unwrap())
}

pub(crate) fn text(output: &Output) -> String {
    let out = String::from_utf8_lossy(&output.stdout);
    format!("{out}{}", String::from_utf8_lossy(&output.stderr))
}

/// Returns two connected streams.
pub(crate) fn pair() -> (Arc<Stream>, Arc<Stream>) {
    let (here, there) = UnixStream::pair().unwrap();
    (stream(here), stream(there))
}

pub(crate) fn stream(socket: UnixStream) -> Arc<Stream> {
    socket.set_nonblocking(true).unwrap();
    Arc::new(Stream::from_socket(socket.into()).unwrap())
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn from(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count)
            .map(|_| u8::try_from(self.below(256)).unwrap())
            .collect()
    }
}
