//! Accepted keys on their way to the file: many threads, other processes, and death in between.

#[path = "known_hosts/keys.rs"]
#[expect(dead_code, reason = "other tests need the other key types")]
mod keys;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keys::{ed25519, fields};
use sshoal_session::known_hosts::{KnownHosts, Verdict};
use sshoal_session::{HostKeyError, HostKeyPolicy, HostKeys};

/// Set for a child process of this test binary: the file to append to and a prefix for names.
const CHILD_FILE: &str = "SSHOAL_TEST_APPEND_FILE";
const CHILD_PREFIX: &str = "SSHOAL_TEST_APPEND_PREFIX";

fn accepting(path: &Path) -> HostKeys {
    HostKeys::new(HostKeyPolicy::AcceptNew, KnownHosts::new()).store(path)
}

/// Checks that the file holds nothing but good lines, and one for each of these names.
#[track_caller]
fn holds_exactly_once(path: &Path, names: impl Iterator<Item = String>) -> usize {
    let known = KnownHosts::load([path]).expect("the file can be read");
    assert_eq!(known.bad_lines(), []);
    let text = std::fs::read_to_string(path).expect("lines are ASCII");
    assert!(text.ends_with('\n'));
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    for name in names {
        assert_eq!(
            known.check(&name, 22, &ed25519(1)),
            Verdict::Match,
            "{name}"
        );
        let line = format!("{name} {}", fields(&ed25519(1)));
        assert!(lines.binary_search(&line.as_str()).is_ok(), "{name}");
    }
    let all = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), all, "no line stands twice");
    all
}

#[test]
fn thousands_of_hosts_at_once_are_stored_once_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ssh/known_hosts");
    let keys = accepting(&path);
    std::thread::scope(|scope| {
        for thread in 0..32 {
            let keys = &keys;
            // Each host comes from two threads.
            scope.spawn(move || {
                for i in 0..128 {
                    let name = format!("h{}-{i}", thread / 2);
                    assert!(keys.verify(&name, 22, &ed25519(1)).unwrap().is_new());
                }
            });
        }
    });
    let names = (0..16).flat_map(|t| (0..128).map(move |i| format!("h{t}-{i}")));
    assert_eq!(holds_exactly_once(&path, names), 16 * 128);
}

/// Not a test of its own: what a child process does until it is killed.
#[test]
fn child_appends_until_killed() {
    let Ok(path) = std::env::var(CHILD_FILE) else {
        return;
    };
    let prefix = std::env::var(CHILD_PREFIX).unwrap();
    let keys = accepting(Path::new(&path));
    for i in 0.. {
        let _ = keys
            .verify(&format!("{prefix}-{i}"), 22, &ed25519(1))
            .unwrap();
        writeln!(std::io::stderr(), "stored {i}").unwrap();
    }
}

fn child(path: &Path, prefix: &str) -> Child {
    Command::new(std::env::current_exe().expect("a test knows its file"))
        .args(["--exact", "child_appends_until_killed", "--nocapture"])
        .env(CHILD_FILE, path)
        .env(CHILD_PREFIX, prefix)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test runs once more")
}

/// Method: two children append to one file and are killed in the middle of their work, after a
/// number of stored keys that grows by the round; what they reported as stored must be there.
#[test]
fn a_kill_loses_nothing_that_was_stored_and_leaves_no_foreign_line() {
    let rounds = std::env::var("SSHOAL_APPEND_KILLS").map_or(10, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    let mut stored = Vec::new();
    for round in 0..rounds {
        let mut children = ["a", "b"].map(|side| {
            let prefix = format!("{side}{round}");
            (child(&path, &prefix), prefix)
        });
        for (child, prefix) in &mut children {
            let output = BufReader::new(child.stderr.take().unwrap());
            let lines = output.lines().map_while(Result::ok);
            let count = lines
                .filter(|line| line.starts_with("stored "))
                .take(1 + round % 40)
                .count();
            assert_eq!(count, 1 + round % 40);
            // The pipe is closed by now: the child dies of that, or of the signal.
            child.kill().unwrap();
            stored.extend((0..count).map(|i| format!("{prefix}-{i}")));
        }
        for (mut child, _) in children {
            child.wait().unwrap();
        }
    }
    let lines = holds_exactly_once(&path, stored.into_iter());
    assert!(lines >= rounds * 2);
}

/// Set for a child process: the number of the key that it accepts for every host.
const CHILD_KEY: &str = "SSHOAL_TEST_APPEND_KEY";

/// Not a test of its own: accepts one key for hosts that other children accept another one for.
#[test]
fn child_disputes_names() {
    let Ok(number) = std::env::var(CHILD_KEY) else {
        return;
    };
    let key = ed25519(number.parse().unwrap());
    let keys = accepting(Path::new(&std::env::var(CHILD_FILE).unwrap()));
    for i in 0..DISPUTED {
        let result = keys.verify(&format!("h{i}"), 22, &key);
        let word = match result {
            Ok(_) => "won",
            Err(HostKeyError::Changed { .. }) => "lost",
            Err(error) => panic!("{error:?}"),
        };
        writeln!(std::io::stderr(), "{word} {i}").unwrap();
    }
}

/// How many names the children below dispute.
const DISPUTED: usize = 200;

/// Method: four children accept keys for the same hosts at once, two of them one key and two
/// another; one of each pair is killed in the middle. For every host one key is stored, once, and
/// whoever showed the other one was refused.
#[test]
fn processes_that_dispute_a_name_store_one_key_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    let start = |key: u8| {
        Command::new(std::env::current_exe().expect("a test knows its file"))
            .args(["--exact", "child_disputes_names", "--nocapture"])
            .env(CHILD_FILE, &path)
            .env(CHILD_KEY, key.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the test runs once more")
    };
    let children = [(1, false), (2, false), (1, true), (2, true)]
        .map(|(key, is_killed)| (key, is_killed, start(key)));
    let reports = children.map(|(key, is_killed, mut child)| {
        let output = BufReader::new(child.stderr.take().unwrap());
        let lines = output.lines().map_while(Result::ok);
        let said = lines.filter(|line| line.starts_with("won ") || line.starts_with("lost "));
        let count = if is_killed { DISPUTED / 4 } else { DISPUTED };
        let said: Vec<String> = said.take(count).collect();
        assert_eq!(said.len(), count);
        if is_killed {
            child.kill().unwrap();
        }
        child.wait().unwrap();
        (key, said)
    });
    let known = KnownHosts::load([&path]).unwrap();
    assert_eq!((known.bad_lines(), known.len()), (&[][..], DISPUTED));
    for (key, said) in reports {
        for line in said {
            let (word, number) = line.split_once(' ').unwrap();
            let verdict = known.check(&format!("h{number}"), 22, &ed25519(key));
            assert_eq!(
                verdict == Verdict::Match,
                word == "won",
                "{line}: {verdict:?}"
            );
        }
    }
}

/// Method: ssh stores a host's key between our look at the file and our append.
#[test]
fn what_ssh_stored_meanwhile_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    let keys = accepting(&path);
    let foreign = format!(
        "other {}\nsame {}\n",
        fields(&ed25519(2)),
        fields(&ed25519(1))
    );
    std::fs::write(&path, &foreign).unwrap();
    let error = keys.verify("other", 22, &ed25519(1)).unwrap_err();
    assert!(
        matches!(error, HostKeyError::Changed { line: 1, .. }),
        "{error:?}"
    );
    // What was refused is not remembered as accepted.
    let error = keys.verify("other", 22, &ed25519(3)).unwrap_err();
    assert!(
        matches!(error, HostKeyError::Changed { line: 1, .. }),
        "{error:?}"
    );
    let _ = keys.verify("same", 22, &ed25519(1)).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), foreign);
}

/// Names can be stored as hashes, by threads and by a second run alike.
#[test]
fn hashed_names_are_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    for _ in 0..2 {
        let keys = accepting(&path).hash_stored_names();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let keys = &keys;
                scope.spawn(move || {
                    for i in 0..20 {
                        let _ = keys
                            .verify(&format!("h{}-{i}", thread / 2), 2222, &ed25519(1))
                            .unwrap();
                    }
                });
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().filter(|line| line.starts_with("|1|")).count(),
            40
        );
        assert_eq!(text.lines().count(), 40);
    }
}

/// A line that another program left without an end is ended, not continued.
#[test]
fn a_torn_line_of_another_program_harms_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    std::fs::write(&path, "torn ssh-ed25519 AAAAC3Nz").unwrap();
    let _ = accepting(&path).verify("h", 22, &ed25519(1)).unwrap();
    let known = KnownHosts::load([&path]).unwrap();
    assert_eq!(known.bad_lines().len(), 1);
    assert_eq!(known.check("h", 22, &ed25519(1)), Verdict::Match);
}
