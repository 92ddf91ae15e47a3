//! Errors that say what to do: each is one line, names what is wrong and where it was said, and the remedy.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::path::Path;
use std::process::Command;

use support::copying::Copying;
use support::{Fleet, output, sshoal, started_by, stderr, stdout};

/// The refusal of a call, in one line.
#[track_caller]
fn refusal(program: &mut Command) -> String {
    let output = output(program);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(stdout(&output), "", "{message}");
    message
}

#[track_caller]
fn check(program: &mut Command, parts: &[&str]) {
    let message = refusal(program);
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

/// A sub-command in an empty home.
fn at(home: &Path, words: &[&str]) -> Command {
    let mut program = sshoal(home);
    program.args(words);
    program
}

/// What a dry run would do, a host and its command a line.
#[track_caller]
fn dry(program: &mut Command) -> String {
    let output = output(program);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
}

#[test]
fn a_bad_value_of_a_variable_is_told_by_the_variable() {
    let home = tempfile::tempdir().unwrap();
    let call = || at(home.path(), &["run", "-F", "none", "-H", "web1", "true"]);
    for (name, value, part) in [
        ("SSHOAL_PAR", "many", "at least 1"),
        ("SSHOAL_HOST_KEY", "maybe", "strict"),
        ("SSHOAL_GATE", "true", "--wave 1,10%,100%"),
        ("SSHOAL_CONFIRM_ABOVE", "all", "whole number"),
    ] {
        let start = format!("sshoal: {name}: ");
        check(call().env(name, value), &[&start, part]);
    }
    let alone = || at(home.path(), &["run", "-F", "none", "true"]);
    for (name, value) in [
        ("SSHOAL_HOST", "a;b"),
        ("SSHOAL_NODES", "web[1-"),
        ("SSHOAL_GROUP_HOSTS", "nobody"),
        ("SSHOAL_HOSTS", "/no/such"),
    ] {
        check(alone().env(name, value), &[name, value]);
    }
    check(
        call().env("SSHOAL_IDENTITY", "/no/such"),
        &["/no/such", "SSHOAL_IDENTITY"],
    );
    // What was typed rules, and is what is wrong then.
    let typed = at(home.path(), &["run", "-p", "none", "-H", "a", "true"])
        .env("SSHOAL_PAR", "many")
        .env("SSHOAL_QUIET", "1")
        .output()
        .unwrap();
    let said = stderr(&typed);
    assert!(said.contains("'none' for '--par"), "{said}");
    assert!(!said.contains("SSHOAL_"), "{said}");
}

#[test]
fn an_empty_variable_says_nothing() {
    let home = tempfile::tempdir().unwrap();
    let mut call = at(home.path(), &["run", "-F", "none", "-l", "me", "-n"]);
    for name in ["PAR", "TIMEOUT", "HOST_KEY", "WAVE", "SHARD", "COLOR"] {
        call.env(format!("SSHOAL_{name}"), "");
    }
    assert_eq!(dry(call.args(["-H", "web1", "true"])), "me@web1:22 true\n");
}

#[test]
fn what_is_missing_is_named() {
    let home = tempfile::tempdir().unwrap();
    for flag in [&["--gate", "true"], &["--wave-pause", "3"]] {
        let mut call = at(home.path(), &["run", "-H", "web1"]);
        check(call.args(flag).arg("true"), &[flag[0], "--wave 1,10%,100%"]);
    }
    for words in [&["fs"][..], &["fs", "-H", "web1"]] {
        check(&mut at(home.path(), words), &["no verb", "sshoal fs read"]);
    }
    check(&mut at(home.path(), &["resume"]), &["missing: <RUN>"]);
    let wrong = refusal(&mut at(home.path(), &["fs", "raed", "-H", "web1", "/x"]));
    assert!(
        wrong.contains("'raed'") && wrong.contains("sshoal fs --help"),
        "{wrong}"
    );
}

#[test]
fn a_uri_of_ssh_names_a_host() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("hosts");
    std::fs::write(&file, "ssh://root@web1:2222\nssh://web2/ Port=2200\n").unwrap();
    let call = || at(home.path(), &["run", "-F", "none", "-l", "me", "-n"]);
    assert_eq!(
        dry(call().arg("-h").arg(&file).arg("true")),
        "root@web1:2222 true\nme@web2:2200 true\n"
    );
    assert_eq!(
        dry(call().args(["-H", "ssh://ann@web1", "-w", "ssh://web[2-3]:24", "true"])),
        "ann@web1:22 true\nme@web2:24 true\nme@web3:24 true\n"
    );
    check(
        call().args(["-H", "https://web1", "true"]),
        &["https://", "[user@]host[:port]"],
    );
}

#[test]
fn a_password_in_a_host_list_is_refused_and_not_shown() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("hosts");
    let remedy = ["-A", "--password-file", "passwords"];
    for spec in [
        "root:s3cret@web1",
        "root:s3cret@web1:70000",
        "root:s3,cret@web1",
        "root:s3cret@web[1-3]",
        "ssh://root:s3cret@web1",
    ] {
        for flag in ["-H", "-w"] {
            let message = refusal(&mut at(home.path(), &["run", flag, spec, "true"]));
            assert!(
                remedy.iter().all(|part| message.contains(part)),
                "{message}"
            );
            assert!(
                message.contains(flag) && !message.contains("s3"),
                "{message}"
            );
        }
        std::fs::write(&file, format!("web1\n{spec}\n")).unwrap();
        let message = refusal(at(home.path(), &["run", "-h"]).arg(&file).arg("true"));
        assert!(
            remedy.iter().all(|part| message.contains(part)),
            "{message}"
        );
        assert!(
            message.contains("hosts:2") && !message.contains("s3"),
            "{message}"
        );
    }
}

#[test]
fn a_placeholder_that_is_none_is_told_with_those_that_are() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("inventory.ini");
    std::fs::write(&file, "web1 rack=a\nweb2\n").unwrap();
    let call = |words: &[&str]| {
        let mut call = at(home.path(), &["run", "-F", "none", "-n", "--template"]);
        call.arg("--inventory").arg(&file).args(words);
        call
    };
    check(
        &mut call(&["-H", "web1", "echo {rakc}"]),
        &["{rakc} is not known", "{host}", "{total}", "{rack}"],
    );
    check(
        &mut call(&["-H", "web1 web2", "echo {rack}"]),
        &["{rack} has no value for web2", "inventory"],
    );
    check(
        &mut at(
            home.path(),
            &["get", "-H", "a", "--name", "{hots}", "f", "out"],
        ),
        &["{hots} is not known", "{path}", "{host}"],
    );
}

#[test]
fn a_file_that_is_no_hosts_file_is_told_as_what_it_is() {
    let home = tempfile::tempdir().unwrap();
    for (name, text, parts) in [
        (
            "hosts",
            &b"web1\n[web]\nweb2\n"[..],
            &["hosts:2", "--inventory", "--group"][..],
        ),
        ("hosts", b"[web:children]\n", &["hosts:1", "--inventory"]),
        (
            "hosts",
            b"web1  ansible_host=10.0.0.1\n",
            &["hosts:1", "--inventory"],
        ),
        (
            "hosts.yml",
            b"all:\n  hosts:\n",
            &["hosts.yml:1", "--inventory"],
        ),
        ("hosts", b"\xff\xfew\0e\0b\0", &["hosts is UTF-16", "UTF-8"]),
        (
            "hosts",
            b"web1\nw\xe4b2\n",
            &["hosts:2", "save the file as UTF-8"],
        ),
    ] {
        let file = home.path().join(name);
        std::fs::write(&file, text).unwrap();
        check(
            at(home.path(), &["run", "-h"]).arg(&file).arg("true"),
            parts,
        );
    }
    // Names in brackets are hosts where a port follows, addresses always, and ranges are node sets.
    let file = home.path().join("hosts");
    std::fs::write(
        &file,
        "[web1]:22\n[::1]\n[fe80::1%lo]\n[dead::1]\nweb[2-3] ansible_\n",
    )
    .unwrap();
    let said = stderr(&output(
        at(home.path(), &["run", "-n", "-h"]).arg(&file).arg("true"),
    ));
    assert!(
        said.contains("hosts:5") && !said.contains("--inventory"),
        "{said}"
    );
}

#[test]
fn an_account_without_a_home_needs_none() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    for home in [Path::new("/dev/null"), &file] {
        let call = ["run", "-F", "none", "-l", "me", "-n", "-H", "web1", "true"];
        assert_eq!(dry(&mut at(home, &call)), "me@web1:22 true\n");
        check(&mut at(home, &["resume", "last"]), &["there is no run"]);
    }
    // A file that was named has to be there.
    let mut named = at(home.path(), &["run", "-n", "-H", "web1", "--config"]);
    check(
        named.arg(file.join("x")).arg("true"),
        &["cannot read the configuration file", "--config"],
    );
}

#[test]
fn a_directory_in_the_place_of_a_file_is_told() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().to_str().unwrap();
    let call = |flag: &str| at(home.path(), &["run", "-H", "web1", flag, dir, "true"]);
    check(&mut call("-F"), &["-F", dir, "is a directory", "none"]);
    check(
        &mut call("--identity"),
        &["--identity", dir, "is a directory"],
    );
    check(
        &mut call("--inventory"),
        &["inventory", dir, "Is a directory"],
    );
    check(&mut call("-h"), &["hosts file", dir, "Is a directory"]);
}

/// Ansible's `-i FILE`, and letters of other tools.
#[test]
fn habits_from_other_tools_are_answered_with_ours() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("hosts");
    std::fs::write(&file, "web1\n").unwrap();
    check(
        at(home.path(), &["run", "-i"]).arg(&file).arg("true"),
        &["no hosts", "-h", "--inventory"],
    );
    for (action, paths) in [
        ("put", ["hosts", "me@web1:/tmp/"]),
        ("get", ["me@web1:/tmp/", "hosts"]),
    ] {
        let parts = ["no hosts", "for me@web1:/tmp/ write -H me@web1 and /tmp/"];
        check(at(home.path(), &[action]).args(paths), &parts);
    }
    for (flag, ours) in [
        ("-a", "-w '@*'"),
        ("--forks", "-p"),
        ("--become", "--sudo"),
        ("--check", "-n"),
        ("-N", "--no-headers"),
        ("--port", "-O Port=N"),
        ("--password", "-A"),
        ("--hostfile", "-h reads"),
        ("--rcopy", "`sshoal get`"),
        ("--list-hosts", "`sshoal hosts`"),
        ("--maxrc", "-S"),
        ("--nostdin", "-I"),
        ("--private-key", "--identity"),
    ] {
        let call = ["run", "-H", "web1", flag, "true"];
        check(&mut at(home.path(), &call), &[&format!("'{flag}'"), ours]);
    }
}

/// What pdsh would read in its place is missing from the list.
#[test]
fn an_include_in_a_hosts_file_is_told() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("hosts");
    std::fs::write(&file, "web1\n#include more\n#included\n# include x\n").unwrap();
    let listed = output(at(home.path(), &["hosts", "-h"]).arg(&file));
    assert_eq!(stdout(&listed), "web1\n");
    let said = stderr(&listed);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("hosts:2: #include") && said.contains("-h"),
        "{said}"
    );
}

/// `-o KEY=VALUE` of ssh would be a folder, and the option would be lost.
#[test]
fn an_option_of_ssh_in_the_place_of_a_folder_is_told() {
    let home = tempfile::tempdir().unwrap();
    for flag in ["-o", "-e"] {
        let call = [
            "run",
            "-H",
            "web1",
            flag,
            "StrictHostKeyChecking=no",
            "true",
        ];
        let parts = [flag, "StrictHostKeyChecking=no", "-O", "./"];
        check(&mut at(home.path(), &call), &parts);
    }
    assert!(!home.path().join("StrictHostKeyChecking=no").exists());
    let call = [
        "run",
        "-F",
        "none",
        "-l",
        "me",
        "-n",
        "-H",
        "web1",
        "-o",
        "./Port=22",
        "true",
    ];
    assert_eq!(dry(&mut at(home.path(), &call)), "me@web1:22 true\n");
}

#[test]
fn a_temporary_folder_that_cannot_be_used_is_named() {
    let fleet = Fleet::start(1);
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    let mut program = fleet.run_on(1);
    // Beyond what memory holds of a host.
    program.env("TMPDIR", &gone).args(["-b", "yes", "3000000"]);
    let output = output(&mut program);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    let named = format!("in {} (TMPDIR names another folder)", gone.display());
    assert!(said.contains(&named), "{said}");
    assert!(!said.contains("os error"), "{said}");
}

#[test]
fn a_pattern_in_the_place_of_a_remote_path_is_told() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    let (pattern, out) = (hosts.dest("*.log"), hosts.here("out"));
    let words = ["get", pattern.as_str(), out.to_str().unwrap()];
    let said = stderr(&hosts.run(4, &words));
    assert!(
        said.contains("patterns are not expanded on hosts"),
        "{said}"
    );
    assert!(!out.exists(), "a directory was made for nothing");
}

/// With hardly any descriptors it cannot begin: it ends, with a code like any other.
#[test]
fn without_descriptors_it_ends_and_says_so() {
    let fleet = Fleet::start(1);
    let mut refused = 0;
    for count in (6..=40).chain([60, 100, 200, 400]) {
        let limit = format!("ulimit -n {count}; exec timeout 60 \"$@\"");
        let mut run = fleet.run_on(1);
        let run = started_by(&["sh", "-c", &limit, "sh"], run.arg("true"));
        let output = { run }.output().unwrap();
        let code = output.status.code();
        assert!(matches!(code, Some(0..=2)), "{count}: {output:?}");
        refused += u32::from(stderr(&output).contains("raise it with `ulimit -n`"));
    }
    assert!(refused > 0);
}
