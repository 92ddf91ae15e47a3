//! `sshoal resume`: a run is gone on with by the program itself, started again with the words that
//! were typed then, and with the journal that says what is left.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::args::ResumeArgs;
use crate::complain;
use crate::console::print;
use crate::journal::{Kept, Plan, Redo, Text, place, words};
use crate::sanitise::one_line;

/// Goes on with a run, or lists the runs; returns the exit code.
///
/// # Errors
/// Fails if there is no such run, or if it cannot be gone on with; nothing was run then.
pub(crate) fn resume(args: &ResumeArgs) -> Result<u8> {
    let directory = place::directory(args.journal.as_deref())?;
    let Some(run) = &args.run else {
        return list(&directory);
    };
    let path = place::find(&directory, run)?;
    let kept = Kept::read(&path)?;
    let redo = Redo {
        failed: args.redo_failed,
        skip_started: args.skip_started,
    };
    if kept.left(redo).is_empty() {
        complain(&format!(
            "nothing is left of {}: {}",
            kept.plan.run,
            standing(&kept)
        ));
        return Ok(0);
    }
    let (mut typed, variables) = words::again(&kept.plan, &args.variables)?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    // The sub-command: `run`, or one that is a run of another kind.
    let verb = typed.remove(0);
    command.arg(verb).arg("--resumes").arg(&path);
    for (flag, is_on) in [
        ("--redo-failed", redo.failed),
        ("--skip-started", redo.skip_started),
    ] {
        command.args(is_on.then_some(flag));
    }
    command.args(typed);
    for name in words::names() {
        command.env_remove(name);
    }
    command.envs(variables);
    // Those that may have been typed already cannot be typed again.
    for (name, is_on) in [("SSHOAL_YES", args.yes), ("SSHOAL_DRY_RUN", args.dry_run)] {
        command.envs(is_on.then_some((name, "1")));
    }
    let here = kept.plan.directory.bytes().unwrap_or_default();
    command.current_dir(PathBuf::from(OsString::from_vec(here)));
    let error = command.exec();
    Err(error).context("cannot start this program again where the run was started")
}

/// Says how far the hosts of a run have come.
pub(crate) fn standing(kept: &Kept) -> String {
    let standing = kept.standing();
    let mut parts = vec![format!("{} ok", standing.ok)];
    let mut part = |count: usize, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    part(standing.failed, "failed");
    part(standing.left, "left");
    part(standing.started, "of them may have run the command");
    parts.join(", ")
}

/// Shows the runs, a line each.
fn list(directory: &std::path::Path) -> Result<u8> {
    let mut text = String::new();
    for path in place::all(directory)? {
        let name = place::name(&path).unwrap_or_default();
        let line = match Kept::read(&path) {
            Ok(kept) => {
                let state = match kept.exit_code {
                    _ if place::is_under_way(&path) => "under way".to_owned(),
                    Some(code) => format!("ended with {code}"),
                    None => "cut off".to_owned(),
                };
                let hosts = kept.states.len();
                let command: String = what(&kept.plan).chars().take(COMMAND_MAX).collect();
                format!(
                    "{name}  {state}  {hosts} host{}: {}  {command}",
                    if hosts == 1 { "" } else { "s" },
                    standing(&kept)
                )
            }
            Err(error) => format!("{name}  {error:#}"),
        };
        text.push_str(&one_line(&line));
        text.push('\n');
    }
    let code = print(text.as_bytes());
    if text.is_empty() {
        complain(&format!("there are no runs in {}", directory.display()));
    }
    Ok(code)
}

/// Returns what a run did: the command, or the sub-command with what it was given.
fn what(plan: &Plan) -> String {
    let text = |text: &Text| {
        let bytes = text.bytes().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let command = text(&plan.command);
    let verb = plan.words.first().map(text).unwrap_or_default();
    match (&*verb, plan.inputs.as_slice()) {
        ("put" | "get" | "sync", _) => format!("{verb} {command}"),
        // The command is its interpreter's.
        ("script", [script, ..]) => format!("{verb} {}: {command}", text(&script.path)),
        _ => command,
    }
}

/// Characters of a command that are shown.
const COMMAND_MAX: usize = 60;
