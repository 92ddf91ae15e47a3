//! Generated known_hosts files against `ssh-keygen -F`, which finds lines by the code of ssh.

#[path = "known_hosts/keys.rs"]
#[expect(dead_code, reason = "other tests need the other key types")]
mod keys;

use std::path::Path;
use std::process::Command;

use keys::{ed25519, fields};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use sshoal_session::known_hosts::{KnownHosts, Verdict};

/// Names as files hold them; names as they are asked for.
const LISTED: &str =
    "(!?[abA][ab*?.]{0,3}|!?\\[[ab*?]{1,2}\\]:(22|23|\\*)|!?\\*|127\\.0\\.0\\.[12?]|\\[?::1\\]?)";
const ASKED: &str = "([ab][ab.]{0,3}|127\\.0\\.0\\.[12]|::1)";

/// Method: every line holds a key of its own, so that asking for line n's key tells whether the
/// line was found; ssh-keygen prints the numbers of the lines that it found. Half of the files
/// are hashed by `ssh-keygen -H`, which leaves lines with wildcards as they are.
#[test]
fn finds_the_lines_that_ssh_keygen_finds() {
    let cases = std::env::var("SSHOAL_KEYGEN_CASES").map_or(300, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut runner = TestRunner::new(Config::default());
    let mut found_lines = 0;
    for case in 0..cases {
        let list = proptest::collection::vec(LISTED, 1..4).prop_map(|names| names.join(","));
        let marker = prop_oneof![6 => Just(""), 1 => Just("@revoked "), 1 => Just("@x ")];
        let files = proptest::collection::vec((marker, list), 1..10);
        let strategy = (files, ASKED, prop_oneof![Just(22_u16), Just(23)]);
        let (lines, name, port) = strategy.new_tree(&mut runner).unwrap().current();
        let path = dir.path().join(format!("kh{case}"));
        std::fs::write(&path, file(&lines)).unwrap();
        if case % 2 == 1 {
            hash(&path);
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut known = KnownHosts::new();
        known.add_text(text.as_bytes(), "kh");
        let lookup = if port == 22 {
            name.clone()
        } else {
            format!("[{name}]:{port}")
        };
        let expected = found_by_keygen(&path, &lookup);
        assert_eq!(
            found_by_us(&known, &name, port, &text),
            expected,
            "{lookup} in\n{text}"
        );
        found_lines += expected.len();
    }
    assert!(
        found_lines > cases / 4,
        "the names met {found_lines} times only"
    );
}

fn file(lines: &[(&str, String)]) -> String {
    let line = |(number, (marker, list)): (usize, &(&str, String))| {
        format!(
            "{marker}{list} {}\n",
            fields(&ed25519(u8::try_from(number).expect("few lines")))
        )
    };
    lines.iter().enumerate().map(line).collect()
}

fn hash(path: &Path) {
    let output = Command::new("ssh-keygen")
        .arg("-H")
        .arg("-f")
        .arg(path)
        .output();
    let output = output.expect("ssh-keygen runs (Debian: openssh-client)");
    // It fails on files with bad lines, and leaves them.
    assert!(output.status.code().is_some());
}

/// Returns the numbers of the lines found, as ssh-keygen prints them.
fn found_by_keygen(path: &Path, lookup: &str) -> Vec<usize> {
    let output = Command::new("ssh-keygen")
        .args(["-F", lookup, "-f"])
        .arg(path)
        .output();
    let output = output.expect("ssh-keygen runs (Debian: openssh-client)");
    let text = String::from_utf8(output.stdout).expect("names are ASCII");
    let number = |line: &str| {
        line.split("found: line ")
            .nth(1)?
            .split(' ')
            .next()?
            .parse()
            .ok()
    };
    text.lines().filter_map(number).collect()
}

/// Returns the numbers of the lines that speak of the very name, and checks that the whole file
/// judges by them.
fn found_by_us(known: &KnownHosts, name: &str, port: u16, text: &str) -> Vec<usize> {
    let other = ed25519(255);
    let mut found = Vec::new();
    let mut last_plain = None;
    for (index, line) in text.lines().enumerate() {
        // Alone and without its mark, a line makes any other key a changed one. The fall-back to
        // the plain name never does, which is well: it is no rule of ssh-keygen.
        let mut alone = KnownHosts::new();
        let unmarked = line.strip_prefix("@revoked ");
        alone.add_text(unmarked.unwrap_or(line).as_bytes(), "kh");
        if !matches!(alone.check(name, port, &other), Verdict::Changed { .. }) {
            continue;
        }
        found.push(index + 1);
        let own = (0..=u8::MAX)
            .map(ed25519)
            .find(|key| line.ends_with(&fields(key)));
        let verdict = known.check(name, port, &own.expect("each line holds one of these"));
        match unmarked {
            Some(_) => assert!(matches!(verdict, Verdict::Revoked { .. })),
            None => {
                assert_eq!(verdict, Verdict::Match);
                last_plain = Some(index + 1);
            }
        }
    }
    match known.check(name, port, &other) {
        Verdict::Changed { line, .. } => assert_eq!(Some(line), last_plain),
        verdict => assert_eq!((verdict, None), (Verdict::Unknown, last_plain)),
    }
    found
}
