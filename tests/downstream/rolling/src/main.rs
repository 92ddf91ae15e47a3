//! Restarts hosts batch by batch: a batch begins when all hosts of the one before are healthy again.
//!
//! `rolling HOSTS_FILE KNOWN_HOSTS KEY BATCH SECONDS RESTART HEALTHY` prints a line for each host. At the first batch
//! with a failure it stops, leaves the later hosts alone and ends with exit code 1.

use std::{env, error::Error, process::ExitCode, sync::Arc};

use downstream::{PAUSE, Plan};
use sshoal::{
    Exit, Fleet, Reached, Scope,
    green::{TimeoutError, timeout},
};

fn main() -> ExitCode {
    match Plan::from_args(env::args().skip(1)).and_then(|plan| roll(&Arc::new(plan))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rolling: {error}");
            ExitCode::FAILURE
        }
    }
}

fn roll(plan: &Arc<Plan>) -> Result<(), Box<dyn Error>> {
    let mut done = 0;
    for batch in plan.hosts.chunks(plan.batch.get()) {
        let fleet = Fleet::builder(batch, Arc::clone(&plan.config)).build()?;
        let shared = Arc::clone(plan);
        let mut failures = Vec::new();
        for visited in fleet.each(move |host| restart(&shared, host)) {
            let host = visited.host().to_string();
            match visited.into_result().map_err(|error| error.to_string()) {
                Ok(Ok(looks)) => println!("{host}: healthy after {looks} looks"),
                Ok(Err(error)) | Err(error) => failures.push(format!("{host}: {error}")),
            }
        }
        fleet.close();
        done += batch.len();
        plan.gate(&failures, done)?;
    }
    Ok(())
}

/// Runs on a green thread per host: restarts it, and looks until it is healthy; returns how often.
fn restart(plan: &Plan, host: &Reached<'_>) -> Result<u32, String> {
    status(host, &plan.restart, host.scope()).and_then(|status| match status {
        Exit::Status(0) => Ok(()),
        other => Err(format!("restart ended with {other:?}")),
    })?;
    let healthy = timeout(host.scope(), plan.limit, |scope| {
        for look in 1.. {
            if status(host, &plan.healthy, scope)?.is_success() {
                return Ok(look);
            }
            scope.child(Some(PAUSE)).ended();
        }
        unreachable!("a scope ends before numbers do")
    });
    healthy.map_err(|error| match error {
        TimeoutError::TimedOut { limit, .. } => format!("not healthy within {limit:?}"),
        TimeoutError::Failed(error) => error,
    })
}

fn status(host: &Reached<'_>, command: &str, scope: &Scope) -> Result<Exit, String> {
    let output = host.session().command(command).scope(scope).output();
    output
        .map(|output| output.exit)
        .map_err(|error| error.to_string())
}
