//! Connections that are opened once and serve round after round: rmote's fourth pattern.
//!
//! `cargo run --example rmote_rounds -- SSH_CONFIG HOST...`
//! The environment variable `LOGS` is the directory of the log files, `/var/log` unless set.

#[path = "support/fleet.rs"]
mod fleet;

use std::{
    env,
    error::Error,
    io::{Write, stdout},
};

use sshoal::HostFiles;

fn main() -> Result<(), Box<dyn Error>> {
    // A fleet keeps its sessions open for what comes next.
    let fleet = fleet::from_arguments()?;
    let logs = env::var("LOGS").unwrap_or_else(|_| "/var/log".to_owned());

    // Round 1: read the hosts' names.
    let mut names = Vec::new();
    for visited in fleet
        .each(|host| host.read_to_string("/etc/hostname"))
        .in_order()
    {
        names.push(visited.into_result()??.trim().to_owned());
    }
    writeln!(stdout(), "hostnames: {}", names.join(" "))?;

    // Round 2: list log files, over the same connections.
    let listed = fleet.each(move |host| host.glob(&logs, "*.log"));
    for visited in listed.in_order() {
        let host = visited.host().clone();
        let files = visited.into_result()??;
        writeln!(stdout(), "{host}: {} log files", files.len())?;
    }
    fleet.close();
    Ok(())
}
