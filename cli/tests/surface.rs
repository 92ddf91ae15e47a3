//! Help, version and dry run: what the command says without connecting anywhere.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::io::Write;
use std::process::Stdio;

use support::help::{flags, help_of};
use support::{output, sshoal, stderr, stdout};

/// Every flag of `run`, as its help has it.
const FLAGS: &[&str] = &[
    "-h, --hosts",
    "-H, --host",
    "-l, --user",
    "-F, --ssh-config",
    "-J, --jump",
    "--match-exec",
    "-O, --option",
    "--identity",
    "--no-agent",
    "-A, --askpass",
    "--password-file",
    "--host-key",
    "--dangerous-accept-any-host-key",
    "--legacy",
    "-p, --par",
    "-t, --timeout",
    "--connect-timeout",
    "--deadline",
    "--rate",
    "--retries",
    "--retry-on",
    "--workers",
    "-I, --send-input",
    "--stdin",
    "--env",
    "--cd",
    "--sudo",
    "--ask-sudo",
    "--tty",
    "--shell",
    "--kill-on-timeout",
    "--no-kill-on-timeout",
    "-i, --inline",
    "--inline-stdout",
    "-P, --print",
    "--no-headers",
    "-b, --gather",
    "--gather-live",
    "--fuzzy",
    "--diff",
    "--max-output",
    "--fileappend",
    "--events",
    "--failed-to",
    "--ok-to",
    "-o, --outdir",
    "-e, --errdir",
    "--jsonl",
    "-q, --quiet",
    "-v, --verbose",
    "--summary",
    "--no-summary",
    "--color",
    "--raw",
    "-k, --fail-fast",
    "--max-fail",
    "-S, --max-status",
    "--template",
    "-n, --dry-run",
    "--help",
    "--version",
];

#[test]
fn help_is_the_long_option_only_and_names_every_flag() {
    let home = tempfile::tempdir().unwrap();
    let output = output(sshoal(home.path()).args(["run", "--help"]));
    assert!(output.status.success());
    let help = stdout(&output);
    for flag in FLAGS {
        assert!(help.contains(flag), "{flag} is missing in\n{help}");
    }
    assert!(!help.contains("-h, --help"), "{help}");
    assert!(
        help.contains("Exit codes:") && help.contains("Examples:"),
        "{help}"
    );
}

#[test]
fn help_names_every_flag_of_control_resume_and_diff() {
    let home = tempfile::tempdir().unwrap();
    let help = |word| stdout(&output(sshoal(home.path()).args([word, "--help"])));
    let (resume, diff) = (help("resume"), help("diff"));
    for flag in [
        "--list",
        "--redo-failed",
        "--skip-started",
        "-n, --dry-run",
        "--yes",
        "--env",
        "--journal",
    ] {
        assert!(resume.contains(flag), "{flag} is missing in\n{resume}");
    }
    assert!(
        diff.contains("--journal") && diff.contains("Exit codes:"),
        "{diff}"
    );
    let run = help("run");
    for flag in [
        "--wave <",
        "--gate",
        "--wave-pause",
        "--confirm-above",
        "--yes",
        "--journal <",
        "--no-journal",
        "--journal-keep",
    ] {
        assert!(run.contains(flag), "{flag} is missing in\n{run}");
    }
    assert!(!run.contains("--resumes"), "{run}");
}

/// clap makes a line's end of the placeholder itself.
#[test]
fn help_of_templates_names_all_placeholders() {
    for action in ["run", "put", "get", "sync"] {
        let help = help_of(action);
        let words: Vec<&str> = help.split_whitespace().collect();
        let help = words.join(" ");
        let all = "{host}, {user}, {port}, {total}, the inventory's variables and, for n in braces, \
                   the number from 0";
        assert!(help.contains(all), "{action}: {help}");
    }
}

/// What `sync` does anyway, or refuses, its help does not offer.
#[test]
fn help_says_what_goes_where_and_offers_what_works() {
    for (action, usage) in [
        ("put", "Usage: sshoal put [OPTIONS] SRC... DEST\n"),
        ("get", "Usage: sshoal get [OPTIONS] SRC... DEST\n"),
        ("sync", "Usage: sshoal sync [OPTIONS] SRC DEST\n"),
    ] {
        let help = help_of(action);
        assert!(help.contains(usage), "{help}");
        assert!(help.contains("Examples:") && help.contains("Exit codes: 0 all good"));
        let offers = |long: &str| flags(&help).iter().any(|flag| flag.long == long);
        assert!(offers("--bandwidth") && offers("--fail-fast"));
        for flag in ["--scp", "--tar", "--keep", "--recursive"] {
            assert_eq!(offers(flag), action != "sync", "{action} {flag}");
        }
    }
}

#[test]
fn version_names_what_is_linked() {
    let home = tempfile::tempdir().unwrap();
    for args in [&["--version"][..], &["run", "--version"]] {
        let output = output(sshoal(home.path()).args(args));
        assert!(output.status.success());
        let text = stdout(&output);
        assert!(
            text.contains(env!("CARGO_PKG_VERSION")) && text.contains("libssh2 "),
            "{text}"
        );
    }
}

#[test]
fn no_sub_command_is_a_usage_error() {
    let home = tempfile::tempdir().unwrap();
    let output = output(&mut sshoal(home.path()));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output).lines().count(), 1, "{}", stderr(&output));
}

/// Files come before lists, duplicates stay, users and ports are filled in by rank, and the
/// command's own options are left to it.
#[test]
fn dry_run_shows_what_would_run_where() {
    let home = tempfile::tempdir().unwrap();
    let hosts = home.path().join("hosts");
    std::fs::write(&hosts, "file1 # first\n[::1]:2222\nfile2:23 bob\n").unwrap();
    let mut program = sshoal(home.path());
    program.args([
        "run",
        "-n",
        "-l",
        "ann",
        "-O",
        "Port=24",
        "-H",
        "a root@b:9",
        "-H",
        "a",
        "-h",
    ]);
    program.arg(&hosts).args(["ls", "-l", "--help", "'x  y'"]);
    let output = output(&mut program);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let command = "ls -l --help 'x  y'";
    let hosts = [
        "ann@file1:24",
        "ann@[::1]:2222",
        "bob@file2:23",
        "ann@a:24",
        "root@b:9",
        "ann@a:24",
    ];
    let expected: String = hosts
        .iter()
        .map(|host| format!("{host} {command}\n"))
        .collect();
    assert_eq!(stdout(&output), expected);
    assert_eq!(stderr(&output), "sshoal: 6 hosts; nothing was run\n");
}

/// What is put around the command is part of what would run; nobody is asked for a password.
#[test]
fn dry_run_shows_how_the_command_is_launched() {
    let home = tempfile::tempdir().unwrap();
    let text = |flags: &[&str]| {
        let mut program = sshoal(home.path());
        program
            .args(["run", "-n", "-l", "u", "-H", "h"])
            .args(flags)
            .arg("echo 'x'");
        stdout(&output(&mut program))
    };
    let launched = text(&["--env", "A=it's", "--cd", "~/d", "--shell", "bash"]);
    let expected =
        r#"export A='it'\''s' && cd -- "${HOME:?}"/d || exit 125; exec bash -c 'echo '\''x'\'''"#;
    assert_eq!(launched, format!("u@h:22 {expected}\n"));
    let sudo = text(&["--sudo=bob"]);
    assert!(
        sudo.contains("exec sudo -n -H -u bob -- /bin/sh -c "),
        "{sudo}"
    );
    let asked = text(&["--sudo", "--ask-sudo", "--tty"]);
    assert!(
        asked.contains("exec sudo -S -H -p ") && asked.contains("-u root"),
        "{asked}"
    );
}

#[test]
fn dry_run_reads_hosts_from_standard_input() {
    let home = tempfile::tempdir().unwrap();
    let mut child = sshoal(home.path())
        .args(["run", "-n", "-l", "u", "-h", "-", "true"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"one\ntwo\n")
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(stdout(&output), "u@one:22 true\nu@two:22 true\n");
}

/// Rank: the command line, then `-O`, then the environment.
#[test]
fn the_command_line_goes_before_options_and_those_before_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let user = |args: &[&str]| {
        let mut program = sshoal(home.path());
        program
            .env("SSHOAL_USER", "env")
            .args(["run", "-n", "-H", "h"])
            .args(args)
            .arg("true");
        stdout(&output(&mut program))
    };
    assert_eq!(user(&[]), "env@h:22 true\n");
    assert_eq!(user(&["-O", "User=opt"]), "opt@h:22 true\n");
    assert_eq!(
        user(&["-O", "User=opt", "-l", "typed"]),
        "typed@h:22 true\n"
    );
}

#[test]
fn the_command_line_replaces_hosts_of_the_environment() {
    let home = tempfile::tempdir().unwrap();
    let mut program = sshoal(home.path());
    program
        .env("SSHOAL_HOST", "from-env")
        .args(["run", "-n", "-l", "u", "-H", "typed", "true"]);
    assert_eq!(stdout(&output(&mut program)), "u@typed:22 true\n");
    let mut program = sshoal(home.path());
    program
        .env("SSHOAL_HOST", "a b")
        .args(["run", "-n", "-l", "u", "true"]);
    assert_eq!(stdout(&output(&mut program)), "u@a:22 true\nu@b:22 true\n");
}
