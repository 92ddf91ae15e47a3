//! Room for as many hosts at once as are wanted: what limits of this machine leave, and how to raise
//! them.

use std::num::NonZeroUsize;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};
use sshoal::LocalLimits;

/// Raises the limit of open files as far as it goes, and says once what is still in the way. Hosts
/// without room wait for it: nothing fails by that.
///
/// # Errors
/// There is hardly a descriptor, so that not even one host would ever have room.
pub(crate) fn make(hosts: usize, par: Option<NonZeroUsize>) -> Result<()> {
    // Refused, the pool is smaller.
    let _ = sshoal::raise_descriptor_limit();
    let wanted = par.map_or(PAR_DEFAULT, NonZeroUsize::get).min(hosts);
    // Each wave of a run comes by here.
    static TOLD: Once = Once::new();
    let limits = LocalLimits::find();
    // Before the first wave; behind it the engine has what it takes.
    static BEGUN: AtomicBool = AtomicBool::new(false);
    let is_first = !BEGUN.swap(true, Ordering::Relaxed);
    if is_first && limits.by_descriptors() < engine_descriptors() {
        bail!("the limit of open files leaves room for no host; raise it with `ulimit -n`");
    }
    if let Some(text) = lack(&limits, wanted) {
        TOLD.call_once(|| crate::complain(&text));
    }
    Ok(())
}

/// Returns how many descriptors the engine takes before any host, with some to spare: a worker has its
/// poller, and what wakes it.
fn engine_descriptors() -> usize {
    let workers = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    6 * workers.min(WORKERS_MAX)
}

/// Names the limit that leaves room for fewer than are wanted.
fn lack(limits: &LocalLimits, wanted: usize) -> Option<String> {
    let room = limits.sessions_max();
    if room >= wanted {
        return None;
    }
    // Where all are too low, at least one host is taken, and the first that says so is named.
    let reason = if limits.by_descriptors() <= room {
        "the limit of open files, which `ulimit -n` raises"
    } else if limits.by_memory_maps() <= room {
        "the limit of memory maps, which `sysctl vm.max_map_count` raises"
    } else {
        "half of the memory that is free"
    };
    let plural = if room == 1 { "" } else { "s" };
    Some(format!(
        "{room} host{plural} at once, not {wanted}; there is no room for more within {reason}"
    ))
}

/// Workers that descriptors are asked for; where there are more, limits are higher.
const WORKERS_MAX: usize = 32;
/// The library's size of a pool where none is asked for.
const PAR_DEFAULT: usize = 512;
