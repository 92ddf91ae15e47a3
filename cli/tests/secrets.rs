//! Passwords and passphrases leave no trace outside of the process: not on the screen, in files, in
//! arguments or the environment, in a core file, or for another process of the same user.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};
use support::seat::pseudo_terminal;
use support::{output, sshoal};

const CANARY: &str = "canary-of-the-tests-67";

/// Two embedded hosts that let in by the canary as a password, and by a key.
struct Fleet {
    child: Child,
    /// The fleet ends when this closes.
    stdin: Option<ChildStdin>,
    dir: tempfile::TempDir,
}

impl Fleet {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Also for the user that one test runs the program as.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let mut command = sshoal(dir.path());
        command.args(["demo-fleet", "--hosts", "2", "--password", CANARY, "--dir"]);
        command
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let ready = stdout
            .lines()
            .map(Result::unwrap)
            .any(|line| line.starts_with("ready "));
        assert!(ready, "the fleet ended");
        Self { child, stdin, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file with these words.
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The arguments of `sshoal run` over both hosts, with everything shown that there is to show.
    fn run(&self, command: &mut Command) {
        command.args(["run", "-F", "none", "-v", "-i", "--jsonl"]);
        command.arg(self.path("results.jsonl")).arg("-O");
        let known = self.path("known_hosts");
        command.arg(format!("UserKnownHostsFile={}", known.display()));
        command.arg("-h").arg(self.path("hosts"));
        command
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full");
    }

    /// As [`Fleet::run`], with the canary as a password out of a file.
    fn run_with_password(&self, command: &mut Command) {
        self.run(command);
        command
            .arg("--password-file")
            .arg(self.file("password", &format!("{CANARY}\n")));
    }

    fn jsonl(&self) -> String {
        std::fs::read_to_string(self.path("results.jsonl")).unwrap()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

#[track_caller]
fn assert_clean(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    assert!(!text.contains(CANARY), "{what}: {text}");
}

#[test]
fn a_password_is_shown_nowhere_right_or_wrong() {
    let fleet = Fleet::start();
    for (password, code) in [(CANARY.to_owned(), 0), (format!("{CANARY}!"), 4)] {
        let mut command = sshoal(fleet.dir.path());
        fleet.run(&mut command);
        let file = fleet.file("password", &password);
        let output = output(
            command
                .arg("--password-file")
                .arg(file)
                .args(["echo", "hello"]),
        );
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert_eq!(fleet.jsonl().lines().count(), 2);
        assert_clean("standard output", &output.stdout);
        assert_clean("standard error", &output.stderr);
        assert_clean("results", fleet.jsonl().as_bytes());
    }
}

/// The passphrase of a key is typed on a pseudo-terminal: right, and wrong as often as it is asked.
#[test]
fn a_passphrase_is_shown_nowhere_right_or_wrong() {
    let fleet = Fleet::start();
    let key = fleet.path("encrypted");
    std::fs::copy(fleet.path("user_ed25519"), &key).unwrap();
    std::fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let mut keygen = Command::new("ssh-keygen");
    keygen
        .args(["-q", "-p", "-P", "", "-N", CANARY, "-f"])
        .arg(&key);
    assert!(output(&mut keygen).status.success());
    // A key that cannot be read is wrong use.
    for (passphrase, code) in [(CANARY.to_owned(), 0), (format!("{CANARY}!"), 2)] {
        let mut command = on_a_terminal(&fleet);
        fleet.run(&mut command);
        command.arg("--identity").arg(&key).args(["echo", "hello"]);
        let typed = type_at_prompts(command, "Enter passphrase for key", &passphrase);
        assert!(typed.prompts > 0, "{}", typed.screen);
        assert_eq!(typed.status.code(), Some(code), "{}", typed.screen);
        assert_clean("screen and output", typed.screen.as_bytes());
        assert_clean("results", fleet.jsonl().as_bytes());
    }
}

#[test]
fn a_password_typed_for_the_fleet_is_shown_nowhere() {
    let fleet = Fleet::start();
    let mut command = on_a_terminal(&fleet);
    fleet.run(&mut command);
    command.args(["-A", "echo", "hello"]);
    let typed = type_at_prompts(command, "Password for the fleet: ", CANARY);
    assert_eq!(
        (typed.status.code(), typed.prompts),
        (Some(0), 1),
        "{}",
        typed.screen
    );
    assert_clean("screen and output", typed.screen.as_bytes());
    assert_clean("results", fleet.jsonl().as_bytes());
}

/// The program, to be started with a controlling terminal of its own.
fn on_a_terminal(fleet: &Fleet) -> Command {
    let program = sshoal(fleet.dir.path());
    let mut command = Command::new("setsid");
    command
        .args(["--ctty", "--wait"])
        .arg(program.get_program());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

struct Typed {
    status: ExitStatus,
    /// All that was shown, on the terminal and on the program's own streams.
    screen: String,
    prompts: usize,
}

/// Runs a command on a pseudo-terminal and types a line at each prompt, once nothing is echoed.
fn type_at_prompts(mut command: Command, prompt: &str, line: &str) -> Typed {
    let (master, slave) = pseudo_terminal();
    command
        .stdin(slave)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The slave must have no owner here, or the master never ends.
    drop(command);
    let mut keyboard = File::from(master);
    let screen = keyboard.try_clone().unwrap();
    let (sender, shown) = channel();
    let streams: [Box<dyn Read + Send>; 3] = [
        Box::new(screen),
        Box::new(child.stdout.take().unwrap()),
        Box::new(child.stderr.take().unwrap()),
    ];
    for mut stream in streams {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A master whose terminal is closed fails.
            while let Ok(len @ 1..) = stream.read(&mut buffer) {
                let _ = sender.send(String::from_utf8_lossy(&buffer[..len]).into_owned());
            }
        });
    }
    drop(sender);
    let (screen, prompts) = answer(&shown, &mut keyboard, prompt, line);
    let status = child.wait().unwrap();
    Typed {
        status,
        screen,
        prompts,
    }
}

fn answer(
    shown: &Receiver<String>,
    keyboard: &mut File,
    prompt: &str,
    line: &str,
) -> (String, usize) {
    let (mut screen, mut prompts) = (String::new(), 0);
    for text in shown {
        screen.push_str(&text);
        while screen.matches(prompt).count() > prompts {
            prompts += 1;
            while tcgetattr(&*keyboard)
                .unwrap()
                .local_modes
                .contains(LocalModes::ECHO)
            {
                thread::yield_now();
            }
            writeln!(keyboard, "{line}").unwrap();
        }
    }
    (screen, prompts)
}

/// Begins a run that prints for ever, and waits until it does: it holds the password then.
fn begin(fleet: &Fleet, mut command: Command) -> Child {
    fleet.run_with_password(&mut command);
    command.args(["-P", "yes", "100000000000"]);
    let said = fleet.path("said");
    command.stderr(File::create(&said).unwrap());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let said = std::fs::read_to_string(said).unwrap();
    assert!(line.ends_with(": y\n"), "{line:?} {said}");
    assert_clean("standard error", said.as_bytes());
    child.stdout = Some(stdout.into_inner());
    child
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn arguments_and_environment_hold_no_secret() {
    let fleet = Fleet::start();
    let mut child = begin(&fleet, sshoal(fleet.dir.path()));
    for name in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("/proc/{}/{name}", child.id()));
        // The environment of a process that is not dumpable is for root to read.
        match bytes {
            Ok(bytes) => assert_clean(name, &bytes),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// No variable and no option takes a secret itself.
#[test]
fn nothing_takes_a_secret_as_its_value() {
    let home = tempfile::tempdir().unwrap();
    for action in ["run", "forward"] {
        let help = output(sshoal(home.path()).args([action, "--help"]));
        let help = String::from_utf8(help.stdout).unwrap().to_uppercase();
        let words = help.split(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c));
        let is_secret = |word: &&str| {
            let named = word.starts_with("SSHOAL_") || word.starts_with("--");
            named && (word.contains("PASS") || word.contains("SECRET"))
        };
        let mut named: Vec<_> = words.filter(is_secret).collect();
        named.sort_unstable();
        named.dedup();
        let expected = [
            "--ASKPASS",
            "--PASSWORD-FILE",
            "SSHOAL_ASKPASS",
            "SSHOAL_PASSWORD_FILE",
        ];
        assert_eq!(named, expected, "{action}");
    }
}

/// Core files are asked for without limit: a shell that dies of the same signal leaves one, where
/// the machine lets it, and the program never does. Where the machine's pattern is a pipe, only the
/// exit status can say so.
#[test]
fn no_core_file_is_written() {
    let fleet = Fleet::start();
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let script = "ulimit -c unlimited && exec \"$0\" \"$@\"";
    // Not SIGQUIT: it is ignored in what a shell began in the background, and so in all of this.
    for number in [Signal::ABORT, Signal::SEGV, Signal::TRAP] {
        let mut control = Command::new("sh");
        control
            .current_dir(scratch.path())
            .args(["-c", script, "sh", "-c"]);
        control.arg(format!("kill -{} $$", number.as_raw()));
        let control = control.status();
        match control {
            Ok(status) if status.core_dumped() => {}
            // The limit may not be raised, or the machine keeps no cores: then nothing is shown.
            other => println!("no core file of anything here ({other:?}, pattern {pattern:?})"),
        }
        remove_cores(scratch.path());
        let program = sshoal(fleet.dir.path());
        let mut command = Command::new("sh");
        command
            .env_clear()
            .envs(program.get_envs().filter_map(|(n, v)| Some((n, v?))));
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .current_dir(scratch.path())
            .args(["-c", script])
            .arg(program.get_program());
        let mut child = begin(&fleet, command);
        drop(child.stdout.take());
        // The first SIGSEGV is taken for a fault, which would happen again by itself.
        let status = loop {
            signal(&child, number);
            thread::park_timeout(Duration::from_millis(50));
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
        };
        assert!(status.signal().is_some(), "{status:?}");
        assert!(!status.core_dumped(), "{status:?}");
        assert_eq!(remove_cores(scratch.path()), 0, "pattern {pattern:?}");
    }
}

/// Removes all files of a directory; how many there were.
fn remove_cores(dir: &Path) -> usize {
    let files = std::fs::read_dir(dir).unwrap();
    files
        .map(|file| std::fs::remove_file(file.unwrap().path()).unwrap())
        .count()
}

/// Another process of the same user reads neither memory nor environment. Root reads everything, so
/// as root both run as another user, whose other processes can be read.
#[test]
fn the_same_user_cannot_look_into_the_process() {
    let fleet = Fleet::start();
    let program = sshoal(fleet.dir.path());
    let is_root = rustix::process::getuid().is_root();
    let as_user = |program: &Path| {
        if !is_root {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(program);
        command
    };
    let reads = |pid: u32, name: &str| {
        // It is opened and a page is read where there may be one; only the opening is refused.
        let script = format!("exec 3< /proc/{pid}/{name}");
        let mut command = as_user(Path::new("sh"));
        let command = command.args(["-c", &script]).stderr(Stdio::null());
        command.status().unwrap().success()
    };
    let path = Path::new(program.get_program());
    if !as_user(path)
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .unwrap()
        .success()
    {
        println!(
            "another user cannot run {}: not tested as root",
            path.display()
        );
        return;
    }
    let mut control = as_user(Path::new("cat"));
    let mut control = control.stdin(Stdio::piped()).spawn().unwrap();
    wait_for_program(control.id(), "cat");
    let mut command = as_user(path);
    command
        .env("HOME", fleet.dir.path())
        .env_remove("SSH_AUTH_SOCK");
    fleet.file("results.jsonl", "");
    fleet.file("password", "");
    for name in ["password", "results.jsonl", "hosts", "known_hosts"] {
        std::fs::set_permissions(fleet.path(name), Permissions::from_mode(0o666)).unwrap();
    }
    let mut child = begin(&fleet, command);
    for name in ["mem", "environ", "maps"] {
        assert!(reads(control.id(), name), "{name} of any process");
        assert!(!reads(child.id(), name), "{name} can be read");
    }
    for child in [&mut child, &mut control] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

/// Waits until a process has become this program.
fn wait_for_program(pid: u32, name: &str) {
    let is_there = || std::fs::read_to_string(format!("/proc/{pid}/comm"));
    while is_there().unwrap().trim() != name {
        thread::yield_now();
    }
}
