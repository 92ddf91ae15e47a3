//! Several calls at once on every host, over its one connection: rmote's second pattern.
//!
//! `cargo run --example rmote_many_calls -- SSH_CONFIG HOST...`

#[path = "support/fleet.rs"]
mod fleet;

use std::{
    error::Error,
    io::{Write, stdout},
};

use sshoal::{HostFiles, Reached, transfer};

struct HostInfo {
    hostname: String,
    uptime: String,
    load: String,
    kernel: String,
}

fn collect(host: &Reached<'_>) -> Result<HostInfo, transfer::Error> {
    let (hostname, uptime, load, kernel) = host.join((
        || host.read_to_string("/etc/hostname"),
        || host.read_to_string("/proc/uptime"),
        || host.read_to_string("/proc/loadavg"),
        || host.run("uname -s"),
    ));
    let first = |text: String| text.split(' ').next().unwrap_or_default().to_owned();
    Ok(HostInfo {
        hostname: hostname?.trim().to_owned(),
        uptime: first(uptime?),
        load: first(load?),
        kernel: String::from_utf8_lossy(&kernel?.stdout).trim().to_owned(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let fleet = fleet::from_arguments()?;
    for visited in fleet.each(collect).in_order() {
        let host = visited.host().clone();
        let info = visited.into_result()??;
        writeln!(
            stdout(),
            "{host} hostname={} uptime={}s load={} kernel={}",
            info.hostname,
            info.uptime,
            info.load,
            info.kernel
        )?;
    }
    fleet.close();
    Ok(())
}
