//! The exit codes, row by row, through the real program: its own sub-commands, and the dialect of pssh.
//! The hosts are an OpenSSH server, and an address where nobody listens.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use support::openssh::sshd::Sshd;
use support::pssh::Bench;
use support::{Fleet, output, stderr, wait_for_handlers};

/// Hosts `one`, `two`, `three` and `dead`, which refuses.
struct Hosts {
    bench: Bench,
    /// Takes connections, and says nothing.
    mute: TcpListener,
}

impl Hosts {
    /// Starts them; `None` where the tests against sshd are switched off.
    fn start() -> Option<Self> {
        // A shell so deep reads no start-up file of the user's: those that are killed here would
        // leave what such a file had begun.
        let bench = Bench::with(Sshd::builder().config("SetEnv SHLVL=5"))?;
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let hosts = Self { bench, mute };
        let large = std::fs::File::create(hosts.here("large")).unwrap();
        large.set_len(2_000_000).unwrap();
        std::fs::write(hosts.here("file"), "text\n").unwrap();
        std::fs::create_dir(hosts.here("tree")).unwrap();
        std::fs::copy(hosts.here("file"), hosts.here("tree/file")).unwrap();
        std::fs::write(hosts.here("script"), "exit $1\n").unwrap();
        std::fs::write(hosts.here("nobody"), "# nobody\n").unwrap();
        Some(hosts)
    }

    /// A path of this side.
    fn here(&self, name: &str) -> PathBuf {
        let command = self.bench.sshoal();
        command.get_current_dir().unwrap().join(name)
    }

    /// A call in one line; `{there}` is a directory of the hosts, `{here}` one of this side, `{mute}` a
    /// host that says nothing. The first word is a sub-command, or a tool of pssh's.
    fn command(&self, line: &str) -> Command {
        let there = self.bench.sshd().scratch().display().to_string();
        let mute = self.mute.local_addr().unwrap().to_string();
        let here = self.here("").display().to_string();
        let mut words = words(line).into_iter().map(|word| {
            word.replace("{there}", &there)
                .replace("{here}", &here)
                .replace("{mute}", &mute)
        });
        let first = words.next().unwrap();
        let mut command = match first.strip_prefix("parallel-") {
            Some(tool) => self.bench.ours(tool),
            None => self.bench.sshoal(),
        };
        if !first.starts_with("parallel-") {
            command.arg(first);
        }
        command.args(words);
        command
    }

    /// Checks how each of these calls ends; some are made at once.
    #[track_caller]
    fn end_with(&self, code: i32, lines: &[&str]) {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut wrong = String::new();
            while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                let ended = output(&mut self.command(line));
                if ended.status.code() != Some(code) {
                    wrong += &format!("{line}: {}: {}\n", ended.status, stderr(&ended));
                }
            }
            wrong
        };
        let wrong: String = thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            let wrong = threads.into_iter().map(|thread| thread.join().unwrap());
            wrong.collect()
        });
        assert_eq!(wrong, "", "not {code}");
    }
}

/// Calls at once: much of their time is waiting for a server.
const AT_ONCE: usize = 4;

/// Splits a line at blanks; what stands in quotes is one word.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

#[test]
fn nothing_bad_is_0() {
    let Some(hosts) = Hosts::start() else { return };
    hosts.end_with(
        0,
        &[
            "run -H 'one two' true",
            "run -n -H 'one dead' true",
            "script -H one script 0",
            "ping -H 'one two'",
            "kill -H one -s 0 sshd",
            "shell -H 'one two'",
            "put -H one file {there}/put",
            "sync -H one tree {there}/tree",
            "fs stat -H 'one two' /",
            "hosts -H 'one dead'",
            "resume --list",
            "demo --count 2 true",
            "completions zsh",
            "man {here}/man",
            "install-links {here}/links",
            "parallel-ssh -H 'one two' true",
            "parallel-scp -H one file {there}/scp",
            "parallel-rsync -H one -r tree {there}/rsync",
        ],
    );
    hosts.end_with(
        0,
        &[
            "get -H one {there}/put got",
            "parallel-slurp -H one -L {here}/slurped {there}/scp scp",
        ],
    );
    // Of runs that are over.
    hosts.end_with(0, &["resume last", "diff last last"]);
    let name = format!("nap{}", std::process::id());
    symlink("/bin/sleep", hosts.here(&name)).unwrap();
    let mut nap = Command::new(hosts.here(&name)).arg("600").spawn().unwrap();
    hosts.end_with(0, &[&format!("parallel-nuke -H one {name}")]);
    nap.wait().unwrap();
}

/// Of the host `mute` nobody would hear the end, had anything been begun.
#[test]
fn usage_and_what_cannot_be_read_is_2() {
    let Some(hosts) = Hosts::start() else { return };
    hosts.end_with(
        2,
        &[
            "run -H {mute}",
            "run -H {mute} --no-such-flag true",
            "run -h no-such-file true",
            "run -h / true",
            "run -h nobody true",
            "run -H 'a;b' true",
            "run -w 'web[1-' true",
            "run -H {mute} --identity no-such-file true",
            "run -H {mute} -F no-such-file true",
            "run -H {mute} --inventory no-such-file true",
            "run -H {mute} --stdin no-such-file true",
            "script -H {mute} no-such-file",
            "ping -h no-such-file",
            "kill -H {mute}",
            "shell -h nobody",
            "put -H {mute} no-such-file /tmp",
            "get -H {mute} /etc/hosts",
            "sync -H {mute} file /tmp",
            "fs -H {mute}",
            "fs write -H {mute} --from no-such-file /tmp/x",
            "forward -H {mute}",
            "hosts -h nobody",
            "resume no-such-run",
            "demo --count 0",
            "completions tcsh",
            "man /proc/no/such",
            "install-links /proc/no/such",
            "no-such-word",
            "parallel-ssh -H {mute}",
            "parallel-ssh --no-such-flag -H {mute} true",
            "parallel-scp -H {mute} file",
            "parallel-nuke -H {mute}",
        ],
    );
    hosts.end_with(1, &["parallel-ssh -h no-such-file true"]);
    hosts.end_with(0, &["parallel-ssh -h nobody true"]);
    hosts.mute.set_nonblocking(true).unwrap();
    assert!(hosts.mute.accept().is_err(), "somebody was connected to");
}

#[test]
fn a_time_that_is_over_is_3() {
    let Some(hosts) = Hosts::start() else { return };
    let fifo = hosts.bench.sshd().scratch().join("fifo");
    let made = Command::new("mkfifo").arg(fifo).status().unwrap();
    assert!(made.success());
    hosts.end_with(0, &["put -H one large {there}/large"]);
    hosts.end_with(
        3,
        &[
            "run -H one -t 0.3 sleep 60",
            "run -H one --deadline 0.5 sleep 60",
            "run -H {mute} --deadline 0.3 true",
            "script -H one --interpreter 'sleep 60' -t 0.3 script",
            "kill -H {mute} --deadline 0.3 sshd",
            "ping -H {mute} --deadline 0.3",
            "put -H one -t 0.3 --bandwidth 1k large {there}/slow",
            "put -H one --deadline 0.5 --bandwidth 1k large {there}/slow",
            "get -H one -t 0.3 --bandwidth 1k {there}/large got",
            "fs read -H one -t 0.3 {there}/fifo",
            "forward -H one -L 0:localhost:1 --deadline 0.5",
            "parallel-ssh -H one -t 1 sleep 60",
            // It is the whole host's limit there, connecting and all.
            "parallel-ssh -H {mute} -t 1 true",
            "parallel-scp -H {mute} -t 1 file {there}/slow",
            "parallel-slurp -H {mute} -t 1 -L {here}/slow /etc/hosts x",
        ],
    );
    let mut shell = hosts.command("shell -H one --deadline 0.5");
    let mut shell = shell.stdin(Stdio::piped()).spawn().unwrap();
    let keyboard = shell.stdin.take();
    assert_eq!(shell.wait().unwrap().code(), Some(3));
    drop(keyboard);
}

#[test]
fn what_was_not_reached_or_was_lost_is_4() {
    let Some(hosts) = Hosts::start() else { return };
    hosts.end_with(
        4,
        &[
            "run -H 'one dead' true",
            "run -H no-such-host.invalid true",
            "run -H {mute} --connect-timeout 0.3 true",
            "run -H one -O UserKnownHostsFile=none true",
            "run -H one -O PubkeyAuthentication=no --password-file file true",
            "run -H one 'kill -9 $PPID; sleep 5'",
            "script -H dead script",
            "ping -H 'one dead'",
            "kill -H dead -s 0 sshd",
            "shell -H 'one dead'",
            "put -H 'one dead' file {there}/put",
            "put -H one file /proc/no/such/file",
            "get -H one {there}/no-such-file got",
            "sync -H dead tree {there}/tree",
            "fs stat -H dead /",
            "fs read -H one {there}/no-such-file",
            "forward -H dead -L 0:localhost:1",
            "parallel-ssh -H 'one dead' true",
            "parallel-ssh -H one 'kill -9 $PPID; sleep 5'",
            "parallel-scp -H dead file {there}/scp",
            "parallel-scp -H one file {there}/no/such/file",
            "parallel-rsync -H one no-such-file {there}/rsync",
            "parallel-slurp -H dead -L {here}/slurped /etc/hosts x",
            "parallel-nuke -H dead no-such-process",
        ],
    );
    let fleet = Fleet::start(1);
    let ended = output(fleet.run_on(1).arg("nostatus"));
    assert_eq!(ended.status.code(), Some(4), "{}", stderr(&ended));
}

#[test]
fn a_bad_status_is_5_or_the_largest_one_on_request() {
    let Some(hosts) = Hosts::start() else { return };
    hosts.end_with(
        5,
        &[
            "run -H 'one two' exit 3",
            "run -H one 'kill -9 $$'",
            "script -H one script 3",
            "kill -H one --exact no-such-process",
            "fs exists -H one {there}/no-such-file",
            "parallel-ssh -H 'one two' exit 3",
            "parallel-nuke -H one no-such-process",
        ],
    );
    hosts.end_with(
        42,
        &[
            "run -S -H one exit 42",
            "script --max-status -H one script 42",
        ],
    );
    hosts.end_with(255, &["run -S -H one 'kill -9 $$'"]);
    hosts.end_with(0, &["run -S -H 'one two' true"]);
    hosts.end_with(4, &["run -S -H 'one dead' exit 42"]);
    let mut told = hosts.command("run -H 'one two three' --template 'exit 1{n}'");
    let told = output(told.env("SSHOAL_MAX_STATUS", "1"));
    assert_eq!(told.status.code(), Some(12), "{}", stderr(&told));
    let mut shell = hosts
        .command("shell -H one")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), b"(exit 3)\n").unwrap();
    assert_eq!(shell.wait().unwrap().code(), Some(5));
}

#[test]
fn differences_are_6() {
    let Some(hosts) = Hosts::start() else { return };
    hosts.end_with(0, &["run --diff -H 'one two three' echo same"]);
    hosts.end_with(
        6,
        &[
            "run --diff -H 'one two three' --template 'echo {n}'",
            "fs write -H one --diff --from file {there}/fresh",
        ],
    );
    hosts.end_with(0, &["fs write -H one --diff --from file {there}/fresh"]);
    let runs = std::fs::read_dir(runs(&hosts)).unwrap();
    let mut runs: Vec<_> = runs.map(|run| run.unwrap().path()).collect();
    runs.sort();
    let [same, other] = [&runs[0], &runs[1]].map(|run| run.display().to_string());
    hosts.end_with(6, &[&format!("diff {same} {other}")]);
}

/// Where the journals of the hosts' user are.
fn runs(hosts: &Hosts) -> PathBuf {
    let command = hosts.bench.sshoal();
    let mut variables = command.get_envs();
    let home = variables.find_map(|(name, value)| value.filter(|_| name == "HOME"));
    Path::new(home.unwrap()).join(".local/state/sshoal/runs")
}

#[test]
fn a_run_that_was_stopped_for_its_failures_is_7() {
    let Some(hosts) = Hosts::start() else { return };
    hosts.end_with(
        7,
        &[
            "run -k -p 1 -H 'one two' exit 3",
            "run --max-fail 50% -p 1 -H 'dead one' true",
            "run --wave 1 --gate false -H 'one two' true",
            "script -k -p 1 -H 'one two' script 3",
            "kill -k -p 1 -H 'one two' --exact no-such-process",
            "put -k -p 1 -H 'dead one' file {there}/put",
            "get -k -p 1 -H 'dead one' /etc/hosts got",
            "sync --max-fail 1 -p 1 -H 'dead one' tree {there}/tree",
            "fs stat -k -p 1 -H 'dead one' /",
        ],
    );
}

/// Each is in the middle of something without end when the signal comes.
#[test]
fn an_interrupt_is_130_and_a_termination_143() {
    let Some(hosts) = Hosts::start() else { return };
    let fifo = hosts.bench.sshd().scratch().join("fifo");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    hosts.end_with(0, &["put -H one large {there}/large"]);
    for (line, codes) in [
        ("run -H 'one two' sleep 600", [130, 143]),
        (
            "run --wave 1 --wave-pause 600 -H 'one two' true",
            [130, 143],
        ),
        ("script -H one --interpreter 'sleep 600' script", [130, 143]),
        ("ping -H {mute} --connect-timeout 0", [130, 143]),
        ("kill -H {mute} --connect-timeout 0 x", [130, 143]),
        ("shell -H one", [130, 143]),
        ("put -H one --bandwidth 1k large {there}/slow", [130, 143]),
        ("get -H one --bandwidth 1k {there}/large got", [130, 143]),
        (
            "sync -H {mute} --connect-timeout 0 tree {there}/tree",
            [130, 143],
        ),
        ("fs read -H one {there}/fifo", [130, 143]),
        ("forward -H one -L 0:localhost:1", [130, 143]),
        ("parallel-ssh -H one sleep 600", [5, 5]),
        ("parallel-nuke -H {mute} -t 0 x", [5, 5]),
        ("demo up --count 1", [0, 0]),
    ] {
        for (signal, code) in [Signal::INT, Signal::TERM].into_iter().zip(codes) {
            let mut command = hosts.command(line);
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            wait_for_handlers(&child);
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            kill_process(pid, signal).unwrap();
            // Its end of standard input stays open: it is the signal that ends it.
            let keyboard = child.stdin.take();
            assert_eq!(
                child.wait().unwrap().code(),
                Some(code),
                "{line}: {signal:?}"
            );
            drop(keyboard);
        }
    }
}

/// What is written is written nowhere: everything else went well.
#[test]
fn what_goes_wrong_with_us_is_1() {
    let Some(hosts) = Hosts::start() else { return };
    std::fs::create_dir_all(hosts.here("out/one")).unwrap();
    hosts.end_with(
        1,
        &[
            "run -H one --jsonl /dev/full true",
            "run -H one -o out echo text",
            "ping -H one --jsonl /dev/full",
            "put -H one --jsonl /dev/full file {there}/put",
            "get -H one --jsonl /dev/full /etc/hosts got",
            "sync -H one --jsonl /dev/full tree {there}/tree",
            "fs stat -H one --jsonl /dev/full /",
            "parallel-ssh -H one -o out echo text",
        ],
    );
}

/// Standard output is a file on a disk that is full: nobody left, and something is missing there. The
/// commands go on to their end, and it is told once.
#[test]
fn a_standard_output_that_cannot_be_written_is_1() {
    let Some(hosts) = Hosts::start() else { return };
    for line in [
        "run -H 'one two' -i echo text",
        "run -H 'one two' -P --failed-to failed echo text",
        "run -H 'one two' -b echo text",
        "run -H one --jsonl - echo text",
        "run -H one -n true",
        "fs read -H one /etc/hosts",
        "sync -H one --itemize tree {there}/tree",
        "put -H one -n file {there}/put",
        "hosts one",
        "resume --list",
        "completions bash",
        "--version",
        "run --help",
        "parallel-ssh -H one -i echo text",
        "parallel-ssh --version",
    ] {
        let mut call = hosts.command(line);
        let full = std::fs::File::options().write(true).open("/dev/full");
        call.stdout(full.unwrap()).stdin(Stdio::null());
        let ended = call.stderr(Stdio::piped()).output().unwrap();
        let told = stderr(&ended);
        assert_eq!(ended.status.code(), Some(1), "{line}: {told}");
        let lines = told.lines().filter(|line| line.contains("No space left"));
        assert_eq!(lines.count(), 1, "{line}: {told}");
        assert!(!told.contains("cancelled"), "{line}: {told}");
    }
}

/// Several apply, and it is the first of 1, 130, 7, 3, 4, 5, 6 that counts.
#[test]
fn of_several_rows_the_first_counts() {
    let Some(hosts) = Hosts::start() else { return };
    let run = |code: i32, words: &str| {
        let line = format!("run -p 1 --template -H 'one two dead' {words}");
        hosts.end_with(code, &[&line]);
    };
    run(1, "-k --jsonl /dev/full exit 3");
    run(7, "-k -t 0.5 sleep 600");
    run(3, "-t 0.5 'test {n} = 0 && exit 3; sleep 600'");
    run(4, "exit 3");
    hosts.end_with(
        5,
        &["run --diff -H 'one two' --template 'echo {n}; exit {n}'"],
    );
    // One ends badly, and then somebody has had enough.
    let line = "run --template -p 1 -H 'one two' 'test {n} = 0 && exit 3; sleep 600'";
    let mut interrupted = hosts.command(line);
    let mut child = interrupted.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(" exit 3 ")));
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
