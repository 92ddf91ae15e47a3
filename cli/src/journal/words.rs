//! What was typed, so that it can be typed again: the words, and the variables that stand for some.
//!
//! The values of `--env` are left out. They are the one place of the command line where a secret may
//! be on purpose.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use anyhow::{Context, Result, bail};

use super::line::{Plan, Text};
use crate::args::kept_variables;

/// Keeps the words behind the program's name, of which the last so many are the command.
pub(super) fn typed(words: &[OsString], command: usize) -> Vec<Text> {
    let options = words.len().saturating_sub(command);
    let mut is_value = false;
    let keep = |(at, word): (usize, &OsString)| {
        let is_masked = std::mem::take(&mut is_value);
        let bytes = word.as_bytes();
        if at >= options {
            return Text::new(bytes);
        }
        is_value = !is_masked && bytes == ENV.as_bytes();
        match bytes.strip_prefix(b"--env=") {
            _ if is_masked => Text::new(name_of(bytes)),
            Some(variable) => Text::new(&[b"--env=", name_of(variable)].concat()),
            None => Text::new(bytes),
        }
    };
    words.iter().enumerate().map(keep).collect()
}

/// Keeps the variables of the environment that say something to a run.
pub(super) fn variables(read: impl Fn(&str) -> Option<OsString>) -> BTreeMap<String, Text> {
    let keep = |name: String| {
        let value = read(&name)?;
        let value = match name.as_str() {
            ENV_VARIABLE => name_of(value.as_bytes()),
            _ => value.as_bytes(),
        };
        Some((name, Text::new(value)))
    };
    names().into_iter().filter_map(keep).collect()
}

/// Returns all variables that say something to a run.
pub(crate) fn names() -> Vec<String> {
    let mut names = kept_variables();
    let of_others = ["PSSH", "PARALLAX"].into_iter().flat_map(|program| {
        let words = OTHERS.into_iter();
        words.map(move |word| format!("{program}_{word}"))
    });
    names.extend(of_others);
    // They are about this run, and not about what it does.
    let own = [
        "SSHOAL_YES",
        "SSHOAL_DRY_RUN",
        "SSHOAL_JOURNAL",
        "SSHOAL_NO_JOURNAL",
    ];
    names.retain(|name| !own.contains(&name.as_str()));
    names
}

/// Words behind the program's name, and variables of its environment.
pub(crate) type Again = (Vec<OsString>, Vec<(String, OsString)>);

/// Returns what is to be typed to do a plan again: words and variables, with the values of these
/// `NAME=VALUE`.
///
/// # Errors
/// Fails if a value is missing that the journal does not keep.
pub(crate) fn again(plan: &Plan, given: &[OsString]) -> Result<Again> {
    let filled = |name: &[u8]| {
        let is_it = |given: &&OsString| name_of(given.as_bytes()) == name && has_value(given);
        let missing = || {
            let name = String::from_utf8_lossy(name);
            format!("no journal keeps the values of --env; give it again: --env {name}=VALUE")
        };
        given.iter().find(is_it).cloned().with_context(missing)
    };
    let mut words = Vec::with_capacity(plan.words.len());
    let options = plan.words.len().saturating_sub(plan.command_words);
    let mut is_value = false;
    for (at, word) in plan.words.iter().enumerate() {
        let word = word.bytes().context(DAMAGED)?;
        let is_masked = std::mem::take(&mut is_value);
        is_value = at < options && !is_masked && word == ENV.as_bytes();
        words.push(match word.strip_prefix(b"--env=") {
            _ if at >= options => OsString::from_vec(word),
            _ if is_masked => filled(&word)?,
            Some(name) => {
                let mut word = OsString::from("--env=");
                word.push(filled(name)?);
                word
            }
            None => OsString::from_vec(word),
        });
    }
    let mut variables = Vec::new();
    for (name, value) in &plan.variables {
        let value = value.bytes().context(DAMAGED)?;
        let value = match name.as_str() {
            ENV_VARIABLE => filled(&value)?,
            _ => OsString::from_vec(value),
        };
        variables.push((name.clone(), value));
    }
    if words.is_empty() {
        bail!(DAMAGED);
    }
    Ok((words, variables))
}

/// Returns what stands before the first `=`.
fn name_of(variable: &[u8]) -> &[u8] {
    variable
        .split(|byte| *byte == b'=')
        .next()
        .unwrap_or_default()
}

fn has_value(variable: &OsStr) -> bool {
    variable.as_bytes().contains(&b'=')
}

const ENV: &str = "--env";
const ENV_VARIABLE: &str = "SSHOAL_ENV";
const DAMAGED: &str = "the journal's plan is damaged";

/// Of pssh and Parallax, each with the program's name before it.
const OTHERS: [&str; 11] = [
    "HOSTS", "USER", "OPTIONS", "ASKPASS", "PAR", "TIMEOUT", "OUTDIR", "ERRDIR", "PRINT", "INLINE",
    "VERBOSE",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(words: &[&str], command_words: usize, variables: &[(&str, &str)]) -> Plan {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let read = |name: &str| {
            let found = variables.iter().find(|(own, _)| *own == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Plan {
            format: 1,
            run: String::new(),
            begun: String::new(),
            directory: Text::new(b"/"),
            words: typed(&words, command_words),
            command_words,
            variables: super::variables(read),
            command: Text::new(b""),
            inputs: Vec::new(),
            hosts: Vec::new(),
        }
    }

    #[test]
    fn values_of_variables_are_left_out_and_asked_for_again() {
        let words = [
            "run",
            "--env",
            "TOKEN=abc=d",
            "-i",
            "--env=KEY=xyz",
            "env",
            "--env",
            "A=b",
        ];
        let plan = plan(
            &words,
            3,
            &[("SSHOAL_ENV", "LATE=one"), ("SSHOAL_PAR", "3")],
        );
        let kept = serde_json::to_string(&plan).unwrap();
        for secret in ["abc", "xyz", "one"] {
            assert!(!kept.contains(secret), "{kept}");
        }
        assert!(kept.contains("\"A=b\""), "the command is kept: {kept}");
        let given = |all: &[&str]| all.iter().map(OsString::from).collect::<Vec<_>>();
        let error = again(&plan, &given(&["KEY=xyz"])).unwrap_err();
        assert!(
            format!("{error:#}").contains("--env TOKEN=VALUE"),
            "{error:#}"
        );
        let all = given(&["KEY=xyz", "LATE=one", "TOKEN=abc=d"]);
        let (again, variables) = again(&plan, &all).unwrap();
        assert_eq!(again, words);
        let expected = [("SSHOAL_ENV", "LATE=one"), ("SSHOAL_PAR", "3")];
        let expected = expected.map(|(name, value)| (name.to_owned(), OsString::from(value)));
        assert_eq!(variables, expected);
    }

    #[test]
    fn words_that_are_no_text_come_back_as_they_were() {
        let words = [
            OsString::from("run"),
            OsString::from_vec(b"\xff\n\"".to_vec()),
        ];
        let mut plan = plan(&[], 1, &[]);
        plan.words = typed(&words, 1);
        let line = serde_json::to_string(&plan).unwrap();
        let plan: Plan = serde_json::from_str(&line).unwrap();
        assert_eq!(again(&plan, &[]).unwrap().0, words);
    }
}
