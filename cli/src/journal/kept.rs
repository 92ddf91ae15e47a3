//! A journal, read back: what was to be done, and how far each host has come.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use sshoal::ssh_config::Origin;
use sshoal::{Host, HostOption};

use crate::hosts::Chosen;

use super::line::{Ended, FORMAT, HostPlan, Line, Plan, Text};

/// What a journal says.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) path: PathBuf,
    pub(crate) plan: Plan,
    /// By host, in input order.
    pub(crate) states: Vec<State>,
    /// Of the process that came to its end last, if one did and none has begun since.
    pub(crate) exit_code: Option<u8>,
    /// The length of the lines that are whole: a process that is killed may leave half of one.
    pub(super) whole: u64,
}

/// How far a host has come.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum State {
    /// Nothing is known to have been done.
    Untouched,
    /// The command was asked for, and nobody saw its end.
    Asked,
    Ended(Ended),
}

/// What is to be done again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Redo {
    /// Hosts on which the command failed.
    pub(crate) failed: bool,
    /// Not those on which it may have been done.
    pub(crate) skip_started: bool,
}

/// How many hosts have come how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) ok: usize,
    /// The command failed, or was lost.
    pub(crate) failed: usize,
    /// Not begun, stopped, or not let in.
    pub(crate) left: usize,
    /// Of those left, on which the command may have been done.
    pub(crate) started: usize,
}

impl Kept {
    /// Reads a journal.
    ///
    /// # Errors
    /// Fails if it cannot be read, is not the user's own, or is no journal.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let cannot = || format!("cannot read the journal {}", path.display());
        let mut file = File::open(path).with_context(cannot)?;
        Self::of(&mut file, path).with_context(cannot)
    }

    /// Reads an open journal from its begin.
    pub(super) fn of(file: &mut File, path: &Path) -> Result<Self> {
        let facts = file.metadata()?;
        // What it says is done in the user's name.
        let owner = rustix::process::geteuid().as_raw();
        if facts.uid() != owner || facts.mode() & 0o022 != 0 {
            bail!("others may write to it");
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Self::parse(&bytes, path)
    }

    /// Reads the lines. One that is not whole is as good as not written if it is the last.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let end = bytes.iter().rposition(|byte| *byte == b'\n');
        let lines = &bytes[..end.map_or(0, |end| end + 1)];
        let count = lines.split_inclusive(|byte| *byte == b'\n').count();
        let mut kept: Option<Self> = None;
        for (at, bytes) in lines.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = match serde_json::from_slice::<Line>(bytes) {
                Ok(line) => line,
                Err(_) if at + 1 == count && at > 0 => break,
                Err(error) => bail!("line {} is damaged: {error}", at + 1),
            };
            match (&mut kept, line) {
                (None, Line::Plan(plan)) => kept = Some(Self::new(*plan, path)?),
                (Some(kept), line) => kept
                    .take(line)
                    .with_context(|| format!("line {}", at + 1))?,
                (None, _) => bail!("it does not begin with a plan"),
            }
            if let Some(kept) = &mut kept {
                kept.whole += bytes.len() as u64;
            }
        }
        kept.context("it has no plan: nothing was run")
    }

    fn new(plan: Plan, path: &Path) -> Result<Self> {
        if plan.format != FORMAT {
            bail!(
                "its form is {}, and this program reads {FORMAT}",
                plan.format
            );
        }
        Ok(Self {
            path: path.to_owned(),
            states: vec![State::Untouched; plan.hosts.len()],
            plan,
            exit_code: None,
            whole: 0,
        })
    }

    /// Takes one more line in.
    fn take(&mut self, line: Line) -> Result<()> {
        let (index, state) = match line {
            Line::Asked(index) => (index, State::Asked),
            Line::Ended(ended) => (ended.index, State::Ended(ended)),
            Line::Resumed(_) => {
                self.exit_code = None;
                return Ok(());
            }
            Line::Over(over) => {
                self.exit_code = Some(over.exit_code);
                return Ok(());
            }
            Line::Plan(_) => bail!("there is a second plan"),
        };
        let slot = self.states.get_mut(index);
        *slot.with_context(|| format!("there is no host {index}"))? = state;
        Ok(())
    }

    /// Returns the positions of the hosts on which there is something to do.
    pub(crate) fn left(&self, redo: Redo) -> Vec<usize> {
        let is_left = |state: &State| match state {
            State::Untouched => true,
            State::Asked => !redo.skip_started,
            State::Ended(ended) if ended.is_done() => redo.failed && !ended.is_good(),
            State::Ended(ended) => !(ended.started && redo.skip_started),
        };
        let states = self.states.iter().enumerate();
        let left = states.filter(|(_, state)| is_left(state));
        left.map(|(index, _)| index).collect()
    }

    /// Counts the hosts.
    pub(crate) fn standing(&self) -> Standing {
        let mut standing = Standing::default();
        for state in &self.states {
            match state {
                State::Ended(ended) if ended.is_good() => standing.ok += 1,
                State::Ended(ended) if ended.is_done() => standing.failed += 1,
                State::Untouched => standing.left += 1,
                State::Asked => {
                    standing.left += 1;
                    standing.started += 1;
                }
                State::Ended(ended) => {
                    standing.left += 1;
                    standing.started += usize::from(ended.started);
                }
            }
        }
        standing
    }

    /// Returns the hosts, and the options that each has for itself. Variables are not kept: what a
    /// template made of them is.
    ///
    /// # Errors
    /// Fails if one is no host.
    pub(crate) fn hosts(&self) -> Result<Chosen> {
        let path: Arc<Path> = self.path.as_path().into();
        let count = self.plan.hosts.len();
        let mut chosen = Chosen {
            hosts: Vec::with_capacity(count),
            own: Vec::with_capacity(count),
            variables: vec![Vec::new(); count],
        };
        for own in &self.plan.hosts {
            let host: Host = own.host.parse().context("the journal's plan is damaged")?;
            let path = Arc::clone(&path);
            let origin = Origin::HostsFile { path, line: 1 };
            let option = |text: &String| HostOption::new(text, origin.clone());
            chosen.own.push(own.options.iter().map(option).collect());
            chosen.hosts.push(host);
        }
        Ok(chosen)
    }

    /// Returns what is copied and last where to, by host, if that is not the same for all.
    pub(crate) fn paths(&self) -> Option<Vec<Vec<Vec<u8>>>> {
        let own = |own: &HostPlan| {
            let paths: Option<Vec<Vec<u8>>> = own.paths.iter().map(Text::bytes).collect();
            paths.filter(|paths| paths.len() > 1)
        };
        self.plan.hosts.iter().map(own).collect()
    }

    /// Returns how many of these hosts may have something of what was copied.
    pub(crate) fn touched(&self, whom: &[usize]) -> usize {
        let is_touched = |index: &&usize| match &self.states[**index] {
            // A process that was killed could not say.
            State::Untouched => self.exit_code.is_none(),
            State::Asked => true,
            State::Ended(ended) => match ended.phase.as_deref() {
                Some(phase) => !BEFORE.contains(&phase),
                None => !ended.is_good(),
            },
        };
        whom.iter().filter(is_touched).count()
    }

    /// Returns what each host is asked to run, if that is not the same for all.
    pub(crate) fn commands(&self) -> Option<Vec<Vec<u8>>> {
        let own = self.plan.hosts.iter();
        own.map(|own| own.command.as_ref()?.bytes()).collect()
    }
}

/// The phases in which nothing was done on a host.
const BEFORE: [&str; 7] = [
    "local", "resolve", "connect", "banner", "kex", "host_key", "auth",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(hosts: usize) -> Plan {
        let host = |n| HostPlan {
            host: format!("web{n}"),
            options: Vec::new(),
            command: None,
            paths: Vec::new(),
        };
        Plan {
            format: FORMAT,
            run: "r".to_owned(),
            begun: "t".to_owned(),
            directory: Text::new(b"/"),
            words: vec![Text::new(b"run")],
            command_words: 0,
            variables: Default::default(),
            command: Text::new(b"true"),
            inputs: Vec::new(),
            hosts: (0..hosts).map(host).collect(),
        }
    }

    fn ended(index: usize, outcome: &str, exit_status: Option<u32>, started: bool) -> Line {
        Line::Ended(Ended {
            index,
            outcome: outcome.to_owned(),
            exit_status,
            exit_signal: None,
            phase: None,
            kind: None,
            started,
            attempts: 1,
            at: None,
            duration_s: 0.5,
            stdout_sha256: None,
            stderr_sha256: None,
        })
    }

    fn text(lines: &[Line]) -> Vec<u8> {
        let line = |line: &Line| serde_json::to_string(line).unwrap() + "\n";
        lines.iter().map(line).collect::<String>().into_bytes()
    }

    fn sample() -> Vec<Line> {
        vec![
            Line::Plan(Box::new(plan(7))),
            Line::Asked(0),
            ended(0, "exited", Some(0), true),
            Line::Asked(1),
            ended(1, "exited", Some(3), true),
            ended(2, "failed", None, false),
            Line::Asked(3),
            ended(4, "no_status", None, true),
            ended(5, "cancelled", None, true),
        ]
    }

    fn parsed(bytes: &[u8]) -> Result<Kept> {
        Kept::parse(bytes, Path::new("journal"))
    }

    #[test]
    fn only_hosts_that_did_not_end_are_left() {
        let kept = parsed(&text(&sample())).unwrap();
        let left = |failed, skip_started| {
            kept.left(Redo {
                failed,
                skip_started,
            })
        };
        assert_eq!(left(false, false), [2, 3, 5, 6]);
        assert_eq!(left(true, false), [1, 2, 3, 4, 5, 6]);
        assert_eq!(left(false, true), [2, 6]);
        let expected = Standing {
            ok: 1,
            failed: 2,
            left: 4,
            started: 2,
        };
        assert_eq!(kept.standing(), expected);
    }

    #[test]
    fn a_host_that_was_lost_before_it_answered_is_left_and_may_have_run() {
        let mut lost = ended(0, "failed", None, true);
        if let Line::Ended(ended) = &mut lost {
            ended.phase = Some("open".to_owned());
        }
        let kept = parsed(&text(&[Line::Plan(Box::new(plan(1))), lost])).unwrap();
        let skip_started = Redo {
            skip_started: true,
            ..Redo::default()
        };
        assert_eq!(kept.left(Redo::default()), [0]);
        assert_eq!(kept.left(skip_started), [0; 0]);
        assert_eq!((kept.standing().left, kept.standing().started), (1, 1));
    }

    #[test]
    fn a_last_line_that_is_not_whole_was_not_written() {
        let whole = text(&sample());
        for torn in [
            &b"{\"ended\":{\"ind"[..],
            b"{\"ended\":\n",
            b"\0\0\0\0\n",
            b"\xff",
        ] {
            let kept = parsed(&[&whole, torn].concat()).unwrap();
            assert_eq!(kept.whole, whole.len() as u64, "{torn:?}");
            assert_eq!(kept.left(Redo::default()), [2, 3, 5, 6]);
        }
        let middle = [b"{\"plan\"\n", &whole[..]].concat();
        assert!(parsed(&middle).is_err());
        let mut damaged = whole.clone();
        let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        damaged[second] = b'x';
        let error = format!("{:#}", parsed(&damaged).unwrap_err());
        assert!(error.contains("line 2 is damaged"), "{error}");
    }

    #[test]
    fn what_is_no_journal_is_refused() {
        let other = Plan {
            format: FORMAT + 1,
            ..plan(1)
        };
        for wrong in [
            Vec::new(),
            b"{\"plan\":".to_vec(),
            b"hello\n".to_vec(),
            text(&[Line::Asked(0)]),
            text(&[Line::Plan(Box::new(other))]),
            text(&[
                Line::Plan(Box::new(plan(1))),
                Line::Asked(1),
                Line::Asked(0),
            ]),
        ] {
            assert!(
                parsed(&wrong).is_err(),
                "{}",
                String::from_utf8_lossy(&wrong)
            );
        }
    }

    proptest! {
        /// A journal cut anywhere behind its plan is read, and says of no host that it ended unless
        /// its line is whole.
        #[test]
        fn a_journal_cut_anywhere_is_read(cut in 0_usize..10_000) {
            let whole = text(&sample());
            let plan = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
            let cut = plan + cut % (whole.len() - plan + 1);
            let kept = parsed(&whole[..cut]).unwrap();
            prop_assert!(kept.whole <= cut as u64);
            let full = parsed(&whole).unwrap();
            for (now, then) in kept.states.iter().zip(&full.states) {
                let is_same = now == then || !matches!(now, State::Ended(_));
                prop_assert!(is_same, "{now:?} {then:?}");
            }
        }

        /// Bytes of any kind are refused or read, and never a panic.
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parsed(&[&text(&sample())[..], &bytes].concat());
        }
    }
}
