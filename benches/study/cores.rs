//! Hosts per second by the number of workers and cores, and with one fleet against several.

use std::{fs, path::PathBuf};

use crate::{Size, cell::Cell, head, median, row, support::fleet::EmbeddedFleet};

/// Workers, the cores that they may have, and in how many fleets the hosts are.
const PLACES: [(usize, &str, usize); 6] = [
    (1, "0", 1),
    (2, "0-1", 1),
    (4, "0-1", 1),
    (2, "0-1", 2),
    (2, "0-1", 4),
    (4, "0-1", 4),
];

/// What one place gave in one round.
#[derive(Clone, Copy)]
struct Round {
    hosts_per_second: f64,
    cpu_ms: f64,
    /// CPU time of client and servers for each second: how many cores were at work.
    cores: f64,
}

pub(crate) fn study(size: Size) {
    let (hosts, rounds) = size.pick((100, 1), (5000, 5));
    let servers = EmbeddedFleet::start(hosts);
    let mut got: Vec<Vec<Round>> = vec![Vec::new(); PLACES.len()];
    for _ in 0..rounds {
        for ((workers, cores, fleets), rounds) in PLACES.iter().zip(&mut got) {
            let cell = Cell {
                workers: *workers,
                fleets: *fleets,
                ..Cell::new(servers.dir(), hosts, size.pick(50, 256), "echo hi")
            };
            let before = processor_seconds(&servers);
            let figures = cell.run_on(Some(cores));
            assert_eq!(figures.good, hosts);
            let served = processor_seconds(&servers) - before;
            rounds.push(Round {
                hosts_per_second: hosts as f64 / figures.wall,
                cpu_ms: figures.cpu_ms(),
                cores: (figures.cpu + served) / figures.wall,
            });
        }
    }
    head(&[
        "workers",
        "cores of the client",
        "fleets",
        "hosts a second",
        "CPU, ms a host",
        "by one worker's",
        "hosts a second of client CPU",
        "cores at work, servers' too",
    ]);
    let one = got[0].clone();
    for ((workers, cores, fleets), rounds) in PLACES.iter().zip(&got) {
        let ratio = rounds
            .iter()
            .zip(&one)
            .map(|(here, one)| here.cpu_ms / one.cpu_ms);
        row(&[
            workers.to_string(),
            (*cores).to_owned(),
            fleets.to_string(),
            format!(
                "{:.0}",
                median(rounds.iter().map(|round| round.hosts_per_second))
            ),
            format!("{:.3}", median(rounds.iter().map(|round| round.cpu_ms))),
            format!("{:.2}", median(ratio)),
            format!(
                "{:.0}",
                median(rounds.iter().map(|round| 1e3 / round.cpu_ms))
            ),
            format!("{:.2}", median(rounds.iter().map(|round| round.cores))),
        ]);
    }
}

/// CPU time of the servers so far.
fn processor_seconds(servers: &EmbeddedFleet) -> f64 {
    let path = PathBuf::from(format!("/proc/{}/stat", servers.pid()));
    let text = fs::read_to_string(path).unwrap();
    // Behind the command's name, which is in brackets and may hold blanks.
    let (_, fields) = text.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: f64 = [11, 12]
        .map(|at: usize| fields[at].parse::<f64>().unwrap())
        .iter()
        .sum();
    ticks / TICKS_PER_SECOND
}

/// What Linux counts in, whatever it was built with.
const TICKS_PER_SECOND: f64 = 100.0;
