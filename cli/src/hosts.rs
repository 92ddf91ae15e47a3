//! The host list: hosts files, `-H` lists, node sets and groups, in this order, each as given; then
//! what narrows it. Hosts named twice run twice unless that is not wanted.
//!
//! A line of a hosts file may have options for its host alone, and an inventory may have options
//! and variables for it.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use sshoal::hosts::{Inventory, Selector, Settings, Value, Words};
use sshoal::ssh_config::{Origin, quote};
use sshoal::{Host, HostError, HostLine, HostOption};

use crate::args::WhomArgs;
use crate::wording::chain;

mod command;
mod inventory;
mod lines;
mod narrow;

pub(crate) use self::command::hosts;

/// Hosts, and the options that each has for itself.
pub(crate) type Listed = (Vec<Host>, Vec<Vec<HostOption>>);

/// Names and values.
pub(crate) type Variables = Vec<(String, String)>;

/// What is known of the hosts before anything is connected to; all lists are in input order.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) hosts: Vec<Host>,
    pub(crate) own: Vec<Vec<HostOption>>,
    pub(crate) variables: Vec<Variables>,
}

/// Reads all that was named, and leaves what is wanted, without variables.
///
/// # Errors
/// As [`choose`].
pub(crate) fn read(whom: &WhomArgs) -> Result<Listed> {
    let chosen = choose(whom)?;
    Ok((chosen.hosts, chosen.own))
}

/// Reads all that was named, and leaves what is wanted.
///
/// # Errors
/// Fails at the first file, host or expression that is no good, and if no host is left over.
pub(crate) fn choose(whom: &WhomArgs) -> Result<Chosen> {
    let inventory = inventory::read(whom)?;
    let selector = inventory.selector();
    let lines = left(whom, &inventory, &selector)?;
    let mut chosen = Chosen {
        hosts: Vec::with_capacity(lines.len()),
        own: Vec::with_capacity(lines.len()),
        variables: Vec::with_capacity(lines.len()),
    };
    for line in lines {
        let settings = selector.settings(&line.host.to_string())?;
        let mut own = line.options;
        own.extend(options(&line.host, &settings));
        chosen.variables.push(variables(&settings));
        chosen.hosts.push(line.host);
        chosen.own.push(own);
    }
    Ok(chosen)
}

/// Returns the hosts that are left when all is said, at least one.
fn left(whom: &WhomArgs, inventory: &Inventory, selector: &Selector<'_>) -> Result<Vec<HostLine>> {
    if whom.names_nobody() {
        if inventory.is_empty() || whom.inventories.is_empty() && whom.inventory_commands.is_empty()
        {
            bail!("no hosts; name some with -h FILE, -H LIST or -w NODESET");
        }
        if whom.limit.is_none() {
            bail!(
                "--inventory says what there is and chooses nobody; choose with --group, --limit, or \
                 -w '@*' for all"
            );
        }
    }
    let mut lines = named(whom, selector)?;
    if lines.is_empty() {
        let files = whom.hosts_files.iter().map(|file| file.display());
        let files: Vec<String> = files.map(|file| file.to_string()).collect();
        let mut sets = whom.nodes.iter().chain(&whom.host_groups);
        let set = sets.find(|set| !set.trim().is_empty());
        if let Some(set) = set.filter(|_| files.is_empty()) {
            bail!("{set:?} stands for no host; sshoal hosts --groups shows who is in which group");
        }
        let named = match files.is_empty() {
            true => String::new(),
            false => format!(" ({})", files.join(", ")),
        };
        bail!("the host list is empty{named}; write at least one host, [user@]host[:port] a line");
    }
    narrow::narrow(whom, selector, &mut lines)?;
    Ok(lines)
}

/// Returns all that was named.
fn named(whom: &WhomArgs, selector: &Selector<'_>) -> Result<Vec<HostLine>> {
    let on_stdin = |path: &&std::path::PathBuf| path.as_path() == Path::new("-");
    if whom.hosts_files.iter().filter(on_stdin).count() > 1 {
        bail!("-h - is given twice; standard input can be read once");
    }
    let mut lines: Vec<HostLine> = Vec::new();
    for path in &whom.hosts_files {
        let what = match whom.called("-h") {
            "-h" => "hosts file".to_owned(),
            variable => format!("hosts file of {variable}"),
        };
        let (text, origin) = read_file(path, &what)?;
        let read = lines::read(&text, &origin, selector);
        lines.extend(read.map_err(
            |error| match path.extension().and_then(|own| own.to_str()) {
                Some("ini" | "yml" | "yaml" | "toml" | "json") => {
                    anyhow!("{}; an inventory is given to --inventory", chain(&*error))
                }
                _ => error,
            },
        )?);
    }
    let specs = whom.host_lists.iter();
    for spec in specs.flat_map(|list| list.split_whitespace()) {
        let host: Host = spec.parse().with_context(|| {
            let hint = if spec.contains(['[', ',']) || spec.starts_with('@') {
                "; node sets are -w's"
            } else {
                ""
            };
            let flag = whom.called("-H");
            match lines::has_password(spec) {
                true => flag.to_owned(),
                false => format!("{flag} {spec:?}{hint}"),
            }
        })?;
        lines.push(host.into());
    }
    for (flag, texts, words) in [
        (whom.called("-w"), &whom.nodes, Words::Hosts),
        (whom.called("--group"), &whom.host_groups, Words::Groups),
    ] {
        for text in texts {
            if lines::has_password(text) {
                return Err(HostError::Password).context(flag);
            }
            let names = selector
                .select(text, words)
                .with_context(|| format!("{flag} {text:?}"))?;
            for name in names {
                let host: Host = name.parse().with_context(|| format!("{flag} {text:?}"))?;
                lines.push(host.into());
            }
        }
    }
    if whom.names_nobody() {
        for name in selector.all()? {
            let host: Host = name.parse().context("--inventory")?;
            lines.push(host.into());
        }
    }
    Ok(lines)
}

/// Returns what an inventory says of the way to a host, where the host itself does not.
fn options(host: &Host, settings: &Settings) -> Vec<HostOption> {
    let is_open = |key: &str| match key {
        "User" => host.user().is_none(),
        "Port" => host.port().is_none(),
        _ => true,
    };
    let said = settings.options.iter().filter(|(key, _)| is_open(key));
    let option = |(key, value): (&String, &Value)| {
        let text = match key.as_str() {
            // Names of files and hosts, in which nothing is to be filled in.
            "IdentityFile" | "HostName" => quote(&value.text.replace('%', "%%")),
            _ => quote(&value.text),
        };
        let path: Arc<Path> = Path::new(&*value.place.origin).into();
        let line = value.place.line;
        HostOption::new(format!("{key}={text}"), Origin::HostsFile { path, line })
    };
    said.map(option).collect()
}

/// Returns the variables that a template can name.
fn variables(settings: &Settings) -> Variables {
    let own = settings.variables.iter().filter(|(name, _)| is_name(name));
    let own = own.map(|(name, value)| (name.clone(), value.text.clone()));
    own.collect()
}

/// Letters, digits and `_`, no digit first, and none of the names that a template has for itself.
fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter)
        && name.chars().all(|c| letter(c) || c.is_ascii_digit())
        && !matches!(name, "host" | "user" | "port" | "n" | "total")
}

/// Returns each host as a line of a hosts file, with the options that it has for itself.
pub(crate) fn lines(hosts: &[Host], own: &[Vec<HostOption>]) -> Vec<String> {
    let line = |(index, host): (usize, &Host)| {
        let mut line = host.to_string();
        for option in own.get(index).into_iter().flatten() {
            line.push(' ');
            line.push_str(option.text());
        }
        line
    };
    hosts.iter().enumerate().map(line).collect()
}

/// Reads a file within a bound, or standard input for `-`; returns what errors call it, too.
fn read_file(path: &Path, what: &str) -> Result<(Vec<u8>, String)> {
    let is_stdin = path == Path::new("-");
    let origin = match is_stdin {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    };
    let cannot = || format!("cannot read the {what} {origin}");
    let reader: &mut dyn Read = match is_stdin {
        true => &mut std::io::stdin().lock(),
        false => &mut std::fs::File::open(path).with_context(cannot)?,
    };
    let text = bounded(reader, &format!("the {what} {origin}")).with_context(cannot)?;
    Ok((text, origin))
}

/// Reads to the end, within a bound.
fn bounded(reader: impl Read, what: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    reader.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        bail!(
            "{what} is larger than {} MiB; is it one?",
            FILE_BYTES_MAX >> 20
        );
    }
    Ok(text)
}

/// Room for a million hosts, and not for a disk image named by mistake.
const FILE_BYTES_MAX: u64 = 64 << 20;
