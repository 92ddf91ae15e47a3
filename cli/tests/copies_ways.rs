//! Copies by `scp`, through `tar` and under limits of failures, against OpenSSH's sshd.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use support::copying::{Copying, list};
use support::two_hosts::TwoHosts;
use support::{output, stderr, stdout};

/// Makes a directory `site` of this side: a deep file, an empty directory, a name that is no text and
/// a link, with a mode and a time of their own.
fn make_site(hosts: &Copying) {
    let deep = hosts.make("site/a/b", "deep");
    hosts.make("site/top", "top");
    fs::create_dir(hosts.here("site/empty")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd \xff");
    fs::write(hosts.here("site").join(odd), "odd").unwrap();
    symlink("top", hosts.here("site/link")).unwrap();
    fs::set_permissions(&deep, PermissionsExt::from_mode(0o604)).unwrap();
    let file = fs::File::options().write(true).open(&deep).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(time).unwrap();
}

/// Asserts that a directory is a copy of `site`, but for its link.
#[track_caller]
fn assert_site(dir: &Path) {
    assert_eq!(fs::read(dir.join("a/b")).unwrap(), b"deep");
    assert_eq!(fs::read(dir.join("top")).unwrap(), b"top");
    let odd = std::ffi::OsStr::from_bytes(b"odd \xff");
    assert_eq!(fs::read(dir.join(odd)).unwrap(), b"odd");
    assert!(dir.join("empty").is_dir());
    let about = fs::metadata(dir.join("a/b")).unwrap();
    assert_eq!(
        (about.mode() & 0o7777, about.mtime()),
        (0o604, 1_000_000_000)
    );
}

/// A tree goes to two hosts and back, with modes and times, bounds of rate and number, and a report
/// of the link; again, nothing of what is there is overwritten, on a host or here, unless it is to be.
#[test]
fn a_tree_goes_there_and_back_by_scp_and_overwrites_nothing() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    make_site(&hosts);
    let bounds = [
        "--transfers",
        "3",
        "--bandwidth",
        "50M",
        "--min-rate",
        "1/60",
    ];
    let to = hosts.dest("{n}/to");
    let words = ["put", "-arv", "--scp", "--template", "site", &to];
    let put = hosts.run(0, &[&words[..], &bounds].concat());
    let said = stderr(&put);
    assert!(
        said.contains("site/link: skipped: link") || said.contains("to/link: skipped: link"),
        "{said}"
    );
    assert_site(&hosts.there("0/to"));
    assert_site(&hosts.there("1/to"));
    // All but one of the files are there.
    fs::write(hosts.there("1/to/top"), "own").unwrap();
    fs::remove_file(hosts.there("1/to/a/b")).unwrap();
    let again = hosts.run(4, &words);
    let said = stderr(&again);
    assert!(said.contains("to/top already exists"), "{said}");
    assert!(said.contains("failed: transfer exists"), "{said}");
    assert_eq!(fs::read(hosts.there("1/to/top")).unwrap(), b"own");
    assert_eq!(fs::read(hosts.there("1/to/a/b")).unwrap(), b"deep");
    let kept = hosts.run(0, &[&words[..], &["--keep"]].concat());
    assert!(stderr(&kept).contains("3 kept"), "{}", stderr(&kept));
    fs::write(hosts.there("1/to/top"), "top").unwrap();
    // And back.
    let get = |code, more: &[&str]| {
        let words = ["get", "-ar", "--scp", "--name", "{n}", "--template"];
        let words = [&words[..], more, &bounds, &[&to, "out"]].concat();
        stderr(&hosts.run(code, &words))
    };
    get(0, &[]);
    assert_site(&hosts.here("out/0"));
    assert_site(&hosts.here("out/1"));
    fs::write(hosts.here("out/1/top"), "own").unwrap();
    let said = get(4, &[]);
    assert!(
        said.contains("local file out/1/top already exists"),
        "{said}"
    );
    assert_eq!(fs::read(hosts.here("out/1/top")).unwrap(), b"own");
    get(0, &["--keep"]);
    assert_eq!(fs::read(hosts.here("out/1/top")).unwrap(), b"own");
    get(0, &["--overwrite"]);
    assert_site(&hosts.here("out/1"));
}

/// No more is taken than is asked for: of a file, and of all files of a directory, in every way.
#[test]
fn no_more_bytes_are_taken_than_are_asked_for() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("site/a", [b'a'; 60]);
    hosts.make("site/b", [b'b'; 40]);
    let to = hosts.dest("to");
    hosts.run(0, &["put", "-r", "site", &to]);
    let file = hosts.dest("to/a");
    for way in [&[][..], &["--scp"]] {
        let get = |code, most| {
            let name = ["get", "--name", "got", "--overwrite", "--max-bytes", most];
            hosts.run(code, &[&name[..], way, &[&file, "out"]].concat())
        };
        let said = stderr(&get(4, "59"));
        let reason = "larger than the 59 bytes allowed; --max-bytes sets another bound";
        assert!(said.contains(reason), "{way:?}: {said}");
        assert_eq!(list(&hosts.here("out")), [""; 0], "{way:?}");
        get(0, "60");
        assert_eq!(fs::read(hosts.here("out/got")).unwrap(), [b'a'; 60]);
        fs::remove_file(hosts.here("out/got")).unwrap();
    }
    for way in [&[][..], &["--scp"], &["--tar"]] {
        let get = |code, most| {
            let name = ["get", "-r", "--name", "all", "--max-bytes", most];
            hosts.run(code, &[&name[..], way, &[&to, "out"]].concat())
        };
        let said = stderr(&get(4, "99"));
        let reason = "larger than the 99 bytes allowed; --max-bytes sets another bound";
        assert!(said.contains(reason), "{way:?}: {said}");
        assert!(list(&hosts.here("out/all")).len() < 2, "{way:?}");
        fs::remove_dir_all(hosts.here("out")).unwrap();
        get(0, "100");
        assert_eq!(list(&hosts.here("out/all")), ["a", "b"], "{way:?}");
        fs::remove_dir_all(hosts.here("out")).unwrap();
    }
    let none = hosts.run(2, &["get", "--max-bytes", "0", &file, "out"]);
    assert!(
        stderr(&none).contains("write 1 at least"),
        "{}",
        stderr(&none)
    );
}

/// A tree goes there and back in one stream, links and all; what is there is a failure where that is
/// asked for, and a file goes its usual way.
#[test]
fn a_tree_goes_there_and_back_through_tar() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    make_site(&hosts);
    let to = hosts.dest("{n}/to");
    let words = [
        "put",
        "-ar",
        "--tar",
        "--links",
        "copy",
        "--template",
        "site",
        &to,
    ];
    hosts.run(0, &words);
    for n in ["0", "1"] {
        let there = hosts.there(n).join("to");
        assert_site(&there);
        assert_eq!(fs::read_link(there.join("link")).unwrap(), Path::new("top"));
        assert_eq!(list(&hosts.there(n)), ["to"], "nothing is left over");
    }
    fs::write(hosts.there("1/to/top"), "own").unwrap();
    let failed = hosts.run(4, &[&words[..], &["--no-clobber"]].concat());
    assert!(stderr(&failed).contains("to/top already exists"));
    assert_eq!(fs::read(hosts.there("1/to/top")).unwrap(), b"own");
    hosts.run(0, &words);
    let words = [
        "get",
        "-ar",
        "--links",
        "copy",
        "--name",
        "{n}",
        "--template",
    ];
    let mut get = hosts.command(words[0]);
    get.env("SSHOAL_TAR", "1")
        .args(&words[1..])
        .args([&to, "out"]);
    let got = output(&mut get);
    assert_eq!(got.status.code(), Some(0), "{}", stderr(&got));
    assert_site(&hosts.here("out/1"));
    let link = fs::read_link(hosts.here("out/1/link")).unwrap();
    assert_eq!(link, Path::new("top"));
    let top = hosts.dest("1/to/top");
    hosts.run(0, &["get", "-r", "--tar", "--name", "{n}", &top, "top"]);
    assert_eq!(fs::read(hosts.here("top/0")).unwrap(), b"top");
}

/// Files that a system makes up as they are read say that they have no bytes.
#[test]
fn what_tells_no_size_arrives_whole() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    let get = |more: &[&str]| {
        let words = ["get", "--name", "{n}", "--template"];
        hosts.run(0, &[&words[..], more].concat());
    };
    get(&["--verify", "/proc/version", "one"]);
    let version = fs::read("/proc/version").unwrap();
    assert_eq!(fs::read(hosts.here("one/0")).unwrap(), version);
    get(&["-r", "/proc/sys/kernel/random", "all"]);
    let told = fs::read("/proc/sys/kernel/random/boot_id").unwrap();
    assert_eq!(fs::read(hosts.here("all/0/boot_id")).unwrap(), told);
    // An empty file is one.
    fs::write(hosts.there("empty"), "").unwrap();
    get(&[&hosts.dest("empty"), "none"]);
    assert_eq!(fs::read(hosts.here("none/0")).unwrap(), b"");
}

#[test]
fn ways_that_do_not_go_together_are_refused_before_any_connection() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    make_site(&hosts);
    let dest = hosts.dest("d");
    for (words, part) in [
        ("put -r --scp --tar", "--scp does not go with --tar"),
        ("put -r --scp --verify", "--scp does not go with --verify"),
        ("put -r --scp --resume", "--scp does not go with --resume"),
        (
            "put -r --scp --links copy",
            "--scp does not go with --links",
        ),
        ("put -r --scp --overwrite", "leave --overwrite or --scp out"),
        ("put -r --tar --verify", "--tar does not go with --verify"),
        ("put -r --tar --resume", "--tar does not go with --resume"),
        ("put --tar", "--tar is for directories; add -r"),
        ("put -r --tar --sudo", "leave -r, -a, --scp, --tar"),
        ("sync --tar", "leave --scp and --tar out"),
        ("sync --scp --delete", "leave --scp and --tar out"),
        ("put -r --max-fail 0", "--max-fail"),
        ("put -r --max-fail 101%", "1% to 100%"),
    ] {
        let mut command = hosts.command_without_hosts(words.split(' ').next().unwrap());
        command.args(words.split(' ').skip(1));
        // Whoever resolved it would say so.
        let refused = output(command.args(["-H", "nowhere.invalid", "site", &dest]));
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(2), "{words}: {said}");
        assert!(
            said.contains(part) && said.lines().count() == 1,
            "{words}: {said}"
        );
    }
}

/// One host after the other, and a file stands in the way on the second and the fourth of five: those
/// behind the failure that is the last one allowed are left out, and the exit code says so.
#[test]
fn no_more_hosts_are_begun_after_as_many_failures_as_are_allowed() {
    let Some(hosts) = Copying::start(5) else {
        return;
    };
    hosts.make("tree/a", "abc");
    let check = |words: &[&str], code: i32, not_run: usize| {
        for name in list(&hosts.there("")) {
            let path = hosts.there(&name);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        fs::write(hosts.there("1"), "in the way").unwrap();
        fs::write(hosts.there("3"), "in the way").unwrap();
        let to = hosts.dest("{n}");
        let all = [
            "put",
            "-r",
            "-p",
            "1",
            "--template",
            "--jsonl",
            "-",
            "tree",
            &to,
        ];
        let put = hosts.run(code, &[&all[..], words].concat());
        let lines = stdout(&put);
        let kinds: Vec<Value> = lines
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["outcome"].take())
            .collect();
        let left_out = kinds.iter().filter(|kind| *kind == "cancelled").count();
        assert_eq!((kinds.len(), left_out), (5, not_run), "{words:?} {lines}");
        assert_eq!(hosts.there("4/a").exists(), not_run == 0, "{words:?}");
    };
    check(&[], 4, 0);
    check(&["-k"], 7, 3);
    check(&["--max-fail", "2"], 7, 1);
    check(&["--max-fail", "40%"], 7, 1);
    check(&["--max-fail", "3"], 4, 0);
    let from = hosts.dest("{n}/a");
    let get = ["get", "-p", "1", "--template", &from, "out", "--max-fail"];
    hosts.run(7, &[&get[..], &["1"]].concat());
    hosts.run(4, &[&get[..], &["3"]].concat());
    hosts.run(
        7,
        &[
            "sync",
            "-k",
            "-p",
            "1",
            "--template",
            "tree",
            &hosts.dest("{n}"),
        ],
    );
}

#[test]
fn work_on_files_goes_no_further_than_it_is_to_either() {
    let Some(hosts) = TwoHosts::start() else {
        return;
    };
    fs::write(hosts.dir(0).join("f"), "here").unwrap();
    for (names, words, code) in [
        ("dead one two", &["-k", "write", "g", "x"][..], 7),
        ("two one", &["--max-fail", "1", "exists", "f"], 7),
        ("two one", &["--max-fail", "2", "exists", "f"], 5),
        ("one two", &["--max-fail", "50%", "read", "f"], 4),
    ] {
        let done = output(hosts.fs(names, words).args(["-p", "1"]));
        assert_eq!(
            done.status.code(),
            Some(code),
            "{words:?} {}",
            stderr(&done)
        );
    }
    assert!(!hosts.dir(0).join("g").exists() && !hosts.dir(1).join("g").exists());
}

#[test]
fn a_directory_that_is_to_go_where_a_file_is_says_so() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("tree/a", "abc");
    fs::write(hosts.there("x"), "a file").unwrap();
    for words in [&["put", "-r"][..], &["put", "-r", "--scp"], &["sync"]] {
        let failed = hosts.run(4, &[words, &["tree", &hosts.dest("x")]].concat());
        let said = stderr(&failed);
        assert!(said.contains("/x already exists"), "{words:?}: {said}");
    }
    let failed = hosts.run(4, &["put", "-r", "--tar", "tree", &hosts.dest("x")]);
    assert!(stderr(&failed).contains("Not a directory"));
    assert_eq!(fs::read(hosts.there("x")).unwrap(), b"a file");
}

/// Nobody reads what is itemised: the copies are made all the same, on all hosts.
#[test]
fn copies_go_on_when_standard_output_is_closed() {
    let Some(hosts) = Copying::start(3) else {
        return;
    };
    make_site(&hosts);
    let to = hosts.dest("{n}");
    let words = ["sync", "-p", "1", "--itemize", "--template", "site", &to];
    let mut child = hosts.spawn(&words);
    drop(child.stdout.take());
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    for n in ["0", "1", "2"] {
        assert_site(&hosts.there(n));
    }
}
