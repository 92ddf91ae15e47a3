//! Generated node sets against ClusterShell's library, where it is installed.

#![allow(
    clippy::print_stdout,
    reason = "how much was compared is told to whoever asks for it"
)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use sshoal_hosts::{expand, fold};

/// Reads a node set a line; answers with its hosts and its folded form, or with a word for none.
const ORACLE: &str = "
import sys
from ClusterShell.NodeSet import NodeSet
for line in sys.stdin:
    try:
        nodes = NodeSet(line.rstrip('\\n'))
        print(' '.join(nodes), '|', nodes, flush=True)
    except Exception as error:
        print('refused', type(error).__name__, flush=True)
";

/// Names with ranges, good and bad ones. Brackets that follow brackets and letters in ranges are
/// left out: the former only we take, the latter neither. So are ranges that end at 0, whose zeros count
/// as padding with us alone.
const PATTERN: &str = concat!(
    "[ab]?(0{0,2}[0-9]{1,2}|\\[(0?[0-9]{1,2}(-0?[1-9][0-9]?(/[0-3])?)?)",
    "(,0?[0-9]{1,2}(-0?[1-9][0-9]?)?){0,2}\\])([.-]x?[cd](\\[[0-9]-[1-9][0-9]?\\])?)?"
);

/// ClusterShell's answer: the hosts, and how it folds them.
type Answer = Option<(BTreeSet<String>, String)>;

struct Oracle {
    child: std::process::Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Oracle {
    fn start() -> Option<Self> {
        // The package belongs to the system's interpreter, whatever the first one on the path is.
        let found = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
            let mut asked = Command::new(python);
            asked
                .args(["-c", "import ClusterShell.NodeSet"])
                .stderr(Stdio::null());
            asked.status().is_ok_and(|status| status.success())
        });
        let Some(python) = found else {
            println!("skipped: python3 with ClusterShell (package clustershell) is not installed");
            return None;
        };
        let mut child = Command::new(python)
            .args(["-c", ORACLE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 was there before");
        let lines = BufReader::new(child.stdout.take().expect("is piped")).lines();
        Some(Self { child, lines })
    }

    fn ask(&mut self, text: &str) -> Answer {
        let mut stdin = self.child.stdin.as_ref().expect("is piped");
        writeln!(stdin, "{text}").expect("it reads");
        let line = self.lines.next().expect("it answers").expect("in UTF-8");
        let (hosts, folded) = line.split_once('|')?;
        let hosts = hosts.split_whitespace().map(str::to_owned).collect();
        Some((hosts, folded.trim().to_owned()))
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Method: what one side takes the other takes, and means the same by it; what either folds, the other
/// expands to the same; and names with one number are folded into the same words.
#[test]
fn means_by_a_node_set_what_clustershell_means() {
    let Some(mut oracle) = Oracle::start() else {
        return;
    };
    let cases = std::env::var("SSHOAL_CLUSTERSHELL_CASES");
    let cases = cases.map_or(500, |count| count.parse().expect("a number"));
    let mut runner = TestRunner::new(Config::default());
    let (mut taken, mut same) = (0, 0);
    for _ in 0..cases {
        let operator = prop_oneof![4 => Just(','), 1 => Just('!'), 1 => Just('&'), 1 => Just('^')];
        let more = proptest::collection::vec((operator, PATTERN), 0..4);
        let (first, more) = (PATTERN, more)
            .new_tree(&mut runner)
            .expect("generates")
            .current();
        let more = more
            .into_iter()
            .map(|(operator, pattern)| format!("{operator}{pattern}"));
        let text = first + &more.collect::<String>();
        let ours = expand(&text);
        let Some((hosts, folded)) = oracle.ask(&text) else {
            assert!(ours.is_err(), "{text}: they refuse what is {ours:?} to us");
            continue;
        };
        let ours = ours.unwrap_or_else(|error| panic!("{text} is taken by them: {error}"));
        let ours: BTreeSet<String> = ours.into_iter().collect();
        assert_eq!(ours, hosts, "{text}");
        taken += 1;
        let again: BTreeSet<String> = expand(&folded)
            .expect("is a node set")
            .into_iter()
            .collect();
        assert_eq!(again, hosts, "{folded}");
        if hosts.is_empty() {
            continue;
        }
        let own = fold(hosts.iter().map(String::as_str));
        let (read, _) = oracle
            .ask(&own)
            .unwrap_or_else(|| panic!("{own} of {text} is refused"));
        assert_eq!(read, hosts, "{own}");
        if hosts.iter().all(|name| numbers(name) <= 1) {
            assert_eq!(parts(&own), parts(&folded), "{text}");
            same += 1;
        }
    }
    println!("{taken} of {cases} node sets were taken by both, {same} folded into the same words");
    assert!(
        taken > cases / 4 && same > cases / 20,
        "{taken}, {same} of {cases}"
    );
}

/// How many numbers a name has.
fn numbers(name: &str) -> usize {
    let parts = name.split(|c: char| !c.is_ascii_digit());
    parts.filter(|part| !part.is_empty()).count()
}

/// The names and ranges of a node set, whose order is each side's own.
fn parts(folded: &str) -> BTreeSet<String> {
    let mut depth = 0;
    let parts = folded.split(|c: char| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ',' && depth == 0
    });
    parts.map(str::to_owned).collect()
}
