//! Edits of lines, on bytes alone.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(edit: &LineEdit, old: &str, expected: Option<&str>) -> String {
    let edited = edit.apply(b"f", old.as_bytes()).expect("is a line");
    let new = edited.as_ref().map(|(bytes, _)| bytes.as_slice());
    assert_eq!(new, expected.map(str::as_bytes), "{old:?}");
    edited.map(|(_, change)| change.diff).unwrap_or_default()
}

#[test]
fn a_line_is_added_once() {
    let edit = LineEdit::present("x");
    check(&edit, "", Some("x\n"));
    check(&edit, "a\n", Some("a\nx\n"));
    check(&edit, "a", Some("a\nx\n"));
    check(&edit, "a\nx\nb\n", None);
    check(&edit, "a\nx", None);
    check(&edit, "ax\n", Some("ax\nx\n"));
    assert!(LineEdit::present("a\nb").apply(b"f", b"").is_err());
}

#[test]
fn a_line_takes_the_place_of_what_fits() {
    let last = LineEdit::present("k=2").replacing("^#?k=").expect("is one");
    check(&last, "k=1\n#k=0\nz\n", Some("k=1\nk=2\nz\n"));
    check(&last, "k=1", Some("k=2"));
    check(&last, "a\n", Some("a\nk=2\n"));
    check(&last, "k=1\nk=2\n", None);
    let every = LineEdit::present("k=2")
        .replacing_every("^k=")
        .expect("is one");
    check(&every, "k=1\nb\nk=0\n", Some("k=2\nb\nk=2\n"));
    let first = LineEdit::present("k=2").replacing_first("^k=");
    check(&first.expect("is one"), "k=1\nk=0\n", Some("k=2\nk=0\n"));
    assert!(LineEdit::present("x").replacing("(").is_err());
}

#[test]
fn a_line_that_differs_in_space_at_its_ends_may_count_as_the_same() {
    check(&LineEdit::present("x"), " x \n", Some(" x \nx\n"));
    check(&LineEdit::present("x").ignoring_space(), " x \r\n", None);
    check(&LineEdit::present(" x ").ignoring_space(), "x", None);
    let other = LineEdit::present("x").ignoring_space();
    check(&other, "x y\n", Some("x y\nx\n"));
}

#[test]
fn lines_that_are_not_to_be_there_go() {
    let edit = LineEdit::absent("a.c");
    check(&edit, "a.c\nabc\na.c\n", Some("abc\n"));
    check(&edit, "abc\n", None);
    check(&LineEdit::absent(""), "a\n\nb\n", Some("a\nb\n"));
    let edit = LineEdit::absent_matching("^#").expect("is one");
    check(&edit, "#\na\n# b", Some("a\n"));
}

#[test]
fn the_change_is_shown_with_what_is_around_it() {
    let edit = LineEdit::present("X").replacing("^[5p]$").expect("is one");
    let diff = check(
        &edit,
        "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
        Some("1\n2\n3\n4\nX\n6\n7\n8\n9\n"),
    );
    assert_eq!(
        diff,
        "--- f\n+++ f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n"
    );
    let diff = check(&LineEdit::present("b"), "a", Some("a\nb\n"));
    let expected = "--- f\n+++ f\n@@ -1 +1,2 @@\n-a\n\\ No newline at end of file\n+a\n+b\n";
    assert_eq!(diff, expected);
    let diff = check(&LineEdit::present("b"), "", Some("b\n"));
    assert_eq!(diff, "--- f\n+++ f\n@@ -0,0 +1 @@\n+b\n");
}

/// Method: the diff is given to `patch`, which has to make the new file of the old one.
#[track_caller]
fn check_patch(old: &str, edit: &LineEdit) {
    let Some((new, change)) = edit.apply(b"f", old.as_bytes()).expect("is a line") else {
        return;
    };
    let dir = tempfile::tempdir().expect("makes a folder");
    std::fs::write(dir.path().join("f"), old).expect("writes");
    let patch = std::process::Command::new("patch")
        .args(["-p0", "-s", "--no-backup-if-mismatch", "f"])
        .current_dir(dir.path())
        .stdin(std::process::Stdio::piped())
        .spawn();
    // Where there is no `patch`, the texts above have to do.
    let Ok(mut patch) = patch else { return };
    let mut stdin = patch.stdin.take().expect("is piped");
    stdin.write_all(change.diff.as_bytes()).expect("is read");
    drop(stdin);
    assert!(patch.wait().expect("ends").success(), "{}", change.diff);
    // An empty file is removed by `patch`.
    let patched = std::fs::read(dir.path().join("f")).unwrap_or_default();
    assert_eq!(patched, new, "{}", change.diff);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_diff_makes_the_new_file_of_the_old_one(
        old in "([a-d]{0,2}\n){0,30}[a-d]{0,2}",
        line in "[a-d]{0,2}",
        pattern in "[a-d]",
        every in any::<bool>(),
    ) {
        let edit = LineEdit::present(line.clone());
        let edit = if every { edit.replacing_every(&pattern) } else { edit.replacing(&pattern) };
        let edit = edit.expect("is one");
        check_patch(&old, &edit);
        check_patch(&old, &LineEdit::absent_matching(&pattern).expect("is one"));
        // A line that the pattern does not mean leaves the next one that it does to the next time.
        if line.contains(&pattern) && let Some((new, _)) = edit.apply(b"f", old.as_bytes()).expect("is a line") {
            prop_assert!(edit.apply(b"f", &new).expect("is a line").is_none(), "twice");
        }
    }
}
