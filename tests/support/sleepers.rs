//! Processes `sleep MARK` of this machine, told apart from all others by their argument.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use rustix::process::{Pid, Signal, kill_process};

/// The seconds of a sleep that no other process has: about a thousand.
pub(crate) fn mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::UNIX_EPOCH.elapsed();
    let time = time.map_or(0, |time| time.as_nanos());
    format!("1000.{time}{}{count:03}", std::process::id())
}

/// The processes `sleep MARK`.
pub(crate) fn sleepers(mark: &str) -> Vec<Pid> {
    let wanted = format!("sleep\0{mark}\0");
    let processes = fs::read_dir("/proc").expect("lists processes").flatten();
    let is_it = |path: &Path| fs::read(path).is_ok_and(|line| line == wanted.as_bytes());
    let sleepers = processes.filter(|entry| is_it(&entry.path().join("cmdline")));
    let number = |name: std::ffi::OsString| Pid::from_raw(name.to_str()?.parse().ok()?);
    sleepers
        .filter_map(|entry| number(entry.file_name()))
        .collect()
}

/// How many processes `sleep MARK` there are.
pub(crate) fn sleeping(mark: &str) -> usize {
    sleepers(mark).len()
}

/// Ends what a test has left by design.
pub(crate) fn clean_up(mark: &str) {
    for sleeper in sleepers(mark) {
        // One that has ended by itself is as good.
        let _ = kill_process(sleeper, Signal::KILL);
    }
}
