//! One figure: a client process that runs one command over so many hosts, and what it cost.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{
    Collect, Config, Fleet, Host, HostKeyPolicy, HostKeys, Identity, KeepOpen, RunSpec,
    known_hosts::KnownHosts, parse_hosts_file, raise_descriptor_limit,
};

use crate::support::usage::processor_time;

/// The first argument of a process that is a cell.
pub(crate) const NAME: &str = "cell";

/// What is done with what hosts print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// All outcomes with their output are held until the end.
    Gathered,
    /// Output is thrown away as it comes, and each outcome as soon as it is there.
    Discarded,
    /// The command is started, awaited, and nobody reads.
    Unread,
    /// As gathered, and the command is started once more on all hosts when half of them have ended.
    Started,
}

impl Way {
    pub(crate) const ALL: [Self; 4] =
        [Self::Gathered, Self::Discarded, Self::Unread, Self::Started];

    /// Its name, in tables and between processes.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gathered => "gathered",
            Self::Discarded => "discarded",
            Self::Unread => "left unread",
            Self::Started => "gathered, started again meanwhile",
        }
    }
}

/// What one client process does.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// The embedded fleet's directory.
    pub(crate) dir: PathBuf,
    pub(crate) hosts: usize,
    /// Sessions at once, of all fleets together.
    pub(crate) pool: usize,
    pub(crate) way: Way,
    /// In how many fleets the hosts are, each run by a thread of its own.
    pub(crate) fleets: usize,
    /// Threads of the green threads' scheduler; 0 is one for each core.
    pub(crate) workers: usize,
    pub(crate) command: String,
}

/// What a cell cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// From the start of the run to its end.
    pub(crate) wall: f64,
    /// Of the client process in that time, user and system.
    pub(crate) cpu: f64,
    /// Resident memory before the run, its peak, and at the end with all that is held.
    pub(crate) before_kib: f64,
    pub(crate) peak_kib: f64,
    pub(crate) held_kib: f64,
    /// Commands that ended well.
    pub(crate) good: usize,
}

impl Cell {
    /// A cell of one fleet on all cores.
    pub(crate) fn new(dir: &Path, hosts: usize, pool: usize, command: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            hosts,
            pool,
            way: Way::Gathered,
            fleets: 1,
            workers: 0,
            command: command.to_owned(),
        }
    }

    pub(crate) fn of_words(words: &[String]) -> Self {
        let [dir, hosts, pool, way, fleets, workers, command] = words else {
            panic!("a cell has seven words, not {words:?}");
        };
        Self {
            dir: dir.into(),
            hosts: hosts.parse().unwrap(),
            pool: pool.parse().unwrap(),
            way: *Way::ALL.iter().find(|known| known.name() == way).unwrap(),
            fleets: fleets.parse().unwrap(),
            workers: workers.parse().unwrap(),
            command: command.clone(),
        }
    }

    /// Runs the cell in a process of its own, on these cores as `taskset -c` takes them, or on all.
    pub(crate) fn run_on(&self, cores: Option<&str>) -> Figures {
        let this = std::env::current_exe().unwrap();
        let mut command = match cores {
            Some(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", cores]).arg(this);
                command
            }
            None => Command::new(this),
        };
        command.arg(NAME).arg(&self.dir);
        for word in [self.hosts, self.pool] {
            command.arg(word.to_string());
        }
        command.arg(self.way.name());
        for word in [self.fleets, self.workers] {
            command.arg(word.to_string());
        }
        let output = command
            .arg(&self.command)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{self:?}: {text}");
        Figures::of_text(&text)
    }

    pub(crate) fn run(&self) -> Figures {
        self.run_on(None)
    }

    /// How many commands end.
    pub(crate) fn commands(&self) -> usize {
        self.hosts * if self.way == Way::Started { 2 } else { 1 }
    }

    /// Runs the cell in this process and prints its figures.
    pub(crate) fn run_here(&self) {
        if let Some(workers) = NonZeroUsize::new(self.workers) {
            let config = sshoal_reactor::Config::default().workers(workers);
            assert!(
                sshoal_reactor::configure(config),
                "the reactor runs already"
            );
        }
        raise_descriptor_limit().unwrap();
        let fleets = self.make_fleets();
        let before = status_kib("VmRSS:");
        let (begun, spent) = (Instant::now(), processor_time());
        let runs: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = fleets
                .iter()
                .map(|fleet| scope.spawn(|| self.run_fleet(fleet)))
                .collect();
            threads.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let figures = Figures {
            wall: begun.elapsed().as_secs_f64(),
            cpu: (processor_time() - spent).as_secs_f64(),
            before_kib: before,
            peak_kib: status_kib("VmHWM:"),
            held_kib: status_kib("VmRSS:"),
            good: runs.iter().map(|run| run.good).sum(),
        };
        println!("{}", figures.text());
        drop(runs);
    }

    fn make_fleets(&self) -> Vec<Fleet> {
        let path = |name: &str| self.dir.join(name);
        let known = KnownHosts::load([path("known_hosts")]).unwrap();
        let keys = HostKeys::new(HostKeyPolicy::Strict, known);
        let identity = Identity::load(&path("user_ed25519"), None).unwrap();
        let config = Config::builder(Arc::new(keys))
            .user("tester")
            .identity(Arc::new(identity))
            .build()
            .unwrap();
        let config = Arc::new(config);
        let listed = std::fs::read(path("hosts")).unwrap();
        let mut hosts: Vec<Host> = parse_hosts_file(listed, "hosts").unwrap();
        hosts.truncate(self.hosts);
        assert_eq!(hosts.len(), self.hosts, "the fleet has fewer hosts");
        let each = self.hosts.div_ceil(self.fleets);
        hosts
            .chunks(each)
            .map(|hosts| {
                Fleet::builder(hosts, Arc::clone(&config))
                    .pool_size(NonZeroUsize::new(self.pool.div_ceil(self.fleets)).unwrap())
                    .connect_timeout(Some(Duration::from_secs(120)))
                    .keep_open(KeepOpen::No)
                    .build()
                    .unwrap()
            })
            .collect()
    }

    fn run_fleet(&self, fleet: &Fleet) -> Ran {
        let spec = RunSpec::new(self.command.as_str());
        let mut ran = Ran::default();
        match self.way {
            Way::Gathered => {
                for outcome in fleet.run(spec).unwrap() {
                    ran.take(outcome);
                }
            }
            Way::Discarded => {
                let run = fleet.run(spec.collect(Collect::No)).unwrap();
                ran.good = run.filter(|outcome| outcome.is_success()).count();
            }
            Way::Unread => {
                let started = fleet.start(spec).unwrap();
                assert!(started.wait(None).is_complete());
                let ended = started.hosts().iter().filter_map(|host| host.outcome());
                ran.good = ended.filter(|outcome| outcome.is_success()).count();
                ran.unread = Some(started);
            }
            Way::Started => {
                let mut first = fleet.run(spec.clone()).unwrap();
                let half = fleet.hosts().len() / 2;
                for outcome in first.by_ref().take(half) {
                    ran.take(outcome);
                }
                let second = fleet.run(spec).unwrap();
                for outcome in first.chain(second) {
                    ran.take(outcome);
                }
            }
        }
        ran
    }
}

/// What is held when a run is over.
#[derive(Debug, Default)]
struct Ran {
    good: usize,
    outcomes: Vec<sshoal::Outcome>,
    unread: Option<sshoal::Started>,
}

impl Ran {
    fn take(&mut self, outcome: sshoal::Outcome) {
        self.good += usize::from(outcome.is_success());
        self.outcomes.push(outcome);
    }
}

impl Figures {
    fn text(&self) -> String {
        let Self {
            wall,
            cpu,
            before_kib,
            peak_kib,
            held_kib,
            good,
        } = self;
        format!("figures {wall} {cpu} {before_kib} {peak_kib} {held_kib} {good}")
    }

    fn of_text(text: &str) -> Self {
        let line = text.lines().find_map(|line| line.strip_prefix("figures "));
        let words: Vec<&str> = line
            .expect("the cell prints its figures")
            .split(' ')
            .collect();
        let number = |at: usize| words[at].parse::<f64>().unwrap();
        Self {
            wall: number(0),
            cpu: number(1),
            before_kib: number(2),
            peak_kib: number(3),
            held_kib: number(4),
            good: words[5].parse().unwrap(),
        }
    }

    /// CPU of the client for each command, in milliseconds.
    pub(crate) fn cpu_ms(&self) -> f64 {
        self.cpu * 1e3 / self.good as f64
    }
}

/// One of this process's memory figures.
fn status_kib(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next());
    kib.unwrap().parse().unwrap()
}
