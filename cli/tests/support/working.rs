//! Runs in worker processes, watched from outside: who works for whom, and hosts that break off.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::openssh::process::descendants;
use super::{Fleet, output, stderr, stdout};

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// The worker processes of a run.
pub(crate) fn workers(run: &Child) -> Vec<Pid> {
    let is_worker = |pid: &Pid| arguments(*pid).ends_with(b"\0worker\0");
    descendants(pid(run))
        .into_iter()
        .filter(is_worker)
        .collect()
}

pub(crate) fn arguments(pid: Pid) -> Vec<u8> {
    std::fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default()
}

/// Whether a process is gone, or as good as.
pub(crate) fn is_gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| {
        stat.rsplit_once(')')
            .is_none_or(|(_, rest)| rest.starts_with(" Z"))
    })
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what} takes too long");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Has a process die of a fault. The first one has the program say so, the next one ends it.
pub(crate) fn crash(pid: Pid) {
    wait_until("a fault", || {
        let _ = kill_process(pid, Signal::SEGV);
        is_gone(pid)
    });
}

/// The records that a run wrote, by host.
pub(crate) fn records(path: &Path) -> BTreeMap<u64, Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let records = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut all = BTreeMap::new();
    for record in records {
        let index = record["index"].as_u64().unwrap();
        assert!(
            all.insert(index, record).is_none(),
            "host {index} ended twice"
        );
    }
    all
}

/// The events of a kind in a file that is being written.
pub(crate) fn events(path: &Path, kind: &str) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let events = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_kind = events.filter(|event| event["event"] == kind);
    of_kind
        .map(|event| event["index"].as_u64().unwrap())
        .collect()
}

/// A text without its times, in an order that does not depend on who ended first.
pub(crate) fn timeless(text: &str) -> Vec<String> {
    let is_time = |word: &str| {
        let digits = word
            .trim_end_matches(['s', '/', ')', ':', ','])
            .trim_start_matches('(');
        word.starts_with('[') || digits.parse::<f64>().is_ok()
    };
    let line = |line: &str| {
        let words = line.split_whitespace().filter(|word| !is_time(word));
        words
            .filter(|word| !word.contains("hosts/s"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut lines: Vec<String> = text.lines().map(line).collect();
    lines.sort();
    lines
}

/// A host before which something happens to each connection: what is said of it, and how many
/// connections there were before it is let through.
pub(crate) fn behind(
    host: &str,
    mut before: impl FnMut(usize, SocketAddr) -> bool + Send + 'static,
) -> SocketAddr {
    let to: SocketAddr = host.parse().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        // Those that are not let through stay open, and nothing comes of them.
        let mut held = Vec::new();
        for (count, stream) in listener.incoming().enumerate() {
            let stream = stream.unwrap();
            if before(count, stream.peer_addr().unwrap()) {
                splice(stream, TcpStream::connect(to).unwrap());
            } else {
                held.push(stream);
            }
        }
    });
    address
}

fn splice(one: TcpStream, other: TcpStream) {
    for (mut from, mut to) in [
        (one.try_clone().unwrap(), other.try_clone().unwrap()),
        (other, one),
    ] {
        thread::spawn(move || {
            let mut buf = [0; 1 << 14];
            while let Ok(count @ 1..) = from.read(&mut buf) {
                if to.write_all(&buf[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(std::net::Shutdown::Write);
        });
    }
}

/// The processes that have a connection from this address, as far as this user may see that.
pub(crate) fn owners(pids: &[Pid], from: SocketAddr) -> Vec<Pid> {
    let hex = format!(":{:04X}", from.port());
    let tables = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let inodes: Vec<String> = tables
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(1).is_some_and(|local| local.ends_with(&hex)))
        .map(|fields| format!("socket:[{}]", fields[9]))
        .collect();
    let has = |pid: &&Pid| {
        let files = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()));
        let links = files.into_iter().flatten().flatten();
        let mut links = links.filter_map(|file| std::fs::read_link(file.path()).ok());
        links.any(|link| {
            inodes
                .iter()
                .any(|inode| link.as_os_str() == inode.as_str())
        })
    };
    pids.iter().filter(has).copied().collect()
}

/// Runs the same in one process and in workers, and compares all that can be seen.
#[track_caller]
pub(crate) fn check_same(fleet: &Fleet, words: &[&str]) {
    let run = |workers: &str| {
        let dir = tempfile::tempdir().unwrap();
        let mut command = fleet.run();
        command
            .args(["--no-journal", "--workers", workers])
            .arg("--jsonl");
        command
            .arg(dir.path().join("results.jsonl"))
            .args(["-o"])
            .arg(dir.path().join("out"));
        let output = output(command.args(words));
        let records = records(&dir.path().join("results.jsonl")).into_values();
        let timeless = |mut record: Value| {
            for key in ["started", "duration_s", "phases"] {
                record.as_object_mut().unwrap().remove(key);
            }
            record.to_string()
        };
        let records: Vec<String> = records.map(timeless).collect();
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(dir.path().join("out"))
            .into_iter()
            .flatten()
            .map(|file| file.unwrap())
            .map(|file| {
                (
                    file.file_name().into_string().unwrap(),
                    std::fs::read(file.path()).unwrap(),
                )
            })
            .collect();
        files.sort();
        (output, records, files)
    };
    let ((one, records, files), (many, others, theirs)) = (run("1"), run("3"));
    assert_eq!(one.status, many.status, "{words:?}: {}", stderr(&many));
    assert_eq!(
        timeless(&stdout(&one)),
        timeless(&stdout(&many)),
        "{words:?}"
    );
    assert_eq!(
        timeless(&stderr(&one)),
        timeless(&stderr(&many)),
        "{words:?}"
    );
    assert_eq!(records, others, "{words:?}");
    assert!(files == theirs, "{words:?}: the files differ");
}
