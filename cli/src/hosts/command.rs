//! `sshoal hosts`: which hosts the flags of all sub-commands stand for. Nothing is connected to.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use sshoal::HostLine;
use sshoal::hosts::{NodeSetError, Selector, Value, Words, fold};

use crate::args::HostsArgs;
use crate::complain;
use crate::console::print;
use crate::sanitise::one_line;

/// A host as `--json` shows it.
#[derive(Serialize)]
struct Shown<'a> {
    host: &'a str,
    user: Option<&'a str>,
    port: Option<u16>,
    groups: Vec<String>,
    /// ssh_config options, its own before its inventory's.
    options: Vec<String>,
    variables: BTreeMap<String, String>,
}

/// Shows the hosts and returns the exit code.
///
/// # Errors
/// As for the hosts of a run.
pub(crate) fn hosts(args: &HostsArgs) -> Result<u8> {
    let inventory = super::inventory::read(&args.whom)?;
    let selector = inventory.selector();
    let whole = args.groups && args.whom.names_nobody() && args.whom.limit.is_none();
    let lines = match whole {
        true => Vec::new(),
        false => super::left(&args.whom, &inventory, &selector)?,
    };
    let specs: Vec<String> = lines.iter().map(|line| line.host.to_string()).collect();
    let text = if args.groups {
        let among = (!whole).then_some(specs.as_slice());
        groups(&selector, among, args.json)?
    } else if args.count {
        count(specs.len(), args.json)
    } else if args.fold {
        folded(&specs, args.json)
    } else if args.json {
        objects(&lines, &selector)?
    } else {
        specs.iter().map(|spec| format!("{spec}\n")).collect()
    };
    Ok(print(text.as_bytes()))
}

fn count(hosts: usize, json: bool) -> String {
    match json {
        true => format!("{}\n", serde_json::json!({ "count": hosts })),
        false => format!("{hosts}\n"),
    }
}

fn folded(specs: &[String], json: bool) -> String {
    let nodes = fold(specs.iter().map(String::as_str));
    match json {
        true => format!(
            "{}\n",
            serde_json::json!({ "nodes": nodes, "count": specs.len() })
        ),
        false => format!("{nodes}\n"),
    }
}

fn objects(lines: &[HostLine], selector: &Selector<'_>) -> Result<String> {
    let mut text = String::new();
    let specs: Vec<String> = lines.iter().map(|line| line.host.to_string()).collect();
    let groups = selector.groups_of_each(&specs)?;
    for ((line, spec), groups) in lines.iter().zip(&specs).zip(groups) {
        let settings = selector.settings(spec)?;
        let own = line.options.iter().cloned();
        let options = own.chain(super::options(&line.host, &settings));
        let variable = |(name, value): (String, Value)| (name, value.text);
        let shown = Shown {
            host: line.host.name(),
            user: line.host.user(),
            port: line.host.port(),
            groups,
            options: options.map(|option| option.text().to_owned()).collect(),
            variables: settings.variables.into_iter().map(variable).collect(),
        };
        text.push_str(&serde_json::to_string(&shown)?);
        text.push('\n');
    }
    Ok(text)
}

/// Shows groups with their members; of those that are named, the ones among them.
fn groups(selector: &Selector<'_>, among: Option<&[String]>, json: bool) -> Result<String> {
    let mut text = String::new();
    let (names, failed) = selector.group_names();
    failed.iter().for_each(|error| complain(&error.to_string()));
    for group in names {
        let expression = format!("@{group}");
        let members = match selector.select(&expression, Words::Hosts) {
            // Others may be there all the same.
            Err(error @ NodeSetError::Source { .. }) => {
                complain(&error.to_string());
                continue;
            }
            members => members?,
        };
        if let Some(specs) = among
            && !selector
                .choose(&expression, Words::Hosts, specs)?
                .contains(&true)
        {
            continue;
        }
        let nodes = fold(members.iter().map(String::as_str));
        match json {
            true => {
                let count = members.len();
                let object = serde_json::json!({ "group": group, "nodes": nodes, "count": count });
                text.push_str(&format!("{object}\n"));
            }
            false => text.push_str(&one_line(&format!("{group}: {nodes}"))),
        }
        if !json {
            text.push('\n');
        }
    }
    Ok(text)
}
