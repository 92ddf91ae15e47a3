//! The environment variables of pssh and of Parallax: they fill in what neither the command line
//! nor a variable of our own says, pssh's before Parallax's.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;

use super::{AccessArgs, PaceArgs, ShowArgs, WhomArgs, parse_count, parse_limit};

/// Returns the value of a variable that is set to something.
type Read<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Fills in whom, how to get in, and how fast.
///
/// # Errors
/// Fails if a variable that counts has a value that makes no sense.
pub(super) fn fill(
    (whom, access, pace): (&mut WhomArgs, &mut AccessArgs, &mut PaceArgs),
    read: Read<'_>,
) -> Result<(), String> {
    fill_whom(whom, read);
    if access.user.is_none()
        && let Some((name, user)) = first(&["PSSH_USER", "PARALLAX_USER"], read)
    {
        access.user = Some(text(name, user)?);
        access.from_environment.push("user");
    }
    if access.options.is_empty()
        && let Some((name, option)) = first(&["PSSH_OPTIONS", "PARALLAX_OPTIONS"], read)
    {
        access.options.push(text(name, option)?);
    }
    if access.password_file.is_none() {
        access.askpass |= is_on(&["PSSH_ASKPASS"], read);
    }
    if pace.par.is_none()
        && let Some((name, par)) = first(&["PSSH_PAR", "PARALLAX_PAR"], read)
    {
        pace.par = Some(parsed(name, par, parse_count)?);
    }
    if pace.timeout.is_none()
        && let Some((name, timeout)) = first(&["PSSH_TIMEOUT"], read)
    {
        pace.timeout = Some(parsed(name, timeout, parse_limit)?);
    }
    Ok(())
}

/// Fills in whom.
pub(super) fn fill_whom(whom: &mut WhomArgs, read: Read<'_>) {
    if whom.names_nobody() {
        let file = first(&["PSSH_HOSTS", "PARALLAX_HOSTS"], read);
        whom.hosts_files
            .extend(file.map(|(_, file)| PathBuf::from(file)));
    }
}

/// Fills in what to see.
pub(super) fn fill_show(show: &mut ShowArgs, read: Read<'_>) {
    if show.outdir.is_none() {
        let folder = first(&["PSSH_OUTDIR", "PARALLAX_OUTDIR"], read);
        show.outdir = folder.map(|(_, folder)| PathBuf::from(folder));
    }
    if show.errdir.is_none() {
        let folder = first(&["PSSH_ERRDIR"], read);
        show.errdir = folder.map(|(_, folder)| PathBuf::from(folder));
    }
    // Standard output that is taken by JSON has no room for these.
    let to_stdout = show.tell.events.as_deref() == Some("-".as_ref());
    if show.tell.jsonl.is_none() && !to_stdout {
        show.print |= is_on(&["PSSH_PRINT"], read);
        show.inline |= is_on(&["PSSH_INLINE"], read);
    }
    show.tell.inherit(read);
}

/// Returns whether more is to be said.
pub(super) fn is_verbose(read: Read<'_>) -> bool {
    is_on(&["PSSH_VERBOSE", "PARALLAX_VERBOSE"], read)
}

fn first(names: &[&'static str], read: Read<'_>) -> Option<(&'static str, OsString)> {
    names.iter().find_map(|name| Some((*name, read(name)?)))
}

/// As Python's programs take it: anything but nothing is on, and as ours do: a word for no is off.
fn is_on(names: &[&'static str], read: Read<'_>) -> bool {
    let off = ["n", "no", "f", "false", "off", "0"];
    let value = first(names, read).map(|(_, value)| value.to_string_lossy().to_lowercase());
    value.is_some_and(|value| !off.contains(&value.as_str()))
}

fn text(name: &str, value: OsString) -> Result<String, String> {
    value
        .into_string()
        .map_err(|_| format!("{name} is not UTF-8"))
}

fn parsed<T, E: Display>(
    name: &str,
    value: OsString,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, String> {
    let value = text(name, value)?;
    parse(&value).map_err(|error| format!("invalid value '{value}' for {name}: {error}"))
}
