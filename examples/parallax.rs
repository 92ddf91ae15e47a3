//! Runs a command on the hosts that Parallax's environment variables name, by Parallax's call.
//!
//! `PARALLAX_HOSTS=hosts PARALLAX_PAR=8 cargo run --example parallax -- COMMAND`

use std::{
    env,
    error::Error,
    io::{Write, stderr, stdout},
    process::ExitCode,
};

use sshoal::parallax::{self, Options};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let command = env::args().nth(1).ok_or("usage: parallax COMMAND")?;
    let hosts = parallax::hosts_from_env()?.ok_or("name a hosts file in PARALLAX_HOSTS")?;
    let mut failed = false;
    for (host, result) in &parallax::call(&hosts, command, &Options::from_env()?)? {
        match result {
            Ok(done) => {
                let mut out = stdout().lock();
                write!(out, "{host}: ")?;
                out.write_all(done.stdout())?;
            }
            Err(error) => {
                failed = true;
                writeln!(stderr(), "{host}: {error}")?;
            }
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}
