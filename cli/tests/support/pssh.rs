//! Debian's pssh and ours, side by side: the same words in folders of equal content, against the same
//! servers, and what came out compared byte for byte.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::openssh::Home;
use super::openssh::sshd::{Sshd, SshdBuilder, current_user};
use super::{output, sshoal};

/// One call of a tool.
#[derive(Clone)]
pub(crate) struct Case {
    tool: &'static str,
    args: Vec<&'static str>,
    env: Vec<(&'static str, &'static str)>,
    stdin: Vec<u8>,
    files: Vec<(&'static str, &'static str)>,
    code: i32,
    /// Several hosts, which may end in any order.
    many: bool,
    stderr: bool,
    stdout: bool,
    times: bool,
    terminal: bool,
}

/// A call that is to end with this exit code.
pub(crate) fn case(code: i32, tool: &'static str, args: &[&'static str]) -> Case {
    Case {
        tool,
        args: args.to_vec(),
        env: Vec::new(),
        stdin: Vec::new(),
        files: Vec::new(),
        code,
        many: false,
        stderr: true,
        stdout: true,
        times: false,
        terminal: false,
    }
}

impl Case {
    /// Sets a variable.
    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.env.push((name, value));
        self
    }

    /// Gives it standard input.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Makes a file beforehand, or with an end of `/` a folder.
    pub(crate) fn file(mut self, path: &'static str, text: &'static str) -> Self {
        self.files.push((path, text));
        self
    }

    /// Compares what came from several hosts in any order.
    pub(crate) fn many(mut self) -> Self {
        self.many = true;
        self
    }

    /// Does not compare standard error.
    pub(crate) fn but_stderr(mut self) -> Self {
        self.stderr = false;
        self
    }

    /// Compares exit code and files only.
    pub(crate) fn code_only(mut self) -> Self {
        self.stdout = false;
        self.but_stderr()
    }

    /// Gives it a terminal for all its streams.
    pub(crate) fn terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    /// Compares when files were changed, too.
    pub(crate) fn times(mut self) -> Self {
        self.times = true;
        self
    }
}

/// The servers, a home that knows them, and both sets of tools.
pub(crate) struct Bench {
    sshd: Sshd,
    home: Home,
    dir: tempfile::TempDir,
}

/// The hosts of the home's ssh_config, by their addresses.
const HOSTS: [&str; 3] = ["one", "two", "three"];

impl Bench {
    /// Starts the servers; `None`, with the reason, where there is nothing to compare with.
    pub(crate) fn start() -> Option<Self> {
        match is_installed() {
            true => Self::with(Sshd::builder()),
            false => None,
        }
    }

    /// Starts the servers, whether there is something to compare with or not.
    pub(crate) fn with(sshd: SshdBuilder) -> Option<Self> {
        let sshd = sshd
            .addresses(3)
            .log_level("INFO")
            .config("AcceptEnv PSSH_*");
        let sshd = sshd.start()?;
        let home = Home::new();
        let known = home.write("known_hosts", &sshd.known_hosts());
        let (port, key, user) = (sshd.port(), sshd.key_path(), current_user());
        let mut config = String::new();
        for (name, address) in HOSTS.iter().zip(sshd.addresses()) {
            config += &format!("Host {name}\n  HostName {address}\n");
        }
        // Nobody listens there on this port.
        let dead = Ipv4Addr::new(127, 2, 0, 200);
        config += &format!("Host dead\n  HostName {dead}\nHost *\n  Port {port}\n  User {user}\n");
        config += &format!("  IdentityFile {}\n  IdentityAgent none\n", key.display());
        config += &format!("  UserKnownHostsFile {}\n", known.display());
        config += "  GlobalKnownHostsFile none\n  IdentitiesOnly yes\n";
        let config = home.write("config", &config);
        let dir = tempfile::tempdir().unwrap();
        let bench = Self { sshd, home, dir };
        bench.install(&config);
        Some(bench)
    }

    /// Makes our links, and ssh and scp that read the home's configuration: their own home is that
    /// of the account.
    fn install(&self, config: &Path) {
        let links = output(
            sshoal(self.dir.path())
                .arg("install-links")
                .arg(self.path("ours")),
        );
        assert!(links.status.success());
        std::fs::create_dir(self.path("theirs")).unwrap();
        for name in ["ssh", "scp"] {
            let path = self.path("theirs").join(name);
            let real = which(name);
            let (real, config) = (real.display(), config.display());
            let text = format!("#!/bin/bash\nexec -a {name} {real} -F {config} \"$@\"\n");
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
    }

    /// The server.
    pub(crate) fn sshd(&self) -> &Sshd {
        &self.sshd
    }

    /// One of our tools, in a folder of its own and without input.
    pub(crate) fn ours(&self, tool: &str) -> Command {
        self.clean(&self.path("ours").join(format!("parallel-{tool}")))
    }

    /// Our program by its own name, likewise.
    pub(crate) fn sshoal(&self) -> Command {
        self.clean(Path::new(env!("CARGO_BIN_EXE_sshoal")))
    }

    /// One of Debian's, likewise.
    pub(crate) fn theirs(&self, tool: &str) -> Command {
        self.clean(&which(&format!("parallel-{tool}")))
    }

    /// A program with no setting of the user's but a home that knows the hosts.
    fn clean(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if !["LANG", "TMPDIR"].map(Into::into).contains(&name) {
                command.env_remove(name);
            }
        }
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.path("theirs").display()));
        command.env("HOME", self.home.path("config").ancestors().nth(2).unwrap());
        command.env("TERM", "xterm");
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs all cases, some of them at once, and panics with all that differ.
    pub(crate) fn compare(&self, cases: &[Case]) {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut wrong = Vec::new();
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                wrong.extend(self.differs(case));
            }
            wrong
        };
        let wrong: Vec<String> = thread::scope(|scope| {
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        let count = wrong.len();
        assert!(
            wrong.is_empty(),
            "{count} of {} differ:\n{}",
            cases.len(),
            wrong.join("\n")
        );
    }

    /// Returns what differs.
    fn differs(&self, case: &Case) -> Option<String> {
        let theirs = self.run(case, "theirs");
        let ours = self.run(case, "ours");
        let words = [&[case.tool], case.args.as_slice()].concat().join(" ");
        let mut wrong = String::new();
        if theirs.code != Some(case.code) {
            wrong += &format!("  their exit code is not {}\n", case.code);
        }
        if theirs != ours {
            wrong += &format!("  theirs: {theirs:#?}\n  ours: {ours:#?}\n");
        }
        (!wrong.is_empty()).then(|| format!("{words}\n{wrong}"))
    }

    fn run(&self, case: &Case, side: &str) -> Ran {
        let cwd = tempfile::tempdir_in(self.dir.path()).unwrap();
        std::fs::create_dir(cwd.path().join("there")).unwrap();
        for (path, text) in &case.files {
            make(&cwd.path().join(path), text);
        }
        let output = self.call(case, side, cwd.path());
        let text = |bytes: &[u8]| {
            let mut text = String::from_utf8_lossy(bytes).into_owned();
            if case.terminal {
                // ssh ends lines for a terminal, which ends them once more.
                text = text.replace("\r\r\n", "\r\n");
            }
            text.replace(&cwd.path().display().to_string(), "CWD")
        };
        let stdout = case.stdout.then(|| match case.many {
            true if case.args.contains(&"-P") => by_line(&text(&output.stdout)),
            true => in_any_order(&text(&output.stdout)),
            false => plain(&text(&output.stdout)),
        });
        let stderr = case.stderr.then(|| text(&output.stderr).replace(EMPTY, ""));
        Ran {
            code: output.status.code(),
            stdout,
            stderr,
            files: files(cwd.path(), case.times),
        }
    }

    fn call(&self, case: &Case, side: &str, cwd: &Path) -> Output {
        let program = format!("parallel-{}", case.tool);
        let program = match side {
            "ours" => self.path("ours").join(program),
            _ => which(&program),
        };
        let args = case.args.iter().map(|arg| self.filled(arg, cwd));
        let mut command = match case.terminal {
            true => {
                let words: Vec<String> = args.map(|arg| format!("'{arg}'")).collect();
                let line = format!("'{}' {}", program.display(), words.join(" "));
                let mut command = self.clean(Path::new("script"));
                command.args(["-q", "-e", "-c", &line, "/dev/null"]);
                command
            }
            // Nobody can be asked on a terminal then.
            false => {
                let mut command = self.clean(Path::new("setsid"));
                command.arg("--wait").arg(program).args(args);
                command
            }
        };
        command.envs(
            case.env
                .iter()
                .map(|(name, value)| (name, self.filled(value, cwd))),
        );
        command.current_dir(cwd).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (mut stdin, bytes) = (child.stdin.take().unwrap(), case.stdin.clone());
        // Who does not read it has the pipe broken.
        let feed = thread::spawn(move || drop(stdin.write_all(&bytes)));
        let output = child.wait_with_output().unwrap();
        feed.join().unwrap();
        output
    }

    fn filled(&self, text: &str, cwd: &Path) -> String {
        text.replace("{port}", &self.sshd.port().to_string())
            .replace("{user}", &current_user())
            .replace("{there}", &cwd.join("there").display().to_string())
    }
}

/// What came of a call.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    code: Option<i32>,
    stdout: Option<String>,
    stderr: Option<String>,
    /// Path to permissions and content, and when it was changed; folders have none of it.
    files: BTreeMap<String, String>,
}

/// Takes the time of day out, and the signal with which pssh ends its ssh, which it tells of or not
/// as it happens to see it.
fn plain(text: &str) -> String {
    let line = |line: &str| match line.split_once(' ') {
        Some((number, rest)) if number.starts_with(['[', '\x1b']) && is_time(rest) => {
            format!("{number}{}", &rest[8..]).replace(", Killed by signal 9", "")
        }
        _ => line.to_owned(),
    };
    text.split_inclusive('\n').map(line).collect()
}

fn is_time(text: &str) -> bool {
    let time = text.as_bytes().get(..8);
    time.is_some_and(|time| time[2] == b':' && time[5] == b':')
}

/// Sorts what each host printed, and takes its number out; the numbers count up from 1.
fn in_any_order(text: &str) -> String {
    let text = plain(text);
    let mut blocks: Vec<String> = Vec::new();
    let mut told = 0;
    for line in text.split_inclusive('\n') {
        match line.strip_prefix(&format!("[{}]", told + 1)) {
            Some(rest) => {
                told += 1;
                blocks.push(rest.to_owned());
            }
            None if told == 0 => blocks.push(line.to_owned()),
            None => blocks.last_mut().unwrap().push_str(line),
        }
    }
    blocks.sort();
    blocks.concat()
}

/// Sorts lines, and takes their number out.
fn by_line(text: &str) -> String {
    let text = plain(text);
    let number = |line: &'_ str| match line.split_once("] ") {
        Some((number, rest)) if number.starts_with('[') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let mut lines: Vec<String> = text.split_inclusive('\n').map(number).collect();
    lines.sort();
    lines.concat()
}

/// Everything in a folder.
fn files(dir: &Path, times: bool) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            // The folder of a host without a port, which pslurp calls so.
            let name = name.replace(":None", "");
            let about = path.symlink_metadata().unwrap();
            if about.is_dir() {
                left.push(path);
                found.insert(name, "folder".to_owned());
                continue;
            }
            let mode = about.mode() & 0o777;
            let time = if times { about.mtime() } else { 0 };
            let text = std::fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            found.insert(name, format!("{mode:o} {time} {text:?}"));
        }
    }
    found
}

/// Makes a file, or a folder, as old as all that are made so.
fn make(path: &Path, text: &str) {
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
        std::fs::create_dir_all(path).unwrap();
        return;
    }
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(old).unwrap();
}

/// Whether there is something to compare with; says why where there is not.
pub(crate) fn is_installed() -> bool {
    let version = Command::new("parallel-ssh").arg("--version").output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    match version.as_deref().map(str::trim) {
        Ok("2.3.4") => true,
        Ok(other) => {
            skip(&format!(
                "pssh is {other}, and it is 2.3.4 that is compared with"
            ));
            false
        }
        Err(error) => {
            skip(&format!("pssh is not installed ({error})"));
            false
        }
    }
}

/// Tells past the test harness, which hides what tests print, that a test is left out.
pub(crate) fn skip(why: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}

fn which(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let mut all = std::env::split_paths(&path).map(|dir| dir.join(name));
    all.find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name} is not installed"))
}

/// Ours alone tells of a list without hosts.
const EMPTY: &str = "sshoal: the host list is empty; nothing was run\n";
/// Calls at once: most of their time is waiting for each other.
const AT_ONCE: usize = 6;
