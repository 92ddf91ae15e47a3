//! Wrong use: one line that names the thing and the remedy, exit code 2, and nothing run.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use support::{detached, output, sshoal, stderr, stdout};

/// Runs `sshoal run` with these arguments and checks the refusal.
#[track_caller]
fn check(args: &[&str], parts: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    check_in(home.path(), args, parts);
}

#[track_caller]
fn check_in(home: &Path, args: &[&str], parts: &[&str]) {
    check_command(sshoal(home).arg("run").args(args), parts);
}

#[track_caller]
fn check_command(command: &mut Command, parts: &[&str]) {
    let output = output(command);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("sshoal: "), "{message}");
    for part in parts {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
    assert_eq!(stdout(&output), "");
}

#[test]
fn refuses_a_missing_hosts_file_by_name() {
    check(
        &["-h", "/no/such/hosts", "true"],
        &["/no/such/hosts", "No such file"],
    );
}

#[test]
fn refuses_a_bad_line_by_file_and_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hosts");
    std::fs::write(&path, "# fine\nweb1\nweb2:0\n").unwrap();
    let path = path.to_str().unwrap();
    check(
        &["-h", path, "true"],
        &[&format!("{path}:3"), "port 0", "1 and 65535"],
    );
}

#[test]
fn refuses_bad_ports_wherever_they_stand() {
    check(&["-H", "web1:0", "true"], &["-H", "web1:0", "port 0"]);
    check(
        &["-H", "web1 web2:70000", "true"],
        &["web2:70000", "port 70000"],
    );
    check(
        &["-H", "a", "-O", "Port=0", "true"],
        &["command line: Port", "\"0\"", "1 to 65535"],
    );
    check(
        &["-H", "a", "-O", "port 70000", "true"],
        &["command line: Port", "\"70000\"", "1 to 65535"],
    );
}

#[test]
fn refuses_launches_that_cannot_be() {
    check(
        &["-H", "a", "--env", "NAME", "true"],
        &["--env NAME", "NAME=VALUE"],
    );
    check(
        &["-H", "a", "--env", "1A=x", "true"],
        &["\"1A\"", "variable's name"],
    );
    check(
        &["-H", "a", "--cd", "", "true"],
        &["working directory", "empty"],
    );
    check(&["-H", "a", "--shell", "", "true"], &["is no shell"]);
    check(
        &["-H", "a", "--sudo=-x", "true"],
        &["\"-x\"", "no user for sudo"],
    );
    check(
        &["-H", "a", "--ask-sudo", "true"],
        &["--ask-sudo", "--sudo"],
    );
    check(
        &[
            "-H",
            "a",
            "--sudo",
            "--ask-sudo",
            "-O",
            "BatchMode=yes",
            "true",
        ],
        &["--ask-sudo", "BatchMode"],
    );
}

#[test]
fn refuses_inputs_that_cannot_be_read() {
    check(
        &["-H", "a", "--stdin", "/no/such/file", "cat"],
        &["--stdin /no/such/file", "No such file"],
    );
    check(
        &["-H", "a", "--stdin", "/usr", "cat"],
        &["--stdin /usr", "folder"],
    );
    check(
        &["-H", "a", "-I", "--stdin", "x", "cat"],
        &["--send-input", "--stdin"],
    );
}

#[test]
fn refuses_to_read_standard_input_twice() {
    let home = tempfile::tempdir().unwrap();
    let hosts = home.path().join("hosts");
    std::fs::write(&hosts, "web1\n").unwrap();
    for input in [&["-I"][..], &["--stdin", "-"]] {
        let mut program = sshoal(home.path());
        program.args(["run", "-h", "-"]).args(input).arg("cat");
        program.stdin(std::fs::File::open(&hosts).unwrap());
        check_command(&mut program, &["standard input", "-h -", "-I"]);
    }
}

#[test]
fn refuses_hosts_that_are_none() {
    check(&["-H", "a;b", "true"], &["-H \"a;b\"", "bad character"]);
    check(&["-H", "-x", "true"], &["-x"]);
    check(&["-H", "a@", "true"], &["host name is empty"]);
}

#[test]
fn refuses_an_empty_host_list() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hosts");
    std::fs::write(&path, "# nobody\n\n").unwrap();
    check(
        &["-h", path.to_str().unwrap(), "true"],
        &[
            "host list is empty",
            path.to_str().unwrap(),
            "[user@]host[:port]",
        ],
    );
    check(&["-H", " ", "true"], &["host list is empty"]);
    check(&["true"], &["no hosts", "-h FILE", "-H LIST"]);
    // The user that `--sudo` was to have is the command's first word.
    let late = ["--sudo", "nobody", "-H", "web1", "id"];
    check(&late, &["no hosts", "`nobody`", "--sudo=USER"]);
}

/// What pdsh, clush, Ansible and pssh call so.
#[test]
fn letters_of_other_tools_are_answered_with_ours() {
    for (letter, ours) in [("-x", "--exclude"), ("-u", "-l"), ("-f", "-p")] {
        let call = ["-H", "web1", letter, "4", "true"];
        check(&call, &[&format!("'{letter}'"), ours, "see --help"]);
    }
}

#[test]
fn refuses_an_empty_standard_input_and_reading_it_twice() {
    check(&["-h", "-", "true"], &["host list is empty"]);
    check(&["-h", "-", "-h", "-", "true"], &["-h -", "twice"]);
}

#[test]
fn refuses_a_bad_line_on_standard_input() {
    let home = tempfile::tempdir().unwrap();
    let mut child = sshoal(home.path())
        .args(["run", "-h", "-", "true"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"ok\nbad host x\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("standard input:2"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn refuses_a_missing_command() {
    check(&["-H", "a"], &["no command", "sshoal run"]);
    check(&["-H", "a", ""], &["no command"]);
}

#[test]
fn refuses_unknown_options_by_name() {
    check(
        &["-H", "a", "--frobnicate", "true"],
        &["--frobnicate", "--help"],
    );
    check(&["-H", "a", "-Z", "true"], &["-Z"]);
    check(
        &["-H", "a", "-O", "Frobnicate=b", "true"],
        &["frobnicate", "unknown option"],
    );
    check(&["-H", "a", "-O", "Port", "true"], &["Port", "no value"]);
    check(
        &["-H", "a", "-O", "StrictHostKeyChecking=maybe", "true"],
        &["StrictHostKeyChecking", "maybe"],
    );
    check(
        &["-H", "a", "--host-key", "maybe", "true"],
        &["maybe", "strict", "accept-new"],
    );
}

#[test]
fn refuses_numbers_that_make_no_sense() {
    check(&["-H", "a", "-p", "0", "true"], &["--par", "at least 1"]);
    check(&["-H", "a", "-p", "-3", "true"], &["--par", "-3"]);
    check(
        &["-H", "a", "-t", "-1", "true"],
        &["--timeout", "-1", "0 means no limit"],
    );
    check(
        &["-H", "a", "--connect-timeout", "-1", "true"],
        &["--connect-timeout"],
    );
    check(
        &["-H", "a", "--deadline", "soon", "true"],
        &["--deadline", "soon"],
    );
}

#[test]
fn refuses_rates_and_retries_that_make_no_sense() {
    for wrong in ["0", "-1", "1.5", "fast"] {
        check(
            &["-H", "a", "--rate", wrong, "true"],
            &["--rate", wrong, "per second"],
        );
    }
    for wrong in ["-1", "0.5", "often"] {
        check(
            &["-H", "a", "--retries", wrong, "true"],
            &["--retries", wrong, "0 or more"],
        );
    }
    let on = |phases| ["-H", "a", "--retries", "1", "--retry-on", phases, "true"];
    check(&on("connect,auth"), &["--retry-on", "auth", "never", "kex"]);
    check(&on("run"), &["--retry-on", "run", "never"]);
    check(
        &on("conect"),
        &["--retry-on", "conect", "resolve", "banner"],
    );
    check(
        &["-H", "a", "--retry-on", "connect", "true"],
        &["--retry-on", "--retries"],
    );
    let home = tempfile::tempdir().unwrap();
    let mut program = sshoal(home.path());
    program.env("SSHOAL_RATE", "none");
    check_command(
        program.args(["run", "-H", "a", "true"]),
        &["--rate", "none"],
    );
}

#[test]
fn refuses_contradictions() {
    check(&["-H", "a", "-q", "-v", "true"], &["--quiet", "--verbose"]);
    check(&["-H", "a", "--jsonl", "-", "-P", "true"], &["--jsonl -"]);
    let (any, why) = ("--dangerous-accept-any-host-key", "refuses passwords");
    check(&["-H", "a", any, "-A", "true"], &[any, why]);
    check(
        &["-H", "a", any, "--password-file", "/x", "true"],
        &[any, why],
    );
    check(
        &["-H", "a", any, "--host-key", "strict", "true"],
        &[any, "--host-key"],
    );
    check(
        &["-H", "a", "-A", "--password-file", "/x", "true"],
        &["--askpass", "--password-file"],
    );
}

#[test]
fn refuses_identities_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let text = path.to_str().unwrap();
    check(
        &["-H", "a", "--identity", text, "true"],
        &[text, "No such file", "--identity"],
    );
    let option = format!("IdentityFile={text}");
    check(&["-H", "a", "-O", &option, "true"], &[text, "No such file"]);
    std::fs::write(&path, "no key at all\n").unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    check(
        &["-H", "a", "--identity", text, "true"],
        &[text, "not a private key"],
    );
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    check(
        &["-H", "a", "--identity", text, "true"],
        &[text, "too open", "chmod 600"],
    );
}

/// A key with a passphrase and nobody to ask: in a session of its own the program has no terminal.
#[test]
fn refuses_an_encrypted_identity_without_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "secret", "-f"])
        .arg(&path)
        .status()
        .expect("ssh-keygen runs: it comes with the package openssh-client");
    assert!(made.success());
    let home = tempfile::tempdir().unwrap();
    let mut program = sshoal(home.path());
    program
        .args(["run", "-H", "a", "--identity"])
        .arg(&path)
        .arg("true");
    check_command(
        &mut detached(&program),
        &[path.to_str().unwrap(), "encrypted", "ssh-add"],
    );
}

#[test]
fn refuses_to_ask_for_a_password_without_terminal() {
    let home = tempfile::tempdir().unwrap();
    let mut program = sshoal(home.path());
    program.args(["run", "-H", "a", "-A", "true"]);
    check_command(&mut detached(&program), &["-A", "--password-file"]);
}

#[test]
fn refuses_a_password_file_that_is_missing_or_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("password");
    let text = path.to_str().unwrap();
    check(
        &["-H", "a", "--password-file", text, "true"],
        &[text, "No such file"],
    );
    std::fs::write(&path, "\nsecond line\n").unwrap();
    check(
        &["-H", "a", "--password-file", text, "true"],
        &[text, "empty"],
    );
}

#[test]
fn refuses_to_run_with_nothing_to_log_in_with() {
    check(
        &["-H", "a", "true"],
        &["nothing to log in with", "--identity", "ssh-agent"],
    );
}

#[test]
fn refuses_places_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "x\n").unwrap();
    std::fs::set_permissions(&password, PermissionsExt::from_mode(0o600)).unwrap();
    let (file, password) = (file.to_str().unwrap(), password.to_str().unwrap());
    let with = |more: [&str; 2], parts: &[&str]| {
        check(
            &[
                "-H",
                "a",
                "--password-file",
                password,
                more[0],
                more[1],
                "true",
            ],
            parts,
        );
    };
    with(["-o", file], &["directory", file]);
    with(["-e", "/proc/no/such"], &["/proc/no/such"]);
    with(
        ["--jsonl", "/no/such/dir/x"],
        &["--jsonl", "/no/such/dir/x"],
    );
}

#[test]
fn refuses_one_directory_for_both_streams() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "x\n").unwrap();
    std::fs::set_permissions(&password, PermissionsExt::from_mode(0o600)).unwrap();
    let (out, password) = (dir.path().join("out"), password.to_str().unwrap());
    let out = out.to_str().unwrap();
    check(
        &[
            "-H",
            "a",
            "--password-file",
            password,
            "-o",
            out,
            "-e",
            out,
            "true",
        ],
        &["-o and -e"],
    );
}

#[test]
fn environment_variables_are_checked_as_flags_are() {
    let home = tempfile::tempdir().unwrap();
    let mut program = sshoal(home.path());
    program
        .env("SSHOAL_PAR", "0")
        .args(["run", "-H", "a", "true"]);
    check_command(&mut program, &["--par", "at least 1"]);
    let mut program = sshoal(home.path());
    program
        .env("SSHOAL_OPTION", "Bogus=1")
        .args(["run", "-H", "a", "true"]);
    check_command(&mut program, &["bogus", "unknown option"]);
}
