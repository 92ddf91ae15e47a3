//! What a host costs before it is connected to: its key in known_hosts, its options in ssh_config, its place in a list.
//!
//! Pure work on one core, so criterion's wall time is CPU time.
#![allow(
    clippy::unwrap_used,
    reason = "a bench that cannot run ends with a panic"
)]

use std::{fmt::Write as _, fs, hint::black_box, process::Command};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use sshoal::{
    Host,
    known_hosts::{KnownHosts, Verdict},
    parse_hosts_file,
    ssh_config::{Local, SshConfig},
};

/// Lines of the large known_hosts file, and hosts that are looked up.
const LINES: usize = 10_000;
/// A hashed line can only be found by hashing the name with its salt, for each line.
const HASHED_LINES: usize = 1000;
/// `Host` sections of the large ssh_config.
const SECTIONS: usize = 1000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    known_hosts(&mut criterion);
    ssh_config(&mut criterion);
    hosts(&mut criterion);
    criterion.final_summary();
}

fn known_hosts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("known_hosts");
    let text: String = (0..LINES).map(line).collect();
    each_line(&mut group, "load_10000_lines", LINES, || {
        black_box(load(&text).len());
    });
    let known = load(&text);
    each_line(&mut group, "check_in_10000_lines", LINES, || {
        for number in 0..LINES {
            let verdict = known.check(&name(number), 22, &key(number));
            assert_eq!(verdict, Verdict::Match);
        }
    });
    if let Some(text) = hashed(&text) {
        let known = load(&text);
        each_line(&mut group, "check_in_1000_hashed_lines", 100, || {
            for number in 0..100 {
                let verdict = known.check(&name(number), 22, &key(number));
                assert_eq!(verdict, Verdict::Match);
            }
        });
    }
}

fn ssh_config(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ssh_config");
    let mut text = String::new();
    for section in 0..SECTIONS {
        let _ = write!(
            text,
            "Host web{section}-*\n Port {}\n IdentityFile ~/.ssh/k{section}\n",
            2000 + section
        );
    }
    text += "Host *\n User admin\n ServerAliveInterval 15\n";
    let load = |text: &str| {
        let local = Local::default().with_user("me", 1000).with_home("/home/me");
        SshConfig::builder(local).text(text).load().unwrap()
    };
    each_line(&mut group, "load_1000_sections", SECTIONS, || {
        black_box(load(&text));
    });
    let config = load(&text);
    let hosts: Vec<Host> = (0..100)
        .map(|number| format!("web{}-1", number * 10).parse().unwrap())
        .collect();
    each_line(&mut group, "look_up_in_1000_sections", hosts.len(), || {
        for host in &hosts {
            black_box(config.lookup(host).unwrap());
        }
    });
}

fn hosts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hosts");
    let text: String = (0..LINES)
        .map(|number| format!("admin@{}:2222\n", name(number)))
        .collect();
    each_line(&mut group, "parse_file_of_10000", LINES, || {
        let hosts = parse_hosts_file(text.as_bytes(), "hosts").unwrap();
        assert_eq!(hosts.len(), LINES);
    });
}

/// Measures a load of so many elements.
fn each_line(
    group: &mut BenchmarkGroup<'_, WallTime>,
    load: &str,
    elements: usize,
    mut run: impl FnMut(),
) {
    group.throughput(Throughput::Elements(elements as u64));
    group.sample_size(10);
    group.bench_function(load, |bencher| bencher.iter(&mut run));
}

fn load(text: &str) -> KnownHosts {
    let mut known = KnownHosts::new();
    known.add_text(text.as_bytes(), "known_hosts");
    assert!(known.bad_lines().is_empty(), "{:?}", known.bad_lines());
    known
}

fn name(number: usize) -> String {
    format!("host-{number:05}.example.net")
}

/// An ed25519 key as it goes over the wire, another for each number.
fn key(number: usize) -> Vec<u8> {
    let mut key = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    key.extend([0; 29]);
    key.extend(&(number as u32).to_be_bytes()[1..]);
    key
}

/// The line of a host: the key above as base64, in which its last three bytes are the last four letters.
fn line(number: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |shift: usize| char::from(LETTERS[number >> shift & 63]);
    let last: String = [18, 12, 6, 0].map(letter).iter().collect();
    let middle = "A".repeat(39);
    format!(
        "{} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{middle}{last}\n",
        name(number)
    )
}

/// The first lines with their names hashed; `None` where there is no ssh-keygen.
fn hashed(text: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    let lines: Vec<&str> = text.lines().take(HASHED_LINES).collect();
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let done = Command::new("ssh-keygen")
        .arg("-H")
        .arg("-f")
        .arg(&path)
        .output();
    done.ok().filter(|done| done.status.success())?;
    fs::read_to_string(path).ok()
}
