//! What templates make of values, held against the shells of this machine.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::fake::*;
use crate::{Args, Pool, RunError, Template};

/// Random templates that are tried; `SSHOAL_TEMPLATE_CASES` sets another number.
fn cases() -> u32 {
    let set = std::env::var("SSHOAL_TEMPLATE_CASES").ok();
    set.map_or(200, |cases| cases.parse().expect("is a number"))
}

/// The shells of this machine, each with what starts it.
fn shells() -> Vec<(&'static str, &'static [&'static str])> {
    let all: [(&str, &[&str]); 7] = [
        ("sh", &[]),
        ("dash", &[]),
        ("bash", &[]),
        ("busybox", &["sh"]),
        ("ksh", &[]),
        ("mksh", &[]),
        ("zsh", &["-f"]),
    ];
    let there = |(shell, first): &(&str, &[&str])| {
        let mut probe = Command::new(shell);
        probe.args(*first).args(["-c", ":"]).output().is_ok()
    };
    let found: Vec<_> = all.into_iter().filter(there).collect();
    assert!(!found.is_empty(), "this machine has no shell");
    found
}

/// Runs a script in a folder of its own; returns what it printed, and the names of the files that
/// it made.
fn run_in(shell: (&str, &[&str]), script: &[u8]) -> (Vec<u8>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .arg("10")
        .arg(shell.0)
        .args(shell.1)
        .arg("-c")
        .arg(OsStr::from_bytes(script))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let files = std::fs::read_dir(folder.path()).unwrap();
    let name = |file: std::io::Result<std::fs::DirEntry>| file.unwrap().file_name();
    let files = files.map(|file| name(file).to_string_lossy().into_owned());
    (output.stdout, files.collect())
}

/// Returns the command that one host is asked to run.
fn fill(pool: &Pool, template: &[u8], values: &[Vec<u8>]) -> Result<Vec<u8>, RunError> {
    let template = Template::new(template).args([Args::from(values.to_vec())]);
    let report = pool.run(template)?.report();
    Ok(report[0].command().unwrap().to_vec())
}

/// What would run a command, were it not quoted: each makes a file `M`.
const HOSTILE: [&str; 17] = [
    "$(>M)",
    "`>M`",
    ";>M;",
    "'$(>M)'",
    "\"$(>M)\"",
    "'\n>M\n'",
    "\n>M\n",
    "\";>M;#",
    "';>M;#",
    "\\",
    "'",
    "\"",
    ") >M (",
    "}\n>M\n{",
    "a[$(>M)]",
    "&>M&",
    "\\'\n>M\n\\'",
];

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(HOSTILE.to_vec()).prop_map(|value| value.as_bytes().to_vec())
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let nasty = prop::sample::select(b"'\"$\\`\n\r\t !*?[]{}()<>|&;#~=%^,a7-\xff\xc3".to_vec());
    prop_oneof![
        hostile(),
        prop::collection::vec(1_u8..=255, 0..20),
        prop::collection::vec(nasty, 0..8),
    ]
}

/// A piece of a word: as a template has it, `{}` for a value, and what a shell makes of it.
type Part = (&'static str, &'static str);

fn part() -> impl Strategy<Value = Part> {
    prop::sample::select(vec![
        ("a", "a"),
        ("b:c", "b:c"),
        ("\\'", "'"),
        ("\\\"", "\""),
        ("a#", "a#"),
        ("'x \"$y` #'", "x \"$y` #"),
        ("\"it's #\"", "it's #"),
        ("\"\\\"\\$\"", "\"$"),
        ("\"${{v}}\"", "va lue"),
        // Of `$#a` zsh would take the length of a.
        ("$#''", "0"),
        ("{}", "{}"),
        ("{}{}", "{}{}"),
        ("'{}'", "{}"),
        ("'#{}a{}'", "#{}a{}"),
        ("\"{}\"", "{}"),
        ("\"'{}'\"", "'{}'"),
        ("\"${{v}}{} \\\\\"", "va lue{} \\"),
    ])
}

/// Puts a value for each `{}`.
fn with_values(text: &str, mut value: impl FnMut() -> Vec<u8>) -> Vec<u8> {
    let mut pieces = text.split("{}");
    let mut all = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        all.extend(value());
        all.extend_from_slice(piece.as_bytes());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Values reach the command as they are, outside of quotes and within them: words are made of
    /// literals and of values, and a shell says what it makes of them.
    #[test]
    fn every_value_reaches_the_command_as_it_is(
        words in prop::collection::vec(prop::collection::vec(part(), 1..5), 1..12),
        values in prop::collection::vec(any_value(), 96),
    ) {
        let (mut template, mut expected) = (b"v='va lue'; printf '%s\\0'".to_vec(), Vec::new());
        let (mut put, mut used) = (0.., values.iter());
        for word in &words {
            template.push(b' ');
            for (text, meaning) in word {
                let number = || format!("{{{}}}", put.next().unwrap()).into_bytes();
                template.extend(with_values(text, number));
                expected.extend(with_values(meaning, || used.next().unwrap().clone()));
            }
            expected.push(0);
        }
        // A comment, and a line behind it, where all is as before.
        let last = put.next().unwrap();
        template.extend(format!(" # it's \"no\" word\nprintf '%s' {{{last}}}").bytes());
        expected.extend_from_slice(&values[last]);
        let script = fill(&Fake::default().pool(1), &template, &values[..=last]).unwrap();
        for shell in shells() {
            let (printed, files) = run_in(shell, &script);
            let shown = script.escape_ascii();
            prop_assert_eq!(&printed, &expected, "{:?}: {}", shell, shown);
            prop_assert!(files.is_empty(), "{:?}: {}", shell, shown);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_global_rejects: u32::MAX,
        ..ProptestConfig::default()
    })]

    /// Whatever the template, and however broken: no value becomes a part of the command. It is
    /// quoted, or it is refused.
    #[test]
    fn no_value_is_ever_run(
        before in prop::collection::vec(token(), 0..10),
        between in prop::collection::vec(token(), 0..6),
        after in prop::collection::vec(token(), 0..6),
        values in [hostile(), hostile()],
    ) {
        let template = format!("{}{{0}}{}{{1}}{}", before.concat(), between.concat(), after.concat());
        let Ok(script) = fill(&Fake::default().pool(1), template.as_bytes(), &values) else {
            return Err(TestCaseError::reject("refused"));
        };
        for shell in shells() {
            let (_, files) = run_in(shell, &script);
            let shown = script.escape_ascii();
            prop_assert!(!files.contains(&"M".to_owned()), "{:?}: {}", shell, shown);
        }
    }
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "'",
        "\"",
        "\\",
        "$",
        "(",
        ")",
        "{{",
        "}}",
        "#",
        " ",
        "\n",
        ";",
        "&",
        "|",
        "<",
        ">",
        "<<",
        "7",
        "a",
        "=",
        "-",
        ":",
        "!",
        "[",
        "]",
        "${{a}}",
        "echo ",
        "a=",
        "\\\n",
        "case a in ",
        "if ",
        "$(",
        "*",
        "$$",
        "$a",
        "${{a}}[",
        "a[",
        "]=",
    ])
}
