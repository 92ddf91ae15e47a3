//! `sshoal fs` on real OpenSSH servers that have files of their own: each verb, and how hosts fail.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::two_hosts::TwoHosts;
use support::{output, stderr, stdout};

const BOTH: &str = "---------------\none,two (2)\n---------------\n";

/// Runs a verb on both hosts, which are to say the same.
#[track_caller]
fn both(hosts: &TwoHosts, words: &[&str], expected: &str) {
    check(&hosts.fs("one two", words), 0, &format!("{BOTH}{expected}"));
}

/// Runs to the end; returns what it says itself.
#[track_caller]
fn check(command: &Command, code: i32, expected: &str) -> String {
    let mut copy = Command::new(command.get_program());
    copy.args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => copy.env(name, value),
            None => copy.env_remove(name),
        };
    }
    let output = output(&mut copy);
    let text = stderr(&output);
    assert_eq!(stdout(&output), expected, "{text}");
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn with_input(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[track_caller]
fn files_hold(hosts: &TwoHosts, name: &str, bytes: &[u8]) {
    for host in 0..2 {
        assert_eq!(fs::read(hosts.dir(host).join(name)).unwrap(), bytes);
    }
}

#[test]
fn files_are_read_written_and_told_of() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    both(&hosts, &["write", "f", "one"], "wrote f\n");
    files_hold(&hosts, "f", b"one\n");
    both(&hosts, &["write", "f", "one"], "unchanged f\n");
    both(
        &hosts,
        &["write", "--mode", "0600", "f", "one"],
        "wrote f\n",
    );
    assert_eq!(mode(&hosts.dir(1).join("f")), 0o600);
    both(&hosts, &["append", "f", "two"], "appended to f\n");
    both(&hosts, &["read", "f"], "one\ntwo\n");
    let facts = fs::metadata(hosts.dir(0).join("f")).unwrap();
    let owner = format!("{}:{}", facts.uid(), facts.gid());
    both(
        &hosts,
        &["stat", "f", "f"],
        &format!("-rw------- {owner} 8 f\n").repeat(2),
    );
    both(&hosts, &["exists", "f"], "yes\n");
    both(&hosts, &["chmod", "0640", "f"], "changed f\n");
    both(&hosts, &["chmod", "0640", "f"], "unchanged f\n");
    both(&hosts, &["chown", &owner, "f"], "unchanged f\n");
    both(&hosts, &["truncate", "f", "3"], "changed f\n");
    both(&hosts, &["truncate", "f", "3"], "unchanged f\n");
    files_hold(&hosts, "f", b"one");
    both(
        &hosts,
        &["line", "f", "k=1", "--match", "^k="],
        "changed f\n",
    );
    both(
        &hosts,
        &["line", "f", "k=1", "--match", "^k="],
        "unchanged f\n",
    );
    files_hold(&hosts, "f", b"one\nk=1\n");
    both(&hosts, &["line", "f", "one", "--absent"], "changed f\n");
    both(&hosts, &["line", "new", "x", "--create"], "changed new\n");
    files_hold(&hosts, "f", b"k=1\n");
    assert_eq!(mode(&hosts.dir(0).join("f")), 0o640);
    // Bytes of any sort by standard input, exactly as they are.
    let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
    let done = with_input(hosts.fs("one two", &["write", "f"]), &bytes);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    files_hold(&hosts, "f", &bytes);
    let read = output(&mut hosts.fs("two", &["read", "f"]));
    assert_eq!(read.stdout, bytes);
    let large = ["read", "--max-bytes", "100", "f"];
    let text = check(&hosts.fs("one", &large), 4, "");
    assert!(text.contains("larger than the 100 bytes"), "{text}");
    let from = hosts.dir(0).join("new");
    let from = ["write", "copy", "--from", from.to_str().unwrap()];
    both(&hosts, &from, "wrote copy\n");
    files_hold(&hosts, "copy", b"x\n");
    both(
        &hosts,
        &["write", "--keep", "copy", "y"],
        "unchanged copy\n",
    );
    let text = check(
        &hosts.fs("one", &["write", "--no-clobber", "copy", "y"]),
        4,
        "",
    );
    assert!(text.contains("copy already exists"), "{text}");
    let room = output(&mut hosts.fs("one", &["df"]));
    assert!(stdout(&room).starts_with("size "), "{}", stdout(&room));
}

#[test]
fn names_and_directories_are_made_and_listed() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    both(&hosts, &["mkdir", "d"], "made d\n");
    let deep = ["mkdir", "--parents", "--mode", "0700", "d/e/f", "d"];
    both(&hosts, &deep, "made d/e/f\nmade d\n");
    both(&hosts, &deep, "unchanged d/e/f\nunchanged d\n");
    assert_eq!(mode(&hosts.dir(0).join("d/e/f")), 0o700);
    let text = check(&hosts.fs("one", &["mkdir", "d"]), 4, "");
    assert!(text.contains("d already exists"), "{text}");
    both(&hosts, &["write", "d/b.log", "b"], "wrote d/b.log\n");
    both(&hosts, &["ln", "-s", "b.log", "d/a"], "linked d/a\n");
    both(&hosts, &["ln", "-s", "b.log", "d/a"], "unchanged d/a\n");
    both(
        &hosts,
        &["ln", "d/b.log", "d/e/c.log"],
        "linked d/e/c.log\n",
    );
    both(&hosts, &["ls", "d"], "a\nb.log\ne\n");
    both(
        &hosts,
        &["walk", "d"],
        "d/a\nd/b.log\nd/e\nd/e/c.log\nd/e/f\n",
    );
    both(&hosts, &["glob", "d/**/*.log"], "d/b.log\nd/e/c.log\n");
    both(&hosts, &["glob", "none*"], "");
    let facts = fs::metadata(hosts.dir(0).join("d/b.log")).unwrap();
    let owner = format!("{}:{}", facts.uid(), facts.gid());
    let link = format!("lrwxrwxrwx {owner} 5 d/a -> b.log\n");
    both(&hosts, &["stat", "d/a"], &link);
    both(
        &hosts,
        &["stat", "-L", "d/a"],
        &format!("-rw-r--r-- {owner} 2 d/a\n"),
    );
    let long = format!("-rw-r--r-- {owner} 2 c.log\ndrwx------ {owner} ");
    let listed = output(&mut hosts.fs("one", &["ls", "--long", "d/e"]));
    assert!(stdout(&listed).starts_with(&long), "{}", stdout(&listed));
    both(&hosts, &["mv", "d/b.log", "d/x"], "renamed to d/x\n");
    let text = check(&hosts.fs("one", &["mv", "d/x", "d/e"]), 4, "");
    assert!(text.contains("d/e already exists"), "{text}");
    both(
        &hosts,
        &["rm", "d/x", "d/x"],
        "removed d/x\nunchanged d/x\n",
    );
    let text = check(&hosts.fs("one", &["rm", "d"]), 4, "");
    assert!(text.contains("d is a directory"), "{text}");
    both(&hosts, &["rm", "-r", "d"], "removed d\n");
    assert!(!hosts.dir(0).join("d").exists() && !hosts.dir(1).join("d").exists());
}

#[test]
fn a_host_that_fails_leaves_the_others_alone_and_is_named() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    fs::write(hosts.dir(0).join("f"), "here\n").unwrap();
    // One cannot be reached, one has no such file.
    let mut command = hosts.fs("one dead two", &["read", "f"]);
    let alone = "---------------\none\n---------------\nhere\n";
    let text = check(&command, 4, alone);
    assert!(
        text.contains("dead failed: connect: Connection refused"),
        "{text}"
    );
    let missing = "two failed: transfer: could not open remote file f: no such file";
    assert!(text.contains(missing), "{text}");
    let json = output(command.args(["--jsonl", "-"]));
    let lines: Vec<serde_json::Value> = (stdout(&json).lines())
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |host: &str| lines.iter().find(|line| line["host"] == host).unwrap();
    assert_eq!(of("one")["stdout"], "here\n");
    assert_eq!(
        (&of("two")["phase"], &of("two")["kind"]),
        (&"transfer".into(), &"not_found".into())
    );
    // What the host said before it failed is shown.
    let text = check(&hosts.fs("one", &["exists", "f"]), 0, "yes\n");
    assert_eq!(text, "");
    let answers =
        "---------------\none\n---------------\nyes\n---------------\ntwo\n---------------\nno\n";
    check(&hosts.fs("one two", &["exists", "f"]), 5, answers);
    let removed = output(&mut hosts.fs("one", &["chmod", "0600", "f", "missing", "f"]));
    assert_eq!(stdout(&removed), "changed f\n");
    assert_eq!(removed.status.code(), Some(4));
}

#[test]
fn a_run_can_be_shown_in_every_way_that_commands_are() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    for host in 0..2 {
        fs::write(hosts.dir(host).join("f"), format!("{host}\nend")).unwrap();
    }
    let print = output(&mut hosts.fs("one two", &["-P", "read", "f"]));
    let text = stdout(&print);
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one: 0", "one: end", "two: 1", "two: end"]);
    let inline = output(&mut hosts.fs("one", &["read", "f", "-i"]));
    assert_eq!(stdout(&inline).trim_end(), "0\nend");
    let gathered = "---------------\none\n---------------\n0\nend\n";
    check(&hosts.fs("one", &["-b", "read", "f"]), 0, gathered);
    let dir = hosts.dir(0).join("out");
    let files = ["read", "f", "-o", dir.to_str().unwrap()];
    check(&hosts.fs("one two", &files), 0, "");
    assert_eq!(fs::read(dir.join("two")).unwrap(), b"1\nend");
    let files = ["read", "f", "--fileappend", "-o", dir.to_str().unwrap()];
    check(&hosts.fs("two", &files), 0, "");
    assert_eq!(fs::read(dir.join("two")).unwrap(), b"1\nend1\nend");
    check(
        &hosts.fs("one two", &["-i", "--no-headers", "exists", "f"]),
        0,
        "yes\nyes\n",
    );
    check(
        &hosts.fs("one two", &["-b", "--no-headers", "exists", "f"]),
        0,
        "yes\n",
    );
    let fuzzy = "---------------\none,two (2)\n---------------\n<number>\nend\n";
    check(&hosts.fs("one two", &["--fuzzy", "read", "f"]), 0, fuzzy);
    // Hosts are told apart for the next run, in the way that they were listed.
    fs::remove_file(hosts.dir(1).join("f")).unwrap();
    let lists = ["failed", "good"].map(|name| hosts.dir(0).join(name));
    let [failed, good] = lists.each_ref().map(|path| path.to_str().unwrap());
    let read = ["read", "--failed-to", failed, "--ok-to", good, "f"];
    check(
        &hosts.fs("one two", &read),
        4,
        "---------------\none\n---------------\n0\nend\n",
    );
    let texts = lists.map(|path| fs::read_to_string(path).unwrap());
    assert_eq!(texts, ["two\n", "one\n"]);
}

#[test]
fn a_dry_run_looks_and_changes_nothing() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    let dir = hosts.dir(0);
    fs::write(dir.join("f"), "a\n").unwrap();
    fs::create_dir(dir.join("d")).unwrap();
    fs::set_permissions(dir.join("f"), fs::Permissions::from_mode(0o644)).unwrap();
    let state = || {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
        let mut all: Vec<_> = entries
            .map(|entry| {
                let facts = entry.metadata().unwrap();
                (
                    entry.file_name(),
                    facts.mode(),
                    facts.ino(),
                    facts.ctime_nsec(),
                )
            })
            .collect();
        all.sort();
        all
    };
    let before = state();
    for (words, expected) in [
        (&["write", "f", "b"][..], "would write f\n"),
        (&["write", "f", "a"], "unchanged f\n"),
        (&["write", "g", "a"], "would write g\n"),
        (&["append", "f", "a"], "would append to f\n"),
        (&["line", "f", "b"], "would change f\n"),
        (&["line", "f", "a"], "unchanged f\n"),
        (&["mkdir", "e"], "would make e\n"),
        (
            &["mkdir", "--parents", "d/x", "d"],
            "would make d/x\nunchanged d\n",
        ),
        (&["rm", "f", "g"], "would remove f\nunchanged g\n"),
        (&["rm", "-r", "d"], "would remove d\n"),
        (&["mv", "f", "g"], "would rename to g\n"),
        (&["ln", "-s", "f", "g"], "would link g\n"),
        (&["ln", "f", "g"], "would link g\n"),
        (&["chmod", "0600", "f"], "would change f\n"),
        (&["chmod", "0644", "f"], "unchanged f\n"),
        (&["chown", "12345", "f"], "would change f\n"),
        (&["truncate", "f", "0"], "would change f\n"),
    ] {
        let mut words = words.to_vec();
        words.push("-n");
        check(&hosts.fs("one", &words), 0, expected);
        assert_eq!(state(), before, "{words:?}");
    }
    for words in [
        &["rm", "d"][..],
        &["mkdir", "d"],
        &["mv", "missing", "g"],
        &["ln", "f", "d"],
        &["line", "missing", "x"],
        &["write", "d", "x"],
    ] {
        let mut words = words.to_vec();
        words.push("--dry-run");
        check(&hosts.fs("one", &words), 4, "");
    }
    assert_eq!(state(), before);
}

#[test]
fn a_difference_is_shown_and_is_the_exit_code() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    for host in 0..2 {
        fs::write(hosts.dir(host).join("f"), "a\nb\nc\n").unwrap();
    }
    let diff = "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c\n";
    let merged = format!("{BOTH}{diff}");
    let line = ["line", "--diff", "f", "B", "--match", "^b$"];
    check(
        &hosts.fs("one two", &[&line[..], &["-n"]].concat()),
        6,
        &merged,
    );
    files_hold(&hosts, "f", b"a\nb\nc\n");
    check(&hosts.fs("one two", &line), 6, &merged);
    check(
        &hosts.fs("one two", &line),
        0,
        &format!("{BOTH}unchanged f\n"),
    );
    let write = || hosts.fs("one two", &["write", "--diff", "f"]);
    let done = with_input(write(), b"a\nB\nd\n");
    let diff = "--- f\n+++ f\n@@ -1,3 +1,3 @@\n a\n B\n-c\n+d\n";
    assert_eq!(stdout(&done), format!("{BOTH}{diff}"));
    assert_eq!(done.status.code(), Some(6));
    files_hold(&hosts, "f", b"a\nB\nd\n");
    assert_eq!(with_input(write(), b"a\nB\nd\n").status.code(), Some(0));
    // Without --diff a change is no difference, and a failure goes before one.
    both(&hosts, &["line", "f", "e"], "changed f\n");
    let failed = hosts.fs("one dead", &["line", "--diff", "f", "g"]);
    let shown =
        "---------------\none\n---------------\n--- f\n+++ f\n@@ -2,3 +2,4 @@\n B\n d\n e\n+g\n";
    check(&failed, 4, shown);
}

/// The flags of single verbs that no other test gives.
#[test]
fn verbs_do_more_where_they_are_told_to() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    let path = hosts.dir(0).join("f");
    fs::write(&path, "a 1\na 2\n  b  \n").unwrap();
    let run = |code: i32, words: &[&str]| {
        let done = output(&mut hosts.fs("one", words));
        assert_eq!(
            done.status.code(),
            Some(code),
            "{words:?} {}",
            stderr(&done)
        );
        stdout(&done) + &stderr(&done)
    };
    run(0, &["line", "f", "b", "--ignore-space"]);
    assert_eq!(fs::read(&path).unwrap(), b"a 1\na 2\n  b  \n");
    run(0, &["line", "f", "c", "--match", "^a ", "--all"]);
    assert_eq!(fs::read(&path).unwrap(), b"c\nc\n  b  \n");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    for words in [
        &["stat", "f"][..],
        &["ls", "--long"],
        &["walk", ".", "--long"],
    ] {
        let told = run(0, &[words, &["--times"]].concat());
        assert!(told.contains("2001-09-09"), "{words:?} {told}");
    }
    run(0, &["write", "g", "x"]);
    let told = run(4, &["walk", ".", "--max-names", "1"]);
    assert!(told.contains("more names in a tree"), "{told}");
    let own = fs::metadata(&path).unwrap();
    let owner = format!("{}:{}", own.uid(), own.gid());
    run(0, &["mkdir", "d", "--owner", &owner]);
    run(0, &["write", "d/f", "x", "--owner", &owner]);
    let refused = run(4, &["write", "d/f", "x", "--owner", "nobody-here"]);
    assert!(refused.contains("knows no account"), "{refused}");
    let told = run(0, &["exists", "f", "--summary"]);
    assert!(told.contains("1 host in "), "{told}");
}
