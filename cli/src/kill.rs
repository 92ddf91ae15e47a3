//! `sshoal kill`: `pkill` on each host.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use anyhow::{Result, bail};

use crate::args::KillArgs;
use crate::run;
use crate::script::quote;

/// Sends the signal on the hosts and returns the exit code.
///
/// # Errors
/// Fails if something is wrong with what was asked for; nothing was run then.
pub(crate) fn kill(args: KillArgs) -> Result<u8> {
    let mut run = args.run;
    let pattern = match run.command.as_slice() {
        [] => bail!("no pattern; write it after the options, as in: sshoal kill -H web1 stuck-job"),
        [pattern] if pattern.is_empty() => bail!("the pattern is empty, and would fit everything"),
        [pattern] => pattern.clone(),
        _ => bail!("write one pattern, in quotes where it has spaces, and options before it"),
    };
    let signal = args.signal.as_deref().unwrap_or("TERM");
    let mut flags = format!("-{signal}");
    for (is_set, flag) in [(args.full, " -f"), (args.exact, " -x")] {
        if is_set {
            flags.push_str(flag);
        }
    }
    run.command = vec![OsString::from_vec(command(&flags, &pattern, args.full))];
    // Whatever shell the user has there.
    run.launch.shell = Some("sh".to_owned());
    // What pkill complains of is the answer; it has no other output.
    let tell = &run.show.tell;
    let is_taken = [&tell.jsonl, &tell.events].map(|file| file.as_deref() == Some(Path::new("-")));
    run.show.inline |= is_taken == [false, false] && !run.show.print;
    run::run(&run)
}

/// Writes the command for a shell of POSIX's kind.
fn command(flags: &str, pattern: &OsStr, full: bool) -> Vec<u8> {
    // In clear, the command lines of sudo and of the shells around pkill would fit the pattern too.
    let pattern = match full {
        true => hidden(pattern),
        false => quote(pattern),
    };
    let mut command = format!(
        "command -v pkill >/dev/null 2>&1 || \
         {{ echo 'sshoal: this host has no pkill; install procps there' >&2; exit 127; }}; \
         exec pkill {flags} -- "
    )
    .into_bytes();
    command.extend(pattern);
    command
}

/// Writes a word so that it is not found in the line that it is in.
fn hidden(word: &OsStr) -> Vec<u8> {
    let mut text = "\"$(printf '".to_owned();
    for byte in word.as_bytes() {
        // Writing to a string does not fail.
        let _ = write!(text, "\\{byte:03o}");
    }
    text.push_str("')\"");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell has to make the pattern out of it again, whatever is in it.
    #[test]
    fn a_hidden_word_is_the_word_for_a_shell() {
        for word in ["worker --queue mail", "it's 100% $(x) \\n", "é"] {
            let line = [b"printf %s ".to_vec(), hidden(word.as_ref())].concat();
            let mut shell = std::process::Command::new("sh");
            let output = shell
                .arg("-c")
                .arg(OsStr::from_bytes(&line))
                .output()
                .unwrap();
            assert_eq!(output.stdout, word.as_bytes());
            assert!(!line.windows(word.len()).any(|part| part == word.as_bytes()));
        }
    }
}
