//! Every flag of every sub-command that the helps list: that it has a variable, that a test gives it,
//! that the sub-command takes it, and what is refused before anyone is connected to.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use support::calls::{Place, calls};
use support::help::{Flag, actions, flags};
use support::{detached, output, stderr};

/// The helps of all sub-commands, each on one line, and their flags.
static SURFACE: LazyLock<BTreeMap<String, (String, Vec<Flag>)>> = LazyLock::new(|| {
    let surface = actions().into_iter().map(|(action, help)| {
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "a terminal would break this in the middle of words: {help}"
        );
        let words: Vec<&str> = help.split_whitespace().collect();
        (action, (words.join(" "), flags(&help)))
    });
    surface.collect()
});

#[test]
fn the_helps_list_every_sub_command_and_its_exit_codes() {
    for name in [
        "run",
        "script",
        "put",
        "get",
        "sync",
        "fs",
        "ping",
        "shell",
        "kill",
        "forward",
        "hosts",
        "demo",
        "resume",
        "diff",
        "install-links",
        "completions",
        "man",
        "fs read",
        "demo up",
    ] {
        assert!(SURFACE.contains_key(name), "{name}");
    }
    for (action, (help, flags)) in SURFACE.iter().filter(|(action, _)| !action.contains(' ')) {
        let (_, codes) = help
            .split_once("Exit codes: ")
            .unwrap_or_else(|| panic!("{action}"));
        let stops = flags.iter().any(|flag| flag.long == "--max-fail");
        let as_of_run = codes.starts_with("those of run");
        assert_eq!(codes.contains("7 stopped"), stops && !as_of_run, "{action}");
    }
}

#[test]
fn every_flag_has_a_variable() {
    for (action, (help, flags)) in SURFACE.iter() {
        for Flag { long, .. } in flags {
            let name = match long.as_str() {
                // Some sub-commands have flags of these names for other things; the variable is one.
                "--exclude" | "--exclude-hosts" if action != "sync" || long != "--exclude" => {
                    "exclude-hosts"
                }
                "--host-group" => "group-hosts",
                "--group" if !action.starts_with("fs") => "group-hosts",
                "--count" if action == "hosts" => "hosts-count",
                other => other.trim_start_matches('-'),
            };
            let name = name.replace('-', "_").to_uppercase();
            let variable = format!("[env: SSHOAL_{name}]");
            assert!(help.contains(&variable), "{action} {long}: no {variable}");
        }
    }
}

/// A test gives a flag to the program as a word of its own, or as a word that begins with it.
#[test]
fn every_flag_is_given_by_some_test() {
    let mut sources = String::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")).unwrap() {
        let path = entry.unwrap().path();
        // The lists in these are of what is there, not of what works.
        let is_list = ["surface.rs", "flags.rs"]
            .iter()
            .any(|name| path.ends_with(name));
        if path.is_file() && !is_list {
            sources += &std::fs::read_to_string(path).unwrap();
        }
    }
    let is_given = |word: &String| {
        let before = ["\"", " "].iter();
        let mut both = before.flat_map(|before| ["\"", "=", " "].map(|after| (before, after)));
        both.any(|(before, after)| sources.contains(&format!("{before}{word}{after}")))
    };
    let mut without = BTreeSet::new();
    for (action, (_, flags)) in SURFACE.iter() {
        for Flag { long, short, .. } in flags {
            let mut words = [Some(long), short.as_ref()].into_iter().flatten();
            if !words.any(is_given) {
                without.insert(format!("{action} {long}"));
            }
        }
    }
    assert!(without.is_empty(), "{without:#?}");
}

/// Goal: no sub-command lists a flag that it does not take. Method: each of them is called with every
/// flag that it lists; the host refuses, which is what it then ends with, and not with a refusal of
/// the flag.
#[test]
fn every_sub_command_takes_every_flag_that_it_lists() {
    let place = Place::new();
    // What there is to resume and to compare.
    let kept = ["--journal", "runs"].map(str::to_owned);
    let ran = output(&mut place.command("run", &kept));
    assert_eq!(ran.status.code(), Some(4), "{}", stderr(&ran));
    let mut all = Vec::new();
    let shared: BTreeSet<&str> = SURFACE["fs"]
        .1
        .iter()
        .map(|flag| flag.long.as_str())
        .collect();
    for (action, (_, flags)) in SURFACE.iter() {
        let mut flags = flags.clone();
        match action.as_str() {
            // It stays until it is ended, and is what other tests begin with; the other one is its verbs.
            "demo up" | "fs" => continue,
            "fs read" => {}
            // What all verbs share is given to one.
            verb if verb.starts_with("fs ") => {
                flags.retain(|flag| !shared.contains(flag.long.as_str()));
            }
            _ => {}
        }
        for flags in calls(&place, action, &flags) {
            match action.as_str() {
                // Two processes cannot resume one run at once.
                "resume" => assert_eq!(refused(&place, action, &flags), None),
                _ => all.push((action.clone(), flags)),
            }
        }
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = String::new();
        while let Some((action, flags)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong += &refused(&place, action, flags).unwrap_or_default();
        }
        wrong
    };
    let wrong: String = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        let wrong = threads.into_iter().map(|thread| thread.join().unwrap());
        wrong.collect()
    });
    assert_eq!(wrong, "");
}

/// Makes a call; returns what was said against its flags.
fn refused(place: &Place, action: &str, flags: &[String]) -> Option<String> {
    let asks = ["--askpass", "--ask-sudo"].iter();
    let asks = asks
        .copied()
        .find(|flag| flags.iter().any(|word| word == flag));
    let command = place.command(action, flags);
    let mut command = match asks {
        // There is nobody to ask.
        Some(_) => {
            let mut detached = detached(&command);
            detached.current_dir(place.path());
            detached
        }
        None => command,
    };
    let ended = output(&mut command);
    let (code, said) = (ended.status.code(), stderr(&ended));
    let is_taken = match asks {
        Some(_) => code == Some(2) && said.contains("terminal"),
        None => matches!(code, Some(0 | 4)),
    };
    (!is_taken).then(|| format!("{action} {flags:?}: {code:?} {said}\n"))
}

/// What does not go together, and what is not enough; the flags of a row are those that a sub-command
/// has to have for the row to be tried with it.
const CONTRADICTIONS: &[&[&str]] = &[
    &["--config", "config.toml", "--no-config"],
    &["--hosts", "-", "--hosts", "-"],
    &["--hosts", "-", "--send-input"],
    &["--hosts", "-", "--stdin", "-"],
    &["--askpass", "--password-file", "file"],
    &["--askpass", "--option", "BatchMode=yes"],
    &["--dangerous-accept-any-host-key", "--host-key", "strict"],
    &["--dangerous-accept-any-host-key", "--askpass"],
    &["--dangerous-accept-any-host-key", "--password-file", "file"],
    &["--retry-on", "connect"],
    &["--send-input", "--stdin", "file"],
    &["--ask-sudo"],
    &["--inline", "--jsonl", "-"],
    &["--print", "--jsonl", "-"],
    &["--gather", "--jsonl", "-"],
    &["--gather-live", "--fuzzy"],
    &["--gather-live", "--diff"],
    &["--jsonl", "-", "--events", "-"],
    &["--outdir", "out", "--errdir", "out"],
    &["--quiet", "--verbose"],
    &["--gate", "true"],
    &["--wave-pause", "1"],
    &["--wave", "1", "--send-input"],
    &["--wave", "1", "--stdin", "-"],
    &["--journal", "runs", "--no-journal"],
    &["--scp", "--tar"],
    &["--scp", "--resume"],
    &["--scp", "--sudo"],
    &["--expand", "--fold"],
    &["--fold", "--groups"],
    &["--first", "--all"],
    &["--list", "--redo-failed"],
];

/// Goal: what cannot be meant is refused by every sub-command, in one line, with exit code 2 and before
/// anyone is connected to. Method: the host is a socket that would have somebody to take.
#[test]
fn unknown_and_contradictory_flags_are_refused_before_any_connection() {
    let mut place = Place::new();
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    place.refuses = host.local_addr().unwrap().to_string();
    let unknown: &[&[&str]] = &[&["--no-such-flag"], &["-Z"], &["--no-such-flag=value"]];
    let mut tried = BTreeMap::new();
    for (action, (_, flags)) in SURFACE.iter() {
        if matches!(action.as_str(), "demo up" | "fs") {
            continue;
        }
        let has = |word: &&str| flags.iter().any(|flag| flag.long == *word);
        let fits = |row: &&&[&str]| row.iter().filter(|word| word.starts_with("--")).all(&has);
        // These need no settings, so that they work beside a broken file.
        let has_settings = !matches!(action.as_str(), "completions" | "man");
        // What all verbs share is tried with some.
        let is_one = has_settings && !action.starts_with("fs ")
            || ["fs read", "fs write", "fs line"].contains(&action.as_str());
        let rows = CONTRADICTIONS.iter().filter(fits).filter(|_| is_one);
        for row in unknown.iter().chain(rows) {
            let words: Vec<String> = row.iter().map(|word| (*word).to_owned()).collect();
            let ended = output(&mut place.command(action, &words));
            let said = stderr(&ended);
            assert_eq!(ended.status.code(), Some(2), "{action} {row:?}: {said}");
            assert_eq!(said.lines().count(), 1, "{action} {row:?}: {said}");
            // By its long form or its short one.
            let is_named = |flag: &Flag| {
                let forms = [Some(&flag.long), flag.short.as_ref()];
                let mut forms = forms.into_iter().flatten();
                row.contains(&flag.long.as_str()) && forms.any(|form| said.contains(form))
            };
            let is_unknown = unknown.contains(row) && said.contains("unexpected argument '");
            let lacks = said.contains("arguments were not provided: --");
            assert!(
                is_unknown || lacks || flags.iter().any(is_named),
                "{action} {row:?}: {said}"
            );
            *tried.entry(row).or_insert(0) += 1;
        }
    }
    for row in CONTRADICTIONS {
        assert!(
            tried.contains_key(row),
            "no sub-command has the flags of {row:?}"
        );
    }
    host.set_nonblocking(true).unwrap();
    assert!(host.accept().is_err(), "somebody was connected to");
    let count: usize = tried.values().sum();
    assert!(count > 200, "only {count} calls were made");
}
