//! What the program's help says there is: sub-commands and flags.

use super::{output, sshoal, stderr, stdout};

/// A flag, as a line of the help has it.
#[derive(Debug, Clone)]
pub(crate) struct Flag {
    /// For example `--hosts`.
    pub(crate) long: String,
    /// For example `-h`.
    pub(crate) short: Option<String>,
    /// Whether a value has to follow.
    pub(crate) takes_value: bool,
}

/// The help of a sub-command, or of the program for none.
#[track_caller]
pub(crate) fn help_of(action: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    let words = action.split_whitespace().chain(["--help"]);
    let help = output(sshoal(home.path()).args(words));
    assert!(help.status.success(), "{action}: {}", stderr(&help));
    stdout(&help)
}

/// All sub-commands that the helps list, and those below them, `run`, `fs`, `fs read` and so on, with
/// their helps.
pub(crate) fn actions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut left = vec![String::new()];
    while let Some(action) = left.pop() {
        let help = help_of(&action);
        for name in sub_commands(&help) {
            left.push(format!("{action} {name}").trim().to_owned());
        }
        if !action.is_empty() {
            found.push((action, help));
        }
    }
    found
}

fn sub_commands(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // What a line goes on with stands further in.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").collect()
}

/// The flags that a help lists, but for `--help` and `--version`.
pub(crate) fn flags(help: &str) -> Vec<Flag> {
    let is_flag = |line: &&str| {
        line.starts_with(' ') && line.trim_start().starts_with('-') && line.contains("--")
    };
    let flag = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = words.iter().position(|word| word.starts_with("--"));
        let at = at.unwrap_or_else(|| panic!("{line:?} has no long form"));
        let value = words.get(at + 1).is_some_and(|word| word.starts_with('<'));
        Flag {
            // A value that may be left out stands with it.
            long: words[at].split('[').next().unwrap().to_owned(),
            short: words[0].strip_suffix(',').map(str::to_owned),
            takes_value: value,
        }
    };
    let flags = help.lines().filter(is_flag).map(flag);
    let flags = flags.filter(|flag| !matches!(flag.long.as_str(), "--help" | "--version"));
    flags.collect()
}
