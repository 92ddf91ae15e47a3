//! What this process has used so far: processor time and memory.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of this process, user and system.
pub(crate) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = Duration::from_secs(time.tv_sec.unsigned_abs());
    seconds + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

/// How often the threads of this process have gone to sleep of their own accord, which is how often something woke them.
pub(crate) fn wakes() -> u64 {
    let threads = std::fs::read_dir("/proc/self/task").expect("lists our threads");
    let of_each = threads.map(|thread| {
        let path = thread.expect("lists our threads").path().join("status");
        // A thread that has ended meanwhile wakes no more.
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|line| line.trim().parse::<u64>().ok())
            .unwrap_or(0)
    });
    of_each.sum()
}

/// Memory of this process that is resident at this moment.
pub(crate) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("reads our status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.expect("the status tells it in KiB")
}
