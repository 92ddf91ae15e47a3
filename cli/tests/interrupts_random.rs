//! Runs that are interrupted at any moment: a report of one outcome for each host, nothing left behind, and in time.
//!
//! `SSHOAL_INTERRUPTS=100 cargo test --release --test interrupts_random -- --nocapture` is the full run, with 1,000
//! hosts in flight; `SSHOAL_INTERRUPTS_SEED` has it take other moments.

#![allow(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::Fleet;
use support::openssh::process::descendants;
use support::seat::Seat;
use support::working::{is_gone, pid, wait_until};

/// How many moments there are, and how many hosts, in CI.
const SHORT: (usize, usize) = (6, 100);
/// Hosts where the number of moments was given.
const HOSTS: usize = 1000;
/// The longest from the last signal to the end of the program: in full, and where others use the machine, too.
const END_MAX: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];
/// Where something hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// One run, and what interrupts it.
#[derive(Debug)]
struct Case {
    /// Sleeps so long that the run ends only by signals.
    is_long: bool,
    by: By,
    workers: bool,
    /// Since the program's begin.
    at: Duration,
}

#[derive(Debug)]
enum By {
    /// Two Ctrl-C on a terminal, so far apart.
    CtrlC(Duration),
    /// SIGTERM, with no terminal.
    Term,
}

/// How the run of a case went.
struct End {
    /// As a shell has it.
    code: i32,
    /// Since the last signal; `None` if the run was over before it.
    took: Option<Duration>,
    /// Two Ctrl-C came as one, which they are to a program that had no time between them, and a third was needed.
    third: bool,
}

/// H15. The moments are spread over the whole life of a run: its begin, its hosts being connected to, all of them at
/// work, the run ending by itself and its summary.
#[test]
fn a_run_that_is_interrupted_at_any_moment_tells_of_each_host() {
    let moments = std::env::var("SSHOAL_INTERRUPTS").ok();
    let is_full = moments.is_some();
    let (count, hosts) = match moments {
        Some(text) => (text.parse().unwrap(), HOSTS),
        None => SHORT,
    };
    let seed = std::env::var("SSHOAL_INTERRUPTS_SEED").map_or(1, |text| text.parse().unwrap());
    let fleet = Fleet::start(hosts);
    let life = life(&fleet);
    println!("{hosts} hosts, {count} moments, seed {seed}; undisturbed a run takes {life:?}");
    let mut random = Random(seed);
    let (mut longest, mut early, mut thirds) = (Duration::ZERO, 0, 0);
    for number in 0..count {
        let case = random.case(number, life);
        let place = Place::new(&fleet);
        let end = case.run(&fleet, &place);
        let told = case.check(&fleet, &place, &end);
        let took = end.took.unwrap_or_default();
        println!("{number}: {case:?}: {} after {took:?}, {told}", end.code);
        assert!(took <= END_MAX[usize::from(!is_full)], "it took {took:?}");
        longest = longest.max(took);
        early += usize::from(told.is_empty());
        thirds += usize::from(end.third);
    }
    println!("the longest took {longest:?}; {early} had not begun");
    // Or nothing was shown of runs.
    assert!(early < count);
    // More than half of the Ctrl-C at runs that do not end by themselves.
    assert!(
        thirds <= count / 6,
        "a second Ctrl-C did nothing {thirds} times"
    );
}

/// How long a run takes that nobody interrupts.
fn life(fleet: &Fleet) -> Duration {
    let place = Place::new(fleet);
    let mut run = place.run(fleet);
    run.args(["sleep", SHORT_SLEEP]);
    let begun = Instant::now();
    let mut child = place.spawn(&mut run);
    assert!(child.wait().unwrap().success(), "{}", place.shown());
    let life = begun.elapsed();
    assert_eq!(place.report().len(), fleet.hosts.len());
    life
}

impl Case {
    fn run(&self, fleet: &Fleet, place: &Place) -> End {
        let sleep = if self.is_long { "600" } else { SHORT_SLEEP };
        let mut run = place.run(fleet);
        if self.workers {
            run.args(["--workers", "2"]);
        }
        run.args(["sleep", sleep]);
        let (end, processes) = match self.by {
            By::CtrlC(gap) => self.press(&run, place, gap),
            By::Term => self.terminate(&mut run, place),
        };
        for process in processes {
            wait_until("the end of a process of the run's", || is_gone(process));
        }
        end
    }

    fn press(&self, run: &Command, place: &Place, gap: Duration) -> (End, Vec<Pid>) {
        let mut seat = Seat::start(run, &place.screen());
        let mut processes = Vec::new();
        let mut last = None;
        let mut code = None;
        for wait in [self.at, gap] {
            code = code.or_else(|| seat.wait(wait));
            if code.is_none() {
                processes = descendants(seat.program);
                seat.interrupt();
                last = Some(Instant::now());
            }
        }
        let mut code = code.or_else(|| seat.wait(END_MAX[1]));
        let third = code.is_none();
        if third {
            seat.interrupt();
            last = Some(Instant::now());
            code = seat.wait(PATIENCE);
        }
        let took = last.map(|last| last.elapsed());
        let Some(code) = code else {
            panic!("{self:?} hangs: {}", place.shown());
        };
        seat.leave();
        let end = End { code, took, third };
        (end, processes)
    }

    fn terminate(&self, run: &mut Command, place: &Place) -> (End, Vec<Pid>) {
        let mut child = place.spawn(run);
        std::thread::park_timeout(self.at);
        let mut processes = Vec::new();
        let mut begun = None;
        if child.try_wait().unwrap().is_none() {
            processes = descendants(pid(&child));
            kill_process(pid(&child), Signal::TERM).unwrap();
            begun = Some(Instant::now());
        }
        let end = begun.unwrap_or_else(Instant::now) + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                panic!("{self:?} hangs: {}", place.shown());
            }
            std::thread::park_timeout(Duration::from_millis(1));
        };
        let took = begun.map(|begun| begun.elapsed());
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        let code = code.expect("it has ended");
        let third = false;
        let end = End { code, took, third };
        (end, processes)
    }

    /// Checks what the run leaves; returns what became of its hosts, nothing if none was begun.
    fn check(&self, fleet: &Fleet, place: &Place, end: &End) -> String {
        let about = format!("{self:?} ended with {}: {}", end.code, place.shown());
        let interrupted = match self.by {
            By::CtrlC(_) => 130,
            By::Term => 143,
        };
        let codes = if self.is_long {
            &[interrupted][..]
        } else {
            &[interrupted, 0]
        };
        assert!(codes.contains(&end.code), "{about}");
        assert_eq!(left_in(&place.temporary()), [""; 0], "{about}");
        let report = place.report();
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for record in report.values() {
            let part = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            *outcomes
                .entry(part("outcome") + " " + &part("phase"))
                .or_default() += 1;
        }
        let says = place.shown().contains(" hosts in ");
        if report.is_empty() {
            // The signal itself has ended it, before it could begin a host.
            assert!(end.code == interrupted && !says, "{about}");
            return String::new();
        }
        let all: Vec<u64> = (0..fleet.hosts.len() as u64).collect();
        assert_eq!(report.into_keys().collect::<Vec<_>>(), all, "{about}");
        let is_good = outcomes.keys().all(|outcome| outcome == "exited ");
        assert!(is_good || end.code == interrupted, "{outcomes:?} {about}");
        assert!(!is_good || !self.is_long, "{about}");
        format!("{outcomes:?}")
    }
}

/// Where a run has its files.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(fleet: &Fleet) -> Self {
        let dir = tempfile::tempdir_in(fleet.home.path()).unwrap();
        let place = Self { dir };
        std::fs::create_dir(place.temporary()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn temporary(&self) -> PathBuf {
        self.path("tmp")
    }

    fn screen(&self) -> PathBuf {
        self.path("screen")
    }

    /// What the program has shown.
    fn shown(&self) -> String {
        let bytes = std::fs::read(self.screen()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A run on all hosts at once, but for its last words.
    fn run(&self, fleet: &Fleet) -> Command {
        let mut run = fleet.run();
        run.env("TMPDIR", self.temporary());
        run.arg("-h").arg(&fleet.hosts_file);
        run.args(["--yes", "-p", "1000", "--deadline", "300"]);
        run.arg("--jsonl").arg(self.path("report"));
        run.arg("--journal").arg(self.path("journals"));
        run
    }

    fn spawn(&self, run: &mut Command) -> Child {
        let shown = File::create(self.screen()).unwrap();
        run.stdout(shown.try_clone().unwrap()).stderr(shown);
        run.stdin(Stdio::null()).spawn().unwrap()
    }

    /// The records by host; none where there is no report.
    fn report(&self) -> BTreeMap<u64, Value> {
        let path = self.path("report");
        match path.exists() {
            true => support::working::records(&path),
            false => BTreeMap::new(),
        }
    }
}

/// The names in a folder.
fn left_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let name = |entry: std::fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    entries.map(|entry| name(entry.unwrap())).collect()
}

/// What hosts do where a run ends by itself.
const SHORT_SLEEP: &str = "0.3";

/// Numbers without any order (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut n = self.0;
        n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    fn below(&mut self, limit: Duration) -> Duration {
        Duration::from_micros(self.next() % u64::try_from(limit.as_micros()).unwrap())
    }

    /// Half of the cases are of each sort, and three in eight have workers.
    fn case(&mut self, number: usize, life: Duration) -> Case {
        let by = match number % 2 {
            // Nobody presses faster, and what comes at one moment is one.
            0 => By::CtrlC(Duration::from_millis(40) + self.below(Duration::from_millis(600))),
            _ => By::Term,
        };
        let is_long = number % 4 < 2;
        // One in five falls into the first moments of the program.
        let span = if self.next().is_multiple_of(5) {
            life / 20
        } else {
            life * 5 / 4
        };
        let at = self.below(span);
        let workers = number % 8 >= 6 || number % 8 == 1;
        Case {
            is_long,
            by,
            workers,
            at,
        }
    }
}
