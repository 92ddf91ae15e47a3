//! A question before a run on many hosts.

use anyhow::{Context, Result, bail};

use crate::sanitise::one_line;
use crate::terminal::Terminal;

/// Has the user say that the command is to be run on so many hosts, of which these are the first and
/// the last. Nobody is asked where there is no terminal.
///
/// # Errors
/// Fails if the answer is anything but yes; nothing is to be run then.
pub(crate) fn ask(command: &[u8], count: usize, ends: (&str, &str)) -> Result<()> {
    let Some(mut terminal) = Terminal::open() else {
        return Ok(());
    };
    let text = question(&String::from_utf8_lossy(command), count, ends);
    let answer = terminal.ask(&text).context("cannot ask on the terminal")?;
    let is_yes = |answer: &[u8]| {
        let answer = answer.trim_ascii();
        answer.eq_ignore_ascii_case(b"y") || answer.eq_ignore_ascii_case(b"yes")
    };
    match answer {
        Some(answer) if is_yes(answer.expose()) => Ok(()),
        _ => bail!("not confirmed; nothing was run (--yes asks nobody)"),
    }
}

fn question(command: &str, count: usize, (first, last): (&str, &str)) -> String {
    let mut shown: String = command.chars().take(COMMAND_MAX).collect();
    if shown.len() < command.len() {
        shown.push('…');
    }
    let text = match count {
        1 => format!("Run `{shown}` on {first}? [y/N] "),
        count => format!("Run `{shown}` on {count} hosts, {first} to {last}? [y/N] "),
    };
    one_line(&text).into_owned()
}

/// Characters of a command that are shown.
const COMMAND_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_names_what_is_run_and_where_on_one_clean_line() {
        let asked = question("rm\x1b -r\n/", 2, ("a", "b"));
        assert_eq!(asked, "Run `rm\\x1b -r\\x0a/` on 2 hosts, a to b? [y/N] ");
        let long = question(&"x".repeat(300), 1, ("a", "a"));
        assert!(long.ends_with("x…` on a? [y/N] "), "{long}");
    }
}
