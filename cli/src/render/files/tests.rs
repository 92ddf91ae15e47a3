//! Names, laziness, and what an existing entry does.

use std::os::unix::fs::symlink;

use super::*;

fn labels(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn repeated_hosts_get_numbers_and_no_two_share_a_name() {
    let names = names(&labels(&["a", "a", "a.1", "b:2222", "a", "u/x@b", ".."]));
    assert_eq!(
        names,
        ["a", "a.1", "a.1.1", "b:2222", "a.2", "u%2Fx@b", "%2E%2E"]
    );
}

#[test]
fn a_host_without_output_has_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("deep/out");
    let mut files = Files::open(&path, &labels(&["a", "b"])).unwrap();
    files.bytes(0, b"");
    files.bytes(1, b"one ");
    files.bytes(1, b"two");
    files.finished(0);
    files.finished(1);
    files.end().unwrap();
    assert!(!path.join("a").exists());
    assert_eq!(std::fs::read(path.join("b")).unwrap(), b"one two");
}

#[test]
fn an_old_file_is_replaced_and_other_names_of_it_keep_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "old and long").unwrap();
    std::fs::hard_link(dir.path().join("a"), dir.path().join("other")).unwrap();
    let mut files = Files::open(dir.path(), &labels(&["a"])).unwrap();
    files.bytes(0, b"new");
    files.end().unwrap();
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"new");
    assert_eq!(
        std::fs::read(dir.path().join("other")).unwrap(),
        b"old and long"
    );
}

#[test]
fn a_planted_link_is_refused_and_the_others_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    symlink(&victim, dir.path().join("a")).unwrap();
    let mut files = Files::open(dir.path(), &labels(&["a", "b"])).unwrap();
    files.bytes(0, b"evil");
    files.bytes(1, b"good");
    let message = format!("{:#}", files.end().unwrap_err());
    assert!(
        message.contains("/a") && message.contains("no plain file"),
        "{message}"
    );
    assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
    assert_eq!(std::fs::read(dir.path().join("b")).unwrap(), b"good");
}

#[test]
fn more_hosts_than_open_files_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let hosts: Vec<String> = (0..OPEN_FILES_MAX * 3).map(|n| format!("h{n}")).collect();
    let mut files = Files::open(dir.path(), &hosts).unwrap();
    for round in 0..3 {
        for index in 0..hosts.len() {
            files.bytes(index, format!("{round},").as_bytes());
        }
    }
    files.end().unwrap();
    for host in &hosts {
        assert_eq!(std::fs::read(dir.path().join(host)).unwrap(), b"0,1,2,");
    }
}
