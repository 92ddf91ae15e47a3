//! Restarts hosts batch by batch, as `rolling` does and with its arguments, from async code.
//!
//! Its runtime has one thread, so whatever blocked that would hold up everything. A beat beside the runs shows that
//! nothing does: the last line says how often it came while all hosts of a batch were being restarted.

mod outcomes;

use std::{env, error::Error, process::ExitCode, sync::Arc, time::Duration};

use downstream::{PAUSE, Plan};
use futures_util::StreamExt;
use outcomes::outcomes;
use sshoal::{Fleet, Outcome};
use tokio::time::{Instant, interval_at, sleep, timeout_at};

/// How often something else of the program has its turn: well below what a restart takes.
const BEAT: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    let rolled = Plan::from_args(env::args().skip(1)).and_then(|plan| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().build()?;
        runtime.block_on(roll(&plan))
    });
    match rolled {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rolling-tokio: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn roll(plan: &Plan) -> Result<(), Box<dyn Error>> {
    let (mut done, mut beats) = (0, 0);
    for batch in plan.hosts.chunks(plan.batch.get()) {
        let fleet = Fleet::builder(batch, Arc::clone(&plan.config)).build()?;
        let mut failures = restart(plan, &fleet, &mut beats).await?;
        if failures.is_empty() {
            let by = Instant::now() + plan.limit;
            failures = healthy(plan, &fleet, by).await?;
        }
        done += batch.len();
        plan.gate(&failures, done)?;
    }
    println!("{beats} beats while hosts were being restarted");
    Ok(())
}

/// Restarts all hosts of a batch, and returns which failed. Its outcomes come beside the beat.
async fn restart(
    plan: &Plan,
    fleet: &Fleet,
    beats: &mut u64,
) -> Result<Vec<String>, Box<dyn Error>> {
    let mut outcomes = outcomes(fleet.run(plan.restart.as_str())?);
    let mut beat = interval_at(Instant::now() + BEAT, BEAT);
    let (mut failures, mut ended) = (Vec::new(), 0);
    loop {
        tokio::select! {
            _ = beat.tick() => *beats += u64::from(ended == 0),
            outcome = outcomes.next() => {
                let Some(outcome) = outcome else { return Ok(failures) };
                ended += 1;
                if !outcome.is_success() {
                    failures.push(format!("{}: restart: {}", outcome.host(), outcome.end()));
                }
            }
        }
    }
}

/// Looks at all hosts of a batch until all are healthy at once, and returns which were not in time.
async fn healthy(plan: &Plan, fleet: &Fleet, by: Instant) -> Result<Vec<String>, Box<dyn Error>> {
    let mut sick: Vec<String> = fleet.hosts().iter().map(ToString::to_string).collect();
    for look in 1.. {
        let run = outcomes(fleet.run(plan.healthy.as_str())?);
        // A run that is not over in time is dropped, which cancels it.
        let Ok(seen) = timeout_at(by, run.collect::<Vec<Outcome>>()).await else {
            break;
        };
        let healthy = seen.iter().filter(|outcome| outcome.is_success());
        let healthy: Vec<String> = healthy.map(|outcome| outcome.host().to_string()).collect();
        if healthy.len() == seen.len() {
            healthy
                .iter()
                .for_each(|host| println!("{host}: healthy after {look} looks"));
            return Ok(Vec::new());
        }
        sick = fleet.hosts().iter().map(ToString::to_string).collect();
        sick.retain(|host| !healthy.contains(host));
        if timeout_at(by, sleep(PAUSE)).await.is_err() {
            break;
        }
    }
    let limit = plan.limit;
    Ok(sick
        .into_iter()
        .map(|host| format!("{host}: not healthy within {limit:?}"))
        .collect())
}
