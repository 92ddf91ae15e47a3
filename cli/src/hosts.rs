//! The host list: hosts files, then `-H` lists, in the order given; hosts named twice run twice.
//! A line of a hosts file may have options for its host alone.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sshoal::{Host, HostLine, HostOption, parse_host_lines};

use crate::args::WhomArgs;

/// Hosts, and the options that each has for itself.
pub(crate) type Listed = (Vec<Host>, Vec<Vec<HostOption>>);

/// Reads all that was named.
///
/// # Errors
/// Fails at the first file or host that is no good, and if no host is left over.
pub(crate) fn read(whom: &WhomArgs) -> Result<Listed> {
    if whom.hosts_files.is_empty() && whom.host_lists.is_empty() {
        bail!("no hosts; name some with -h FILE or -H LIST");
    }
    if whom
        .hosts_files
        .iter()
        .filter(|f| f.as_path() == Path::new("-"))
        .count()
        > 1
    {
        bail!("-h - is given twice; standard input can be read once");
    }
    let mut lines: Vec<HostLine> = Vec::new();
    for path in &whom.hosts_files {
        let (text, origin) = read_file(path)?;
        lines.extend(parse_host_lines(text, &origin)?);
    }
    for spec in whom
        .host_lists
        .iter()
        .flat_map(|list| list.split_whitespace())
    {
        let host: Host = spec.parse().with_context(|| format!("-H {spec:?}"))?;
        lines.push(host.into());
    }
    if lines.is_empty() {
        bail!("the host list is empty; write at least one host, [user@]host[:port] a line");
    }
    let listed = lines.into_iter().map(|line| (line.host, line.options));
    Ok(listed.unzip())
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

fn read_file(path: &Path) -> Result<(Vec<u8>, String)> {
    let mut text = Vec::new();
    let origin = match path == Path::new("-") {
        true => "standard input".to_owned(),
        false => path.display().to_string(),
    };
    let what = || format!("cannot read the hosts file {origin}");
    let reader: &mut dyn Read = match path == Path::new("-") {
        true => &mut std::io::stdin().lock(),
        false => &mut File::open(path).with_context(what)?,
    };
    reader
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .with_context(what)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        bail!(
            "the hosts file {origin} is larger than {} MiB; is it one?",
            FILE_BYTES_MAX >> 20
        );
    }
    Ok((text, origin))
}

/// Room for a million hosts, and not for a disk image named by mistake.
const FILE_BYTES_MAX: u64 = 64 << 20;
