//! The dialect of pssh where it is not pssh's, or cannot be held against it: what differs on purpose,
//! the names, interrupts, and passwords.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv6Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use support::copying::wait_until;
use support::openssh::account::ACCOUNT;
use support::openssh::sshd::Sshd;
use support::pssh::{Bench, is_installed, skip};
use support::screen::Screen;
use support::{WHOLE_MAX, ends_within, output, sshoal, stderr, stdout};

/// Checks how a call ends that connects to nobody.
#[track_caller]
fn check(args: &[&str], code: i32, message: &str) {
    let home = tempfile::tempdir().unwrap();
    let mut command = sshoal(home.path());
    let ended = output(command.args(args).current_dir(home.path()));
    let text = stdout(&ended) + &stderr(&ended);
    assert_eq!(ended.status.code(), Some(code), "{args:?}: {text}");
    assert!(text.contains(message), "{args:?}: {text}");
}

#[test]
fn the_tools_are_words_of_the_program_too() {
    check(&["pssh", "--version"], 0, "2.3.4\n");
    check(
        &["pscp.pssh", "x"],
        2,
        "Usage: pscp.pssh [OPTIONS] local remote\n",
    );
    check(
        &["parallel-slurp"],
        2,
        "parallel-slurp: error: Paths not specified.\n",
    );
    check(&["pnuke", "--help"], 0, "Usage: pnuke [OPTIONS] pattern\n");
    check(&["prsync", "--help"], 0, "--ssh-args=ARGS");
    check(&["--help"], 0, "install-links");
}

/// What pssh takes, or falls over, and what is no good, is refused before anyone is connected to.
#[test]
fn what_cannot_be_honoured_is_refused_by_name() {
    let call = |args: &[&'static str]| [&["pssh", "-H", "a"], args, &["true"]].concat();
    check(
        &call(&["-x", "-L 80:a:80"]),
        2,
        "pssh: error: argument \"-L\" is not supported",
    );
    check(&call(&["-X", "-N"]), 2, "argument \"-N\" is not supported");
    check(&call(&["-x", "'open"]), 2, "No closing quotation");
    check(&call(&["-p", "0"]), 2, "at least 1 host at once");
    check(&call(&["-O", "Nope=1"]), 2, "nope: unknown option");
    check(&call(&["-O", "RequestTTY=force"]), 2, "RequestTTY");
    check(&call(&["-o", "x", "-e", "./x"]), 2, "same directory");
    let rsync = ["prsync", "-H", "a", "-x", "--bwlimit=3", "x", "y"];
    check(&rsync, 2, "argument \"--bwlimit=3\" is not supported");
    let home = tempfile::tempdir().unwrap();
    let mut command = sshoal(home.path());
    let ended = output(
        command
            .args(["pssh", "-H", "a", "x"])
            .env("PSSH_PAR", "abc"),
    );
    assert_eq!(ended.status.code(), Some(2));
    let message = "pssh: error: option -p: invalid integer value: 'abc'\n";
    assert!(stderr(&ended).ends_with(message), "{}", stderr(&ended));
    std::fs::write(home.path().join("file"), "").unwrap();
    let ended = output(
        sshoal(home.path())
            .current_dir(home.path())
            .args(["pssh", "-H", "a", "-o", "file", "x"]),
    );
    assert_eq!(ended.status.code(), Some(1), "{}", stderr(&ended));
}

#[test]
fn links_are_made_once_and_nothing_is_replaced() {
    let home = tempfile::tempdir().unwrap();
    let install = || {
        output(
            sshoal(home.path())
                .arg("install-links")
                .arg(home.path().join("bin")),
        )
    };
    assert!(stdout(&install()).ends_with(": 11 links made, 0 were there\n"));
    std::fs::remove_file(home.path().join("bin/pssh")).unwrap();
    assert!(stdout(&install()).ends_with(": 1 links made, 10 were there\n"));
    let called = output(Command::new(home.path().join("bin/pssh")).arg("--version"));
    assert_eq!(stdout(&called), "2.3.4\n");
    let path = home.path().join("bin/pscp");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "another program").unwrap();
    let refused = install();
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("is something else"),
        "{}",
        stderr(&refused)
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another program");
}

#[test]
fn ipv6_hosts_are_reached_with_and_without_a_port() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        skip("there is no IPv6 here");
        return;
    }
    let sshd = Sshd::builder().also_on(Ipv6Addr::LOCALHOST.into());
    let Some(bench) = Bench::with(sshd) else {
        return;
    };
    let port = bench.sshd().port();
    let hosts = format!("[::1]:{port} ::1");
    let run = output(
        bench
            .ours("ssh")
            .args(["-p1", "-o", "out", "-H", &hosts, "echo in"]),
    );
    assert_eq!(run.status.code(), Some(0), "{}", stdout(&run));
    for name in [format!("[::1]:{port}"), "::1".to_owned()] {
        assert!(
            stdout(&run).contains(&format!(" [SUCCESS] {name}\n")),
            "{}",
            stdout(&run)
        );
        let file = run_dir(&bench).join("out").join(&name);
        assert_eq!(std::fs::read_to_string(file).unwrap(), "in\n");
    }
}

/// The folder that a bench's tools run in.
fn run_dir(bench: &Bench) -> PathBuf {
    bench.ours("ssh").get_current_dir().unwrap().to_owned()
}

/// Each line has its host's name, also where several come at once; nobody is asked about keys; input
/// that a command leaves is no failure.
#[test]
fn what_hurts_in_pssh_is_not_so_here() {
    let Some(bench) = Bench::with(Sshd::builder()) else {
        return;
    };
    let run = output(
        bench
            .ours("ssh")
            .args(["-P", "-H", "one", "printf 'a\\nb\\nc'"]),
    );
    assert!(
        stdout(&run).starts_with("one: a\none: b\none: c\n"),
        "{}",
        stdout(&run)
    );
    let unknown = [
        "-i",
        "-O",
        "UserKnownHostsFile=/dev/null",
        "-O",
        "StrictHostKeyChecking=ask",
    ];
    let run = output(bench.ours("ssh").args(unknown).args(["-H", "one", "true"]));
    assert_eq!(run.status.code(), Some(4));
    let last = "\r\nHost key verification failed.\r\n";
    assert!(stdout(&run).ends_with(last), "{}", stdout(&run));
    let mut fed = bench.ours("ssh");
    fed.args(["-I", "-H", "one", "exec 0<&-; echo done"]);
    fed.stdin(std::fs::File::open("/dev/zero").map(Stdio::from).unwrap());
    let fed = output(&mut fed);
    assert_eq!(fed.status.code(), Some(0), "{}", stdout(&fed));
}

/// A signal ends all within two seconds: those that run are told as interrupted, and behind them those
/// that were not begun as cancelled.
#[test]
fn an_interrupt_is_told_host_by_host() {
    let Some(bench) = Bench::with(Sshd::builder()) else {
        return;
    };
    let end = |signal| {
        let mut command = bench.ours("ssh");
        command.args(["-P", "-p", "1", "-H", "one two three", "echo up; sleep 60"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        reader.read_line(&mut text).unwrap();
        assert_eq!(text, "one: up\n");
        let begun = Instant::now();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(5));
        let took = begun.elapsed();
        let told: Vec<&str> = text.lines().skip(1).map(|line| &line[13..]).collect();
        let expected = [
            "[FAILURE] one Interrupted",
            "[FAILURE] two Cancelled",
            "[FAILURE] three Cancelled",
        ];
        assert!(told == expected || took >= WHOLE_MAX, "{text}");
        took
    };
    for signal in [Signal::INT, Signal::TERM] {
        ends_within(WHOLE_MAX, || end(signal));
    }
}

#[test]
fn a_closed_standard_output_ends_quietly() {
    let Some(bench) = Bench::with(Sshd::builder()) else {
        return;
    };
    let mut command = bench.ours("ssh");
    command.args(["-P", "-H", "one two", "yes"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.code().is_some());
    assert_eq!(stderr(&ended), "");
}

#[test]
fn escape_sequences_of_hosts_do_nothing_on_a_terminal() {
    let Some(bench) = Bench::with(Sshd::builder()) else {
        return;
    };
    let mut command = bench.ours("ssh");
    command.args(["-i", "-H", "one", "printf '\\033[2J\\033]0;x\\007'"]);
    let (code, text) = Screen::start(&command).end();
    assert_eq!(code, Some(0), "{text}");
    assert!(
        !text.contains("\x1b[2J") && !text.contains('\x07'),
        "{text:?}"
    );
}

/// One prompt, and the same lines as by pssh, with the right password and with a wrong one.
#[test]
fn a_password_is_asked_for_once_as_by_pssh() {
    let pam = [
        "auth required pam_unix.so nodelay",
        "account required pam_permit.so",
        "session required pam_permit.so",
    ];
    let sshd = Sshd::builder()
        .account("open sesame", &pam)
        .config("UsePAM yes");
    let sshd = sshd.config("AuthenticationMethods keyboard-interactive");
    let Some(bench) = Bench::with(sshd.config("KbdInteractiveAuthentication yes")) else {
        return;
    };
    for (password, code) in [("open sesame", 0), ("mellon", 4)] {
        let on_screen = |mut command: Command| {
            command.args([
                "-A",
                "-i",
                "-p1",
                "-l",
                ACCOUNT,
                "-O",
                "PubkeyAuthentication=no",
            ]);
            let mut screen = Screen::start(command.args(["-H", "one two", "echo in"]));
            screen.wait_for("Password: ");
            screen.press(&format!("{password}\n"));
            let (ended, text) = screen.end();
            assert_eq!(ended, Some(code), "{text}");
            // ssh ends lines for a terminal, which ends them once more.
            let text = text.replace("\r\r\n", "\r\n");
            let blank = |c: char| if c.is_ascii_digit() { '0' } else { c };
            text.chars().map(blank).collect::<String>()
        };
        let ours = on_screen(bench.ours("ssh"));
        assert_eq!(ours.matches("Password: ").count(), 1, "{ours}");
        if is_installed() {
            assert_eq!(ours, on_screen(bench.theirs("ssh")));
        }
    }
}

/// Hosts and files for the calls of pssh's own test-suite.
struct OwnTests {
    bench: Bench,
    dir: PathBuf,
}

const HOSTS: [&str; 3] = ["one", "two", "three"];

impl OwnTests {
    fn start() -> Option<Self> {
        let bench = Bench::with(Sshd::builder())?;
        let dir = run_dir(&bench);
        std::fs::create_dir_all(dir.join("tree/sub")).unwrap();
        std::fs::write(dir.join("file"), "of all hosts").unwrap();
        std::fs::write(dir.join("tree/sub/x"), "deep").unwrap();
        std::fs::write(dir.join("hosts.txt"), HOSTS.join("\n")).unwrap();
        Some(Self { bench, dir })
    }

    /// Calls a tool with the options of those tests, in short and in long form.
    #[track_caller]
    fn call(&self, tool: &str, code: i32, own: &[&str], words: &[&str]) {
        let user = self.bench.sshd().user();
        let user = user.as_str();
        let short = format!("-h hosts.txt -l {user} -p 64 -o out -e err -t 60");
        let long = format!(
            "--hosts=hosts.txt --user={user} --par=64 --outdir=out --errdir=err --timeout=60"
        );
        for common in [short, long] {
            let mut command = self.bench.ours(tool);
            let ended = output(command.args(common.split(' ')).args(own).args(words));
            let text = stdout(&ended) + &stderr(&ended);
            assert_eq!(ended.status.code(), Some(code), "{tool} {own:?}: {text}");
        }
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.dir.join(path)).unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

#[test]
fn the_commands_of_psshs_own_tests_do_what_they_check() {
    let Some(own) = OwnTests::start() else { return };
    own.call("ssh", 0, &["-v", "-P", "-i"], &["uptime"]);
    for host in HOSTS {
        assert!(own.read(&format!("out/{host}")).contains("load average"));
    }
    let verbose = ["--verbose", "--print", "--inline"];
    own.call("ssh", 5, &verbose, &["ls", "/doesnotexist"]);
    for host in HOSTS {
        let said = own.read(&format!("err/{host}"));
        assert!(said.contains("No such file or directory"), "{said}");
    }
}

#[test]
fn the_copies_of_psshs_own_tests_do_what_they_check() {
    let Some(own) = OwnTests::start() else { return };
    let there = own.path("there");
    own.call("scp", 0, &[], &["file", &there]);
    assert_eq!(own.read("there"), "of all hosts");
    std::fs::remove_file(&there).unwrap();
    own.call("scp", 0, &["-r"], &["tree", &there]);
    assert_eq!(own.read("there/sub/x"), "deep");
    own.call("slurp", 0, &["-L", "got"], &[&own.path("file"), "file"]);
    let tree = own.path("tree");
    own.call(
        "slurp",
        0,
        &["--recursive", "--localdir=got"],
        &[&tree, "tree"],
    );
    for host in HOSTS {
        assert_eq!(own.read(&format!("got/{host}/file")), "of all hosts");
        assert_eq!(own.read(&format!("got/{host}/tree/sub/x")), "deep");
    }
    own.call(
        "rsync",
        0,
        &["-a", "-z"],
        &["file", &format!("{there}/file")],
    );
    assert_eq!(own.read("there/file"), "of all hosts");
    let archive = ["-r", "--archive", "--compress"];
    own.call("rsync", 0, &archive, &["tree/", &format!("{there}/new")]);
    assert_eq!(own.read("there/new/sub/x"), "deep");
}

/// The examples of pssh's manual: what is said to be printed, and what is said to be ended, is.
#[test]
fn the_examples_of_psshs_manual_do_what_it_says() {
    let Some(bench) = Bench::with(Sshd::builder()) else {
        return;
    };
    let dir = run_dir(&bench);
    std::fs::write(dir.join("hosts.txt"), "one\ntwo\n").unwrap();
    for hosts in [["-H", "one two"], ["-h", "hosts.txt"]] {
        let said = output(
            bench
                .ours("ssh")
                .args(["-i"])
                .args(hosts)
                .args(["echo", "hello, world"]),
        );
        assert_eq!(said.status.code(), Some(0));
        assert_eq!(
            stdout(&said).matches("\nhello, world\n").count(),
            2,
            "{}",
            stdout(&said)
        );
    }
    // A program of a name that no other process has.
    let name = format!("nap{}", std::process::id());
    let nap = dir.join(&name);
    std::fs::copy("/bin/sleep", &nap).unwrap();
    let nap = format!("echo up; exec {} 100", nap.display());
    let is_gone = || wait_until("the end of the process", || (!runs(&name)).then_some(()));
    let on_terminal = ["-i", "-x", "-tt", "-H", "one", "-t", "1"];
    let late = output(bench.ours("ssh").args(on_terminal).arg(&nap));
    assert_eq!(late.status.code(), Some(3), "{}", stdout(&late));
    is_gone();
    let mut sleeping = bench.ours("ssh");
    sleeping
        .args(["-P", "-t", "0", "-H", "one", &nap])
        .stdout(Stdio::piped());
    let mut sleeping = sleeping.spawn().unwrap();
    let mut reader = BufReader::new(sleeping.stdout.take().unwrap());
    let mut text = String::new();
    reader.read_line(&mut text).unwrap();
    // The shell has become the program a moment after it printed that.
    wait_until("the process", || runs(&name).then_some(()));
    let killed = output(bench.ours("nuke").args(["-H", "one", &name]));
    assert_eq!(killed.status.code(), Some(0), "{}", stdout(&killed));
    is_gone();
    reader.read_to_string(&mut text).unwrap();
    assert!(
        text.ends_with("[FAILURE] one Exited with error code 255\n"),
        "{text}"
    );
    assert_eq!(sleeping.wait().unwrap().code(), Some(4));
}

/// Whether a program of this name runs; what waits for its parent to take note does not.
fn runs(name: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|entry| {
        let stat = entry.path().join("stat");
        std::fs::read_to_string(stat).ok()
    });
    let named = format!(" ({name}) ");
    let mut states = stats.filter_map(|stat| Some(stat.split_once(&named)?.1.to_owned()));
    states.any(|state| !state.starts_with(['Z', 'X']))
}
