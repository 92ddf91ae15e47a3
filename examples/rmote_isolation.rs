//! A host that fails is a value like any other, and holds up none: rmote's third pattern.
//!
//! `cargo run --example rmote_isolation -- SSH_CONFIG HOST...`

#[path = "support/fleet.rs"]
mod fleet;

use std::{
    error::Error,
    io::{Write, stdout},
};

use sshoal::HostFiles;

fn main() -> Result<(), Box<dyn Error>> {
    let fleet = fleet::from_arguments()?;
    let each = fleet.each(|host| -> Result<_, Box<dyn Error + Send + Sync>> {
        let name = host.read_to_string("/etc/hostname")?;
        // `check` makes an error of any end but exit status 0; `run` leaves that to us.
        let kernel = host.check("uname -s")?;
        let kernel = String::from_utf8(kernel.stdout)?;
        Ok(format!("{} {}", name.trim(), kernel.trim()))
    });
    for visited in each.in_order() {
        let host = visited.host().clone();
        match visited.into_result() {
            Ok(Ok(line)) => writeln!(stdout(), "{host}: {line}")?,
            Ok(Err(error)) => writeln!(stdout(), "{host}: ERROR - {error}")?,
            Err(error) => writeln!(stdout(), "{host}: ERROR - {}: {error}", error.phase())?,
        }
    }
    fleet.close();
    Ok(())
}
