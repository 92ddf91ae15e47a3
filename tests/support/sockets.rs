//! This process's own sockets, found among its descriptors by their peer, to look at their options.

use std::{net::SocketAddr, os::fd::OwnedFd};

use rustix::{
    net::getpeername,
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
};

/// Duplicates of the sockets of this process that are connected to `peer`.
pub(crate) fn sockets_to(peer: SocketAddr) -> Vec<OwnedFd> {
    let this = pidfd_open(getpid(), PidfdFlags::empty()).expect("opens this process");
    let entries = std::fs::read_dir("/proc/self/fd").expect("lists descriptors");
    let sockets = entries.flatten().filter_map(|entry| {
        let number = entry.file_name().to_string_lossy().parse();
        // Other threads open and close theirs meanwhile.
        let socket = pidfd_getfd(&this, number.ok()?, PidfdGetfdFlags::empty()).ok()?;
        let found = getpeername(&socket).ok().flatten()?;
        (SocketAddr::try_from(found).ok()? == peer).then_some(socket)
    });
    sockets.collect()
}
