//! `sshoal run`: commands by host, runs that stop at failures, and the variables of older tools.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::collections::BTreeSet;

use support::{Fleet, output, sshoal, stderr, stdout};

/// Every host echoes what is its own; the fleet's `echo` takes the words as they come.
#[test]
fn a_template_is_filled_in_for_each_host() {
    let fleet = Fleet::start(12);
    let mut program = fleet.run();
    program.args(["-l", "demo", "-h"]).arg(&fleet.hosts_file);
    program.args([
        "-q",
        "-i",
        "--template",
        "echo {n} {total} {host}:{port} {user} {{}}",
    ]);
    let output = output(&mut program);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let out = stdout(&output);
    let lines: BTreeSet<String> = out.lines().map(str::to_owned).collect();
    let line = |(n, host): (usize, &String)| {
        let (user, place) = host.split_once('@').unwrap_or(("", host));
        let user = if user.is_empty() { "demo" } else { user };
        let place = if place.contains(':') {
            place.to_owned()
        } else {
            format!("{place}:22")
        };
        format!("{n} 12 {place} {user} {{}}")
    };
    let expected: BTreeSet<String> = fleet.hosts.iter().enumerate().map(line).collect();
    assert_eq!(lines, expected);
}

#[test]
fn braces_have_no_meaning_without_the_template_flag() {
    let fleet = Fleet::start(1);
    let output = output(fleet.run_on(1).args(["-q", "-i", "echo {n} {nonsense"]));
    assert_eq!(stdout(&output), "{n} {nonsense\n");
}

#[test]
fn dry_run_shows_the_command_of_each_host() {
    let home = tempfile::tempdir().unwrap();
    let mut program = sshoal(home.path());
    program.args(["run", "-n", "-l", "u", "-H", "a ann@b:9", "--template"]);
    program.arg("touch {user} {port} '{n}' # {total}");
    let expected = "u@a:22 touch u 22 '0' # 2\nann@b:9 touch ann 9 '1' # 2\n";
    assert_eq!(stdout(&output(&mut program)), expected);
}

#[track_caller]
fn check_refused(args: &[&str], parts: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let output = output(sshoal(home.path()).args(["run", "-H", "a"]).args(args));
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

#[test]
fn refuses_a_template_that_cannot_be_filled_in() {
    let with = |text| ["--template", text];
    check_refused(
        &with("echo {rack}"),
        &["--template", "{rack} is not known", "{host}"],
    );
    check_refused(
        &with("find {} ;"),
        &["--template", "{} at byte 5", "{{ and }}"],
    );
    check_refused(
        &with("echo ${HOME}"),
        &["{HOME} at byte 6 follows a $", "${{NAME}}"],
    );
}

#[test]
fn refuses_numbers_of_failures_that_make_no_sense() {
    for wrong in ["0", "-1", "0%", "101%", "x", "%", "1.5"] {
        check_refused(
            &["--max-fail", wrong, "true"],
            &["--max-fail", "1% to 100%"],
        );
    }
}

/// One host after the other, all of which fail.
#[test]
fn a_run_that_is_stopped_at_failures_leaves_the_rest_out_and_exits_7() {
    let fleet = Fleet::start(10);
    for (flags, begun) in [
        (&["-k"][..], 1),
        (&["--max-fail", "3"], 3),
        (&["--max-fail", "25%"], 3),
        (&["-k", "--max-fail", "3"], 1),
    ] {
        let mut program = fleet.run_on(10);
        let output = output(program.args(["-p", "1"]).args(flags).args(["exit", "9"]));
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(7), "{flags:?}: {text}");
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        assert_eq!(count(" exit 9 "), begun, "{flags:?}: {text}");
        let rest = format!("{} cancelled", 10 - begun);
        assert!(text.contains(&rest), "{flags:?}: {text}");
    }
    let output = output(fleet.run_on(3).args(["--max-fail", "4", "exit", "9"]));
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
}

/// Rank: the command line, `SSHOAL_*`, `PSSH_*`, `PARALLAX_*`.
#[test]
fn variables_of_pssh_and_parallax_count_below_our_own() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, format!("{name}\n")).unwrap();
        path
    };
    let (pssh, parallax) = (file("pssh"), file("parallax"));
    let run = |settings: &[(&str, &str)], args: &[&str]| {
        let mut program = sshoal(home.path());
        program
            .env("PARALLAX_HOSTS", &parallax)
            .env("PARALLAX_USER", "px");
        program.envs(settings.iter().copied());
        stdout(&output(program.args(["run", "-n"]).args(args).arg("true")))
    };
    let hosts = pssh.to_str().unwrap();
    assert_eq!(run(&[], &[]), "px@parallax:22 true\n");
    let older = [("PSSH_HOSTS", hosts), ("PSSH_USER", "ps")];
    assert_eq!(run(&older, &[]), "ps@pssh:22 true\n");
    let ours = [
        ("PSSH_HOSTS", hosts),
        ("SSHOAL_HOST", "ours"),
        ("SSHOAL_USER", "we"),
    ];
    assert_eq!(run(&ours, &[]), "we@ours:22 true\n");
    assert_eq!(
        run(&ours, &["-H", "typed", "-l", "me"]),
        "me@typed:22 true\n"
    );
    let file = [("SSHOAL_HOSTS", hosts)];
    assert_eq!(run(&file, &["-H", "typed"]), "px@typed:22 true\n");
    let option = [("PARALLAX_OPTIONS", "Port=99")];
    assert_eq!(run(&option, &["-l", "u"]), "u@parallax:99 true\n");
    let options = [("PARALLAX_OPTIONS", "Port=99"), ("PSSH_OPTIONS", "Port=98")];
    assert_eq!(run(&options, &["-l", "u"]), "u@parallax:98 true\n");
}

/// What has no part in a dry run: the number of sessions, the folder, and how much is said.
#[test]
fn parallaxs_other_variables_are_heeded() {
    let fleet = Fleet::start(2);
    let folder = tempfile::tempdir().unwrap();
    let mut program = fleet.run();
    program
        .env("PARALLAX_HOSTS", &fleet.hosts_file)
        .env("PARALLAX_OUTDIR", folder.path())
        .env("PARALLAX_VERBOSE", "1")
        .env("PARALLAX_PAR", "1")
        .arg("hostname");
    let output = output(&mut program);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    assert!(text.contains("auth "), "phases are told: {text}");

    let home = tempfile::tempdir().unwrap();
    let mut program = sshoal(home.path());
    program
        .env("PARALLAX_PAR", "many")
        .args(["run", "-H", "a", "true"]);
    let output = support::output(&mut program);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("PARALLAX_PAR") && text.contains("whole number"),
        "{text}"
    );
}
