//! The job of some of a list's hosts.

use anyhow::Result;
use sshoal::{Commands, Listed};

use crate::engine::Job;

/// Returns the job of the hosts at these positions of the list. What each is asked to run is what
/// it would be in a run over the whole list: a template's `{n}` and `{total}` are the list's.
///
/// # Errors
/// Fails if a host's command cannot be made.
pub(super) fn of(job: &Job, whom: &[usize], is_template: bool) -> Result<Job> {
    let total = job.hosts.len();
    let command = |&index: &usize| {
        let (host, config) = (&job.hosts[index], &job.configs[index]);
        let user = host.user().unwrap_or(config.user());
        let port = host.port().unwrap_or(config.port());
        let listed = Listed::new((index, total), host, (user, port));
        Ok(job.commands.of(&listed)?.into_owned())
    };
    let commands = match is_template {
        true => Commands::each(whom.iter().map(command).collect::<Result<Vec<_>>>()?),
        false => job.commands.clone(),
    };
    Ok(Job {
        hosts: whom.iter().map(|&index| job.hosts[index].clone()).collect(),
        commands,
        launch: job.launch.clone(),
        configs: whom
            .iter()
            .map(|&index| job.configs[index].clone())
            .collect(),
        workers: job.workers.clone(),
        ..*job
    })
}
