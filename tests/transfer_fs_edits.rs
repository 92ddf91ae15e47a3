//! Edits of a host's files that are shown before they are made, and the ways to find a line.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sshoal::{
    HostFiles, Session,
    transfer::{Error, LineEdit, WriteOptions},
};
use support::{
    files::{bytes_of, names},
    sessions::connect,
    sshd::Sshd,
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
fn what_a_write_would_change_is_told_without_it() {
    let Some((_sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    let file = dir.join("f");
    let path = bytes_of(&file);
    let plain = WriteOptions::new();
    let shown = files.write_preview(path, "a\n", &plain).expect("shows");
    assert!(shown.changed && shown.diff.ends_with("@@ -0,0 +1 @@\n+a\n"));
    assert!(!file.exists());
    fs::write(&file, "a\nb\nc\nd\n").expect("writes");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("sets");
    let shown = files.write_preview(path, "a\nb\nX\nd\ne\n", &plain);
    let diff = "@@ -1,4 +1,5 @@\n a\n b\n-c\n+X\n d\n+e\n";
    let shown = shown.expect("shows");
    assert!(
        shown.changed && shown.diff.ends_with(diff),
        "{}",
        shown.diff
    );
    let same = files.write_preview(path, "a\nb\nc\nd\n", &plain);
    assert!(!same.expect("shows").changed);
    // The mode alone is no difference of bytes, and bytes that are no text are not shown.
    let private = WriteOptions::new().permissions(0o600);
    let shown = files
        .write_preview(path, "a\nb\nc\nd\n", &private)
        .expect("shows");
    assert!(shown.changed && shown.diff.is_empty());
    let shown = files.write_preview(path, b"\0", &plain).expect("shows");
    assert!(shown.diff.ends_with("the bytes differ\n"), "{}", shown.diff);
    let error = files.write_preview(bytes_of(&dir), "x", &plain);
    assert!(matches!(error, Err(Error::IsDirectory { .. })), "{error:?}");
    assert_eq!((mode(&file), names(&dir)), (0o644, vec!["f".to_owned()]));
    let missing = files.lstat(bytes_of(&dir.join("missing")));
    assert!(missing.expect_err("is not there").is_not_there());
}

/// The two settings of rmote's `line_in_file` that ours had no name for.
#[test]
fn a_line_takes_the_place_of_the_first_and_may_differ_in_space() {
    let Some((_sshd, session, dir)) = start() else {
        return;
    };
    let files = session.fs().expect("opens");
    let file = dir.join("f");
    fs::write(&file, "k=1\nk=2\n  x \n").expect("writes");
    let edit = |edit: &LineEdit| files.line_in_file(bytes_of(&file), edit).expect("edits");
    let first = LineEdit::present("k=0").replacing_first("^k=");
    assert!(edit(&first.expect("is one")).changed);
    assert!(!edit(&LineEdit::present("x").ignoring_space()).changed);
    assert_eq!(fs::read(&file).expect("reads"), b"k=0\nk=2\n  x \n");
    assert!(edit(&LineEdit::present("x")).changed);
    assert_eq!(fs::read(&file).expect("reads"), b"k=0\nk=2\n  x \nx\n");
}
