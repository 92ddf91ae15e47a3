//! Large fleets in which some hosts fail and some attack: one outcome each, of the right type, in time and in memory, and
//! nobody else has any of it.
//!
//! In full, in a release build and one after the other: `SSHOAL_H1_HOSTS=1000 SSHOAL_H1_SEEDS=20`, or 10000 and 1;
//! `SSHOAL_H4=full`; `SSHOAL_REKEYING_HOSTS=40 SSHOAL_REKEYING_SECONDS=30`;
//! `SSHOAL_OWN_HOSTS=1000 SSHOAL_OWN_BYTES=1000000`.

#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use sshoal::{
    CallTimes, End, Fleet, Host, KeepOpen, Kind, OnTimeout, Outcome, Phase, Report,
    raise_descriptor_limit,
};
use sshoal_hostile::{
    attacks::{Attack, FLOODS},
    server::Stage,
};
use sshoal_session::measured::save_work;
use support::{
    client,
    faults::{FullBacklog, Refused},
    fleet::EmbeddedFleet,
    hostile_fleet::HostileFleet,
    sessions::{host, resident_kib},
    usage::processor_time,
};

support::fleet::embedded_fleet!();
support::hostile_fleet::hostile_fleet!();

/// What a run may take beyond its limit.
const GRACE: Duration = Duration::from_secs(1);
/// What a run may take in memory, at once and for each host.
const FIXED_KIB: u64 = 64 * 1024;
const HOST_KIB: u64 = 160;
/// What a hostile host may take besides.
const HOSTILE_KIB: u64 = 8 * 1024;

/// Memory and time are the process's: the tests of this file take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn number(variable: &str, default: usize) -> usize {
    let value = std::env::var(variable).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// Begins to measure the most memory that is resident at once, where the system allows it.
fn watch_memory() -> u64 {
    let _ = fs::write("/proc/self/clear_refs", "5");
    resident_kib()
}

/// The most memory that was resident at once.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("reads our status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("the status tells it in KiB")
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("lists them").count()
}

/// How a host of the mix has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// Exit status 0, and its own name.
    Name,
    NoStatus,
    Failure(Phase, Kind),
}

/// Three tenths of the hosts are sound, and a tenth each has one of seven faults.
struct Mix {
    servers: EmbeddedFleet,
    _full: Vec<FullBacklog>,
    _refused: Vec<Refused>,
    hosts: Vec<(Host, Expected)>,
}

impl Mix {
    fn start(count: usize) -> Self {
        let tenth = count / 10;
        let of_servers = [
            ("silent", Expected::Failure(Phase::Banner, Kind::Timeout)),
            ("stall-kex", Expected::Failure(Phase::Kex, Kind::Timeout)),
            ("stall-exec", Expected::Failure(Phase::Run, Kind::Timeout)),
            ("reset", Expected::Failure(Phase::Run, Kind::Reset)),
            ("no-status", Expected::NoStatus),
        ];
        let sound = count - 7 * tenth;
        let rules = of_servers.iter().zip((sound..).step_by(tenth));
        let rules = rules.map(|((name, _), from)| format!("{name}={from}-{}", from + tenth - 1));
        let rules: Vec<_> = rules.flat_map(|rule| ["--fault".into(), rule]).collect();
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        let servers = EmbeddedFleet::with_args(sound + 5 * tenth, &rules);
        let expected = (0..sound).map(|_| Expected::Name);
        let expected = expected.chain(of_servers.iter().flat_map(|(_, e)| vec![*e; tenth]));
        let mut hosts: Vec<_> = servers.targets().into_iter().zip(expected).collect();
        let address = |index: usize| {
            let [.., third, fourth] = u32::try_from(index).expect("few").to_be_bytes();
            IpAddr::from(Ipv4Addr::new(127, 9, third, fourth))
        };
        let refused: Vec<_> = (0..tenth)
            .map(|index| Refused::on(address(index)))
            .collect();
        let full = full_backlogs((tenth..2 * tenth).map(address).collect());
        let add = refused.iter().map(|one| (one.address(), Kind::Refused));
        let add = add.chain(full.iter().map(|one| (one.address(), Kind::Timeout)));
        hosts.extend(
            add.map(|(socket, kind)| (host(socket), Expected::Failure(Phase::Connect, kind))),
        );
        Self {
            servers,
            _full: full,
            _refused: refused,
            hosts,
        }
    }
}

/// Each takes as long as a connect that nobody answers: many at once.
fn full_backlogs(addresses: Vec<IpAddr>) -> Vec<FullBacklog> {
    thread::scope(|scope| {
        let start = |some: &[IpAddr]| {
            let some = some.to_vec();
            scope.spawn(move || some.into_iter().map(FullBacklog::on).collect::<Vec<_>>())
        };
        let threads: Vec<_> = addresses
            .chunks(addresses.len().div_ceil(50))
            .map(start)
            .collect();
        let each = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("fills"));
        each.collect()
    })
}

/// Runs a command on all at once and checks each outcome; returns how long it took and the most memory.
#[track_caller]
fn check_mix(mix: &Mix, seed: u64, limit: Duration) -> (Duration, u64) {
    let mut targets: Vec<_> = mix.hosts.iter().enumerate().collect();
    shuffle(&mut targets, seed);
    let hosts: Vec<Host> = targets.iter().map(|(_, (host, _))| host.clone()).collect();
    let all = NonZeroUsize::new(hosts.len()).expect("there are some");
    let fleet = Fleet::builder(hosts, mix.servers.config())
        .pool_size(all)
        .pool(|pool| pool.handshakes(all))
        .connect_timeout(Some(limit))
        .command_timeout(Some(limit / 2))
        .on_timeout(OnTimeout::Leave)
        .keep_open(KeepOpen::No)
        .build()
        .unwrap();
    assert_eq!(fleet.pool().size(), all.get(), "this machine has no room");
    let before = watch_memory();
    let begun = Instant::now();
    let report = fleet.run("hostname").unwrap().report();
    let took = begun.elapsed();
    let grown = peak_kib().saturating_sub(before);
    assert_eq!(report.outcomes().len(), targets.len());
    for (outcome, (index, (host, expected))) in report.outcomes().iter().zip(&targets) {
        assert_eq!(outcome.host(), host);
        check_outcome(outcome, *index, *expected);
    }
    // A host's limit begins with it, and beginning takes its time.
    let begins = Duration::from_millis(targets.len() as u64);
    assert!(took <= limit + begins + GRACE, "seed {seed}: {took:?}");
    (took, grown)
}

#[track_caller]
fn check_outcome(outcome: &Outcome, index: usize, expected: Expected) {
    let (host, end) = (outcome.host(), outcome.end());
    match expected {
        Expected::Name => {
            assert!(outcome.is_success(), "{host}: {end}");
            let stdout = outcome.stdout().text().expect("reads the output");
            assert_eq!(stdout, format!("host-{index:04}\n"), "{host}");
        }
        Expected::NoStatus => assert!(matches!(end, End::NoStatus), "{host}: {end}"),
        Expected::Failure(phase, kind) => {
            let seen = (end.phase(), end.kind());
            assert_eq!(seen, (Some(phase), Some(kind)), "{host}: {end}");
        }
    }
    assert_eq!(outcome.attempts(), 1, "{host}");
}

/// Three tenths of the hosts are sound and seven tenths fail in seven ways, in an order that the seed decides: each has
/// one outcome of its own type, the sound ones their own names, within the limit and in bounded memory, and nothing
/// stays open.
#[test]
fn each_host_of_a_mixed_fleet_ends_as_it_has_to() {
    let _turn = turn();
    raise_descriptor_limit().unwrap();
    let (count, seeds) = (number("SSHOAL_H1_HOSTS", 200), number("SSHOAL_H1_SEEDS", 2));
    // A host that connects last of ten thousand has waited for all others.
    let limit = Duration::from_millis(20 * count as u64).max(Duration::from_secs(10));
    let mix = Mix::start(count);
    // What is made once for all runs is not the run's.
    let warm = Fleet::builder(&mix.servers.targets()[..1], mix.servers.config()).build();
    assert!(warm.unwrap().run("true").unwrap().report().is_success());
    let before = descriptors();
    for seed in 1..=seeds as u64 {
        let (took, grown) = check_mix(&mix, seed, limit);
        println!("{count} hosts, seed {seed}: {took:.1?} of {limit:?}, {grown} KiB more at most");
        assert!(grown <= FIXED_KIB + HOST_KIB * count as u64, "{grown} KiB");
    }
    // Sessions close behind the report, and so did the one that warmed up: it may have been counted.
    let until = Instant::now() + Duration::from_secs(30);
    while descriptors() > before && Instant::now() < until {
        sshoal::sleep(Duration::from_millis(5));
    }
    assert!(descriptors() <= before, "{} of {before}", descriptors());
}

/// Runs a command on all hosts; returns the report, with the percentile 99 of the sound ones.
#[track_caller]
fn run_among(servers: &EmbeddedFleet, hostile: Option<&HostileFleet>) -> (Report, Duration) {
    run_among_within(servers, hostile, Duration::from_secs(120))
}

/// As [`run_among`], with a limit for each command.
#[track_caller]
fn run_among_within(
    servers: &EmbeddedFleet,
    hostile: Option<&HostileFleet>,
    limit: Duration,
) -> (Report, Duration) {
    let mut hosts = servers.targets();
    let mut known = fs::read_to_string(servers.known_hosts_path()).expect("reads known_hosts");
    if let Some(hostile) = hostile {
        known.push_str(hostile.known_hosts());
        // Among the others, not behind them.
        let step = hosts.len() / hostile.hosts().len() + 1;
        for (number, (_, socket)) in hostile.hosts().iter().enumerate() {
            hosts.insert((number * step).min(hosts.len()), host(*socket));
        }
    }
    let config = client::config(&known, &servers.key_path()).user("tester");
    let config = Arc::new(config.port(servers.port()).build().unwrap());
    let fleet = Fleet::builder(hosts, config)
        .connect_timeout(Some(Duration::from_secs(60)))
        .command_timeout(Some(limit))
        .on_timeout(OnTimeout::Leave)
        .keep_open(KeepOpen::No);
    let report = fleet.build().unwrap().run("hostname").unwrap().report();
    let sound = |outcome: &&Outcome| attack_on(outcome, hostile).is_none();
    let mut times: Vec<_> = report.outcomes().iter().filter(sound).collect();
    assert_eq!(times.len(), servers.hosts());
    times.sort_by_key(|outcome| outcome.duration());
    for outcome in &times {
        assert!(
            outcome.is_success(),
            "{}: {}",
            outcome.host(),
            outcome.end()
        );
    }
    let p99 = times[times.len() * 99 / 100].duration();
    (report, p99)
}

/// As [`run_among`], with what calls into libssh2 took meanwhile.
#[track_caller]
fn timed_among(
    servers: &EmbeddedFleet,
    hostile: Option<&HostileFleet>,
) -> (Report, Duration, CallTimes) {
    CallTimes::watch();
    let (report, p99) = run_among(servers, hostile);
    (report, p99, CallTimes::now())
}

/// What the host of an outcome does, if it is hostile.
fn attack_on(outcome: &Outcome, hostile: Option<&HostileFleet>) -> Option<Attack> {
    let (name, port) = (outcome.host().name(), outcome.host().port());
    let hosts = hostile.into_iter().flat_map(HostileFleet::hosts);
    let mut same =
        hosts.filter(|(_, socket)| socket.ip().to_string() == name && Some(socket.port()) == port);
    same.next().map(|(attack, _)| *attack)
}

/// Hosts that flood at every stage among sound ones: each of them is ended with an error of its stage, and costs
/// memory within its bound; the sound ones are done, and the slowest of them take no more than twice what they take
/// among themselves. No call into libssh2 holds a thread for long, by CPU time.
#[test]
fn hosts_that_attack_cost_nobody_but_themselves() {
    let _turn = turn();
    raise_descriptor_limit().unwrap();
    let full = std::env::var_os("SSHOAL_H4").is_some_and(|value| value == "full");
    // Of those that come after it, the first are those that would end or fill a process that lets them.
    let early = FLOODS
        .iter()
        .take_while(|flood| flood.stage() < Stage::LoggedIn);
    let (sound, hostile, attacks) = match full {
        true => (900, 100, early.count() + 2),
        false => (180, 20, early.count() + 1),
    };
    let servers = EmbeddedFleet::start(sound);
    let hostile = HostileFleet::start(hostile, attacks);
    // What is made once for all runs is not the run's.
    let _ = run_among(&servers, None);
    let before = watch_memory();
    let rounds = [(); 3].map(|()| timed_among(&servers, None));
    let base_kib = peak_kib().saturating_sub(before);
    let base = rounds.iter().map(|(_, p99, _)| *p99).max().unwrap();
    // What the machine did meanwhile is within one round; what the engine does is in all of them.
    let shortest = |rounds: &[(Report, Duration, CallTimes)]| {
        let times = rounds.iter().map(|(_, _, times)| *times);
        times.min_by_key(CallTimes::longest).unwrap()
    };
    let ordinary = shortest(&rounds);
    let before = watch_memory();
    let mut rounds = vec![timed_among(&servers, Some(&hostile))];
    let kib = peak_kib().saturating_sub(before);
    while shortest(&rounds).longest() > ATTACKED_CALL_MAX && rounds.len() < 3 {
        rounds.push(timed_among(&servers, Some(&hostile)));
    }
    let attacked = shortest(&rounds);
    let (report, p99, _) = &rounds[0];
    println!(
        "p99 of {sound}: {base:?}, among {} hostile: {p99:?}",
        hostile.hosts().len()
    );
    println!("at most {base_kib} KiB more, among hostile ones {kib} KiB");
    for (times, what) in [(&ordinary, "ordinary"), (&attacked, "attacked")] {
        let classes: Vec<_> = times.histogram().filter(|(_, count)| *count > 0).collect();
        println!(
            "{what}: {} calls, longest {:?}: {classes:?}",
            times.count(),
            times.longest()
        );
    }
    let mut seen = BTreeMap::new();
    for outcome in report.outcomes() {
        let Some(attack) = attack_on(outcome, Some(&hostile)) else {
            continue;
        };
        let (phase, kind) = (outcome.end().phase(), outcome.end().kind());
        let about = format!("{}: {}", attack.name(), outcome.end());
        let ended = matches!(kind, Some(Kind::Limit | Kind::Protocol));
        assert!(ended, "{about}");
        assert_eq!(
            phase >= Some(Phase::Open),
            attack.stage() == Stage::LoggedIn,
            "{about}"
        );
        *seen.entry((attack.name(), phase, kind)).or_insert(0) += 1;
    }
    println!("{seen:?}");
    assert_eq!(seen.values().sum::<usize>(), hostile.hosts().len());
    let bound = FIXED_KIB + HOST_KIB * sound as u64 + HOSTILE_KIB * hostile.hosts().len() as u64;
    assert!(kib <= bound, "{kib} KiB");
    // With few hosts the machine's other work decides.
    let factor = if full { 2 } else { 5 };
    assert!(*p99 <= factor * base, "{p99:?}, {base:?} without");
    assert!(ordinary.longest() <= CALL_MAX, "{ordinary:?}");
    assert!(attacked.longest() <= ATTACKED_CALL_MAX, "{attacked:?}");
}

/// The longest call into libssh2, by the CPU time of its thread (H5).
const CALL_MAX: Duration = Duration::from_millis(10);
/// As [`CALL_MAX`], where hosts attack.
const ATTACKED_CALL_MAX: Duration = Duration::from_millis(50);

/// Hosts that exchange keys without end among sound ones: what all of them together take of the processor is what each
/// may have for nothing, and a tenth of the time; the sound ones are done as ever. Each of the hostile ones is ended for
/// it, or by its limit.
#[test]
fn hosts_that_exchange_keys_without_end_share_a_little() {
    let limit = Duration::from_secs(number("SSHOAL_REKEYING_SECONDS", 5) as u64);
    let _turn = turn();
    raise_descriptor_limit().unwrap();
    let count = number("SSHOAL_REKEYING_HOSTS", 20);
    let servers = EmbeddedFleet::start(100);
    let hostile = HostileFleet::doing(count, "key exchanges");
    // What is made once for all runs is not the run's.
    let _ = run_among(&servers, None);
    let before = processor_time();
    let (_, base) = run_among(&servers, None);
    let (base_work, begun) = (processor_time() - before, Instant::now());
    save_work(Duration::ZERO);
    let (report, p99) = run_among_within(&servers, Some(&hostile), limit);
    let (work, took) = (processor_time() - before - base_work, begun.elapsed());
    println!(
        "100 sound hosts: p99 {base:?}, {base_work:?} of CPU time; among {count} others {p99:?}; \
         {work:?} of CPU time in {took:?}"
    );
    let others = report.outcomes().iter();
    for outcome in others.filter(|outcome| attack_on(outcome, Some(&hostile)).is_some()) {
        let (phase, kind) = (outcome.end().phase(), outcome.end().kind());
        let ended = matches!(kind, Some(Kind::Limit | Kind::Timeout));
        assert!(ended && phase >= Some(Phase::Open), "{}", outcome.end());
    }
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u32;
    let bound = took * cores / 10 + FREE_WORK * count as u32;
    // System calls and wake-ups come on top of what is counted; without turns it is all of a core and more.
    assert!(
        work <= 2 * (base_work + bound),
        "{work:?}, {bound:?} counted"
    );
    assert!(p99 <= 5 * base, "{p99:?}, {base:?} without");
}

/// What a host that exchanges keys takes before it has to wait: the exchanges that are free, and its connection.
const FREE_WORK: Duration = Duration::from_millis(20);

/// Each host prints its own name over and over: no outcome has a byte of another's.
#[test]
fn no_host_has_a_byte_of_another() {
    let _turn = turn();
    raise_descriptor_limit().unwrap();
    let hosts = number("SSHOAL_OWN_HOSTS", 100);
    let bytes = number("SSHOAL_OWN_BYTES", 100_000);
    let servers = EmbeddedFleet::start(hosts);
    let fleet = Fleet::builder(servers.targets(), servers.config())
        .connect_timeout(Some(Duration::from_secs(60)))
        .build()
        .unwrap();
    let mut seen = 0;
    for outcome in fleet.run(format!("own {bytes}")).unwrap() {
        assert!(
            outcome.is_success(),
            "{}: {}",
            outcome.host(),
            outcome.end()
        );
        let stdout = outcome.stdout().bytes().expect("reads the output");
        let name = format!("host-{:04}\n", outcome.index());
        assert!(stdout.len() >= bytes && stdout.len().is_multiple_of(name.len()));
        let own = stdout
            .chunks(name.len())
            .all(|line| line == name.as_bytes());
        assert!(own, "{} has another's bytes", outcome.host());
        seen += 1;
    }
    assert_eq!(seen, hosts);
}

/// Puts the hosts into an order that only the seed decides (Fisher and Yates).
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for last in (1..items.len()).rev() {
        // Knuth's linear congruential generator; its upper bits are good enough here.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let other = (seed >> 33) as usize % (last + 1);
        items.swap(last, other);
    }
}
