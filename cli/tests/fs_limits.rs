//! `sshoal fs` against what hosts and users may try: names that act on a terminal, files without end,
//! words that make no sense, and directories that only root may enter.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use support::openssh::account::ACCOUNT;
use support::openssh::sshd::Sshd;
use support::openssh::{Home, section};
use support::screen::Screen;
use support::two_hosts::{TwoHosts, at_home, fs as sshoal_fs};
use support::{output, sshoal, stderr, stdout, watched};

const HOSTILE: &str = "a\x1b[2J\none ok\u{202e}\\";

#[test]
fn names_of_hosts_stay_one_harmless_line() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    let dir = hosts.dir(0);
    fs::write(dir.join(HOSTILE), "x").unwrap();
    symlink(HOSTILE, dir.join("link")).unwrap();
    let shown = "a\\x1b[2J\\x0aone ok\\xe2\\x80\\xae\\\\";
    for words in [&["ls"][..], &["glob", "a*", "link"]] {
        let listed = output(&mut hosts.fs("one", words));
        assert_eq!(stdout(&listed), format!("{shown}\nlink\n"));
    }
    let walked = output(&mut hosts.fs("one", &["walk", "."]));
    assert_eq!(stdout(&walked), format!("./{shown}\n./link\n"));
    let told = stdout(&output(&mut hosts.fs("one", &["stat", "link"])));
    assert!(told.ends_with(&format!("link -> {shown}\n")), "{told}");
    let raw = output(&mut hosts.fs("one", &["ls", "-0"]));
    assert_eq!(stdout(&raw), format!("{HOSTILE}\0link\0"));
    // A failure names them harmlessly too, and a difference.
    let missing = format!("{HOSTILE}/x");
    let failed = output(&mut hosts.fs("one", &["read", &missing]));
    assert_eq!(failed.status.code(), Some(4));
    let text = stderr(&failed);
    assert!(
        !text.contains('\x1b') && text.lines().count() == 1,
        "{text:?}"
    );
    let changed = output(&mut hosts.fs("one", &["line", "--diff", HOSTILE, "y"]));
    assert!(!stdout(&changed).contains('\x1b'), "{:?}", stdout(&changed));
}

#[test]
fn bytes_of_hosts_reach_no_terminal_as_they_are() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    for host in 0..2 {
        fs::write(hosts.dir(host).join("f"), "red \x1b[31m\u{9b}2J\n").unwrap();
        fs::write(hosts.dir(host).join(HOSTILE), "x").unwrap();
    }
    for (names, words) in [
        ("one", &["read", "f"][..]),
        ("one two", &["read", "f"]),
        ("one", &["ls", "-0"]),
        ("one", &["line", "--diff", "f", "\x1b[0m"]),
    ] {
        // What is our own has none either.
        let mut program = hosts.fs(names, words);
        let (_, text) = Screen::start(program.env("NO_COLOR", "1")).end();
        assert!(
            !text.contains('\x1b') && !text.contains('\u{9b}'),
            "{text:?}"
        );
        assert!(text.contains("\\x1b["), "{text:?}");
    }
    let raw = Screen::start(&hosts.fs("one", &["read", "f", "--raw"])).end();
    assert!(raw.1.contains("\x1b[31m"), "{:?}", raw.1);
    let piped = output(&mut hosts.fs("one two", &["read", "f"]));
    assert!(
        stdout(&piped).contains("red \x1b[31m"),
        "{:?}",
        stdout(&piped)
    );
}

/// A pipe that nobody writes to is opened for ever.
#[test]
fn work_without_end_is_ended_by_its_limit() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    let pipe = hosts.dir(0).join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    fs::write(hosts.dir(1).join("pipe"), "is none\n").unwrap();
    let limited = output(&mut hosts.fs("one two", &["-t", "0.5", "read", "pipe"]));
    assert_eq!(limited.status.code(), Some(3), "{}", stderr(&limited));
    assert!(
        stdout(&limited).ends_with("\nis none\n"),
        "{}",
        stdout(&limited)
    );
    assert!(
        stderr(&limited).contains("one failed: "),
        "{}",
        stderr(&limited)
    );
}

#[test]
fn words_that_make_no_sense_are_told_before_anything_is_done() {
    let home = tempfile::tempdir().unwrap();
    for (words, part) in [
        (&["stat"][..], "<PATHS>"),
        (&["chmod", "u+x", "f"], "octal"),
        (&["chown", ":", "f"], "USER:GROUP"),
        (&["line", "f"], "no line"),
        (&["line", "f", "a\nb"], "newline"),
        (&["line", "f", "x", "--match", "("], "pattern"),
        (&["line", "f", "--absent"], "of what"),
        (&["line", "f", "x", "--first"], "--match"),
        (&["read", "f", "-b", "-i"], "--inline"),
        (&["read", "f", "--jsonl", "-", "-b"], "standard output"),
        (&["read", "f", "--ask-sudo"], "--sudo"),
        (&["write", "f", "x", "--from", "y"], "--from"),
        (&["write", "f", "--from", "/no/such"], "/no/such"),
        (&["mkdir", "-p", "f"], "--par"),
    ] {
        let mut command = sshoal(home.path());
        let done = output(command.args(["fs", "-H", "nowhere.invalid"]).args(words));
        let text = stderr(&done);
        assert_eq!(done.status.code(), Some(2), "{words:?} {text}");
        assert!(text.contains(part), "{words:?} {text}");
        assert!(!text.contains("resolve"), "{text}");
    }
}

/// A server whose user may do everything by sudo, under two names, a home that knows it, and the file
/// with the password; `None` where no such account can be made.
fn sudoer() -> Option<(Sshd, Home, PathBuf)> {
    let rules = [
        "Defaults timestamp_timeout=0, lecture=never, !use_pty, !syslog",
        "ALL ALL=(ALL:ALL) NOPASSWD: ALL",
    ];
    let server = Sshd::builder().sudoer("secret", &rules).log_level("INFO");
    let server = server
        .config("UsePAM yes")
        .config("PasswordAuthentication yes");
    let sshd = server.start()?;
    let home = Home::new();
    let config = format!(
        "{}{}Host *\n  User {ACCOUNT}\n  IdentityAgent none\n",
        section("one", &sshd),
        section("two", &sshd)
    );
    home.write("config", &config);
    home.write("known_hosts", &sshd.known_hosts());
    let password = home.write("password", "secret");
    Some((sshd, home, password))
}

#[test]
fn what_only_root_may_is_done_by_sudo() {
    let Some((sshd, home, password)) = sudoer() else {
        return;
    };
    let dir = sshd.scratch().join("root's own");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    let path = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let run = |hosts: &str, words: &[&str]| {
        let mut command = sshoal_fs(&home);
        command.args(["-q", "-H", hosts, "--password-file"]);
        output(command.arg(&password).args(words))
    };
    let refused = run("one", &["write", &path("f"), "x"]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(
        stderr(&refused).contains("permission denied"),
        "{}",
        stderr(&refused)
    );
    let (file, link, sub) = (path("f"), path("l"), path("d/e"));
    for (words, code, part) in [
        (&["write", &file, "a", "--mode", "0600"][..], 0, "wrote"),
        (&["write", &file, "a", "--diff"], 0, "unchanged"),
        (&["write", &file, "b", "--diff", "-n"], 6, "-a\n+b\n"),
        (&["append", &file, "c"], 0, "appended"),
        (
            &["line", &file, "d", "--match", "^c", "--diff"],
            6,
            "-c\n+d\n",
        ),
        (&["read", &file], 0, "a\nd\n"),
        (&["stat", &file], 0, "-rw------- 0:0 4 "),
        (&["exists", &file], 0, "yes"),
        (&["chmod", "0640", &file], 0, "changed"),
        (&["chown", "4321:4321", &file], 0, "changed"),
        (&["stat", &file], 0, "-rw-r----- 4321:4321 4 "),
        (&["truncate", &file, "2"], 0, "changed"),
        (&["ln", "-s", "f", &link], 0, "linked"),
        (&["mkdir", "--parents", &sub], 0, "made"),
        (&["ls", &path("")], 0, "d\nf\nl\n"),
        (&["walk", &path("")], 0, "/d/e\n"),
        (&["glob", &path("*")], 0, "/f\n"),
        (&["df", &path("")], 0, "size "),
        (&["mv", &file, &path("g")], 0, "renamed"),
        (&["rm", "-r", &path("d")], 0, "removed"),
        (&["rm", &link], 0, "removed"),
        (&["read", &file], 4, "No such file"),
    ] {
        let mut words = words.to_vec();
        words.push("--sudo");
        let done = run("one", &words);
        let text = stdout(&done) + &stderr(&done);
        assert_eq!(done.status.code(), Some(code), "{words:?} {text}");
        assert!(text.contains(part), "{words:?} {text}");
    }
    let both = run("one two", &["read", &path("g"), "--sudo=root"]);
    assert!(
        stdout(&both).ends_with("one,two (2)\n---------------\na\n"),
        "{}",
        stdout(&both)
    );
    assert_eq!(
        fs::read_dir(&dir).unwrap().count(),
        1,
        "nothing is left over"
    );
}

/// 40 MiB go to two hosts, into a directory that only root may enter; the memory that this takes is
/// watched. A file that is there hands its owner and permissions on, or stops the copy.
#[test]
fn a_large_file_is_put_by_sudo_where_only_root_may() {
    let Some((sshd, home, password)) = sudoer() else {
        return;
    };
    let dir = sshd.scratch().join("root's own");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    let bytes: Vec<u8> = (0..10 << 20).flat_map(|n: u32| n.to_le_bytes()).collect();
    let local = home.path("large");
    fs::write(&local, &bytes).unwrap();
    fs::set_permissions(&local, fs::Permissions::from_mode(0o775)).unwrap();
    let put = |from: &Path, to: &Path, words: &[&str]| {
        let mut command = at_home(&home, "put");
        command.args(["-H", "one two", "--template", "--password-file"]);
        command.arg(&password).args(words).args([from, to]);
        watched(&mut command)
    };
    let (refused, _) = put(&local, &dir.join("new/{n}"), &[]);
    assert_eq!(refused.status.code(), Some(4));
    let (done, peak) = put(&local, &dir.join("new/{n}"), &["--sudo"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    for n in ["0", "1"] {
        let about = fs::metadata(dir.join("new").join(n)).unwrap();
        assert_eq!((about.mode() & 0o7777, about.uid()), (0o755, 0));
        assert!(fs::read(dir.join("new").join(n)).unwrap() == bytes);
    }
    // The program itself is half of it.
    assert!(peak > 0 && peak < 60 << 10, "{peak} KiB");
    let there = dir.join("there");
    fs::write(&there, "before").unwrap();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&there, Some(4321), Some(4321)).unwrap();
    let (kept, _) = put(&local, &dir.join("there"), &["--sudo", "--no-clobber"]);
    assert!(
        kept.status.code() == Some(4) && stderr(&kept).contains("already exists"),
        "{}",
        stderr(&kept)
    );
    assert_eq!(fs::read(&there).unwrap(), b"before");
    let (done, _) = put(&password, &there, &["--sudo"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    let about = fs::metadata(&there).unwrap();
    assert_eq!((about.mode() & 0o7777, about.uid()), (0o640, 4321));
    assert_eq!(fs::read(&there).unwrap(), b"secret");
    let names = fs::read_dir(&dir).unwrap().count();
    assert_eq!(
        (names, fs::read_dir(dir.join("new")).unwrap().count()),
        (2, 2)
    );
}
