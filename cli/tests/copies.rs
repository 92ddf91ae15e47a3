//! `sshoal put`, `get` and `sync` against OpenSSH's sshd: what arrives where, and what is told.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::Value;
use support::copying::{Copying, list};
use support::{stderr, stdout};

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn objects(path: &Path) -> Vec<Value> {
    let lines = read(path);
    let parsed = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    parsed.collect()
}

#[test]
fn a_file_goes_to_every_host_under_its_path_into_a_directory_or_behind_a_slash() {
    let Some(hosts) = Copying::start(3) else {
        return;
    };
    hosts.make("motd", "hello\n");
    hosts.make("second", "more\n");
    let put = hosts.run(
        0,
        &["put", "--template", "motd", &hosts.dest("{n}/deep/name")],
    );
    assert_eq!(stdout(&put), "", "standard output is the user's");
    let said = stderr(&put);
    assert!(
        said.contains("[3/3] ") && said.contains(" ok: 1 file, 6 B"),
        "{said}"
    );
    assert!(
        said.contains("3 hosts in ") && said.contains("3 files copied, 18 B"),
        "{said}"
    );
    assert!(
        !said.contains('\r') && !said.contains('%'),
        "no bar: {said}"
    );
    for n in 0..3 {
        assert_eq!(read(&hosts.there(&format!("{n}/deep/name"))), "hello\n");
    }
    // A directory there, one that a slash makes, and several files.
    hosts.run(0, &["put", "--template", "motd", &hosts.dest("{n}/deep")]);
    hosts.run(0, &["put", "--template", "motd", &hosts.dest("{n}/slash/")]);
    hosts.run(
        0,
        &[
            "put",
            "--template",
            "motd",
            "second",
            &hosts.dest("{n}/two"),
        ],
    );
    assert_eq!(list(&hosts.there("2/deep")), ["motd", "name"]);
    assert_eq!(list(&hosts.there("1/slash")), ["motd"]);
    assert_eq!(list(&hosts.there("0/two")), ["motd", "second"]);
}

#[test]
fn each_host_gets_its_own_file_by_a_template() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    hosts.make("keys/0.key", "zero");
    hosts.make("keys/1.key", "one");
    hosts.run(
        0,
        &["put", "--template", "keys/{n}.key", &hosts.dest("{n}.got")],
    );
    assert_eq!(read(&hosts.there("0.got")), "zero");
    assert_eq!(read(&hosts.there("1.got")), "one");
    // Nothing goes anywhere where one host's is missing.
    fs::remove_file(hosts.here("keys/1.key")).unwrap();
    let put = hosts.run(
        2,
        &[
            "put",
            "--template",
            "keys/{n}.key",
            &hosts.dest("{n}.again"),
        ],
    );
    assert!(stderr(&put).contains("keys/1.key"), "{}", stderr(&put));
    assert!(!hosts.there("0.again").exists());
}

/// A tree with an empty directory, links and a name that is no text goes there and comes back, by
/// itself and beneath a slash; without `-r` it is refused before anything is copied.
#[test]
fn a_tree_goes_there_and_back() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    hosts.make("site/a/b", "deep");
    hosts.make("site/top", "top");
    fs::create_dir(hosts.here("site/empty")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff\n");
    fs::write(hosts.here("site").join(odd), "odd").unwrap();
    std::os::unix::fs::symlink("top", hosts.here("site/link")).unwrap();
    let refused = hosts.run(2, &["put", "--template", "site", &hosts.dest("{n}")]);
    let expected = "sshoal: site is a directory; use -r to copy it\n";
    assert_eq!(stderr(&refused), expected);
    assert!(!hosts.there("0").exists());
    let (from, to) = ("site", hosts.dest("{n}"));
    hosts.run(
        0,
        &["put", "-r", "--template", "--links", "copy", from, &to],
    );
    assert_eq!(read(&hosts.there("1/a/b")), "deep");
    assert_eq!(
        fs::read_link(hosts.there("1/link")).unwrap(),
        Path::new("top")
    );
    assert!(hosts.there("0/empty").is_dir());
    assert_eq!(fs::read(hosts.there("0").join(odd)).unwrap(), b"odd");
    let skipped = hosts.run(
        0,
        &["put", "-rv", "--template", from, &hosts.dest("{n}/in/")],
    );
    let said = stderr(&skipped);
    assert!(said.contains("site/link: skipped: link"), "{said}");
    assert!(hosts.there("1/in/site/top").exists() && !hosts.there("1/in/site/link").exists());
    fs::remove_dir_all(hosts.there("1/in")).unwrap();
    // Back again, each host's under its own name.
    let file = hosts.run(4, &["get", "--template", &to, "back"]);
    assert!(
        stderr(&file).contains("is a directory"),
        "{}",
        stderr(&file)
    );
    let to = hosts.dest("1");
    hosts.run(
        0,
        &["get", "-r", "--links", "copy", "--name", "{n}", &to, "back"],
    );
    for n in ["0", "1"] {
        let back = hosts.here("back").join(n);
        assert_eq!(read(&back.join("a/b")), "deep");
        assert_eq!(fs::read(back.join(odd)).unwrap(), b"odd");
        assert_eq!(fs::read_link(back.join("link")).unwrap(), Path::new("top"));
    }
}

#[test]
fn copies_from_hosts_have_names_of_their_own_in_every_way() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    fs::write(hosts.there("motd"), "hello").unwrap();
    let from = hosts.dest("motd");
    let [one, two] = [0, 1].map(|n| hosts.sshd.sockets()[n].to_string());
    hosts.run(0, &["get", &from, "out"]);
    assert_eq!(list(&hosts.here("out")), [one.clone(), two.clone()]);
    assert_eq!(read(&hosts.here(&format!("out/{one}{from}"))), "hello");
    let check = |words: &[&str], expected: [String; 2]| {
        hosts.run(0, &[&["get", &from], words].concat());
        for path in expected {
            assert_eq!(read(&hosts.here(&path)), "hello");
        }
    };
    let pair =
        |before: &str, after: &str| [&one, &two].map(|host| format!("{before}{host}{after}"));
    check(&["a", "--name", "pssh"], pair("a/", "/motd"));
    check(&["b", "--name", "clush"], pair("b/motd.", ""));
    check(&["c", "--name", "parallel-ssh"], pair("c_", ""));
    check(&["d", "-L", "dir"], pair("dir/", "/d"));
    let numbered = ["e/0-motd".to_owned(), "e/1-motd".to_owned()];
    check(&["e", "--name", "{n}-{file}"], numbered);
    let whole = ["f-0".to_owned(), "f-1".to_owned()];
    check(&["f-{n}", "--template"], whole);
}

#[test]
fn two_hosts_never_write_one_file_and_bad_words_are_refused_before_anything_moves() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    hosts.make("x/motd", "x");
    hosts.make("y/motd", "y");
    let dest = hosts.dest("d");
    for (words, part) in [
        (
            vec!["get", "--name", "{file}", "/m", "out"],
            "would both be copied to out/m",
        ),
        (vec!["get", "--name", "../{host}", "/m", "out"], "leads out"),
        (
            vec!["get", "--name", "{hots}", "/m", "out"],
            "{hots} is not known",
        ),
        (vec!["get", "/m/../n", "out"], "leads up"),
        (vec!["get", "/m"], "name what to copy, and where to"),
        (
            vec!["put", "x/motd", "y/motd", &dest],
            "two SRC would be copied to",
        ),
        (
            vec!["put", "nothing", &dest],
            "cannot read nothing: No such file or directory\n",
        ),
        (
            vec!["put", "--scp", "--verify", "x/motd", &dest],
            "--scp does not go with --verify",
        ),
        (
            vec!["put", "--bandwidth", "fast", "x/motd", &dest],
            "write bytes a second",
        ),
        (vec!["sync", "x/motd", &dest], "is no directory; use put"),
        (vec!["sync", "x", "y", &dest], "sync takes one SRC"),
        (vec!["sync", "--keep", "x", &dest], "sync makes files equal"),
    ] {
        let refused = hosts.run(2, &words);
        let said = stderr(&refused);
        assert!(
            said.contains(part) && said.lines().count() == 1,
            "{words:?}: {said}"
        );
    }
    assert!(!hosts.here("out").exists() && !hosts.there("d").exists());
    let mut none = hosts.command_without_hosts("put");
    let output = none.args(["x/motd", &dest]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

/// A directory is brought in step: itemised, with what is excluded left alone, and by content where
/// that is asked for; a dry run changes nothing.
#[test]
fn sync_makes_a_directory_equal_and_says_what_it_did() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("site/a", "one");
    hosts.make("site/skip.log", "log");
    fs::create_dir_all(hosts.there("to")).unwrap();
    fs::write(hosts.there("to/old"), "old").unwrap();
    fs::write(hosts.there("to/old.log"), "kept").unwrap();
    let host = hosts.sshd.socket();
    let all = ["--delete", "--exclude", "*.log", "--itemize", "site"];
    let to = hosts.dest("to");
    let sync = |more: &[&str]| hosts.run(0, &[&["sync"], more, &all[..], &[&to]].concat());
    let expected = format!("{host}\tcopy\ta\n{host}\tdelete\told\n");
    let dry = sync(&["-n"]);
    assert_eq!(stdout(&dry), expected);
    let line = "1 file to copy, 3 B, 1 to delete; nothing was changed";
    assert!(stderr(&dry).contains(line), "{}", stderr(&dry));
    assert_eq!(list(&hosts.there("to")), ["old", "old.log"], "a dry run");
    assert_eq!(stdout(&sync(&[])), expected);
    assert_eq!(list(&hosts.there("to")), ["a", "old.log"]);
    let again = sync(&[]);
    assert_eq!(stdout(&again), "", "all is equal");
    assert!(stderr(&again).contains("1 kept"), "{}", stderr(&again));
    // The same size and time, and other bytes.
    let time = fs::metadata(hosts.here("site/a"))
        .unwrap()
        .modified()
        .unwrap();
    fs::write(hosts.there("to/a"), "two").unwrap();
    let file = fs::File::options().write(true).open(hosts.there("to/a"));
    file.unwrap().set_modified(time).unwrap();
    assert_eq!(stdout(&sync(&[])), "");
    assert_eq!(stdout(&sync(&["--checksum"])), format!("{host}\tcopy\ta\n"));
    assert_eq!(read(&hosts.there("to/a")), "one");
}

#[test]
fn files_that_are_there_are_overwritten_kept_or_a_failure() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("motd", "new");
    fs::write(hosts.there("motd"), "old").unwrap();
    let to = hosts.dest("motd");
    let kept = hosts.run(0, &["put", "--keep", "motd", &to]);
    assert!(stderr(&kept).contains(" ok: 1 kept"), "{}", stderr(&kept));
    let failed = hosts.run(4, &["put", "--no-clobber", "motd", &to]);
    let said = stderr(&failed);
    assert!(
        said.contains("failed: transfer: remote file ") && said.contains("already exists"),
        "{said}"
    );
    for words in [&["--scp"][..], &["--scp", "--no-clobber"]] {
        hosts.run(4, &[&["put"], words, &["motd", &to]].concat());
    }
    hosts.run(0, &["put", "--scp", "--keep", "motd", &to]);
    assert_eq!(read(&hosts.there("motd")), "old");
    hosts.run(0, &["put", "motd", &to]);
    assert_eq!(read(&hosts.there("motd")), "new");
    // And of copies from hosts.
    fs::write(hosts.there("motd"), "other").unwrap();
    let get = |words: &[&str], code| {
        hosts.run(
            code,
            &[&["get"], words, &["--name", "{file}", &to, "."]].concat(),
        );
        read(&hosts.here("motd"))
    };
    assert_eq!(get(&["--keep"], 0), "new");
    assert_eq!(get(&["--no-clobber"], 4), "new");
    assert_eq!(get(&["--scp"], 4), "new");
    assert_eq!(get(&["--scp", "--overwrite"], 0), "other");
}

#[test]
fn scp_puts_a_file_under_its_path_or_into_a_directory() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("motd", "hello");
    hosts.run(0, &["put", "--scp", "motd", &hosts.dest("name")]);
    assert_eq!(read(&hosts.there("name")), "hello");
    fs::create_dir(hosts.there("dir")).unwrap();
    hosts.run(0, &["put", "--scp", "motd", &hosts.dest("dir")]);
    assert_eq!(read(&hosts.there("dir/motd")), "hello");
}

#[test]
fn permissions_and_times_are_kept_and_bytes_compared_when_asked() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    let path = hosts.make("motd", "hello");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o604)).unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    for (words, name) in [(&["-a", "--verify"][..], "one"), (&["-a", "--scp"], "two")] {
        let to = hosts.dest(name);
        hosts.run(0, &[&["put"], words, &["motd", &to]].concat());
        let about = fs::metadata(hosts.there(name)).unwrap();
        assert_eq!(
            (about.mode() & 0o7777, about.mtime()),
            (0o604, 1_000_000_000),
            "{words:?}"
        );
    }
}

#[test]
fn a_file_is_written_by_sudo_where_the_user_may_not() {
    let may = std::process::Command::new("sudo")
        .args(["-n", "true"])
        .output();
    if !may.is_ok_and(|may| may.status.success()) {
        println!("skipped: sudo does not let this user in without a password");
        return;
    }
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("motd", "hello");
    hosts.run(0, &["put", "--sudo", "motd", &hosts.dest("motd")]);
    assert_eq!(read(&hosts.there("motd")), "hello");
    assert_eq!(fs::metadata(hosts.there("motd")).unwrap().uid(), 0);
    let refused = hosts.run(2, &["put", "--sudo", "-r", ".", &hosts.dest("d")]);
    assert!(stderr(&refused).contains("--sudo writes single files"));
    hosts.run(2, &["put", "--ask-sudo", "motd", &hosts.dest("d")]);
}

/// One host of three refuses, since a file stands where its directory would be: the others go on,
/// and the JSON objects tell them apart.
#[test]
fn one_host_fails_while_the_others_go_on() {
    let Some(hosts) = Copying::start(3) else {
        return;
    };
    hosts.make("tree/a", "abc");
    hosts.make("tree/sub/b", "de");
    fs::write(hosts.there("1"), "in the way").unwrap();
    let words = ["put", "-r", "--template", "--jsonl", "out.jsonl", "tree"];
    let put = hosts.run(4, &[&words[..], &[&hosts.dest("{n}")]].concat());
    let said = stderr(&put);
    assert!(said.contains("2 ok, 1 failed: transfer"), "{said}");
    let objects = objects(&hosts.here("out.jsonl"));
    let of = |index: u64| {
        objects
            .iter()
            .find(|object| object["index"] == index)
            .unwrap()
    };
    let good = of(2);
    assert_eq!((&good["files"], &good["bytes"]), (&2.into(), &5.into()));
    assert_eq!(
        (&good["outcome"], &good["kept"]),
        (&"exited".into(), &0.into())
    );
    assert_eq!(good["failed"], Value::Array(Vec::new()));
    let bad = of(1);
    assert_eq!(
        (&bad["outcome"], &bad["phase"]),
        (&"failed".into(), &"transfer".into())
    );
    let failed = &bad["failed"].as_array().unwrap()[0];
    assert_eq!(
        (&failed["phase"], &failed["kind"]),
        (&"transfer".into(), &"exists".into())
    );
    assert_eq!(read(&hosts.there("0/sub/b")), "de");
    assert_eq!(read(&hosts.there("1")), "in the way");
}

#[test]
fn a_partly_copied_tree_is_a_failure_that_names_what_is_missing() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("tree/a", "abc");
    hosts.make("tree/b", "de");
    fs::create_dir_all(hosts.there("t/a")).unwrap();
    let put = hosts.run(4, &["put", "-r", "tree", &hosts.dest("t")]);
    let said = stderr(&put);
    assert!(
        said.contains("t/a is a directory") && said.contains("1 not copied"),
        "{said}"
    );
    assert_eq!(read(&hosts.there("t/b")), "de");
}

#[test]
fn a_dry_run_says_what_goes_where_and_copies_nothing() {
    let Some(hosts) = Copying::start(2) else {
        return;
    };
    hosts.make("motd", "hello");
    let to = hosts.dest("{n}/");
    let put = hosts.run(0, &["put", "-n", "--template", "motd", &to]);
    let shown = stdout(&put);
    let line = shown.lines().nth(1).unwrap();
    let expected = format!(" put motd -> {}", hosts.dest("1/motd"));
    assert!(line.ends_with(&expected), "{line}");
    assert!(stderr(&put).contains("2 hosts; nothing was copied"));
    let get = hosts.run(0, &["get", "-n", "/etc/motd", "out"]);
    assert!(
        stdout(&get).contains(" get /etc/motd -> out/127."),
        "{}",
        stdout(&get)
    );
    assert!(!hosts.there("0").exists() && !hosts.here("out").exists());
}

#[test]
fn flags_come_from_the_environment() {
    let Some(hosts) = Copying::start(1) else {
        return;
    };
    hosts.make("tree/a", "abc");
    let mut put = hosts.command("put");
    put.env("SSHOAL_RECURSIVE", "1").env("SSHOAL_QUIET", "yes");
    let output = put.args(["tree", &hosts.dest("t")]).output().unwrap();
    assert_eq!(
        (output.status.code(), stderr(&output).as_str()),
        (Some(0), "")
    );
    assert_eq!(read(&hosts.there("t/a")), "abc");
}
