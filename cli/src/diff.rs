//! `sshoal diff`: the hosts that ended otherwise in one run than in another, from their journals.

use std::collections::HashMap;

use anyhow::Result;

use crate::args::DiffArgs;
use crate::complain;
use crate::console::print;
use crate::exit_code::{Class, Facts};
use crate::journal::{Kept, State, place};
use crate::sanitise::one_line;

/// Compares two runs and returns the exit code.
///
/// # Errors
/// Fails if a journal cannot be read.
pub(crate) fn diff(args: &DiffArgs) -> Result<u8> {
    let directory = place::directory(args.journal.as_deref())?;
    let read = |run: &str| Kept::read(&place::find(&directory, run)?);
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    let lines = differences(&before, &after);
    let mut text = String::new();
    for line in &lines {
        text.push_str(&one_line(line));
        text.push('\n');
    }
    let code = print(text.as_bytes());
    let hosts = before.states.len().max(after.states.len());
    complain(&format!(
        "{} of {hosts} hosts differ between {} and {}",
        lines.len(),
        before.plan.run,
        after.plan.run
    ));
    let mut facts = Facts::default();
    if !lines.is_empty() {
        facts.add(Class::Differs);
    }
    Ok(match code {
        0 => facts.exit_code(),
        code => code,
    })
}

/// A host as it was named, and which of those that are named so.
type Key<'a> = (&'a str, usize);

/// Returns a line for each host that differs: those of the first run in input order, then those
/// that only the other has.
fn differences(before: &Kept, after: &Kept) -> Vec<String> {
    let (old, new) = (keys(before), keys(after));
    let by_key: HashMap<Key<'_>, &State> = new.iter().copied().zip(&after.states).collect();
    let mut lines = Vec::new();
    for (key, state) in old.iter().zip(&before.states) {
        match by_key.get(key) {
            None => lines.push(format!("{}: only in {}", key.0, before.plan.run)),
            Some(other) => lines.extend(difference(key.0, state, other)),
        }
    }
    let known: HashMap<Key<'_>, ()> = old.iter().map(|key| (*key, ())).collect();
    let only = new.iter().filter(|key| !known.contains_key(*key));
    lines.extend(only.map(|(host, _)| format!("{host}: only in {}", after.plan.run)));
    lines
}

/// Numbers the hosts that are named alike.
fn keys(kept: &Kept) -> Vec<Key<'_>> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let hosts = kept.plan.hosts.iter();
    hosts
        .map(|own| {
            let count = seen.entry(own.host.as_str()).or_default();
            *count += 1;
            (own.host.as_str(), *count)
        })
        .collect()
}

fn difference(host: &str, before: &State, after: &State) -> Option<String> {
    let (old, new) = (verdict(before), verdict(after));
    if old != new {
        return Some(format!("{host}: {old} -> {new}"));
    }
    let (State::Ended(old), State::Ended(new)) = (before, after) else {
        return None;
    };
    let streams = match (
        old.stdout_sha256 == new.stdout_sha256,
        old.stderr_sha256 == new.stderr_sha256,
    ) {
        (true, true) => return None,
        (false, true) => "standard output differs",
        (true, false) => "standard error differs",
        (false, false) => "standard output and standard error differ",
    };
    Some(format!("{host}: {streams}"))
}

fn verdict(state: &State) -> String {
    match state {
        State::Untouched => "not run".to_owned(),
        State::Asked => "cut off".to_owned(),
        State::Ended(ended) => ended.verdict(),
    }
}
