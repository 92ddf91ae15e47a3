//! What narrows a list of hosts: exclusion, patterns, a limit, each once, one part, some at random.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use anyhow::{Context, Result, bail};
use sshoal::HostLine;
use sshoal::hosts::{Selector, Words, glob};

use crate::args::{Shard, WhomArgs};
use crate::complain;

/// Narrows in the order in which the help names the flags.
///
/// # Errors
/// Fails if an expression is no good, and if one leaves nobody.
pub(super) fn narrow(
    whom: &WhomArgs,
    selector: &Selector<'_>,
    lines: &mut Vec<HostLine>,
) -> Result<()> {
    for text in &whom.excluded_hosts {
        let chosen = choose(selector, (text, Words::Hosts), lines);
        let keep = chosen.with_context(|| format!("--exclude {text:?}"))?;
        keep_those(
            lines,
            keep.into_iter().map(|is| !is),
            &format!("--exclude {text:?}"),
        )?;
    }
    if !whom.host_globs.is_empty() {
        let matches = |line: &HostLine| {
            let (name, spec) = (line.host.name(), line.host.to_string());
            let mut globs = whom.host_globs.iter();
            globs.any(|pattern| glob(pattern, name) || glob(pattern, &spec))
        };
        let keep: Vec<bool> = lines.iter().map(matches).collect();
        keep_those(lines, keep, &format!("-g {:?}", whom.host_globs.join(" ")))?;
    }
    if let Some(text) = &whom.limit {
        let chosen = choose(selector, (text, Words::Either), lines);
        let keep = chosen.with_context(|| format!("--limit {text:?}"))?;
        keep_those(lines, keep, &format!("--limit {text:?}"))?;
        for word in selector.strangers() {
            complain(&format!(
                "--limit {text:?}: {word:?} is no group and none of these hosts, and changes nothing"
            ));
        }
    }
    if whom.unique {
        let mut known = HashSet::new();
        lines.retain(|line| known.insert(line.host.clone()));
    }
    if let Some(Shard { index, count }) = whom.shard {
        let keep: Vec<bool> = (0..lines.len()).map(|at| at % count == index - 1).collect();
        keep_those(lines, keep, &format!("--shard {index}/{count}"))?;
    }
    if let Some(pick) = whom.pick
        && pick.get() < lines.len()
    {
        let keep = picked(
            lines.len(),
            pick.get(),
            RandomState::new().hash_one(lines.len()),
        );
        keep_those(lines, keep, &format!("--pick {pick}"))?;
    }
    Ok(())
}

fn choose(
    selector: &Selector<'_>,
    (text, words): (&str, Words),
    lines: &[HostLine],
) -> Result<Vec<bool>> {
    let specs: Vec<String> = lines.iter().map(|line| line.host.to_string()).collect();
    Ok(selector.choose(text, words, &specs)?)
}

/// Keeps some of the hosts, which have to be at least one.
fn keep_those(
    lines: &mut Vec<HostLine>,
    keep: impl IntoIterator<Item = bool>,
    why: &str,
) -> Result<()> {
    let before = lines.len();
    let mut keep = keep.into_iter();
    lines.retain(|_| keep.next().unwrap_or(false));
    if lines.is_empty() {
        let hosts = if before == 1 { "host" } else { "hosts" };
        bail!("{why} leaves none of {before} {hosts}; sshoal hosts shows which there are");
    }
    Ok(())
}

/// Says for each of `count` whether it is one of `pick` that are chosen at random.
fn picked(count: usize, pick: usize, seed: u64) -> Vec<bool> {
    let mut state = seed;
    let mut keep = vec![false; count];
    let mut wanted = pick;
    // Each is taken with the chance that is left to it; the order stays.
    for (at, keep) in keep.iter_mut().enumerate() {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let left = (count - at) as u128;
        if (u128::from(mixed) * left) >> 64 < wanted as u128 {
            *keep = true;
            wanted -= 1;
        }
    }
    keep
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_wanted_are_picked_and_each_as_often_as_others() {
        let mut often = [0_u32; 10];
        for seed in 0..2000 {
            let keep = picked(10, 3, seed);
            assert_eq!(keep.iter().filter(|is| **is).count(), 3);
            keep.iter()
                .zip(&mut often)
                .for_each(|(is, often)| *often += u32::from(*is));
        }
        assert!(
            often.iter().all(|often| (500..700).contains(often)),
            "{often:?}"
        );
    }
}
