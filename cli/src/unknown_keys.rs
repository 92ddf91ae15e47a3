//! `StrictHostKeyChecking=ask`: the keys that nobody knows are looked at before the run, side by
//! side, shown as one list, and asked about once.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use sshoal::host_key::{SeenKey, probe};
use sshoal::sync::Semaphore;
use sshoal::{Config, Host, HostKeyPolicy, Scope, spawn};

use crate::sanitise::one_line;
use crate::terminal::Terminal;
use crate::wording;

/// A host whose key may have to be asked about.
type Asked = (Host, Arc<Config>);

/// Has the user accept the unknown keys of those hosts whose policy asks, and of the jump hosts on
/// the way to them; accepted keys are stored. Hosts that cannot be looked at, or whose key has
/// changed, fail in the run. Returns names and keys of those that are wanted.
///
/// # Errors
/// Fails if the user does not want the keys: nothing is to be run then.
pub(crate) fn ask(
    hosts: &[Host],
    configs: &[Arc<Config>],
    notices: &mut Vec<String>,
) -> Result<Vec<(String, String)>> {
    let mut accepted = Vec::new();
    let stages = stages(hosts, configs);
    if stages.is_empty() {
        return Ok(accepted);
    }
    let Some(mut terminal) = Terminal::open() else {
        notices.push(
            "StrictHostKeyChecking=ask acts as strict: there is no terminal to ask on".to_owned(),
        );
        return Ok(accepted);
    };
    // Hosts behind a jump host can be looked at once its own key is accepted.
    for stage in stages {
        let seen = unknown(stage);
        if seen.is_empty() {
            continue;
        }
        let wanted = wanted(&mut terminal, &seen)?;
        accept(&seen, &wanted, notices);
        let wanted = seen.iter().zip(wanted).filter(|(_, wanted)| *wanted);
        let key = |((seen, _), _): (&Unknown, bool)| (seen.name().to_owned(), seen.public_key());
        accepted.extend(wanted.map(key));
    }
    Ok(accepted)
}

/// Returns the hosts to look at, each once: the first jump hosts, those behind them, and so on.
fn stages(hosts: &[Host], configs: &[Arc<Config>]) -> Vec<Vec<Asked>> {
    let mut known = HashSet::new();
    let (mut jumps, mut ends) = (Vec::<Vec<Asked>>::new(), Vec::new());
    let mut take = |host: &Host, config: &Arc<Config>, stage: &mut Vec<Asked>| {
        let asks = config.host_keys().policy() == HostKeyPolicy::Ask;
        if asks && known.insert((host.clone(), Arc::as_ptr(config))) {
            stage.push((host.clone(), config.clone()));
        }
    };
    for (host, config) in hosts.iter().zip(configs) {
        let mut way = Vec::new();
        let mut jump = config.jump_host();
        while let Some(before) = jump {
            way.push(before);
            jump = before.config().jump_host();
        }
        for (depth, jump) in way.into_iter().rev().enumerate() {
            if jumps.len() <= depth {
                jumps.push(Vec::new());
            }
            take(jump.host(), jump.config(), &mut jumps[depth]);
        }
        take(host, config, &mut ends);
    }
    jumps.push(ends);
    jumps.retain(|stage| !stage.is_empty());
    jumps
}

/// A key that nobody knows, and the configuration that takes it.
type Unknown = (SeenKey, Arc<Config>);

/// Looks at hosts side by side; returns the unknown keys in the order of the hosts, each once.
fn unknown(stage: Vec<Asked>) -> Vec<Unknown> {
    let mut doors: HashMap<String, Arc<Semaphore>> = HashMap::new();
    let door = |(host, config): Asked| {
        let door = doors.entry(host.name().to_owned());
        let door = door.or_insert_with(|| Arc::new(Semaphore::new(AT_ONE_NAME_MAX)));
        (host, config, door.clone())
    };
    let stage: Arc<Vec<_>> = Arc::new(stage.into_iter().map(door).collect());
    let next = Arc::new(AtomicUsize::new(0));
    let found = Arc::new(Mutex::new(Vec::new()));
    let lookers = (0..stage.len().min(AT_ONCE_MAX)).map(|_| {
        let (stage, next, found) = (stage.clone(), next.clone(), found.clone());
        spawn(move || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some((host, config, door)) = stage.get(index) else {
                    return;
                };
                let scope = Scope::root().child(config.connect_timeout());
                let Ok(_permit) = door.acquire(&scope) else {
                    continue;
                };
                let scope = Scope::root().child(config.connect_timeout());
                // Whatever is wrong with a host is said when it fails in the run.
                if let Ok(seen) = probe(host, config, &scope)
                    && !seen.is_known()
                {
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.push((index, seen, config.clone()));
                }
            }
        })
    });
    for looker in lookers.collect::<Vec<_>>().into_iter().flatten() {
        // A defect that hits one host leaves its key unasked.
        let _ = looker.join();
    }
    let mut found = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
    found.sort_by_key(|(index, ..)| *index);
    let mut once = HashSet::new();
    found.retain(|(_, seen, config)| {
        let keys = Arc::as_ptr(config.host_keys());
        once.insert((seen.name().to_owned(), seen.public_key(), keys))
    });
    let found = found.into_iter();
    found.map(|(_, seen, config)| (seen, config)).collect()
}

/// Shows the keys and asks; returns which are wanted.
fn wanted(terminal: &mut Terminal, seen: &[Unknown]) -> Result<Vec<bool>> {
    let cannot = "cannot ask about host keys";
    terminal.show(&table(seen)).context(cannot)?;
    let question = match seen.len() {
        1 => "Accept this key? (yes/no/[host]) ".to_owned(),
        count => format!("Accept these {count} keys? (yes/no/[host]) "),
    };
    let mut prompt = question.as_str();
    loop {
        let answer = terminal.ask(prompt).context(cannot)?;
        let answer = answer.map(|answer| String::from_utf8_lossy(answer.expose()).into_owned());
        match choose(answer.as_deref(), seen) {
            Choice::Of(wanted) => return Ok(wanted),
            Choice::No => bail!("the host keys were not accepted; nothing was run"),
            Choice::Unclear => {
                prompt = "Write yes, no, or the names of those hosts whose keys are right: ";
            }
        }
    }
}

/// What the user chose.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// These keys.
    Of(Vec<bool>),
    No,
    /// What was typed is no answer.
    Unclear,
}

/// Reads an answer; `None` is the end of input.
fn choose(answer: Option<&str>, seen: &[Unknown]) -> Choice {
    let names: Vec<String> = seen
        .iter()
        .map(|(seen, _)| seen.host().to_string())
        .collect();
    let Some(answer) = answer.map(str::trim) else {
        return Choice::No;
    };
    pick(answer, &names)
}

fn pick(answer: &str, names: &[String]) -> Choice {
    if answer.eq_ignore_ascii_case("yes") {
        return Choice::Of(vec![true; names.len()]);
    }
    if answer.eq_ignore_ascii_case("no") {
        return Choice::No;
    }
    let typed = answer.split([' ', ',']).filter(|name| !name.is_empty());
    let typed: HashSet<&str> = typed.collect();
    let is_named = |name: &&str| names.iter().any(|own| own == name);
    if typed.is_empty() || !typed.iter().all(is_named) {
        return Choice::Unclear;
    }
    let chosen = names.iter().map(|name| typed.contains(name.as_str()));
    Choice::Of(chosen.collect())
}

/// Writes host, type and fingerprint of each key, in columns.
fn table(seen: &[Unknown]) -> String {
    let rows = seen.iter().map(|(seen, _)| {
        let host = one_line(&seen.host().to_string()).into_owned();
        let kind = one_line(seen.algorithm()).into_owned();
        [host, kind, seen.fingerprint()]
    });
    let rows: Vec<[String; 3]> = rows.collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (hosts, kinds) = (width(0), width(1));
    let mut text = "These hosts have keys that no known_hosts file has:\n".to_owned();
    for [host, kind, fingerprint] in &rows {
        text.push_str(&format!("  {host:hosts$}  {kind:kinds$}  {fingerprint}\n"));
    }
    text
}

/// Takes and stores the keys that are wanted; what cannot be is said, and its host fails.
fn accept(seen: &[Unknown], wanted: &[bool], notices: &mut Vec<String>) {
    let mut by_check: Vec<(&Arc<Config>, Vec<SeenKey>)> = Vec::new();
    for ((seen, config), _) in seen.iter().zip(wanted).filter(|(_, wanted)| **wanted) {
        let same = |known: &&mut (&Arc<Config>, Vec<SeenKey>)| {
            Arc::ptr_eq(known.0.host_keys(), config.host_keys())
        };
        match by_check.iter_mut().find(same) {
            Some((_, keys)) => keys.push(seen.clone()),
            None => by_check.push((config, vec![seen.clone()])),
        }
    }
    for (config, keys) in by_check {
        for (key, result) in keys.iter().zip(config.host_keys().accept(&keys)) {
            if let Err(error) = result {
                notices.push(format!(
                    "{}: {}",
                    key.host(),
                    wording::reason(&error.into())
                ));
            }
        }
    }
}

/// Hosts that are looked at side by side: far below what one process can hold open.
const AT_ONCE_MAX: usize = 64;

/// Of one name, so that a default sshd drops none (sshd_config(5), `MaxStartups`).
const AT_ONE_NAME_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_yes_no_or_hosts_of_the_list() {
        let names = ["web1".to_owned(), "ann@web2:22".to_owned()];
        let check = |answer: &str, expected: Choice| {
            assert_eq!(pick(answer, &names), expected, "{answer:?}");
        };
        check("yes", Choice::Of(vec![true, true]));
        check("YES", Choice::Of(vec![true, true]));
        check("no", Choice::No);
        check("web1", Choice::Of(vec![true, false]));
        check("ann@web2:22, web1", Choice::Of(vec![true, true]));
        for unclear in ["", "y", "web", "web1 web3", "yes please"] {
            check(unclear, Choice::Unclear);
        }
        assert_eq!(choose(None, &[]), Choice::No);
    }
}
