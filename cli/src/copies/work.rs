//! What the hosts do: each one's copies, bounded in time and rate, as a program over its open session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use sshoal::transfer::{CopyOptions, Existing, Keep, Leftovers, Progress, TreeOptions};
use sshoal::{Reached, Sudo};

use super::became::Copies;
use super::options;
use super::plan::{Direction, Plan};
use super::side::Side;
use super::slow::Slow;
use crate::args::CopyArgs;
use crate::record::Failure;
use crate::size;

/// What the hosts do.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) plan: Plan,
    file: CopyOptions,
    tree: TreeOptions,
    pub(super) existing: Existing,
    pub(super) is_recursive: bool,
    pub(super) way: Way,
    limit: Option<Duration>,
    progress: Progress,
    slow: Option<Arc<Slow>>,
    /// The lowest rate as it is told.
    too_slow: String,
}

/// How bytes get there and back.
#[derive(Debug)]
pub(super) enum Way {
    /// Over SFTP, and directories as their options say.
    Sftp,
    /// By `scp`, and what goes along.
    Scp(Keep),
    /// By commands under `sudo`.
    Sudo(Sudo),
}

impl Work {
    pub(super) fn new(
        plan: Plan,
        args: &CopyArgs,
        progress: Progress,
        sudo: Option<Sudo>,
    ) -> Result<Self> {
        let mut file = options::file(args, &progress).leftovers(match plan.goes_on {
            true => Leftovers::Remove,
            false => Leftovers::Leave,
        });
        if let Some(bytes) = plan.bytes_max {
            file = file.bytes_max(bytes);
        }
        let min = args.flow.min_rate;
        let slow = min.map(Slow::watch).transpose();
        Ok(Self {
            tree: match plan.direction {
                // What was said about how equal files are told goes on.
                Direction::Sync => plan.tree.clone().copy(file.clone()).sync(),
                _ => plan.tree.clone().copy(file.clone()),
            },
            existing: options::existing(args),
            is_recursive: args.how.recursive,
            way: match sudo {
                Some(sudo) => Way::Sudo(sudo),
                None if args.how.scp => Way::Scp(match args.how.preserve {
                    true => Keep::ModeAndTimes,
                    false => Keep::Mode,
                }),
                None => Way::Sftp,
            },
            limit: plan.pace.command_timeout,
            slow: slow.context("cannot begin")?,
            too_slow: min.map_or_else(String::new, |min| {
                let rate = size::show(min.bytes_per_second);
                format!("fewer than {rate} a second over {:?}", min.window)
            }),
            plan,
            file,
            progress,
        })
    }

    /// Copies what a host is to have, or to give. Parks.
    pub(super) fn of(&self, host: &Reached<'_>) -> Copies {
        let index = self.plan.whom[host.index()];
        let scope = host.scope().child(self.limit);
        let counters = self.progress.of_host(index);
        let is_slow = (self.slow.as_ref()).map(|slow| slow.add(index, &scope, counters));
        let side = Side {
            work: self,
            session: host.session(),
            scope: &scope,
            file: self.file.for_host(index),
            tree: self.tree.for_host(index),
        };
        let mut copies = Copies::default();
        for item in &self.plan.items[index] {
            side.item(item, &mut copies);
            if copies.ended.is_some() {
                break;
            }
        }
        if let Some(slow) = &self.slow {
            slow.remove(index);
        }
        if copies.ended.is_some() && host.scope().check().is_err() {
            copies.is_stopped = true;
        } else if is_slow.is_some_and(|is_slow| is_slow.load(Ordering::Acquire)) {
            copies.ended = Some(Failure {
                phase: "transfer",
                kind: "stalled",
                reason: self.too_slow.clone(),
                by_our_limit: true,
            });
        }
        copies
    }
}
