//! Verdicts on generated known_hosts files against those of the real `ssh`, which connects to a real `sshd`: plain
//! keys and certificates, forced one by one, and the choice among many that each side asks for.
//!
//! Wanted differences, each checked to be no more than that:
//!
//! - A certificate whose CA is unknown, on a port other than 22: ssh looks for its key under the bare name first and
//!   then takes it though another key is known, or this one revoked, under `[name]:port`. We refuse, as both do for
//!   the same key without a certificate.
//! - A mark under the bare name ends the matter for a certificate on another port; ssh goes on with the plain key.
//! - A name known without its port only: we ask for the types known for it, ssh for its favourites, and then refuses.
//! - Not generated here: a tab behind a marker (ssh skips the line, we honour it) and lines above 64 KiB (ssh reads
//!   them, we skip them).

#[path = "known_hosts_differential/generate.rs"]
mod generate;
#[path = "known_hosts_differential/ssh.rs"]
mod ssh;
mod support;
#[path = "known_hosts_differential/world.rs"]
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};

use generate::Random;
use parking_lot::Mutex;
use ssh::Answer;
use sshoal::{
    HostKeyPolicy, HostKeys, Kind,
    known_hosts::{KnownHosts, LookupName, Verdict},
};
use world::{Shown, World};

/// A host as both sides are asked about it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) alias: Option<&'static str>,
}

impl Asked {
    fn lookup_name(&self) -> LookupName {
        let alias = self.alias.map(LookupName::alias);
        alias.unwrap_or_else(|| LookupName::new(self.name, self.port))
    }
}

/// How often what came out.
#[derive(Default)]
struct Counts {
    asked: AtomicUsize,
    accepted: AtomicUsize,
    changed: AtomicUsize,
    revoked: AtomicUsize,
    wanted_differences: AtomicUsize,
    better_choices: AtomicUsize,
}

/// Method: each file is asked about twice with a key or certificate that the server has alone, and every third file
/// once with a server that has many, for the choice of algorithms. A failure names the seed of its file.
#[test]
fn verdicts_are_those_of_ssh() {
    let Some(world) = World::make() else { return };
    let cases = number("SSHOAL_KNOWN_HOSTS_CASES", 500);
    let seed = number("SSHOAL_KNOWN_HOSTS_SEED", 1);
    let (next, counts) = (AtomicUsize::new(0), Counts::default());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (world, next, counts, failures) = (&world, &next, &counts, &failures);
            scope.spawn(move || {
                let file = world.dir().join(format!("known_hosts.{thread}"));
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case >= cases || failures.lock().len() > FAILURES_MAX {
                        break;
                    }
                    let mut random = Random::new((seed * 1_000_003 + case) as u64);
                    let text = generate::file(&mut random, world);
                    std::fs::write(&file, &text).expect("writes the file");
                    let run = Run {
                        world,
                        counts,
                        text: &text,
                        file: &file,
                    };
                    for _ in 0..2 {
                        let asked = generate::asked(&mut random);
                        let shown = random.pick(&world.shown);
                        report(failures, seed, case, &text, run.one(&asked, shown));
                    }
                    if case % 3 == 0 {
                        let asked = generate::asked(&mut random);
                        let server = random.below(world.servers.len());
                        report(failures, seed, case, &text, run.choice(&asked, server));
                    }
                }
            });
        }
    });
    let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    println!(
        "{cases} files, {} questions: {} accepted, {} changed, {} revoked, {} wanted differences, {} better choices",
        count(&counts.asked),
        count(&counts.accepted),
        count(&counts.changed),
        count(&counts.revoked),
        count(&counts.wanted_differences),
        count(&counts.better_choices),
    );
    let failures = failures.into_inner();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    // Files in which nothing matches would show nothing.
    for kind in [&counts.accepted, &counts.changed, &counts.revoked] {
        assert!(count(kind) > cases / 50, "too few of a kind");
    }
}

fn report(
    failures: &Mutex<Vec<String>>,
    seed: usize,
    case: usize,
    text: &[u8],
    result: Result<(), String>,
) {
    if let Err(what) = result {
        let text: String = String::from_utf8_lossy(text).chars().take(4000).collect();
        failures
            .lock()
            .push(format!("seed {seed} case {case}: {what}\n{text}"));
    }
}

/// One file.
struct Run<'a> {
    world: &'a World,
    counts: &'a Counts,
    text: &'a [u8],
    file: &'a std::path::Path,
}

impl Run<'_> {
    fn keys(&self) -> HostKeys {
        let mut known = KnownHosts::new();
        known.add_text(self.text, "kh");
        HostKeys::new(HostKeyPolicy::Strict, known)
    }

    /// Asks both sides about one key or certificate.
    fn one(&self, asked: &Asked, shown: &Shown) -> Result<(), String> {
        let keys = self.keys();
        let ours = judge(&keys, &asked.lookup_name(), &shown.blob);
        let config = &shown.config;
        let theirs = ssh::ask(self.file, config, asked, Some(shown.algorithm));
        self.count(&theirs);
        if theirs.agrees_with(ours) {
            return Ok(());
        }
        if self.is_wanted(&keys, asked, shown, ours, &theirs) {
            self.counts
                .wanted_differences
                .fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        Err(format!(
            "{asked:?} {}: we say {ours:?}, ssh {theirs:?}",
            shown.name
        ))
    }

    /// The differences named at the top, as narrowly as they can be told.
    fn is_wanted(
        &self,
        keys: &HostKeys,
        asked: &Asked,
        shown: &Shown,
        ours: Option<Kind>,
        theirs: &Answer,
    ) -> bool {
        if asked.port == 22 || asked.alias.is_some() || shown.plain == shown.blob {
            return false;
        }
        let plain = judge(keys, &asked.lookup_name(), &shown.plain);
        let bare = keys.known_hosts().check(asked.name, 22, &shown.plain);
        match ours {
            Some(Kind::HostKeyChanged) => {
                theirs.accepts() && bare == Verdict::Match && plain == ours
            }
            // By its key, or by its CA under one of the names.
            Some(Kind::HostKeyRevoked) => {
                theirs.accepts() == (bare == Verdict::Match || plain.is_none())
            }
            _ => false,
        }
    }

    /// Asks both sides what they make of a server that has many keys.
    fn choice(&self, asked: &Asked, server: usize) -> Result<(), String> {
        let server = &self.world.servers[server];
        let keys = self.keys();
        let offer = keys.algorithms_to_offer(&asked.lookup_name(), None);
        let shown = offer.split(',').find_map(|a| server.shown(a, self.world));
        let shown = shown.ok_or("nothing in common")?;
        let ours = judge(&keys, &asked.lookup_name(), &shown.blob);
        let theirs = ssh::ask(self.file, &server.config, asked, None);
        self.count(&theirs);
        match (ours.is_none(), theirs.accepts()) {
            (true, false) => {
                // That we take it is as ssh would have it, had it asked for this key.
                let forced = ssh::ask(self.file, &server.config, asked, Some(shown.algorithm));
                self.counts.better_choices.fetch_add(1, Ordering::Relaxed);
                if !forced.accepts() {
                    return Err(format!(
                        "{asked:?} choice of {}: ssh {forced:?}",
                        shown.name
                    ));
                }
            }
            (false, true) => {
                let other = self.world.shown.iter().any(|other| {
                    let refused = judge(&keys, &asked.lookup_name(), &other.blob);
                    self.is_wanted(&keys, asked, other, refused, &theirs)
                });
                if !other {
                    return Err(format!(
                        "{asked:?} choice of {}: we say {ours:?}, ssh {theirs:?}",
                        shown.name
                    ));
                }
                self.counts
                    .wanted_differences
                    .fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&self, theirs: &Answer) {
        let add = |count: &AtomicUsize, yes| count.fetch_add(usize::from(yes), Ordering::Relaxed);
        add(&self.counts.asked, true);
        add(&self.counts.accepted, theirs.accepts());
        add(
            &self.counts.changed,
            theirs.refused_as(Kind::HostKeyChanged),
        );
        add(
            &self.counts.revoked,
            theirs.refused_as(Kind::HostKeyRevoked),
        );
    }
}

/// Our verdict: the kind of the refusal, if it is one.
fn judge(keys: &HostKeys, name: &LookupName, blob: &[u8]) -> Option<Kind> {
    keys.verify_name(name, blob).err().map(|error| error.kind())
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Each has one ssh and one sshd; they wait for each other most of the time.
const THREADS: usize = 4;
/// After so many nothing more is learnt.
const FAILURES_MAX: usize = 5;
