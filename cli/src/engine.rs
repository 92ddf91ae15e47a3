//! The library's run, behind the messages of the main thread.
//!
//! A thread of its own takes the pool's events, because the main thread listens to signals too.

use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use sshoal::{Collect, Config, Detail, Fleet, Host, RunHandle, RunSpec};

use crate::drive::{Message, Messages};
use crate::plan::Pace;

/// A command for a host list.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) hosts: Vec<Host>,
    pub(crate) command: Vec<u8>,
    pub(crate) config: Arc<Config>,
    pub(crate) pace: Pace,
    /// Whether output is wanted as it comes.
    pub(crate) detail: Detail,
    /// Whether output is wanted whole, at each host's end.
    pub(crate) collect: Collect,
}

/// A handle of a job under way.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    handle: RunHandle,
}

impl Running {
    /// Begins the job; what happens goes to `messages`, [`Message::Over`] last.
    ///
    /// # Errors
    /// Fails if the fleet cannot be made; nothing was run then.
    pub(crate) fn start(job: Job, messages: Messages) -> Result<Self> {
        // Refused, the pool is smaller, and hosts wait for room.
        let _ = sshoal::raise_descriptor_limit();
        let mut fleet = Fleet::builder(job.hosts, job.config)
            .connect_timeout(job.pace.connect_timeout)
            .command_timeout(job.pace.command_timeout)
            .deadline(job.pace.deadline);
        if let Some(par) = job.pace.par {
            fleet = fleet.pool_size(par);
        }
        let fleet = fleet.build().context("cannot begin")?;
        let spec = RunSpec::new(job.command)
            .detail(job.detail)
            .collect(job.collect);
        let events = fleet.run(spec).events();
        let handle = events.handle();
        let forward = move || {
            for event in events {
                // The main thread has given up; dropping the events cancels what is left.
                if messages.send(Message::Event(Box::new(event))).is_err() {
                    return;
                }
            }
            drop(fleet);
            let _ = messages.send(Message::Over);
        };
        thread::Builder::new()
            .name("events".to_owned())
            .spawn(forward)
            .context("cannot begin")?;
        Ok(Self { handle })
    }

    /// Begins no more hosts.
    pub(crate) fn stop_launching(&self) {
        self.handle.stop_starting();
    }

    /// Gives every host up.
    pub(crate) fn cancel(&self) {
        self.handle.cancel();
    }

    /// Returns how many hosts have been begun and have not ended.
    pub(crate) fn in_flight(&self) -> usize {
        let progress = self.handle.progress();
        progress.connecting + progress.running
    }
}

/// Returns the libraries that are linked, a line each.
pub(crate) fn linked() -> Vec<String> {
    sshoal::versions().into()
}
