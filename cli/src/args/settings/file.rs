//! Reads the configuration file, and checks all of it, whichever sub-command was typed.

use std::any::TypeId;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::wording::without_number;

/// What the file says.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) settings: Vec<Setting>,
}

/// A default for a flag.
#[derive(Debug)]
pub(super) struct Setting {
    /// The sub-command that it is for, none for all that have the flag.
    pub(super) path: Vec<String>,
    /// The flag's long name.
    pub(super) key: String,
    /// As they would be typed; `true` or `false` for a flag that takes none.
    pub(super) values: Vec<String>,
    /// From 1.
    pub(super) line: usize,
}

impl Setting {
    /// Returns whether it is for this flag.
    pub(super) fn is_of(&self, arg: &Arg) -> bool {
        arg.get_long() == Some(self.key.as_str())
    }

    /// Returns whether it changes anything.
    pub(super) fn is_on(&self) -> bool {
        !self.values.is_empty() && self.values != ["false"]
    }
}

impl File {
    /// Reads the file; `None` if it is not there and need not be.
    ///
    /// # Errors
    /// Fails at the first thing that is wrong, by file and line.
    pub(super) fn read(
        path: PathBuf,
        must_be: bool,
        command: &Command,
    ) -> Result<Option<Self>, String> {
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(path, &text, command).map(Some),
            // Accounts of services have no home, or /dev/null.
            Err(error)
                if !must_be
                    && matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(None)
            }
            Err(error) => {
                let path = path.display();
                Err(format!(
                    "cannot read the configuration file {path}: {}; check --config",
                    without_number(&error.to_string())
                ))
            }
        }
    }

    /// Takes a file's text apart.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn parse(path: PathBuf, text: &str, command: &Command) -> Result<Self, String> {
        let settings = Vec::new();
        let mut file = Self { path, settings };
        let table = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            file.wrong(line_at(text, at), error.message())
        })?;
        file.table(table.get_ref(), &[], (text, command))?;
        Ok(file)
    }

    /// Says what is wrong with a line.
    pub(super) fn wrong(&self, line: usize, why: &str) -> String {
        format!("{}:{line}: {why}", self.path.display())
    }

    /// Takes in a table of the sub-command at `path`; the last is the text and the definition of it.
    fn table(
        &mut self,
        table: &DeTable<'_>,
        path: &[String],
        (text, command): (&str, &Command),
    ) -> Result<(), String> {
        for (key, value) in table {
            let line = line_at(text, key.span().start);
            let key = key.get_ref().to_string();
            if let DeValue::Table(below) = value.get_ref() {
                let subs = command.get_subcommands();
                let sub = subs
                    .filter(|sub| !sub.is_hide_set())
                    .find(|sub| sub.get_name() == key);
                let sub = sub.ok_or_else(|| {
                    let why = format!("there is no sub-command `{key}`; see sshoal --help");
                    self.wrong(line, &why)
                })?;
                let path = [path, &[key]].concat();
                self.table(below, &path, (text, sub))?;
                continue;
            }
            let values = values_of(&key, value, path, command);
            let values = values.map_err(|why| self.wrong(line, &why))?;
            let path = path.to_vec();
            self.settings.push(Setting {
                path,
                key,
                values,
                line,
            });
        }
        Ok(())
    }
}

/// Returns whether a flag can have a default in the file.
pub(super) fn is_settable(arg: &Arg) -> bool {
    let own = ["help", "version", "config", "no_config"];
    arg.get_long().is_some() && !arg.is_hide_set() && !own.contains(&arg.get_id().as_str())
}

/// Returns the line of a byte, from 1.
fn line_at(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Returns a setting's values as they would be typed for every flag that it is for.
fn values_of(
    key: &str,
    value: &Spanned<DeValue<'_>>,
    path: &[String],
    command: &Command,
) -> Result<Vec<String>, String> {
    let is_it = |arg: &&Arg| is_settable(arg) && arg.get_long() == Some(key);
    let flags: Vec<&Arg> = match path.is_empty() {
        true => {
            let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
            subs.flat_map(|sub| sub.get_arguments().filter(is_it))
                .collect()
        }
        false => command.get_arguments().filter(is_it).collect(),
    };
    let mut values = Err(match path.is_empty() {
        true => format!("no sub-command has a flag --{key}; see sshoal run --help"),
        false => {
            let path = path.join(" ");
            format!("{path} has no flag --{key}; see sshoal {path} --help")
        }
    });
    for arg in flags {
        values = Ok(values_for(arg, key, value.get_ref())?);
    }
    values
}

fn values_for(arg: &Arg, key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    if matches!(arg.get_action(), ArgAction::SetTrue) {
        let said = value.as_bool();
        let said = said.ok_or_else(|| format!("`{key}` is on or off; write true or false"))?;
        return Ok(vec![said.to_string()]);
    }
    let values = match (value, arg.get_action()) {
        (DeValue::Array(values), ArgAction::Append) => values
            .iter()
            .map(|value| one(key, value.get_ref()))
            .collect::<Result<_, _>>()?,
        (DeValue::Array(_), _) => return Err(format!("`{key}` takes one value, and no list")),
        (value, _) => vec![one(key, value)?],
    };
    let is_path = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
    values
        .into_iter()
        .map(|value| checked(arg, key, if is_path { at_home(value) } else { value }))
        .collect()
}

/// Returns a single value as it would be typed.
fn one(key: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            let parsed = i128::from_str_radix(number.as_str(), number.radix());
            parsed
                .map(|n| n.to_string())
                .map_err(|_| format!("`{key}` is far too large"))
        }
        _ => Err(format!(
            "`{key}` takes a value; write a number, or a text in quotes"
        )),
    }
}

/// Passes on a value that the flag takes.
fn checked(arg: &Arg, key: &str, value: String) -> Result<String, String> {
    let probe = Arg::new("value").long(key.to_owned().leak() as &'static str);
    let probe = probe
        .num_args(1)
        .value_parser(arg.get_value_parser().clone());
    let command = Command::new("sshoal").no_binary_name(true).arg(probe);
    match command.try_get_matches_from([format!("--{key}={value}")]) {
        Ok(_) => Ok(value),
        Err(error) => Err(crate::plain(&error)),
    }
}

/// Puts the home directory in the place of `~`, as a shell does where a path is typed.
fn at_home(path: String) -> String {
    let below = path.strip_prefix("~/").map(Path::new);
    let whole = below
        .zip(std::env::home_dir())
        .map(|(below, home)| home.join(below));
    let whole = whole.and_then(|whole| whole.to_str().map(str::to_owned));
    whole.unwrap_or(path)
}
