//! One host that prints without end beside hosts with short commands: how long the others take, with and without it.

use std::{
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{Collect, Config, Fleet, Host, KeepOpen, RunSpec, raise_descriptor_limit};

use crate::{Size, head, median, row, support::fleet::EmbeddedFleet};

/// Sessions of the others at once.
const POOL: usize = 32;

pub(crate) fn study(size: Size) {
    let (hosts, rounds) = size.pick((100, 1), (1000, 7));
    raise_descriptor_limit().unwrap();
    let servers = EmbeddedFleet::start(hosts + 1);
    let targets = servers.targets();
    let (flooding, quiet) = targets.split_first().unwrap();
    let config = servers.config();
    let others = fleet(quiet, &config, POOL, KeepOpen::No);
    let kept = fleet(&quiet[..POOL], &config, POOL, KeepOpen::Yes);
    let flooding = fleet(std::slice::from_ref(flooding), &config, 1, KeepOpen::No);
    let mut got = Vec::new();
    for _ in 0..rounds {
        let alone = [percentile(&others, 1), percentile(&kept, 30)];
        let flood = flooding.run(RunSpec::new("head -c 1000000000000").collect(Collect::No));
        let beside = [percentile(&others, 1), percentile(&kept, 30)];
        drop(flood.unwrap());
        got.push((alone, beside));
    }
    head(&[
        "99th percentile of `echo hi`",
        "alone, ms",
        "beside a flood, ms",
        "ratio",
        "ratios of the rounds",
    ]);
    for (at, title) in ["connecting, command, end", "command on an open session"]
        .iter()
        .enumerate()
    {
        let mut ratios: Vec<f64> = got
            .iter()
            .map(|(alone, beside)| beside[at] / alone[at])
            .collect();
        ratios.sort_by(f64::total_cmp);
        row(&[
            (*title).to_owned(),
            format!(
                "{:.2}",
                median(got.iter().map(|(alone, _)| alone[at])) * 1e3
            ),
            format!(
                "{:.2}",
                median(got.iter().map(|(_, beside)| beside[at])) * 1e3
            ),
            format!("{:.2}", median(ratios.iter().copied())),
            format!("{:.2} to {:.2}", ratios[0], ratios[ratios.len() - 1]),
        ]);
    }
}

fn fleet(hosts: &[Host], config: &Arc<Config>, pool: usize, keep_open: KeepOpen) -> Fleet {
    Fleet::builder(hosts, Arc::clone(config))
        .pool_size(NonZeroUsize::new(pool).unwrap())
        .connect_timeout(Some(Duration::from_secs(60)))
        .keep_open(keep_open)
        .build()
        .unwrap()
}

/// The 99th percentile of the time that hosts took in so many runs, in seconds.
fn percentile(fleet: &Fleet, runs: usize) -> f64 {
    // Sessions that are kept are open before it counts.
    assert!(fleet.run("true").unwrap().report().is_success());
    let begun = Instant::now();
    let mut times: Vec<f64> = Vec::new();
    for _ in 0..runs {
        for outcome in fleet.run("echo hi").unwrap() {
            assert!(outcome.is_success(), "{outcome:?}");
            times.push(outcome.duration().as_secs_f64());
        }
    }
    assert!(!times.is_empty() && begun.elapsed() > Duration::ZERO);
    times.sort_by(f64::total_cmp);
    times[times.len() * 99 / 100]
}
