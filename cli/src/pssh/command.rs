//! `pssh` and `pnuke`: a command on all hosts, by the engine of `sshoal run`.

use std::num::NonZeroUsize;

use sshoal::{Collect, Commands, Detail, Input, Launch, OnTimeout, Pty};

use super::Stop;
use super::access::Opened;
use super::options::Options;
use super::ssh_args::Handed;
use super::tool::Tool;
use super::view::{Dialect, limit};
use crate::console::Console;
use crate::drive::drive;
use crate::engine::{Job, Running};
use crate::plan::{Pace, join};
use crate::record::Recorder;

/// Runs the command; what happens is shown by `view`.
///
/// # Errors
/// It cannot be begun.
pub(crate) fn run(
    (tool, options, handed): (Tool, &Options, &Handed),
    opened: Opened,
    view: &mut Dialect,
    console: &mut Console,
) -> Result<(), Stop> {
    let labels = opened.hosts.iter().map(ToString::to_string).collect();
    let recorder = Recorder::new(labels, &opened.hosts, &opened.configs);
    let watched = options.print || options.outdir.is_some() || options.errdir.is_some();
    let mut launch = Launch::new();
    // Once is not enough where standard input is no terminal, as it never is.
    if handed.terminal > 1 {
        let term = std::env::var("TERM").ok().filter(|term| !term.is_empty());
        launch = launch.pty(Pty::new(term.unwrap_or_else(|| "vt100".to_owned()), 80, 24));
    }
    let input = options.send_input.then(|| Input::reader(std::io::stdin()));
    let count = opened.hosts.len();
    let job = Job {
        hosts: opened.hosts,
        commands: Commands::same(command(tool, options)),
        launch: (launch, input),
        configs: opened.configs,
        pace: Pace {
            par: NonZeroUsize::new(usize::try_from(options.par).unwrap_or(1)),
            host_timeout: limit(options.timeout),
            ..Pace::default()
        },
        // As pssh leaves them, which kills its ssh and no more.
        on_timeout: OnTimeout::Leave,
        detail: match watched {
            true => Detail::Output,
            false => Detail::Outcomes,
        },
        collect: match options.inline || options.inline_stdout {
            true => Collect::Yes,
            false => Collect::No,
        },
        workers: None,
    };
    let start = |messages| Running::start(job, messages);
    let whom: Vec<usize> = (0..count).collect();
    let all = (&recorder, &whom[..]);
    let driven = drive(all, start, Some(&recorder), view, console);
    driven.map_err(|error| Stop::Fatal(crate::wording::chain(&*error)))?;
    Ok(())
}

/// Returns what the hosts' shells are given.
fn command(tool: Tool, options: &Options) -> Vec<u8> {
    let words = join(&options.words);
    match tool {
        Tool::Nuke => [b"pkill -9 ".as_slice(), &words].concat(),
        // Without a command ssh has the user's login shell read its input.
        _ if words.is_empty() => b"exec $SHELL -l".to_vec(),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_and_left_as_they_are() {
        let mut options = Options {
            words: ["echo", "a  b", "$HOME"].map(Into::into).to_vec(),
            ..Options::default()
        };
        assert_eq!(command(Tool::Ssh, &options), b"echo a  b $HOME");
        options.words = vec!["x; y".into()];
        assert_eq!(command(Tool::Nuke, &options), b"pkill -9 x; y");
        options.words.clear();
        assert_eq!(command(Tool::Ssh, &options), b"exec $SHELL -l");
    }
}
