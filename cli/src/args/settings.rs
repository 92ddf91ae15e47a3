//! The configuration file: defaults for flags, below the command line and the environment.
//!
//! The command line is parsed once without it, to see where it is and what is said already. What it
//! adds becomes the definition's own defaults, and the command line is parsed again.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{FalseyValueParser, Resettable};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};

use super::more;

mod file;

use file::{File, Setting};

/// Where the configuration file is.
#[derive(Debug, Args)]
pub(super) struct SettingsArgs {
    /// Configuration file, in TOML: defaults for flags by their long names, for one sub-command below
    /// its name in brackets [default: sshoal/config.toml in $XDG_CONFIG_HOME or ~/.config]
    #[arg(long, global = true, value_name = "FILE", env = "SSHOAL_CONFIG")]
    config: Option<PathBuf>,
    /// Reads no configuration file
    #[arg(long, global = true, env = "SSHOAL_NO_CONFIG", value_parser = FalseyValueParser::new())]
    no_config: bool,
}

/// Parses this process's command line.
///
/// # Errors
/// Fails if it, or the configuration file, is no good.
pub(super) fn matches(command: Command) -> Result<ArgMatches, clap::Error> {
    let words: Vec<OsString> = std::env::args_os().collect();
    // As one that is not set: that is how a shell's user takes one back for a call.
    let mut empty = BTreeSet::new();
    each_variable(&command, &mut |name| {
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            empty.insert(name.to_owned());
        }
    });
    let command = empty
        .iter()
        .fold(command, |command, name| without(command, name));
    matches_of(command, &words, place)
}

fn matches_of(
    mut command: Command,
    words: &[OsString],
    place: impl Fn(&ArgMatches) -> Result<Option<(PathBuf, Must)>, String>,
) -> Result<ArgMatches, clap::Error> {
    let said = command.clone().try_get_matches_from(words);
    let said = said.map_err(|error| by_variable(&command, words, error))?;
    more::check(&mut command, &said)?;
    if said.subcommand_name().is_none_or(takes_none) {
        return Ok(said);
    }
    let defined = command.clone();
    let with_settings = || {
        let Some((path, must)) = place(&said)? else {
            return Ok(None);
        };
        let Some(file) = File::read(path, must == Must::Be, &defined)? else {
            return Ok(None);
        };
        apply(command, &file, &said).map(|command| Some((command, file)))
    };
    match with_settings() {
        Ok(None) => Ok(said),
        Ok(Some((command, file))) => command.try_get_matches_from(words).map_err(|error| {
            let why = format!("{}: {}", file.path.display(), crate::plain(&error));
            defined.clone().error(ErrorKind::ValueValidation, why)
        }),
        Err(why) => Err(defined.clone().error(ErrorKind::ValueValidation, why)),
    }
}

/// Names the variable in an error that it has caused: without it the command line is another one.
fn by_variable(command: &Command, words: &[OsString], error: clap::Error) -> clap::Error {
    if error.exit_code() == 0 {
        return error;
    }
    let mut set = BTreeSet::new();
    each_variable(command, &mut |name| {
        if super::from_this_process(name).is_some() {
            set.insert(name.to_owned());
        }
    });
    let why = crate::plain(&error);
    let is_cause = |name: &&String| match without(command.clone(), name).try_get_matches_from(words)
    {
        Err(other) => crate::plain(&other) != why,
        Ok(_) => true,
    };
    match set.iter().find(is_cause) {
        Some(name) => {
            let why = format!("{name}: {why}");
            command.clone().error(ErrorKind::ValueValidation, why)
        }
        None => error,
    }
}

/// Calls with the name of each variable of a definition.
fn each_variable(command: &Command, call: &mut impl FnMut(&str)) {
    let names = command.get_arguments().filter_map(Arg::get_env);
    names.filter_map(|name| name.to_str()).for_each(&mut *call);
    for sub in command.get_subcommands() {
        each_variable(sub, call);
    }
}

/// Takes a variable out of a definition.
fn without(command: Command, name: &str) -> Command {
    let command = command.mut_args(|arg| match arg.get_env() == Some(name.as_ref()) {
        true => arg.env(Resettable::Reset),
        false => arg,
    });
    command.mut_subcommands(|sub| without(sub, name))
}

/// Whether the file has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Must {
    Be,
    No,
}

/// Returns whether a sub-command has nothing that can be set, and works beside a broken file.
fn takes_none(name: &str) -> bool {
    matches!(name, "completions" | "man" | "demo-fleet")
}

/// Returns where the file is.
fn place(said: &ArgMatches) -> Result<Option<(PathBuf, Must)>, String> {
    let typed = |id| said.value_source(id) == Some(ValueSource::CommandLine);
    let named = said.get_one::<PathBuf>("config");
    let is_off = said.get_flag("no_config");
    match (typed("config"), is_off && typed("no_config")) {
        (true, true) => return Err("--config and --no-config contradict each other".to_owned()),
        (false, true) => return Ok(None),
        (false, false) if is_off => return Ok(None),
        _ => {}
    }
    if let Some(named) = named {
        return Ok(Some((named.clone(), Must::Be)));
    }
    let of = |name| super::from_this_process(name).map(PathBuf::from);
    let base = of("XDG_CONFIG_HOME").filter(|base| base.is_absolute());
    let base = base.or_else(|| Some(std::env::home_dir()?.join(".config")));
    Ok(base.map(|base| (base.join("sshoal/config.toml"), Must::No)))
}

/// Makes what the file says the defaults of the sub-command that was typed.
///
/// # Errors
/// Fails if two of them contradict each other.
fn apply(mut command: Command, file: &File, said: &ArgMatches) -> Result<Command, String> {
    let mut names: Vec<&str> = Vec::new();
    let mut matches = said;
    while let Some((name, below)) = matches.subcommand() {
        names.push(name);
        matches = below;
        let Some(sub) = find(&command, &names) else {
            break;
        };
        let chosen = choose(file, &names, (sub, matches))?;
        command = put(command, &names, &chosen);
    }
    Ok(command)
}

/// Returns a sub-command by its path.
fn find<'a>(command: &'a Command, names: &[&str]) -> Option<&'a Command> {
    names
        .iter()
        .try_fold(command, |command, name| command.find_subcommand(name))
}

/// A flag's id and the values that it is to have by default.
type Chosen = (String, Vec<String>);

/// Chooses the settings that count for a sub-command: those of its own before those for all, none
/// for what was said already, and none that what was said rules out.
fn choose(
    file: &File,
    names: &[&str],
    (sub, said): (&Command, &ArgMatches),
) -> Result<Vec<Chosen>, String> {
    let is_said = |arg: &&Arg| {
        let source = said.value_source(arg.get_id().as_str());
        matches!(
            source,
            Some(ValueSource::CommandLine | ValueSource::EnvVariable)
        )
    };
    let before: Vec<&Arg> = sub.get_arguments().filter(is_said).collect();
    let mut chosen: Vec<(&Arg, &Setting)> = Vec::new();
    for arg in sub.get_arguments().filter(|arg| file::is_settable(arg)) {
        let own = file.settings.iter().filter(|setting| setting.is_of(arg));
        // An empty path, which is for all, comes last.
        let setting = own
            .filter(|setting| setting.path.is_empty() || setting.path == names)
            .max_by_key(|setting| setting.path.len());
        let is_ruled_out =
            |other: &&Arg| other.get_id() == arg.get_id() || exclude(sub, arg, other);
        if let Some(setting) = setting
            && !before.iter().any(is_ruled_out)
        {
            chosen.push((arg, setting));
        }
    }
    for (nth, (arg, setting)) in chosen.iter().enumerate() {
        let clash = |(other, at): &&(&Arg, &Setting)| {
            setting.is_on() && at.is_on() && contradict(sub, arg, other)
        };
        if let Some((_, other)) = chosen[..nth].iter().find(clash) {
            let line = setting.line.max(other.line);
            let why = format!(
                "`{}` and `{}` contradict each other",
                other.key, setting.key
            );
            return Err(file.wrong(line, &why));
        }
    }
    let chosen = chosen.into_iter().filter(|(_, setting)| setting.is_on());
    Ok(chosen
        .map(|(arg, setting)| (arg.get_id().to_string(), setting.values.clone()))
        .collect())
}

/// Whether one flag is left out where the other was typed.
fn exclude(sub: &Command, one: &Arg, other: &Arg) -> bool {
    // Hosts that are named are all the hosts.
    let both_name_hosts = [one, other]
        .iter()
        .all(|arg| NAME_HOSTS.contains(&arg.get_id().as_str()));
    both_name_hosts || contradict(sub, one, other)
}

/// Whether two flags contradict each other.
fn contradict(sub: &Command, one: &Arg, other: &Arg) -> bool {
    let against = |one: &Arg, other: &Arg| {
        let negates = one.get_long().zip(other.get_long());
        let negates = negates.and_then(|(one, other)| Some(one.strip_prefix("no-")? == other));
        let conflicts = sub.get_arg_conflicts_with(one);
        negates == Some(true) || conflicts.iter().any(|arg| arg.get_id() == other.get_id())
    };
    against(one, other) || against(other, one)
}

/// Sets the defaults of the sub-command at this path.
fn put(command: Command, names: &[&str], chosen: &[Chosen]) -> Command {
    let Some((first, rest)) = names.split_first() else {
        return chosen.iter().fold(command, |command, (id, values)| {
            // A definition lives as long as the process, and is made once.
            let values: Vec<&'static str> =
                values.iter().map(|value| &*value.clone().leak()).collect();
            command.mut_arg(id, |arg| arg.default_values(values))
        });
    };
    command.mut_subcommand(*first, |sub| put(sub, rest, chosen))
}

/// The ids of the flags that name hosts.
const NAME_HOSTS: [&str; 4] = ["hosts_files", "host_lists", "nodes", "host_groups"];

#[cfg(test)]
mod tests;
