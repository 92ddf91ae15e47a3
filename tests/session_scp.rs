//! One file to and from a host by its `scp`, against OpenSSH's own and against ones that lie.

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, UNIX_EPOCH},
};

use sshoal::{
    Kind, Session,
    transfer::{Error, Keep, Scp},
};
use support::{
    files::{bytes_of, names},
    programs::{program, with_programs},
    sessions::{connect, limit, random_bytes, within_ms},
    sshd::Sshd,
};

fn subdirectory(sshd: &Sshd, name: &str) -> PathBuf {
    let dir = sshd.scratch().join(name);
    fs::create_dir(&dir).expect("makes a directory");
    dir
}

#[test]
fn files_of_any_size_arrive_whole_both_ways() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let (there, here) = (subdirectory(&sshd, "there"), subdirectory(&sshd, "here"));
    for size in [0, 1, 32_699, 32_700, 32_701, 262_144, 3_000_000] {
        check_size(&session, size, (&there, &here));
    }
    assert_eq!(names(&there).len(), 7, "nothing is left beside the files");
}

#[track_caller]
fn check_size(session: &Session, size: usize, (there, here): (&Path, &Path)) {
    let bytes = random_bytes(size, size as u64 + 1);
    let (source, back) = (here.join("source"), here.join(format!("back {size}")));
    fs::write(&source, &bytes).expect("writes");
    let remote = there.join(format!("it's \"$HOME\" {size}"));
    let all = limit();
    let scp = Scp::new(session, &all);
    let sent = scp.send(&source, bytes_of(&remote)).expect("sends");
    assert_eq!(sent.bytes, size as u64);
    assert!(fs::read(&remote).expect("reads") == bytes);
    let received = scp.receive(bytes_of(&remote), &back).expect("receives");
    assert_eq!(received.bytes, size as u64);
    assert!(fs::read(&back).expect("reads") == bytes);
    let read = scp.receive_bytes(bytes_of(&remote)).expect("receives");
    assert!(read == bytes);
}

/// Goal: every byte arrives whatever the key exchanges (S6). Method: 40 MB each way with a new key
/// for each of them.
#[test]
fn every_byte_arrives_under_rekeying() {
    let Some(sshd) = Sshd::builder()
        .log_level("INFO")
        .config("RekeyLimit 1M")
        .start()
    else {
        return;
    };
    let session = connect(&sshd);
    let bytes = random_bytes(40_000_000, 5);
    let remote = sshd.scratch().join("large");
    let all = limit();
    let scp = Scp::new(&session, &all);
    scp.send_bytes(&bytes, bytes_of(&remote), 0o640)
        .expect("sends");
    assert!(fs::read(&remote).expect("reads") == bytes);
    assert!(scp.receive_bytes(bytes_of(&remote)).expect("receives") == bytes);
}

#[test]
fn modes_and_times_go_along_as_asked() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let (there, here) = (subdirectory(&sshd, "there"), subdirectory(&sshd, "here"));
    let source = here.join("source");
    fs::write(&source, "x").expect("writes");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o4751)).expect("sets the mode");
    let file = fs::File::options().write(true).open(&source);
    let modified = UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    file.and_then(|file| file.set_modified(modified))
        .expect("sets the time");
    for (keep, mode, kept) in [
        (Keep::Nothing, 0o600, false),
        (Keep::Mode, 0o751, false),
        (Keep::ModeAndTimes, 0o751, true),
    ] {
        let (remote, back) = (there.join(format!("{keep:?}")), here.join("back"));
        let all = limit();
        let scp = Scp::new(&session, &all).keep(keep);
        scp.send(&source, bytes_of(&remote)).expect("sends");
        scp.receive(bytes_of(&remote), &back).expect("receives");
        for copy in [&remote, &back] {
            let metadata = fs::metadata(copy).expect("is there");
            let time = metadata.modified().expect("has a time");
            let found = (metadata.mode() & 0o7777, time == modified);
            assert_eq!(found, (mode, kept), "{keep:?} {copy:?}");
        }
    }
}

#[test]
fn behind_a_slash_the_file_keeps_its_name() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let there = subdirectory(&sshd, "there");
    let source = sshd.scratch().join("a name");
    fs::write(&source, "x").expect("writes");
    let all = limit();
    let remote = [bytes_of(&there), b"/"].concat();
    let sent = Scp::new(&session, &all).send(&source, &remote);
    assert_eq!(sent.expect("sends").bytes, 1);
    assert_eq!(names(&there), ["a name"]);
}

/// Goal: whatever stands at the path stays as it was. Method: a file, a directory, links that lead
/// somewhere and nowhere, a pipe.
#[test]
fn what_stands_there_is_left_alone() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let there = subdirectory(&sshd, "there");
    fs::write(there.join("file"), "old").expect("writes");
    fs::set_permissions(there.join("file"), fs::Permissions::from_mode(0o604)).expect("sets");
    fs::create_dir(there.join("directory")).expect("makes a directory");
    symlink("file", there.join("link")).expect("links");
    symlink("nowhere", there.join("dangling")).expect("links");
    symlink("directory", there.join("into")).expect("links");
    let all = ["dangling", "directory", "file", "into", "link"];
    let scope = limit();
    let scp = Scp::new(&session, &scope);
    for name in all {
        let error = scp.send_bytes(b"new", bytes_of(&there.join(name)), 0o644);
        assert!(
            matches!(error, Err(Error::Exists { .. })),
            "{name}: {error:?}"
        );
    }
    assert_eq!(names(&there), all);
    assert!(names(&there.join("directory")).is_empty());
    let file = there.join("file");
    assert_eq!(fs::read(&file).expect("reads"), b"old");
    assert_eq!(fs::metadata(&file).expect("is there").mode() & 0o777, 0o604);
    check_race(Arc::new(session), &there);
}

/// Of eight senders at once, on one session, one wins and its file is whole.
#[track_caller]
fn check_race(session: Arc<Session>, there: &Path) {
    let target = there.join("wanted");
    let senders: Vec<_> = (0..8u8)
        .map(|n| {
            let (session, target) = (session.clone(), target.clone());
            thread::spawn(move || {
                let all = limit();
                let bytes = vec![n; 100_000];
                let sent = Scp::new(&session, &all).send_bytes(&bytes, bytes_of(&target), 0o600);
                match sent {
                    Ok(_) => Some(n),
                    Err(Error::Exists { .. }) => None,
                    Err(error) => panic!("{error}"),
                }
            })
        })
        .collect();
    let won: Vec<_> = senders
        .into_iter()
        .filter_map(|sender| sender.join().expect("does not panic"))
        .collect();
    assert_eq!(won.len(), 1, "{won:?}");
    assert!(fs::read(&target).expect("reads") == vec![won[0]; 100_000]);
    assert_eq!(names(there).len(), 6, "nothing is left: {:?}", names(there));
}

/// Goal: the promise holds where there are no hard links. Method: a `link` that always fails.
#[test]
fn without_hard_links_nothing_is_overwritten_either() {
    let path = |dir: &Path| format!("{}:/usr/bin:/bin", dir.display());
    let Some((sshd, programs)) = with_programs(path) else {
        return;
    };
    let asked = programs.join("asked");
    program(
        &programs,
        "link",
        &format!(": >{}; exit 1", asked.display()),
    );
    let session = connect(&sshd);
    let there = subdirectory(&sshd, "there");
    let scope = limit();
    let scp = Scp::new(&session, &scope);
    let target = there.join("target");
    scp.send_bytes(b"first", bytes_of(&target), 0o640)
        .expect("sends");
    let second = scp.send_bytes(b"second", bytes_of(&target), 0o640);
    assert!(matches!(second, Err(Error::Exists { .. })), "{second:?}");
    assert_eq!(fs::read(&target).expect("reads"), b"first");
    assert_eq!(
        fs::metadata(&target).expect("is there").mode() & 0o777,
        0o640
    );
    assert_eq!(names(&there), ["target"]);
    assert!(asked.exists(), "a hard link was tried first");
    fs::remove_dir_all(programs).expect("removes the programs");
}

#[test]
fn errors_tell_what_the_host_said() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let scratch = sshd.scratch();
    let scope = limit();
    let scp = Scp::new(&session, &scope);
    let missing = scratch.join("no/such");
    let error = scp.send_bytes(b"x", bytes_of(&missing), 0o600);
    check_said(error.err(), "No such file or directory");
    let error = scp.receive(bytes_of(&missing), &scratch.join("local"));
    check_said(error.err(), "No such file or directory");
    check_said(
        scp.receive_bytes(bytes_of(&scratch)).err(),
        "not a regular file",
    );
    let error = scp.send(&missing, b"x").expect_err("there is no such file");
    assert!(matches!(error, Error::Local { .. }), "{error:?}");
    fs::write(scratch.join("large"), vec![0; 1001]).expect("writes");
    let bounded = scp.bytes_max(1000);
    let error = bounded.receive(bytes_of(&scratch.join("large")), &scratch.join("local"));
    assert!(
        matches!(error, Err(Error::TooLarge { bytes_max: 1000 })),
        "{error:?}"
    );
    assert_eq!(names(&scratch), ["large"]);
    assert_eq!(session.run("echo on").expect("goes on").stdout, b"on\n");
}

#[track_caller]
fn check_said(error: Option<Error>, expected: &str) {
    match error {
        Some(Error::Scp { message, .. }) if message.contains(expected) => {}
        other => panic!("{expected}: {other:?}"),
    }
}

/// Goal: a host that lies changes nothing here and nothing on a terminal. Method: programs named
/// `scp` that send names, sizes, modes, endings and messages that no `scp` would.
#[test]
fn a_host_that_lies_is_told_and_changes_nothing() {
    let path = |dir: &Path| format!("{}:/usr/bin:/bin", dir.display());
    let Some((sshd, programs)) = with_programs(path) else {
        return;
    };
    let session = connect(&sshd);
    let here = subdirectory(&sshd, "here");
    let kept = here.join("kept");
    fs::write(&kept, "kept").expect("writes");
    let protocol = [
        "printf 'C0644 3 ../x\\nabc\\0'",
        "printf 'C0644 3 /tmp/x\\nabc\\0'",
        "printf 'C0644 3 ..\\nabc\\0'",
        "printf 'C0644 -3 x\\nabc\\0'",
        "printf 'C4755555 3 x\\nabc\\0'",
        "printf 'C0644 99999999999999999999 x\\n'",
        "printf 'D0755 0 x\\n'",
        "printf 'T1 0 1 0\\n'",
        "printf 'E\\n'",
        "printf 'Welcome!\\n'",
        "printf 'C0644 3 x\\nabcX'; cat >/dev/null",
        "printf 'C0644 3 x\\nabc\\0abc'; cat >/dev/null",
        "printf 'C0644 3 x\\nabc\\0C0644 3 y\\nabc\\0'; cat >/dev/null",
        "yes | tr -d '\\n'",
    ];
    let said = [
        "printf 'C0644 3 x\\nab'",
        "printf 'C0644 3 x\\nabc\\001scp: read error\\n'",
        "printf '\\002\\033]0;owned\\007no\\n'",
        "echo gone >&2; exit 9",
        "printf 'C0644 3 x\\nabc\\0'; cat >/dev/null; exit 9",
        "exit 0",
    ];
    for (scripts, expect_protocol) in [(&protocol[..], true), (&said[..], false)] {
        for script in scripts {
            program(&programs, "scp", script);
            let scope = limit();
            let error = Scp::new(&session, &scope).receive(b"x", &kept);
            let error = error.expect_err("is a lie");
            let is_protocol = matches!(error, Error::ScpProtocol { .. });
            let is_said = matches!(error, Error::Scp { .. });
            assert_eq!(
                (is_protocol, is_said),
                (expect_protocol, !expect_protocol),
                "{script}: {error:?}"
            );
            let text = error.to_string();
            assert!(!text.contains(char::is_control), "{script}: {text:?}");
            assert_eq!(fs::read(&kept).expect("reads"), b"kept", "{script}");
            assert_eq!(names(&here), ["kept"], "{script}");
        }
    }
    // A sink that says yes to everything and does nothing.
    program(
        &programs,
        "scp",
        "printf '\\0\\0\\0\\0'; cat >/dev/null; exit 1",
    );
    let scope = limit();
    let remote = here.join("new");
    let error = Scp::new(&session, &scope).send_bytes(b"abc", bytes_of(&remote), 0o600);
    assert!(error.is_err(), "{error:?}");
    assert_eq!(names(&here), ["kept"]);
    fs::remove_dir_all(programs).expect("removes the programs");
}

/// Goal: a copy that is cut short is never seen and leaves nothing. Method: scopes that end in the
/// middle of a transfer; another session waits for the host to have cleaned up.
#[test]
fn a_copy_that_is_cut_short_leaves_nothing() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let watcher = connect(&sshd);
    let there = subdirectory(&sshd, "there");
    let target = there.join("target");
    let bytes = random_bytes(60_000_000, 8);
    let mut cut = 0;
    for milliseconds in [5, 20, 60] {
        let session = connect(&sshd);
        let scope = within_ms(milliseconds);
        match Scp::new(&session, &scope).send_bytes(&bytes, bytes_of(&target), 0o600) {
            // A fast machine may be done in time.
            Ok(_) => fs::remove_file(&target).expect("removes"),
            Err(Error::Session(error)) => {
                assert_eq!(error.kind(), Kind::Timeout, "{error:?}");
                cut += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
        drop(session);
        let empty = format!(
            "while [ -n \"$(ls -A {})\" ]; do sleep 0.02; done",
            there.display()
        );
        let waited = watcher.command(empty).scope(&limit()).output();
        assert!(waited.expect("is cleaned up").exit.is_success());
    }
    assert!(cut > 0, "60 MB take longer than 5 ms");
}
