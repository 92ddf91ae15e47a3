//! Room for as many hosts at once as are wanted: what limits of this machine leave, and how to raise
//! them.

use std::num::NonZeroUsize;
use std::sync::Once;

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
    if limits.by_descriptors() == 0 {
        bail!("the limit of open files leaves room for no host; raise it with `ulimit -n`");
    }
    if let Some(text) = lack(&limits, wanted) {
        TOLD.call_once(|| crate::complain(&text));
    }
    Ok(())
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

/// The library's size of a pool where none is asked for.
const PAR_DEFAULT: usize = 512;
