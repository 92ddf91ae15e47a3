//! What a copy of one file does on request: directories made, files kept, permissions, times.

mod support;

use std::{
    fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use sshoal::transfer::{self, CopyOptions, Error, Existing, Preserve, Source, Verify};
use support::{
    files::{bytes_of, names, sides},
    sessions::{connect, limit},
    sshd::Sshd,
};

/// Directories are made for a copy, two copies at once among them, and a path that ends in `/` gets the source's name.
#[test]
fn directories_are_made_for_copies() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = Arc::new(connect(&sshd));
    let [there, here] = sides(&sshd);
    fs::write(here.join("file"), "mine").expect("writes");
    let copies: Vec<_> = (0..8)
        .map(|n| {
            let (session, deep) = (session.clone(), there.join(format!("a/b c/d/{n}/")));
            let source = Source::file(here.join("file")).expect("opens");
            sshoal::spawn(move || {
                let options = CopyOptions::new();
                transfer::put(&session, &source, bytes_of(&deep), &options, &limit())
            })
            .expect("spawns")
        })
        .collect();
    for copy in copies {
        copy.join().expect("no panic").expect("copies");
    }
    for n in 0..8 {
        let copy = there.join(format!("a/b c/d/{n}/file"));
        assert_eq!(fs::read_to_string(copy).expect("is there"), "mine");
    }
    let back = here.join("x/y/");
    let remote = there.join("a/b c/d/3/file");
    let options = CopyOptions::new();
    transfer::get(&session, bytes_of(&remote), &back, &options, &limit()).expect("gets");
    assert_eq!(
        fs::read_to_string(back.join("file")).expect("is there"),
        "mine"
    );
    let nameless = transfer::put(&session, &Source::bytes("x"), b"dir/", &options, &limit());
    assert!(
        matches!(nameless, Err(Error::NoName { .. })),
        "{nameless:?}"
    );
}

/// An existing file is kept, or makes the copy fail, as asked; of many copies at once one wins.
#[test]
fn existing_files_are_kept_as_asked() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = Arc::new(connect(&sshd));
    let [there, here] = sides(&sshd);
    let (local, remote) = (here.join("file"), there.join("file"));
    fs::write(&local, "mine").expect("writes");
    fs::write(&remote, "theirs").expect("writes");
    let source = Source::file(&local).expect("opens");
    let put = |existing| {
        let options = CopyOptions::new().existing(existing);
        transfer::put(&session, &source, bytes_of(&remote), &options, &limit())
    };
    assert!(put(Existing::Keep).expect("keeps").kept);
    let error = put(Existing::Fail).expect_err("exists");
    assert!(matches!(&error, Error::Exists { path } if path == bytes_of(&remote)));
    assert_eq!(fs::read_to_string(&remote).expect("reads"), "theirs");
    let get = |existing| {
        let options = CopyOptions::new().existing(existing);
        transfer::get(&session, bytes_of(&remote), &local, &options, &limit())
    };
    assert!(get(Existing::Keep).expect("keeps").kept);
    assert!(matches!(get(Existing::Fail), Err(Error::Local { .. })));
    assert_eq!(fs::read_to_string(&local).expect("reads"), "mine");
    // Eight that all saw nothing there.
    let raced = there.join("raced");
    let copies: Vec<_> = (0..8)
        .map(|n: u8| {
            let (session, raced) = (session.clone(), raced.clone());
            sshoal::spawn(move || {
                let options = CopyOptions::new().existing(Existing::Fail);
                let source = Source::bytes(vec![n; 300_000]);
                transfer::put(&session, &source, bytes_of(&raced), &options, &limit())
            })
            .expect("spawns")
        })
        .collect();
    let results = copies
        .into_iter()
        .map(|copy| copy.join().expect("no panic"));
    let won = results.filter(Result::is_ok).count();
    assert_eq!(won, 1);
    let winner = fs::read(&raced).expect("reads");
    assert_eq!(winner.len(), 300_000);
    assert!(winner.iter().all(|byte| *byte == winner[0]), "of one copy");
    assert_eq!(names(&there), ["file", "raced"]);
}

/// Permissions go with a copy less the umask, times where asked, id bits never to this machine.
#[test]
fn permissions_and_times_go_as_asked() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let (local, remote, back) = (here.join("file"), there.join("file"), here.join("back"));
    fs::write(&local, "mine").expect("writes");
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_007);
    let times = fs::FileTimes::new().set_accessed(old).set_modified(old);
    let mode = |path: &Path| fs::metadata(path).expect("is there").permissions().mode() & 0o7777;
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).mode(0o777);
    options.open(here.join("any")).expect("makes a file");
    let masked = mode(&here.join("any"));
    for permissions in [0o755, 0o640, 0o4755, 0o777, 0o400] {
        fs::set_permissions(&local, fs::Permissions::from_mode(permissions)).expect("sets");
        fs::File::open(&local)
            .expect("opens")
            .set_times(times)
            .expect("sets");
        let source = Source::file(&local).expect("opens");
        for preserve in [Preserve::No, Preserve::Yes] {
            let options = CopyOptions::new().preserve(preserve).verify(Verify::Sha256);
            transfer::put(&session, &source, bytes_of(&remote), &options, &limit()).expect("puts");
            transfer::get(&session, bytes_of(&remote), &back, &options, &limit()).expect("gets");
            let kept = preserve == Preserve::Yes;
            let expected = if kept {
                permissions
            } else {
                permissions & masked
            };
            assert_eq!(mode(&remote), expected, "{permissions:o} {preserve:?}");
            assert_eq!(
                mode(&back),
                permissions & masked,
                "{permissions:o} {preserve:?}"
            );
            for path in [&remote, &back] {
                let modified = fs::metadata(path).and_then(|about| about.modified());
                assert_eq!(modified.expect("has a time") == old, kept);
            }
        }
    }
}
