//! The same call on every host, all at once: rmote's first pattern for many hosts.
//!
//! `cargo run --example rmote_fan_out -- SSH_CONFIG HOST...`

#[path = "support/fleet.rs"]
mod fleet;

use std::{
    error::Error,
    io::{Write, stdout},
};

use sshoal::HostFiles;

fn main() -> Result<(), Box<dyn Error>> {
    let fleet = fleet::from_arguments()?;
    let names = fleet.each(|host| host.read_to_string("/etc/hostname"));
    for visited in names.in_order() {
        let host = visited.host().clone();
        // The outer error is of a host that was not reached, the inner one of its call.
        let name = visited.into_result()??;
        writeln!(stdout(), "{host}: {}", name.trim())?;
    }
    fleet.close();
    Ok(())
}
