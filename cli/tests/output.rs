//! Where the output of `sshoal run` goes besides a gather: files, JSON, hosts files, a terminal.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use serde_json::Value;
use support::copying::Copying;
use support::noise::{bytes, noise, objects, on_a_terminal};
use support::screen::Screen;
use support::{Fleet, output, sshoal, stderr, stdout};

/// One run of two hosts that print noise has its output inline, gathered, in files, in JSON and in
/// events, all with the very bytes; the events of each host come in their order.
#[test]
fn one_run_is_shown_in_many_ways_and_no_byte_is_lost() {
    let Some(copying) = Copying::quiet(2) else {
        return;
    };
    let noise = noise(500);
    let source = copying.dest("noise");
    std::fs::write(copying.there("noise"), &noise).unwrap();
    let words = [
        "run",
        "-q",
        "-i",
        "-b",
        "-o",
        "out",
        "--jsonl",
        "all.jsonl",
        "--events",
        "events",
    ];
    let run = copying.run(0, &[&words[..], &["cat", &source]].concat());
    // Each host inline, then both as one group.
    let (inline, gathered) = run.stdout.split_at(2 * noise.len());
    assert!(inline == [&noise[..], &noise].concat());
    assert!(gathered.starts_with(b"---------------\n") && gathered.ends_with(&noise));
    for socket in copying.sshd.sockets() {
        let file = std::fs::read(copying.here("out").join(socket.to_string())).unwrap();
        assert!(file == noise);
    }
    let hosts = objects(&copying.here("all.jsonl"));
    assert_eq!(hosts.len(), 2);
    assert!(
        hosts
            .iter()
            .all(|host| bytes(host, "stdout", "stdout_encoding") == noise)
    );
    let events = objects(&copying.here("events"));
    for index in 0..2 {
        let own: Vec<&Value> = events
            .iter()
            .filter(|event| event["index"] == index)
            .collect();
        let mut names: Vec<&str> = own
            .iter()
            .map(|event| event["event"].as_str().unwrap())
            .collect();
        names.dedup();
        let expected = [
            "started",
            "connected",
            "authenticated",
            "accepted",
            "output",
            "exit",
            "finished",
        ];
        assert_eq!(names, expected);
        let output = own.iter().filter(|event| event["event"] == "output");
        let output = output.flat_map(|event| bytes(event, "bytes", "encoding"));
        assert!(output.collect::<Vec<u8>>() == noise);
        let times: Vec<f64> = own
            .iter()
            .filter_map(|event| event["at_s"].as_f64())
            .collect();
        assert!(
            times.is_sorted() && times.len() == own.len() - 1,
            "{times:?}"
        );
        assert_eq!(own[own.len() - 2]["exit_status"], 0);
        assert_eq!(own[own.len() - 1]["outcome"], "exited");
        assert_eq!(own[0]["host"], copying.sshd.sockets()[index].to_string());
    }
}

#[test]
fn events_tell_why_a_host_is_tried_again_and_fails() {
    let fleet = Fleet::start(1);
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = socket.local_addr().unwrap().to_string();
    drop(socket);
    let run = output(fleet.run().args([
        "-q",
        "-H",
        &closed,
        "--retries",
        "1",
        "--events",
        "-",
        "true",
    ]));
    assert_eq!(run.status.code(), Some(4), "{}", stderr(&run));
    let events: Vec<Value> = stdout(&run)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<&str> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["started", "retry", "failed", "finished"]);
    assert_eq!(
        (&events[1]["attempt"], &events[1]["kind"]),
        (&1.into(), &"refused".into())
    );
    assert_eq!(
        (&events[2]["phase"], &events[3]["attempts"]),
        (&"connect".into(), &2.into())
    );
}

#[test]
fn files_are_added_to_on_request() {
    let fleet = Fleet::start(1);
    let dir = fleet.home.path().join("out");
    let path = dir.join(&fleet.hosts[0]);
    let run = |words: &[&str]| {
        let mut run = fleet.run_on(1);
        let run = output(run.arg("-q").arg("-o").arg(&dir).args(words));
        assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
        std::fs::read_to_string(&path).unwrap()
    };
    assert_eq!(run(&["--fileappend", "echo", "one"]), "one\n");
    assert_eq!(run(&["--fileappend", "echo", "two"]), "one\ntwo\n");
    assert_eq!(run(&["echo", "three"]), "three\n");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("elsewhere", &path).unwrap();
    let run = output(
        fleet
            .run_on(1)
            .args(["--fileappend", "-o"])
            .arg(&dir)
            .args(["echo", "x"]),
    );
    assert_eq!(run.status.code(), Some(1), "{}", stderr(&run));
    assert!(!dir.join("elsewhere").exists());
}

/// Four hosts of a hosts file, one with options of its own and one that fails: each is in its file, in the
/// order of the input and with its options, and is read back from there; the file that is read may be
/// the one that is written.
#[test]
fn failed_and_good_hosts_are_files_that_are_read_back() {
    let Some(copying) = Copying::quiet(4) else {
        return;
    };
    let sockets = copying.sshd.sockets();
    let mut lines: Vec<String> = sockets.iter().map(ToString::to_string).collect();
    lines[1].push_str(" ConnectTimeout=\"9\" Compression=no");
    copying.make("hosts", lines.join("\n"));
    let run = |code: i32, words: &[&str]| {
        let mut run = copying.command_without_hosts("run");
        run.args([
            "-q",
            "--failed-to",
            "failed",
            "--ok-to",
            "good",
            "--template",
        ]);
        let run = output(run.args(words));
        assert_eq!(run.status.code(), Some(code), "{}", stderr(&run));
        let read = |name| std::fs::read_to_string(copying.here(name)).unwrap();
        (read("failed"), read("good"))
    };
    let (failed, good) = run(5, &["-h", "hosts", "test {n} != 3"]);
    assert_eq!(failed, format!("{}\n", lines[3]));
    assert_eq!(good, lines[..3].join("\n") + "\n");
    let (failed, good) = run(0, &["-h", "failed", "true"]);
    assert_eq!((failed.as_str(), good), ("", format!("{}\n", lines[3])));
    // A host that an early failure kept from being begun is to be done yet.
    let (failed, good) = run(7, &["-h", "hosts", "-k", "-p", "1", "test {n} != 1"]);
    assert_eq!(failed, lines[1..].join("\n") + "\n");
    assert_eq!(good, format!("{}\n", lines[0]));
    // So it is with copies.
    copying.make("file", "x");
    std::fs::write(copying.there("plain"), "no directory").unwrap();
    let mut put = copying.command_without_hosts("put");
    put.args([
        "-q",
        "-h",
        "hosts",
        "--failed-to",
        "failed",
        "--ok-to",
        "good",
        "file",
    ]);
    let put = output(put.arg(copying.dest("plain/file")));
    assert_eq!(put.status.code(), Some(4), "{}", stderr(&put));
    let failed = std::fs::read_to_string(copying.here("failed")).unwrap();
    assert_eq!(failed, lines.join("\n") + "\n");
    assert_eq!(std::fs::read(copying.here("good")).unwrap(), b"");
}

#[test]
fn collected_output_is_cut_on_request_and_says_so() {
    let fleet = Fleet::start(2);
    let run = |words: &[&str]| {
        let run = output(fleet.run_on(2).args(words));
        assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
        (stdout(&run), stderr(&run))
    };
    // With a line end between the hosts.
    let (out, err) = run(&["--max-output", "1k", "-i", "head", "-c", "5000"]);
    assert_eq!(
        (out.len(), err.matches("(output cut)").count()),
        (2001, 2),
        "{err}"
    );
    let (out, _) = run(&["--max-output", "1k", "-b", "head", "-c", "5000"]);
    assert!(out.contains(" (2): output cut\n"), "{out}");
    let (out, _) = run(&["--max-output", "0", "--jsonl", "-", "echo", "x"]);
    assert!(
        out.contains(r#""stdout":"""#) && out.contains(r#""truncated":true"#),
        "{out}"
    );
    let (_, err) = run(&["--max-output", "5000", "-i", "head", "-c", "5000"]);
    assert!(!err.contains("cut"), "{err}");
}

/// A full summary has the phases' percentiles and the slowest hosts; the short one names who failed.
#[test]
fn a_summary_has_counts_percentiles_and_the_slowest_and_failed_hosts() {
    let fleet = Fleet::start(3);
    let run = |words: &[&str]| stderr(&output(fleet.run_on(3).args(words)));
    let full = run(&["-q", "--summary", "true"]);
    let lines: Vec<&str> = full.lines().collect();
    assert!(
        lines[0].starts_with("3 hosts in ") && lines[0].ends_with(": 3 ok"),
        "{full}"
    );
    for phase in ["connect", "kex", "auth", "run"] {
        let line = lines
            .iter()
            .find(|line| line.trim_start().starts_with(phase));
        assert!(
            line.is_some_and(|line| line.contains("  p50 ") && line.contains("  p99 ")),
            "{full}"
        );
    }
    let slowest = lines.last().unwrap();
    assert!(slowest.starts_with("  slowest  127."), "{full}");
    assert!(
        fleet
            .hosts
            .iter()
            .all(|host| slowest.contains(host.as_str())),
        "{full}"
    );
    let short = run(&["exit", "3"]);
    let hosts = sshoal::hosts::fold(fleet.hosts.iter().map(String::as_str));
    assert!(
        short.ends_with(&format!(": 0 ok, 3 exit 3\n  exit 3: {hosts} (3)\n")),
        "{short}"
    );
    assert!(!run(&["--no-summary", "exit", "3"]).contains(" hosts in "));
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_is_done() {
    let home = tempfile::tempdir().unwrap();
    let password = home.path().join("password");
    std::fs::write(&password, "secret").unwrap();
    for (words, part) in [
        (
            &["--jsonl", "-", "-b"][..],
            "--jsonl - takes standard output",
        ),
        (
            &["--jsonl", "-", "--fuzzy"],
            "--jsonl - takes standard output",
        ),
        (&["--events", "-", "-P"], "--events - takes standard output"),
        (
            &["--events", "-", "--diff"],
            "--events - takes standard output",
        ),
        (
            &["--events", "-", "--jsonl", "-"],
            "both take standard output",
        ),
        (&["--gather-live", "--diff"], "cannot be used with"),
        (&["--gather-live", "--fuzzy"], "cannot be used with"),
        (&["--failed-to", "x", "--ok-to", "x"], "name the same file"),
        (
            &["--failed-to", "/no/such/directory/x"],
            "--failed-to: cannot write",
        ),
        (
            &["--events", "/no/such/directory/x"],
            "--events: cannot write",
        ),
        (&["--max-output", "many"], "write bytes, as"),
        (&["--max-output", "-1"], "write bytes, as"),
        (&["-q", "-v"], "cannot be used with"),
        (&["--color", "blue"], "possible values: auto, always, never"),
    ] {
        let mut run = sshoal(home.path());
        run.args(["run", "-H", "192.0.2.1", "-F", "none", "-l", "u"]);
        run.arg("--password-file").arg(&password);
        run.current_dir(home.path()).args(words).arg("true");
        let run = output(&mut run);
        assert_eq!(run.status.code(), Some(2), "{words:?}: {}", stderr(&run));
        assert!(stderr(&run).contains(part), "{words:?}: {}", stderr(&run));
    }
    assert!(!home.path().join("x").exists());
}

#[test]
fn headings_and_names_have_colours_where_they_are_wanted() {
    let fleet = Fleet::start(1);
    let run = |words: &[&str]| stdout(&output(fleet.run_on(1).args(words)));
    let host = &fleet.hosts[0];
    let print = run(&["--color", "always", "-P", "echo", "x"]);
    assert_eq!(print, format!("\x1b[36m{host}:\x1b[0m x\n"));
    let gather = run(&["--color", "always", "-b", "echo", "x"]);
    assert!(
        gather.contains(&format!("\x1b[36m{host}\x1b[0m\n")),
        "{gather:?}"
    );
    for words in [
        &["-P"][..],
        &["-b"],
        &["-b", "--color", "never"],
        &["--no-headers", "-P"],
    ] {
        let plain = run(&[words, &["echo", "x"]].concat());
        assert!(
            !plain.contains('\x1b') && plain.ends_with("x\n"),
            "{plain:?}"
        );
    }
    assert_eq!(run(&["--no-headers", "-P", "echo", "x"]), "x\n");
    // On a terminal, NO_COLOR is heeded, and a name of the terminal that knows none; without them
    // there are some.
    for (color, term, expected) in [
        (None, "xterm", true),
        (Some("1"), "xterm", false),
        (None, "dumb", false),
        (None, "", false),
    ] {
        let mut run = fleet.run_on(1);
        run.args(["-q", "-b", "echo", "x"]).env("TERM", term);
        if let Some(color) = color {
            run.env("NO_COLOR", color);
        }
        let (code, text) = Screen::start(&run).end();
        assert_eq!(
            (code, text.contains("\x1b[36m")),
            (Some(0), expected),
            "{text:?}"
        );
    }
}

/// Lines of noise, `SSHOAL_TERMINAL_INPUTS` of them (10000 unless it is set, 1000000 in full), shown
/// on a real terminal in each way: no control byte gets there, unless with --raw, and what gets there
/// is the same text each time.
#[test]
fn no_control_byte_of_a_host_reaches_a_terminal() {
    let Some(copying) = Copying::quiet(1) else {
        return;
    };
    let inputs = std::env::var("SSHOAL_TERMINAL_INPUTS").map_or(10_000, |n| n.parse().unwrap());
    let noise = noise(inputs);
    std::fs::write(copying.there("noise"), &noise).unwrap();
    let source = copying.dest("noise");
    let shown = |words: &[&str]| {
        let mut run = copying.command("run");
        run.args(["-q", "--color", "never", "--no-headers"])
            .args(words)
            .args(["cat", &source]);
        on_a_terminal(&run)
    };
    let inline = shown(&["-i"]);
    let text = String::from_utf8(inline.clone()).expect("what is shown is UTF-8");
    let acts = |c: char| !(sshoal::sanitise::is_harmless(c));
    assert_eq!(text.find(acts), None);
    assert_eq!(text.lines().count(), inputs);
    assert!(text.contains("\\x1b[") && text.contains("\\x9b"));
    for words in [&["-P"][..], &["-b"], &["--gather-live"], &["--fuzzy"]] {
        assert!(shown(words) == inline, "{words:?}");
    }
    // A diff of two hosts that print noise, and one of what differs in noise.
    let mut run = copying.command("run");
    run.env("TERM", "xterm");
    run.args([
        "-H",
        &copying.sshd.sockets()[0].to_string(),
        "-q",
        "--template",
        "--diff",
    ]);
    run.arg(format!(
        "tail -n {} {source} | tail -n +{{n}}1",
        inputs.min(500)
    ));
    let diff = String::from_utf8(on_a_terminal(&run)).expect("what is shown is UTF-8");
    let plain = diff
        .replace("\x1b[1m", "")
        .replace("\x1b[0m", "")
        .replace("\x1b[36m", "");
    let plain = plain.replace("\x1b[31m", "").replace("\x1b[32m", "");
    assert!(
        diff.contains("@@ -1,") && diff.contains("\x1b[31m-"),
        "{diff}"
    );
    assert_eq!(plain.find(acts), None);
    if inputs <= 10_000 {
        assert!(shown(&["-i", "--raw"]).contains(&0x9b));
    }
}

/// Two hosts of which one ends at once: the terminal shows how many have ended, and the other one
/// with what it does and for how long; without a terminal there is nothing of it.
#[test]
fn a_terminal_shows_what_runs_and_a_pipe_does_not() {
    let Some(copying) = Copying::quiet(2) else {
        return;
    };
    let go = copying.dest("go");
    let command = format!("test {{n}} = 0 || while ! test -e {go}; do sleep 0.05; done");
    let mut run = copying.command("run");
    run.args(["--template", &command]);
    let mut screen = Screen::start(&run);
    screen.wait_for("1/2  1 ok");
    screen.wait_for(&format!("{}  run ", copying.sshd.sockets()[1]));
    std::fs::write(copying.there("go"), "").unwrap();
    let (code, text) = screen.end();
    assert_eq!(code, Some(0), "{text}");
    let piped = output(&mut run);
    let all = stdout(&piped) + &stderr(&piped);
    assert!(
        !all.contains(['\x1b', '\r']) && !all.contains("1/2  1 ok"),
        "{all:?}"
    );
}

/// Whoever sits at a terminal and sees no output learns how to; nobody else does, and not where there
/// was none, or where it went somewhere.
#[test]
fn output_that_nobody_was_shown_is_told_of_on_a_terminal() {
    let fleet = Fleet::start(2);
    let told = |more: &[&str]| {
        let (_, text) = Screen::start(fleet.run_on(2).args(more)).end();
        text.contains("what the hosts wrote was not shown: -i shows it")
    };
    assert!(told(&["echo", "text"]));
    for more in [
        &["true"][..],
        &["-q", "echo", "text"],
        &["-i", "echo", "text"],
        &["-b", "echo", "text"],
        &["-P", "echo", "text"],
    ] {
        assert!(!told(more), "{more:?}");
    }
    let piped = output(fleet.run_on(2).args(["echo", "text"]));
    assert!(!stderr(&piped).contains("not shown"), "{}", stderr(&piped));
}
