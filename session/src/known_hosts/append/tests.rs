//! What ends up in the file, whatever stood there before.

use super::*;
use crate::known_hosts::KnownHosts;
use std::os::unix::fs::PermissionsExt as _;

fn key(number: u8) -> Key {
    let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    blob.extend([number; 32]);
    Key::from_blob(&blob).unwrap()
}

/// Stores key 1 for a host.
fn add(store: &Store, host: &str) -> Result<(), Refusal> {
    store.flush(&store.queue(&LookupName::alias(host), &key(1)))
}

fn line(host: &str, number: u8) -> String {
    format!("{host} {}\n", key(number).to_fields())
}

#[test]
fn makes_directory_and_file_private() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a/b/known_hosts");
    let store = Store::new(path.clone());
    add(&store, "x").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), line("x", 1));
    let mode = |p: &Path| std::fs::metadata(p).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
}

#[test]
fn ends_a_line_that_another_program_left_open() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("known_hosts");
    std::fs::write(&path, "open").unwrap();
    let store = Store::new(path.clone());
    add(&store, "x").unwrap();
    add(&store, "y").unwrap();
    let expected = format!("open\n{}{}", line("x", 1), line("y", 1));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn one_flush_writes_all_that_wait() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("known_hosts");
    let store = Store::new(path.clone());
    let lines = ["x", "y", "x"].map(|host| store.queue(&LookupName::alias(host), &key(1)));
    store.flush(&lines[1]).unwrap();
    let expected = line("x", 1) + &line("y", 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    std::fs::remove_file(&path).unwrap();
    store.flush(&lines[0]).unwrap();
    assert!(!path.exists(), "a line is written once");
}

#[test]
fn appends_to_a_device_and_fails_on_a_directory() {
    let store = Store::new("/dev/null".into());
    add(&store, "x").unwrap();
    let root = tempfile::tempdir().unwrap();
    let store = Store::new(root.path().into());
    assert!(matches!(add(&store, "x"), Err(Refusal::Io(_))));
}

/// Another program is played by plain writes to the file, as ssh makes them.
#[test]
fn what_others_added_meanwhile_counts() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("known_hosts");
    let store = Store::new(path.clone());
    add(&store, "first").unwrap();
    let foreign = line("same", 1) + &line("other", 2) + "@revoked bad " + &key(1).to_fields();
    let text = line("first", 1) + &foreign + "\n";
    std::fs::write(&path, &text).unwrap();
    add(&store, "same").unwrap();
    let judged = |host| match add(&store, host) {
        Err(Refusal::Judged(verdict)) => verdict,
        other => panic!("{other:?}"),
    };
    let file = path.clone();
    assert_eq!(judged("other"), Verdict::Changed { file, line: 3 });
    let file = path.clone();
    assert_eq!(judged("bad"), Verdict::Revoked { file, line: 4 });
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        text,
        "nothing was added"
    );
}

#[test]
fn a_file_that_is_replaced_is_read_and_written_under_its_name() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("known_hosts");
    let store = Store::new(path.clone());
    add(&store, "x").unwrap();
    // What `ssh-keygen -R x` leaves.
    std::fs::write(root.path().join("replaced"), line("z", 1)).unwrap();
    std::fs::rename(root.path().join("replaced"), &path).unwrap();
    add(&store, "x").unwrap();
    add(&store, "z").unwrap();
    let expected = line("z", 1) + &line("x", 1);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn hidden_names_are_found_again() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("known_hosts");
    let mut store = Store::new(path.clone());
    store.hide_names();
    for _ in 0..2 {
        store
            .flush(&store.queue(&LookupName::new("web1", 2222), &key(1)))
            .unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("|1|") && text.lines().count() == 1,
        "{text}"
    );
    let known = KnownHosts::load([&path]).unwrap();
    assert_eq!(known.check("web1", 2222, key(1).blob()), Verdict::Match);
}
