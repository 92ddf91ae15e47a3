//! Every method of work under sudo, by the programs of GNU, of busybox and of the BSDs.

mod support;

use std::{
    fs,
    num::NonZeroUsize,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};

use sshoal::{
    HostFiles, Sudo,
    transfer::{Error, LineEdit, SudoFs, WriteOptions, sftp::FileType},
};
use support::files::{bytes_of, names};
use support::sessions::sudoer;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o7777
}

/// A directory with these programs, each a link to what the machine has.
fn programs(without: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("makes a directory");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("sets");
    let path = std::env::var_os("PATH").expect("is set");
    for name in PROGRAMS.split(' ').filter(|name| !without.contains(name)) {
        let found = std::env::split_paths(&path).map(|dir| dir.join(name));
        let mut found = found.filter(|path| path.exists());
        let program = found.next().unwrap_or_else(|| panic!("no {name} found"));
        symlink(program, dir.path().join(name)).expect("links");
    }
    dir
}

/// All that POSIX has and the scripts use.
const PROGRAMS: &str = "sh env id cat head wc mv ln rm rmdir mkdir chmod chown chgrp ls awk sed find cmp cksum \
                        dd df stat realpath readlink sync getconf test true kill sleep ps";

fn script(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::write(&path, text).expect("writes");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("sets");
}

/// A `stat` with the BSDs' options over GNU's, and an `mv` without GNU's `-T` but with their `-h`.
fn bsd() -> tempfile::TempDir {
    let dir = programs(&["stat", "mv"]);
    let stat = "#!/bin/sh\nfollow=\nif [ \"$1\" = -L ]; then follow=-L; shift; fi\n\
        [ \"$1\" = -f ] || exit 1\nformat=$2; shift 2\nfor f; do\n\
        a=$(/usr/bin/stat $follow -c '%f %s %u %g %X %Y' \"$f\") || exit 1; set -- $a\n\
        case $format in %p) printf '%o\\n' 0x$1;; *) printf 'f %o %s %s %s %s %s\\n' 0x$1 $2 $3 $4 $5 $6;; esac\ndone\n";
    script(dir.path(), "stat", stat);
    let mv = "#!/bin/sh\ncase $1 in *T*) exit 64;; -fh) shift; exec /bin/mv -fT \"$@\";; esac\nexec /bin/mv \"$@\"\n";
    script(dir.path(), "mv", mv);
    dir
}

/// All of it by busybox; `None` where there is none.
fn busybox() -> Option<tempfile::TempDir> {
    let listed = std::process::Command::new("busybox").arg("--list").output();
    let listed = String::from_utf8(listed.ok()?.stdout).expect("is text");
    let dir = programs(&[]);
    for name in PROGRAMS
        .split(' ')
        .filter(|name| listed.lines().any(|other| other == *name))
    {
        let path = dir.path().join(name);
        fs::remove_file(&path).expect("is there");
        symlink("/bin/busybox", path).expect("links");
    }
    Path::new("/bin/busybox").exists().then_some(dir)
}

/// Every method once, against what this machine says of the files.
fn check_all(files: &SudoFs<'_>, dir: &Path, dialect: &str) {
    let at = |name: &str| bytes_of(&dir.join(name)).to_vec();
    let file = dir.join("a b");
    assert!(
        files
            .write(at("a b"), "one\ntwo\n", &WriteOptions::new())
            .expect(dialect)
    );
    assert!(
        !files
            .write(at("a b"), "one\ntwo\n", &WriteOptions::new())
            .expect(dialect)
    );
    let private = WriteOptions::new().permissions(0o4750).user(4321);
    assert!(
        files
            .write_preview(at("a b"), "one\ntwo\n", &private)
            .expect(dialect)
            .changed
    );
    assert!(
        files
            .write(at("a b"), "one\ntwo\n", &private)
            .expect(dialect)
    );
    assert!(
        !files
            .write(at("a b"), "one\ntwo\n", &private)
            .expect(dialect)
    );
    let told = files.stat(at("a b")).expect(dialect);
    let facts = fs::metadata(&file).expect("is there");
    assert_eq!(
        (told.mode, told.size),
        (Some(facts.mode()), Some(8)),
        "{dialect}"
    );
    assert_eq!(told.owner, Some((4321, facts.gid())), "{dialect}");
    assert_eq!(told.permissions(), Some(0o4750), "{dialect}");
    if let Some((_, modified)) = told.times {
        assert_eq!(i64::from(modified), facts.mtime(), "{dialect}");
    }
    check_links(files, dir, dialect);
    check_trees(files, dir, dialect);
    files.truncate(at("a b"), 4).expect(dialect);
    assert_eq!(fs::read(&file).expect("reads"), b"one\n", "{dialect}");
    files.truncate(at("a b"), 6).expect(dialect);
    assert_eq!(fs::read(&file).expect("reads"), b"one\n\0\0", "{dialect}");
    assert!(files.truncate(at("missing"), 1).is_err(), "{dialect}");
    let room = files.stat_file_system(at("")).expect(dialect);
    assert!(
        room.blocks >= room.blocks_free && room.blocks > 0,
        "{dialect} {room:?}"
    );
    assert!(room.name_max >= 14, "{dialect} {room:?}");
    check_lines(files, dir, dialect);
    let mut left = names(dir);
    left.retain(|name| name.contains("sshoal"));
    assert_eq!(left, [""; 0], "{dialect}");
}

fn check_links(files: &SudoFs<'_>, dir: &Path, dialect: &str) {
    let at = |name: &str| bytes_of(&dir.join(name)).to_vec();
    assert!(files.symlink("a b", at("link")).expect(dialect));
    assert!(!files.symlink("a b", at("link")).expect(dialect));
    assert_eq!(files.read_link(at("link")).expect(dialect), b"a b");
    assert_eq!(
        files.lstat(at("link")).expect(dialect).file_type(),
        FileType::Link
    );
    assert_eq!(
        files.stat(at("link")).expect(dialect).size,
        Some(8),
        "{dialect}"
    );
    assert_eq!(files.real_path(at("link")).expect(dialect), at("a b"));
    // What it says may look like an option, and a link to a directory is replaced, not filled.
    assert!(files.symlink("-n", at("link")).expect(dialect));
    assert!(!files.exists(at("link")).expect(dialect));
    assert!(files.symlink(".", at("link")).expect(dialect));
    assert!(files.symlink("a b", at("link")).expect(dialect));
    assert_eq!(
        fs::read_link(dir.join("link")).expect("is one"),
        Path::new("a b")
    );
    assert!(
        files
            .symlink("x", at("a b"))
            .expect_err(dialect)
            .is_already_there()
    );
    files.hard_link(at("a b"), at("hard")).expect(dialect);
    assert!(
        files
            .hard_link(at("a b"), at("link"))
            .expect_err(dialect)
            .is_already_there()
    );
    assert!(files.read_link(at("hard")).is_err(), "{dialect}");
    assert!(files.remove(at("hard")).expect(dialect));
    assert!(!files.remove(at("hard")).expect(dialect));
    let error = files.stat(at("hard")).expect_err("is gone");
    let text = error.to_string();
    assert!(
        text.contains("stat") && text.contains("hard") && text.contains("No such file"),
        "{text}"
    );
    assert!(
        matches!(files.remove(at("")), Err(Error::IsDirectory { .. })),
        "{dialect}"
    );
}

/// What is below a directory, of paths in it.
fn below(dir: &Path, found: Vec<Vec<u8>>) -> Vec<String> {
    let skip = bytes_of(dir).len() + 1;
    let text = |path: Vec<u8>| String::from_utf8(path[skip..].to_vec()).expect("is text");
    found.into_iter().map(text).collect()
}

fn check_patterns(files: &SudoFs<'_>, dir: &Path, dialect: &str) {
    let glob = |pattern: &str| {
        let found = files.glob(bytes_of(&dir.join(pattern)));
        below(dir, found.expect(dialect))
    };
    assert_eq!(
        glob("d/**/*.log"),
        ["d/e/-y.log", "d/e/new\nline.log", "d/x.log"],
        "{dialect}"
    );
    assert_eq!(glob("?.x"), ["d.x"], "{dialect}");
    assert_eq!(glob("missing/*"), [""; 0], "{dialect}");
}

fn check_trees(files: &SudoFs<'_>, dir: &Path, dialect: &str) {
    let at = |name: &str| bytes_of(&dir.join(name)).to_vec();
    assert!(
        files
            .make_directories(at("d/e"), Some(0o710))
            .expect(dialect)
    );
    assert!(
        !files
            .make_directories(at("d/e"), Some(0o710))
            .expect(dialect)
    );
    assert_eq!(mode(&dir.join("d/e")), 0o710, "{dialect}");
    assert!(
        files
            .make_directory(at("d/e"))
            .expect_err(dialect)
            .is_already_there()
    );
    files.make_directory(at("d/.f")).expect(dialect);
    for name in ["d/x.log", "d/e/new\nline.log", "d/e/-y.log", "d.x"] {
        fs::write(dir.join(name), name).expect("writes");
    }
    symlink("..", dir.join("d/e/up")).expect("links");
    let most = NonZeroUsize::new(50).expect("not 0");
    let walked = files.walk(at("d"), most).expect(dialect);
    let sizes: Vec<_> = walked
        .iter()
        .map(|found| found.attributes.file_type())
        .collect();
    assert_eq!(
        sizes.iter().filter(|kind| **kind == FileType::Link).count(),
        1
    );
    assert_eq!(
        below(dir, walked.into_iter().map(|found| found.path).collect()),
        [
            "d/.f",
            "d/e",
            "d/e/-y.log",
            "d/e/new\nline.log",
            "d/e/up",
            "d/x.log"
        ],
        "{dialect}"
    );
    assert!(files.walk(at("d"), NonZeroUsize::MIN).is_err());
    let listed = files.list(at("d")).expect(dialect);
    let listed: Vec<_> = listed
        .iter()
        .map(|entry| (&entry.name[..], entry.attributes.size))
        .collect();
    assert_eq!(
        (listed.len(), listed[2]),
        (3, (&b"x.log"[..], Some(7))),
        "{dialect}"
    );
    assert!(files.list(at("a b")).is_err() && files.list(at("missing")).is_err());
    check_patterns(files, dir, dialect);
    check_removal(files, dir, dialect);
}

fn check_removal(files: &SudoFs<'_>, dir: &Path, dialect: &str) {
    let at = |name: &str| bytes_of(&dir.join(name)).to_vec();
    assert!(
        files
            .rename(at("d.x"), at("d"))
            .expect_err(dialect)
            .is_already_there()
    );
    files.rename(at("d.x"), at("d/e/up")).expect(dialect);
    assert_eq!(
        fs::read(dir.join("d/e/up")).expect("took the link's name"),
        b"d.x"
    );
    assert!(files.remove_directory(at("d/e")).is_err(), "is not empty");
    assert!(files.remove_directory(at("d/.f")).expect(dialect));
    for refused in ["..", "d/..", "."] {
        assert!(files.remove_all(at(refused)).is_err(), "{refused}");
    }
    assert!(files.remove_all(b"///").is_err());
    assert!(files.remove_all(at("d/")).expect(dialect));
    assert!(!files.remove_all(at("d")).expect(dialect));
}

fn check_lines(files: &SudoFs<'_>, dir: &Path, dialect: &str) {
    let at = |name: &str| bytes_of(&dir.join(name)).to_vec();
    fs::write(dir.join("conf"), "a=1\nb=2\n").expect("writes");
    fs::set_permissions(dir.join("conf"), fs::Permissions::from_mode(0o640)).expect("sets");
    symlink("conf", dir.join("by link")).expect("links");
    let edit = LineEdit::present("b=3").replacing("^b=").expect("is one");
    let shown = files
        .line_in_file_preview(at("by link"), &edit)
        .expect(dialect);
    assert_eq!(fs::read(dir.join("conf")).expect("reads"), b"a=1\nb=2\n");
    assert_eq!(
        files.line_in_file(at("by link"), &edit).expect(dialect),
        shown
    );
    assert!(shown.diff.contains("-b=2\n+b=3\n"), "{}", shown.diff);
    assert_eq!(fs::read(dir.join("conf")).expect("reads"), b"a=1\nb=3\n");
    assert!(dir.join("by link").is_symlink(), "{dialect}");
    assert_eq!(mode(&dir.join("conf")), 0o640, "{dialect}");
    assert!(
        !files
            .line_in_file(at("conf"), &edit)
            .expect(dialect)
            .changed
    );
    let change = files
        .write_preview(at("conf"), "a=1\nb=4\n", &WriteOptions::new())
        .expect(dialect);
    assert!(change.diff.contains("-b=3\n+b=4\n"), "{}", change.diff);
    let line = LineEdit::present("x");
    assert!(files.line_in_file(at("fresh"), &line).is_err(), "{dialect}");
    assert!(
        files
            .line_in_file(at("fresh"), &line.create())
            .expect(dialect)
            .changed
    );
    assert_eq!(fs::read(dir.join("fresh")).expect("reads"), b"x\n");
}

/// Method: sudo's path leads to a directory of programs of each sort, the BSDs' made of GNU's; every method is tried
/// with each, in a directory that the user who logged in may not enter.
#[test]
fn every_method_works_by_what_each_system_has() {
    let dialects = [
        ("gnu", Some(programs(&[]))),
        ("busybox", busybox()),
        ("bsd", Some(bsd())),
        ("no stat", Some(programs(&["stat"]))),
    ];
    for (dialect, programs) in dialects {
        let Some(programs) = programs else {
            println!("skipped: no busybox");
            continue;
        };
        let rule = format!("Defaults secure_path={}", programs.path().display());
        let Some((sshd, session)) = sudoer(&rule) else {
            return;
        };
        let dir = sshd.scratch().join("it's $root's");
        fs::create_dir(&dir).expect("makes");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("sets");
        check_all(&session.sudo_fs(Sudo::new()), &dir, dialect);
    }
}
