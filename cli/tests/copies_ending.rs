//! Copies that are slowed down, given up, interrupted and gone on with, against OpenSSH's sshd.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use support::copying::{Copying, list, wait_for_part, wait_until};
use support::screen::Screen;
use support::{output, stderr, stdout};

/// Bytes that are not all the same.
fn bytes(count: u32) -> Vec<u8> {
    (0..count).map(|n| ((n * 31) >> 7) as u8).collect()
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn an_interrupted_copy_leaves_nothing_on_either_side() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("big", bytes(8_000_000));
    fs::create_dir(hosts.there("to")).unwrap();
    let slow = ["--bandwidth", "1M"];
    for (sent, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let to = hosts.dest("to/big");
        let child = hosts.spawn(&["put", slow[0], slow[1], "big", &to]);
        wait_for_part(&hosts.there("to"), 100_000);
        signal(&child, sent);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        assert!(
            list(&hosts.there("to")).is_empty(),
            "{:?}",
            list(&hosts.there("to"))
        );
    }
    fs::write(hosts.there("big"), bytes(8_000_000)).unwrap();
    fs::create_dir(hosts.here("out")).unwrap();
    let from = hosts.dest("big");
    let child = hosts.spawn(&["get", "--name", "{file}", slow[0], slow[1], &from, "out"]);
    wait_for_part(&hosts.here("out"), 100_000);
    signal(&child, Signal::INT);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(
        list(&hosts.here("out")).is_empty(),
        "{:?}",
        list(&hosts.here("out"))
    );
}

/// The command is killed in the middle; the same line again finishes the very file that was begun.
#[test]
fn a_killed_copy_is_gone_on_with() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    let all = bytes(6_000_000);
    hosts.make("big", &all);
    fs::create_dir(hosts.there("to")).unwrap();
    let to = hosts.dest("to/big");
    let mut child = hosts.spawn(&["put", "--resume", "--bandwidth", "2M", "big", &to]);
    let part = wait_for_part(&hosts.there("to"), 1_500_000);
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    assert!(!hosts.there("to/big").exists(), "no short file");
    let begun = fs::metadata(&part).unwrap().ino();
    hosts.run(0, &["put", "--resume", "big", &to]);
    assert_eq!(fs::read(hosts.there("to/big")).unwrap(), all);
    assert_eq!(fs::metadata(hosts.there("to/big")).unwrap().ino(), begun);
    assert_eq!(list(&hosts.there("to")), ["big"]);
}

/// Copies of a file and of a directory are killed; once they are resumed, nothing of the killed ones is left.
#[test]
fn a_killed_copy_that_is_resumed_leaves_nothing_behind() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    let all = bytes(3_000_000);
    hosts.make("tree/big", &all);
    let (file, tree) = (hosts.dest("file/big"), hosts.dest(""));
    for (what, within) in [(["tree/big", &file], "file"), (["tree", &tree], "tree")] {
        fs::create_dir_all(hosts.there(within)).unwrap();
        let slow = ["put", "-r", "--bandwidth", "1M", "--journal", "journals"];
        let mut child = hosts.spawn(&[&slow[..], &what].concat());
        wait_for_part(&hosts.there(within), 500_000);
        signal(&child, Signal::KILL);
        child.wait().unwrap();
        let mut resume = support::sshoal(&hosts.here("."));
        resume.current_dir(hosts.here("."));
        let done = output(resume.args(["resume", "--journal", "journals", "last"]));
        assert!(done.status.success(), "{}", stderr(&done));
        let big = hosts.there(within).join("big");
        assert_eq!(fs::read(big).unwrap(), all);
        assert_eq!(list(&hosts.there(within)), ["big"]);
    }
}

/// As above, of a directory that comes in one stream.
#[test]
fn a_killed_get_by_tar_that_is_resumed_leaves_nothing_behind() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    let all = bytes(1_500_000);
    fs::create_dir(hosts.there("tree")).unwrap();
    fs::write(hosts.there("tree/big"), &all).unwrap();
    let from = hosts.dest("tree");
    let label = hosts.sshd.sockets()[0].to_string();
    let to = hosts.here("out").join(label).join(&from[1..]);
    let slow = ["get", "-r", "--tar", "--bandwidth", "1M"];
    let mut child = hosts.spawn(&[&slow[..], &["--journal", "journals", &from, "out"]].concat());
    wait_for_part(&to, 300_000);
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    let mut resume = support::sshoal(&hosts.here("."));
    resume.current_dir(hosts.here("."));
    let done = output(resume.args(["resume", "--journal", "journals", "last"]));
    assert!(done.status.success(), "{}", stderr(&done));
    assert_eq!(fs::read(to.join("big")).unwrap(), all);
    assert_eq!(list(&to), ["big"]);
}

#[test]
fn a_copy_that_is_too_slow_or_takes_too_long_is_given_up() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("big", bytes(4_000_000));
    fs::create_dir(hosts.there("to")).unwrap();
    let to = hosts.dest("to/big");
    let slow = ["put", "--bandwidth", "100k/host", "big", &to];
    let given_up = hosts.run(3, &[&slow[..], &["--min-rate", "1M/1"]].concat());
    let expected = "failed: transfer: fewer than 1.0 MB a second over 1s";
    assert!(
        stderr(&given_up).contains(expected),
        "{}",
        stderr(&given_up)
    );
    let late = hosts.run(3, &[&slow[..], &["-t", "0.5"]].concat());
    assert!(
        stderr(&late).contains("failed: transfer: "),
        "{}",
        stderr(&late)
    );
    let over = hosts.run(3, &[&slow[..], &["--deadline", "1"]].concat());
    assert!(stderr(&over).contains("cancelled: "), "{}", stderr(&over));
    assert!(
        list(&hosts.there("to")).is_empty(),
        "{:?}",
        list(&hosts.there("to"))
    );
    hosts.run(
        0,
        &["put", "--min-rate", "1/20", "--transfers", "1", "big", &to],
    );
}

/// With one file at a time over the fleet, no two of them are ever under way.
#[test]
fn as_many_files_are_under_way_as_was_said() {
    let Some(hosts) = Copying::start(3) else {
        return;
    };
    hosts.make("file", bytes(400_000));
    fs::create_dir(hosts.there("to")).unwrap();
    let words = [
        "put",
        "--template",
        "--transfers",
        "1",
        "--bandwidth",
        "500k",
    ];
    let mut child = hosts.spawn(&[&words[..], &["file", &hosts.dest("to/{n}")]].concat());
    let status = wait_until("the end", || {
        let parts = list(&hosts.there("to"));
        let parts: Vec<_> = parts.iter().filter(|name| name.starts_with('.')).collect();
        assert!(parts.len() <= 1, "{parts:?}");
        child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0));
    assert_eq!(list(&hosts.there("to")), ["0", "1", "2"]);
}

/// On a terminal: a bar of all hosts and a line for each under way; the first Ctrl-C lets them go on,
/// the second ends them.
#[test]
fn a_terminal_shows_how_far_copies_are_and_ends_them_at_the_second_ctrl_c() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    hosts.make("big", bytes(20_000_000));
    fs::create_dir(hosts.there("to")).unwrap();
    let big = hosts.here("big");
    let mut put = hosts.command("put");
    put.args(["--template", "--bandwidth", "1M/host"]);
    put.arg(&big).arg(hosts.dest("to/{n}"));
    let mut screen = Screen::start(&put);
    screen.wait_for(" 0/2 ");
    screen.wait_for(" MB of 40.0 MB");
    screen.wait_for(&hosts.sshd.sockets()[0].to_string());
    screen.wait_for(" MB of 20.0 MB");
    screen.press("\x03");
    screen.wait_for("Ctrl-C again ends their copies");
    assert!(screen.is_running());
    screen.press("\x03");
    assert_eq!(screen.wait(), Some(130));
    assert!(
        list(&hosts.there("to")).is_empty(),
        "{:?}",
        list(&hosts.there("to"))
    );
}

#[test]
fn what_hosts_name_cannot_act_on_a_terminal() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    let name = "bad\x1b[35mname";
    fs::create_dir(hosts.there("from")).unwrap();
    fs::write(hosts.there("from").join(name), "x").unwrap();
    let out = hosts.here("out");
    fs::create_dir_all(out.join(name)).unwrap();
    let mut get = hosts.command("get");
    get.args(["-r", "--name", "."])
        .arg(hosts.there("from"))
        .arg(&out);
    let (code, shown) = Screen::start(&get).end();
    assert_eq!(code, Some(4), "{shown:?}");
    assert!(
        shown.contains("bad\\x1b[35mname") && !shown.contains("\x1b[35m"),
        "{shown:?}"
    );
    // Nor where it is written for a program that shows it.
    let json = hosts.run(
        4,
        &[
            "get",
            "-r",
            "--name",
            ".",
            "--jsonl",
            "-",
            &hosts.dest("from"),
            "out",
        ],
    );
    assert!(stdout(&json).contains("\\u001b[35m"), "{}", stdout(&json));
}
