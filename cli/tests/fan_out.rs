//! `sshoal run` over an embedded fleet: every way to show output, and every exit code.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Fleet, output, stderr, stdout};

#[track_caller]
fn check_exit(command: &mut Command, code: i32, parts: &[&str]) {
    let output = output(command);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

#[test]
fn inline_shows_every_hosts_output_and_nothing_else_on_standard_output() {
    let fleet = Fleet::start(20);
    let output = output(
        fleet
            .run()
            .arg("-h")
            .arg(&fleet.hosts_file)
            .args(["-i", "hostname"]),
    );
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{err}");
    let lines: BTreeSet<&str> = out.lines().collect();
    let expected: Vec<String> = (0..20).map(|n| format!("host-{n:04}")).collect();
    assert_eq!(lines.into_iter().collect::<Vec<_>>(), expected);
    for (n, host) in fleet.hosts.iter().enumerate() {
        assert!(err.contains(&format!("[{}/20] ", n + 1)), "{err}");
        assert!(err.contains(&format!("] {host} ok  ")), "{err}");
    }
    assert!(
        err.lines().last().unwrap().starts_with("20 hosts in "),
        "{err}"
    );
    assert!(err.ends_with(": 20 ok\n"), "{err}");
    assert!(!err.contains('\x1b') && !err.contains('\r'), "{err:?}");
}

#[test]
fn streams_are_kept_apart() {
    let fleet = Fleet::start(1);
    let inline = output(fleet.run_on(1).args(["-q", "-i", "stderr", "oops"]));
    assert_eq!(
        (stdout(&inline), stderr(&inline)),
        (String::new(), "oops\n".to_owned())
    );
    let stdout_only = output(
        fleet
            .run_on(1)
            .args(["-q", "--inline-stdout", "stderr", "oops"]),
    );
    assert_eq!(
        (stdout(&stdout_only), stderr(&stdout_only)),
        (String::new(), String::new())
    );
    let print = output(fleet.run_on(1).args(["-q", "-P", "stderr", "oops"]));
    assert_eq!(stdout(&print), "");
    assert_eq!(stderr(&print), format!("{}: oops\n", fleet.hosts[0]));
}

#[test]
fn a_single_hosts_output_on_a_pipe_is_byte_exact() {
    let fleet = Fleet::start(1);
    let output = output(fleet.run_on(1).args(["-i", "head", "-c", "1000003"]));
    assert_eq!(output.stdout.len(), 1_000_003);
    assert_ne!(output.stdout.last(), Some(&b'\n'));
    let escape = support::output(fleet.run_on(1).args(["-i", "echo", "\x1b[31mred"]));
    assert_eq!(stdout(&escape), "\x1b[31mred\n");
}

#[test]
fn print_prefixes_each_complete_line_and_the_last() {
    let fleet = Fleet::start(3);
    let output = output(fleet.run_on(3).args(["-P", "head", "-c", "100001"]));
    let out = stdout(&output);
    for host in &fleet.hosts {
        let prefix = format!("{host}: ");
        let lines: Vec<&str> = out
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix))
            .collect();
        assert_eq!(
            lines.iter().map(|line| line.len() + 1).sum::<usize>(),
            100_002
        );
    }
    assert!(
        out.lines()
            .all(|line| fleet.hosts.iter().any(|host| line.starts_with(host)))
    );
}

#[test]
fn files_are_made_per_host_at_the_first_byte() {
    let fleet = Fleet::start(2);
    let dir = fleet.home.path().join("new/out");
    let errors = fleet.home.path().join("new/err");
    let (first, second) = (&fleet.hosts[0], &fleet.hosts[1]);
    let mut run = fleet.run();
    run.args(["-H", &format!("{first} {second} {first}"), "-o"])
        .arg(&dir)
        .arg("-e")
        .arg(&errors);
    let output = output(run.args(["head", "-c", "300000"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let names = [first.clone(), format!("{first}.1"), second.clone()];
    assert_eq!(files(&dir), names.into_iter().collect());
    assert!(files(&errors).is_empty());
    for name in files(&dir) {
        assert_eq!(std::fs::metadata(dir.join(name)).unwrap().len(), 300_000);
    }
    let mut run = fleet.run_on(1);
    let output = support::output(run.arg("-e").arg(&errors).args(["stderr", "oops"]));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(std::fs::read(errors.join(first)).unwrap(), b"oops\n");
}

fn files(dir: &Path) -> BTreeSet<String> {
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.unwrap().file_name().into_string().unwrap()
    };
    std::fs::read_dir(dir).unwrap().map(name).collect()
}

#[test]
fn a_planted_link_is_refused_and_the_exit_code_says_so() {
    let fleet = Fleet::start(1);
    let dir = fleet.home.path().join("out");
    std::fs::create_dir(&dir).unwrap();
    let victim = fleet.home.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, dir.join(&fleet.hosts[0])).unwrap();
    check_exit(
        fleet.run_on(1).arg("-o").arg(&dir).args(["echo", "x"]),
        1,
        &["no plain file"],
    );
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn json_lines_hold_everything_on_standard_output_and_in_a_file() {
    let fleet = Fleet::start(3);
    let check = |text: &str| {
        let objects: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(objects.len(), 3);
        for object in objects {
            let index = usize::try_from(object["index"].as_u64().unwrap()).unwrap();
            let host = format!("{}:{}", object["host"].as_str().unwrap(), object["port"]);
            assert_eq!(host, fleet.hosts[index]);
            assert_eq!(object["stdout"], format!("host-{index:04}\n"));
            assert_eq!(
                (&object["outcome"], &object["exit_status"]),
                (&"exited".into(), &0.into())
            );
            assert_eq!(
                (&object["error"], &object["phase"]),
                (&Value::Null, &Value::Null)
            );
            assert_eq!(
                (&object["truncated"], &object["attempts"]),
                (&false.into(), &1.into())
            );
            assert!(object["phases"]["kex"].as_f64().unwrap() > 0.0);
        }
    };
    let output = output(fleet.run_on(3).args(["--jsonl", "-", "hostname"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    check(&stdout(&output));
    let path = fleet.home.path().join("results.jsonl");
    let output = support::output(fleet.run_on(3).arg("--jsonl").arg(&path).arg("hostname"));
    assert_eq!(stdout(&output), "");
    check(&std::fs::read_to_string(path).unwrap());
}

#[test]
fn json_names_the_phase_and_kind_of_a_failure() {
    let fleet = Fleet::start(1);
    let closed = closed_port();
    let output = output(
        fleet
            .run()
            .args(["-H", &closed, "--jsonl", "-", "hostname"]),
    );
    assert_eq!(output.status.code(), Some(4));
    let object: Value = serde_json::from_str(stdout(&output).trim_end()).unwrap();
    let keys = ["outcome", "phase", "kind", "error"].map(|key| object[key].as_str().unwrap());
    assert_eq!(keys, ["failed", "connect", "refused", "Connection refused"]);
    assert!(object["exit_status"].is_null() && object["exit_signal"].is_null());
}

/// An address where nobody listens: bound, never listened on, and let go.
fn closed_port() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().to_string()
}

#[test]
fn every_kind_of_end_has_its_exit_code_and_words() {
    let fleet = Fleet::start(2);
    let closed = closed_port();
    check_exit(fleet.run_on(2).arg("true"), 0, &["2 ok"]);
    check_exit(
        fleet.run_on(1).args(["exit", "3"]),
        5,
        &["exit 3  ", ": 0 ok, 1 exit 3"],
    );
    check_exit(
        fleet.run_on(1).args(["signal", "KILL"]),
        5,
        &["signal KILL  "],
    );
    check_exit(
        fleet.run_on(1).arg("nostatus"),
        4,
        &["failed: run: no exit status"],
    );
    let refused = "failed: connect: Connection refused";
    check_exit(
        fleet.run().args(["-H", &closed, "true"]),
        4,
        &[refused, "connect refused"],
    );
    let timed_out = "failed: run: Timed out after 300ms";
    check_exit(
        fleet.run_on(1).args(["-t", "0.3", "sleep", "60"]),
        3,
        &[timed_out],
    );
    check_exit(
        fleet.run_on(1).args(["--deadline", "0.5", "sleep", "60"]),
        3,
        &[],
    );
}

#[test]
fn of_several_ends_the_gravest_decides() {
    let fleet = Fleet::start(1);
    let closed = closed_port();
    let mixed = format!("{} {closed}", fleet.hosts[0]);
    check_exit(
        fleet.run().args(["-H", &mixed, "exit", "3"]),
        4,
        &["exit 3", "refused"],
    );
    let mixed = fleet
        .run()
        .args(["-H", &mixed, "-t", "0.3", "sleep", "60"])
        .output()
        .unwrap();
    assert_eq!(mixed.status.code(), Some(3), "{}", stderr(&mixed));
}

#[test]
fn an_unknown_host_key_is_refused_and_accept_new_records_it() {
    let fleet = Fleet::start(1);
    let known = fleet.home.path().join("known");
    let run = |more: &[&str]| {
        let mut command = support::sshoal(fleet.home.path());
        command
            .args(["run", "--identity"])
            .arg(&fleet.key)
            .args(["-H", &fleet.hosts[0]]);
        command
            .arg("-O")
            .arg(format!("UserKnownHostsFile={}", known.display()));
        command.args(more).arg("true");
        command
    };
    check_exit(
        &mut run(&[]),
        4,
        &["failed: host_key: Host key verification failed."],
    );
    check_exit(&mut run(&["--host-key", "accept-new"]), 0, &["ok"]);
    assert!(
        std::fs::read_to_string(&known)
            .unwrap()
            .contains(" ssh-ed25519 ")
    );
    check_exit(&mut run(&[]), 0, &["ok"]);
}

#[test]
fn weak_checking_acts_as_accept_new_and_says_so_once() {
    let fleet = Fleet::start(3);
    let mut command = support::sshoal(fleet.home.path());
    command
        .args(["run", "--identity"])
        .arg(&fleet.key)
        .arg("-H")
        .arg(fleet.hosts.join(" "));
    command.args([
        "-O",
        "UserKnownHostsFile=none",
        "-O",
        "StrictHostKeyChecking=no",
        "true",
    ]);
    let output = output(&mut command);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output).matches("acts as accept-new").count(), 1);
}

#[test]
fn quiet_says_only_what_failed_and_verbose_adds_phases() {
    let fleet = Fleet::start(2);
    let quiet = output(fleet.run_on(2).args(["-q", "true"]));
    assert_eq!(stderr(&quiet), "");
    let quiet = output(fleet.run_on(1).args(["-q", "exit", "3"]));
    assert!(stderr(&quiet).starts_with("[1/1] "), "{}", stderr(&quiet));
    assert_eq!(stderr(&quiet).lines().count(), 1);
    let verbose = stderr(&output(fleet.run_on(2).args(["-v", "true"])));
    assert!(
        verbose.contains("(") && verbose.contains("kex "),
        "{verbose}"
    );
    assert!(
        verbose.contains("p50") && verbose.contains("p99"),
        "{verbose}"
    );
    let none = stderr(&output(fleet.run_on(2).args(["--no-summary", "true"])));
    assert_eq!(none.lines().count(), 2, "{none}");
    let only = stderr(&output(fleet.run_on(2).args(["-q", "--summary", "true"])));
    assert!(
        only.starts_with("2 hosts in ") && !only.contains("[1/2]"),
        "{only}"
    );
}

#[test]
fn colours_are_there_when_asked_for() {
    let fleet = Fleet::start(1);
    let always = stderr(&output(fleet.run_on(1).args(["--color", "always", "true"])));
    assert!(always.contains("\x1b[32mok\x1b[0m"), "{always:?}");
}

/// A port that refuses, tried three times in all: told in the JSON object and by `-v`. The second
/// run takes the same from the environment; a phase that is not asked for is not tried again.
#[test]
fn a_host_that_refuses_is_tried_again_as_often_as_asked() {
    let fleet = Fleet::start(1);
    // Bound and without a listener, so that nobody else gets the port.
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    );
    let socket = socket.unwrap();
    rustix::net::bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = rustix::net::getsockname(&socket).unwrap();
    let address = std::net::SocketAddr::try_from(address).unwrap().to_string();
    let refused = |command: &mut Command| {
        command.args(["-H", &address, "-v", "--jsonl", "-", "true"]);
        let output = output(command);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        let object: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(object["kind"], "refused");
        (object["attempts"].as_u64().unwrap(), stderr(&output))
    };
    let (attempts, text) = refused(fleet.run().args(["--retries", "2", "--rate", "100"]));
    assert_eq!(attempts, 3);
    assert!(text.contains("3 attempts)"), "{text}");
    let mut run = fleet.run();
    run.env("SSHOAL_RETRIES", "1")
        .env("SSHOAL_RETRY_ON", "connect,banner");
    assert_eq!(refused(&mut run).0, 2);
    let (attempts, text) = refused(fleet.run().args(["--retries", "2", "--retry-on", "banner"]));
    assert_eq!(attempts, 1);
    assert!(!text.contains("attempts"), "{text}");
}

/// A hundred sessions are asked for with room for fewer open files, which the system is made to allow by `prlimit`.
#[test]
fn a_pool_that_this_machine_has_no_room_for_is_said_and_smaller() {
    let fleet = Fleet::start(100);
    let mut run = fleet.run();
    run.arg("-h").arg(&fleet.hosts_file);
    let limited = |run: &Command, files: &str| {
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--nofile={files}:{files}"));
        limited.arg(run.get_program()).args(run.get_args());
        for (name, value) in run.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        limited
    };
    run.args(["-p", "100", "true"]);
    let short = output(&mut limited(&run, "80"));
    let err = stderr(&short);
    assert_eq!(short.status.code(), Some(0), "{err}");
    assert!(err.contains("not 100 sessions at once but "), "{err}");
    assert!(err.contains("ulimit -n"), "{err}");
    assert!(err.ends_with(": 100 ok\n"), "{err}");
    let enough = stderr(&output(&mut limited(&run, "1024")));
    assert!(!enough.contains("sessions at once"), "{enough}");
}
