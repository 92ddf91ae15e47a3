//! `-O KEY=VALUE`: the ssh_config options that the command line takes, by ssh_config's own names.
//!
//! Pure. As in ssh, the first value of a key counts; `IdentityFile` adds up. A key or value that
//! is not supported is an error that names it: nothing is accepted and then ignored.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

/// How a host's key is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostKeyChoice {
    /// Only keys that are known.
    Strict,
    /// Known keys, and the key of a host that has none yet, which is then recorded.
    AcceptNew,
    /// `StrictHostKeyChecking=no`: acts as [`Self::AcceptNew`], which is said once.
    WeakAsAcceptNew,
    /// Any key at all.
    DangerousAny,
}

/// The options given with `-O`, parsed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SshOptions {
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<String>,
    /// `None`: not named, so the defaults apply. An empty list came from `none`.
    pub(crate) identity_files: Option<Vec<PathBuf>>,
    pub(crate) identities_only: Option<bool>,
    /// `None`: not named. An empty list came from `none`.
    pub(crate) known_hosts_files: Option<Vec<PathBuf>>,
    pub(crate) host_key: Option<HostKeyChoice>,
    /// `Some(None)`: named, and no limit.
    pub(crate) connect_timeout: Option<Option<Duration>>,
}

const SUPPORTED: &str = "ConnectTimeout, IdentitiesOnly, IdentityFile, Port, \
    StrictHostKeyChecking, User, UserKnownHostsFile";

impl SshOptions {
    /// Parses the options in the order given; `home` replaces a leading `~`.
    pub(crate) fn parse(texts: &[String], home: Option<&Path>) -> Result<Self> {
        let mut options = Self::default();
        for text in texts {
            let (key, value) = split(text)?;
            options
                .set(key, value, home)
                .map_err(|e| anyhow!("-O {}: {e}", key.trim()))?;
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str, home: Option<&Path>) -> Result<()> {
        match key.to_ascii_lowercase().as_str() {
            "port" => first(&mut self.port, parse_port(value)?),
            "user" => first(&mut self.user, one_word(value)?),
            "identityfile" => self.add_identity(value, home)?,
            "identitiesonly" => first(&mut self.identities_only, parse_yes_no(value)?),
            "userknownhostsfile" => first(&mut self.known_hosts_files, paths(value, home)?),
            "stricthostkeychecking" => first(&mut self.host_key, parse_checking(value)?),
            "connecttimeout" => first(&mut self.connect_timeout, parse_time(value)?),
            _ => bail!("this option is not supported; supported are {SUPPORTED}"),
        }
        Ok(())
    }

    fn add_identity(&mut self, value: &str, home: Option<&Path>) -> Result<()> {
        let files = self.identity_files.get_or_insert_default();
        let word = one_word(value)?;
        if word != "none" {
            files.push(expand(&word, home)?);
        }
        Ok(())
    }
}

/// Splits at the first `=` or white space, as ssh's `-o` does.
fn split(text: &str) -> Result<(&str, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| c == '=' || c.is_ascii_whitespace())
        .unwrap_or(text.len());
    let (key, rest) = text.split_at(end);
    let rest = rest.trim_start();
    let value = rest.strip_prefix('=').unwrap_or(rest).trim();
    if key.is_empty() || value.is_empty() {
        bail!("-O {text:?}: write KEY=VALUE, for example -O Port=2222");
    }
    Ok((key, value))
}

fn first<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

/// Parses a TCP port, 1 to 65535.
pub(crate) fn parse_port(value: &str) -> Result<u16> {
    match value.parse::<u16>() {
        Ok(port) if port != 0 => Ok(port),
        _ => bail!("{value:?} is no port; ports are 1 to 65535"),
    }
}

fn parse_yes_no(value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => bail!("{value:?} is neither yes nor no"),
    }
}

fn parse_checking(value: &str) -> Result<HostKeyChoice> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(HostKeyChoice::Strict),
        "accept-new" => Ok(HostKeyChoice::AcceptNew),
        "no" | "false" | "off" => Ok(HostKeyChoice::WeakAsAcceptNew),
        "ask" => bail!("ask is not supported: a fleet has no one to ask; use yes or accept-new"),
        _ => bail!("{value:?} is not one of yes, accept-new, no"),
    }
}

/// Parses ssh_config's time format: seconds, or numbers with units as in `1m30s`; `none` and 0
/// mean no limit.
fn parse_time(value: &str) -> Result<Option<Duration>> {
    if value.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let wrong = || anyhow!("{value:?} is no time; write seconds, or for example 1m30s");
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for c in value.chars() {
        if let Some(digit) = c.to_digit(10) {
            let grown = number.unwrap_or(0).checked_mul(10);
            number = Some(
                grown
                    .and_then(|n| n.checked_add(digit.into()))
                    .ok_or_else(wrong)?,
            );
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(wrong()),
        };
        let part = number
            .take()
            .and_then(|n| n.checked_mul(unit))
            .ok_or_else(wrong)?;
        total = total.checked_add(part).ok_or_else(wrong)?;
    }
    total = total.checked_add(number.unwrap_or(0)).ok_or_else(wrong)?;
    Ok((total != 0).then(|| Duration::from_secs(total)))
}

fn one_word(value: &str) -> Result<String> {
    match words(value)?.as_slice() {
        [word] => Ok(word.clone()),
        _ => bail!("{value:?} is more than one word; quote it with \"…\""),
    }
}

fn paths(value: &str, home: Option<&Path>) -> Result<Vec<PathBuf>> {
    let words = words(value)?;
    if matches!(words.as_slice(), [word] if word == "none") {
        return Ok(Vec::new());
    }
    words.iter().map(|word| expand(word, home)).collect()
}

/// Splits at white space; double quotes keep it.
fn words(value: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in value.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_ascii_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    if quoted {
        bail!("a double quote is not closed in {value:?}");
    }
    words.extend(word);
    Ok(words)
}

/// Replaces a leading `~/`; ssh's `%` tokens and `${…}` are refused instead of taken literally.
pub(crate) fn expand(word: &str, home: Option<&Path>) -> Result<PathBuf> {
    let token = word
        .split('%')
        .nth(1)
        .is_some_and(|t| t.starts_with(|c: char| c.is_alphabetic()));
    if token || word.contains("${") {
        bail!("{word:?}: tokens like %h and ${{NAME}} are not supported; write the path out");
    }
    let Some(rest) = word.strip_prefix('~') else {
        return Ok(PathBuf::from(word));
    };
    match (rest.strip_prefix('/'), home) {
        (Some(rest), Some(home)) => Ok(home.join(rest)),
        (None, Some(home)) if rest.is_empty() => Ok(home.to_path_buf()),
        (Some(_), None) => bail!("{word:?}: the home directory is not known; set HOME"),
        _ => bail!("{word:?}: only your own ~/ is expanded; write the path out"),
    }
}

#[cfg(test)]
mod tests;
