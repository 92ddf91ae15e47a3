//! Work on a host's files without anything installed there, against OpenSSH's own server.

mod support;

use std::{
    fs,
    num::NonZeroUsize,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use sshoal::{
    Fleet, HostFiles, Session,
    transfer::{
        Error, Existing, LineEdit, Operation, Owner, RemoteFs, WriteOptions,
        sftp::{FileType, SftpStatus},
    },
};
use support::{
    files::{bytes_of, names},
    sessions::{connect, limit},
    sshd::{Sshd, current_user},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o7777
}

/// A server with an empty directory, and a session.
fn start() -> Option<(Sshd, Session, PathBuf)> {
    let sshd = Sshd::builder().log_level("INFO").start()?;
    let session = connect(&sshd);
    let dir = sshd.scratch().join("dir");
    fs::create_dir(&dir).expect("makes a directory");
    Some((sshd, session, dir))
}

#[test]
fn a_file_is_written_whole_and_only_if_that_changes_something() {
    let Some((_sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    let file = dir.join("a file");
    let path = bytes_of(&file);
    let plain = WriteOptions::new();
    let private = WriteOptions::new().permissions(0o600);
    assert!(files.write(path, "one", &plain).expect("writes"));
    assert_eq!(mode(&file), 0o644);
    assert!(!files.write(path, "one", &plain).expect("is so"));
    assert!(files.write(path, "one", &private).expect("writes"));
    assert_eq!(mode(&file), 0o600);
    let before = fs::metadata(&file).expect("is there").ino();
    assert!(files.write(path, "two", &plain).expect("writes"));
    assert_eq!(mode(&file), 0o600, "as it was");
    assert_ne!(fs::metadata(&file).expect("is there").ino(), before);
    assert_eq!(files.read_to_string(path, 100).expect("reads"), "two");
    assert!(matches!(files.read(path, 2), Err(Error::TooLarge { .. })));
    let keep = WriteOptions::new().existing(Existing::Keep);
    assert!(!files.write(path, "three", &keep).expect("keeps"));
    let fail = WriteOptions::new().existing(Existing::Fail);
    let error = files.write(path, "three", &fail).expect_err("is there");
    assert!(error.is_already_there(), "{error}");
    let error = files
        .write(bytes_of(&dir), "x", &plain)
        .expect_err("is a directory");
    assert!(matches!(error, Error::IsDirectory { .. }), "{error}");
    files.append(path, " and more").expect("appends");
    files
        .append(bytes_of(&dir.join("fresh")), "begun")
        .expect("appends");
    assert_eq!(fs::read_to_string(&file).expect("reads"), "two and more");
    fs::write(&file, b"\xff").expect("writes");
    let error = files.read_to_string(path, 100).expect_err("is no text");
    assert!(matches!(error, Error::NotText { .. }), "{error}");
    assert_eq!(names(&dir), ["a file", "fresh"]);
}

#[test]
fn owners_are_set_by_number_and_by_name() {
    let Some((_sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    let file = dir.join("file");
    let path = bytes_of(&file);
    let own = fs::metadata(&dir).expect("is there");
    let name = current_user();
    let named = WriteOptions::new().user(name.as_str()).group(own.gid());
    assert!(files.write(path, "x", &named).expect("writes"));
    files
        .chown(path, Some(&Owner::from(name.as_str())), None)
        .expect("is ours");
    let owner = fs::metadata(&file).expect("is there");
    assert_eq!((owner.uid(), owner.gid()), (own.uid(), own.gid()));
    for unknown in ["no-such-account", "-u", "", "a'b; touch x"] {
        let error = files
            .chown(path, Some(&unknown.into()), None)
            .expect_err("is unknown");
        assert!(matches!(error, Error::NoAccount { .. }), "{error}");
    }
    let error = files.write(path, "y", &WriteOptions::new().group("no-such-group"));
    assert!(matches!(error, Err(Error::NoAccount { .. })), "{error:?}");
    if own.uid() == 0 {
        files
            .chown(path, None, Some(&"daemon".into()))
            .expect("root may");
        files
            .chown(path, Some(&Owner::Id(12_345)), None)
            .expect("root may");
        let before = fs::metadata(&file).expect("is there");
        assert_eq!(before.uid(), 12_345);
        assert_ne!(before.gid(), own.gid());
        // What another owns stays theirs.
        assert!(
            files
                .write(path, "z", &WriteOptions::new())
                .expect("writes")
        );
        let after = fs::metadata(&file).expect("is there");
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
    }
    assert_eq!(names(&dir), ["file"]);
}

#[test]
fn what_stands_at_a_path_is_told_and_changed() {
    let Some((_sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    let at = |name: &str| bytes_of(&dir.join(name)).to_vec();
    fs::write(dir.join("file"), "12345").expect("writes");
    assert!(files.symlink("file", at("link")).expect("links"));
    assert!(!files.symlink("file", at("link")).expect("is so"));
    assert_eq!(files.read_link(at("link")).expect("reads"), b"file");
    assert_eq!(files.stat(at("link")).expect("is there").size, Some(5));
    let link = files.lstat(at("link")).expect("is there");
    assert_eq!(link.file_type(), FileType::Link);
    assert_eq!(
        files.real_path(at("link")).expect("leads there"),
        at("file")
    );
    assert!(files.symlink("nowhere", at("link")).expect("is replaced"));
    assert!(!files.exists(at("link")).expect("leads nowhere"));
    let error = files.symlink("x", at("file")).expect_err("is no link");
    assert!(error.is_already_there(), "{error}");
    files.hard_link(at("file"), at("hard")).expect("links");
    let error = files
        .hard_link(at("file"), at("link"))
        .expect_err("has the name");
    assert!(error.is_already_there(), "{error}");
    files.truncate(at("file"), 2).expect("cuts");
    assert_eq!(fs::read_to_string(dir.join("hard")).expect("reads"), "12");
    files.chmod(at("file"), 0o751).expect("sets");
    assert_eq!(mode(&dir.join("file")), 0o751);
    files.rename(at("file"), at("hard2")).expect("renames");
    fs::write(dir.join("other"), "other").expect("writes");
    files
        .rename(at("other"), at("hard2"))
        .expect("takes its name");
    assert_eq!(
        fs::read_to_string(dir.join("hard2")).expect("reads"),
        "other"
    );
    assert!(files.remove(at("link")).expect("removes"));
    assert!(!files.remove(at("link")).expect("is gone"));
    let room = files.stat_file_system(at("")).expect("tells");
    assert!(room.blocks >= room.blocks_free && room.name_max >= 14);
    assert_eq!(names(&dir), ["hard", "hard2"]);
    let error = files.stat(at("missing")).expect_err("is not there");
    let Error::Remote {
        operation,
        remote,
        status,
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(
        (*operation, *status),
        (Operation::Stat, SftpStatus::NO_SUCH_FILE)
    );
    assert_eq!(*remote, at("missing"));
    assert!(error.to_string().contains("no such file"), "{error}");
}

/// Makes a tree with a link out of it and one to what is above it.
fn make_tree(dir: &Path, outside: &Path) {
    fs::create_dir_all(dir.join("a/b/c")).expect("makes");
    fs::create_dir(outside).expect("makes");
    fs::write(outside.join("kept"), "x").expect("writes");
    for name in [
        "a/x.log",
        "a/b/y.log",
        "a/b/c/z.log",
        "a/b/new\nline.log",
        "a/.h.log",
        "w.log",
    ] {
        fs::write(dir.join(name), name).expect("writes");
    }
    symlink(outside, dir.join("a/b/link")).expect("links");
    symlink("..", dir.join("a/b/loop")).expect("links");
}

/// What is below a directory, of paths in it.
fn below(dir: &Path, found: impl IntoIterator<Item = Vec<u8>>) -> Vec<String> {
    let skip = bytes_of(dir).len() + 1;
    let text = |path: Vec<u8>| String::from_utf8(path[skip..].to_vec()).expect("is text");
    found.into_iter().map(text).collect()
}

#[test]
fn directories_are_made_with_those_above_them() {
    let Some((_sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    let deep = dir.join("a/b/c");
    let path = bytes_of(&deep);
    assert!(files.make_directories(path, Some(0o700)).expect("makes"));
    assert!(!files.make_directories(path, Some(0o700)).expect("is so"));
    assert!(!files.make_directories(path, None).expect("is so"));
    assert_eq!(mode(&deep), 0o700);
    let error = files.make_directory(path).expect_err("is there");
    assert!(error.is_already_there(), "{error}");
    fs::write(dir.join("file"), "x").expect("writes");
    let error = files.make_directories(bytes_of(&dir.join("file")), None);
    assert!(error.expect_err("is a file").is_already_there());
    let error = files.make_directories(bytes_of(&dir.join("file/d")), None);
    assert!(error.is_err(), "a file is above it");
    assert!(
        files.remove_directory(bytes_of(&dir.join("a"))).is_err(),
        "is not empty"
    );
    assert!(files.remove_directory(path).expect("is empty"));
}

#[test]
fn trees_are_walked_and_removed_without_following_links() {
    let Some((sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    let outside = sshd.scratch().join("outside");
    make_tree(&dir, &outside);
    let most = NonZeroUsize::new(100).expect("not 0");
    let walked = files.walk(bytes_of(&dir), most).expect("walks");
    assert_eq!(
        below(&dir, walked.into_iter().map(|found| found.path)),
        [
            "a",
            "a/.h.log",
            "a/b",
            "a/b/c",
            "a/b/c/z.log",
            "a/b/link",
            "a/b/loop",
            "a/b/new\nline.log",
            "a/b/y.log",
            "a/x.log",
            "w.log"
        ]
    );
    let few = NonZeroUsize::new(5).expect("not 0");
    assert!(files.walk(bytes_of(&dir), few).is_err());
    let all = bytes_of(&dir.join("a")).to_vec();
    assert!(files.remove_all(&all).expect("removes"));
    assert!(!files.remove_all(&all).expect("is gone"));
    assert!(files.remove_all(bytes_of(&dir.join(".."))).is_err());
    assert_eq!(names(&dir), ["w.log"]);
    assert_eq!(names(&outside), ["kept"]);
}

#[test]
fn patterns_find_paths_in_trees_in_their_order() {
    let Some((sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    make_tree(&dir, &sshd.scratch().join("outside"));
    let glob = |pattern: &str| {
        let found = files.glob(bytes_of(&dir.join(pattern)));
        below(&dir, found.expect("finds"))
    };
    assert_eq!(glob("*.log"), ["w.log"]);
    assert_eq!(glob("a/*/*.log"), ["a/b/new\nline.log", "a/b/y.log"]);
    let all = [
        "a/b/c/z.log",
        "a/b/new\nline.log",
        "a/b/y.log",
        "a/x.log",
        "w.log",
    ];
    assert_eq!(glob("**/*.log"), all);
    assert_eq!(glob("a/**/c"), ["a/b/c"]);
    assert_eq!(glob("a/.*"), ["a/.h.log"]);
    assert_eq!(glob("a/b/c/**"), ["a/b/c/z.log"]);
    assert_eq!(glob("missing/*"), [""; 0]);
}

/// By a pattern, by the whole line and behind a link; each time the file's mode stays and nothing is left beside it.
#[test]
fn a_line_is_edited_with_its_difference_shown() {
    let Some((_sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    let file = dir.join("config");
    let path = bytes_of(&file);
    fs::write(&file, "a=1\n#b=2\nc=3\n").expect("writes");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("sets");
    let edit = LineEdit::present("b=5").replacing("^#?b=").expect("is one");
    let shown = files.line_in_file_preview(path, &edit).expect("shows");
    assert_eq!(
        fs::read_to_string(&file).expect("reads"),
        "a=1\n#b=2\nc=3\n"
    );
    let change = files.line_in_file(path, &edit).expect("edits");
    assert_eq!(shown, change);
    assert!(
        change
            .diff
            .ends_with("@@ -1,3 +1,3 @@\n a=1\n-#b=2\n+b=5\n c=3\n"),
        "{}",
        change.diff
    );
    assert_eq!(fs::read_to_string(&file).expect("reads"), "a=1\nb=5\nc=3\n");
    assert_eq!(mode(&file), 0o640);
    let again = files.line_in_file(path, &edit).expect("is so");
    assert!(!again.changed && again.diff.is_empty());
    // By a link, the file is edited and the link stays.
    symlink("config", dir.join("link")).expect("links");
    let gone = LineEdit::absent("c=3");
    assert!(
        files
            .line_in_file(bytes_of(&dir.join("link")), &gone)
            .expect("edits")
            .changed
    );
    assert_eq!(fs::read_to_string(&file).expect("reads"), "a=1\nb=5\n");
    assert!(dir.join("link").is_symlink());
    let fresh = dir.join("fresh");
    let edit = LineEdit::present("x");
    assert!(
        files.line_in_file(bytes_of(&fresh), &edit).is_err(),
        "is not there"
    );
    let absent = files.line_in_file(bytes_of(&fresh), &LineEdit::absent("x"));
    assert!(!absent.expect("is so").changed);
    assert!(
        files
            .line_in_file(bytes_of(&fresh), &edit.create())
            .expect("makes")
            .changed
    );
    assert_eq!(fs::read_to_string(&fresh).expect("reads"), "x\n");
    assert_eq!(names(&dir), ["config", "fresh", "link"]);
}

/// Method: four editors add lines of their own to one file at once. Whoever finds it changed begins anew or says so;
/// no editor's success may be lost but within the instant between its last look and the rename.
#[test]
fn an_edit_of_a_file_that_changed_meanwhile_begins_anew_or_fails() {
    let Some((_sshd, session, dir)) = start() else {
        return;
    };
    let file = dir.join("file");
    fs::write(&file, "begin\n").expect("writes");
    let done = Mutex::new((0, 0));
    std::thread::scope(|threads| {
        for editor in 0..4 {
            let (session, file, done) = (&session, &file, &done);
            threads.spawn(move || {
                let files = session.fs().expect("opens");
                for number in 0..5 {
                    let edit = LineEdit::present(format!("{editor} {number}"));
                    match files.line_in_file(bytes_of(file), &edit) {
                        Ok(change) => done.lock().unwrap().0 += usize::from(change.changed),
                        Err(Error::Changed { .. }) => done.lock().unwrap().1 += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let text = fs::read_to_string(&file).expect("reads");
    assert!(
        text.starts_with("begin\n") && text.ends_with('\n'),
        "{text:?}"
    );
    let (done, given_up) = *done.lock().unwrap();
    assert_eq!(done + given_up, 20);
    assert!(text.lines().count() > 5, "{done} {given_up} {text:?}");
    assert_eq!(names(&dir), ["file"]);
}

#[test]
fn a_fleet_works_on_the_files_of_all_hosts() {
    let Some(sshd) = Sshd::builder().addresses(3).log_level("INFO").start() else {
        return;
    };
    let dir = sshd.scratch().join("dir");
    fs::create_dir(&dir).expect("makes");
    let config = Arc::new(sshd.config().build().expect("is good"));
    let fleet = Fleet::builder(sshd.targets(), config)
        .build()
        .expect("is good");
    let at = dir.clone();
    let each = fleet.fs(move |files: &RemoteFs<'_>| {
        let own = files
            .sftp()
            .real_path(b".", &limit())
            .map(|path| path.len());
        files.write(bytes_of(&at.join("shared")), "same", &WriteOptions::new())?;
        assert!(own.is_ok());
        files.list(bytes_of(&at)).map(|listed| listed.len())
    });
    let results: Vec<_> = each.collect();
    assert_eq!(results.len(), 3);
    for visited in results {
        let counted = visited.into_result().expect("is reached").expect("works");
        assert!(counted >= 1);
    }
    assert_eq!(names(&dir), ["shared"]);
}

#[test]
fn a_host_without_sftp_is_told_from_one_that_refuses_a_file() {
    let builder = Sshd::builder().log_level("INFO");
    let Some(sshd) = builder.config("Subsystem nothing /bin/false").start() else {
        return;
    };
    let without = connect(&sshd);
    let error = without.fs().expect_err("has no SFTP");
    assert!(error.is_subsystem_refused(), "{error}");
}

/// A NUL byte would end the path on the host, which is then another, or the server: it is not sent, and whoever shares
/// the channel goes on.
#[test]
fn a_path_with_a_nul_byte_is_refused_here() {
    let Some((_sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    let file = dir.join("file");
    fs::write(&file, "ours").expect("writes");
    for path in [
        [bytes_of(&file), b"\0"].concat(),
        [bytes_of(&dir), b"/a\0b"].concat(),
    ] {
        let results = [
            files.exists(&path).map(drop),
            files.remove(&path).map(drop),
            files.rename(&path, "new").map(drop),
            files.rename(bytes_of(&file), &path).map(drop),
            files.symlink(&path, "link").map(drop),
            files.write(&path, "new", &WriteOptions::new()).map(drop),
        ];
        for result in results {
            let refused = |error: &Error| error.to_string().contains("NUL byte");
            assert!(result.as_ref().is_err_and(refused), "{result:?}");
        }
    }
    let read = files.read_to_string(bytes_of(&file), 100);
    assert_eq!(read.expect("the channel is as it was"), "ours");
    assert_eq!(names(&dir), ["file"]);
}
