//! Uses the library as its users do: prints what is linked, or runs one command on one host.
//!
//! `downstream [HOST KNOWN_HOSTS KEY COMMAND]` writes what the command writes, and ends with its exit status.

use std::{
    env,
    error::Error,
    io::{Write, stderr, stdout},
    process::ExitCode,
};

use sshoal::{End, Fleet, Host};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.as_slice() {
        [] => {
            println!("sshoal with {}", sshoal::versions().join(", "));
            Ok(ExitCode::SUCCESS)
        }
        [host, known_hosts, key, command] => run(host, known_hosts, key, command),
        _ => Err("usage: downstream [HOST KNOWN_HOSTS KEY COMMAND]".into()),
    }
}

fn run(
    host: &str,
    known_hosts: &str,
    key: &str,
    command: &str,
) -> Result<ExitCode, Box<dyn Error>> {
    let config = downstream::config(known_hosts, key)?;
    let fleet = Fleet::builder([host.parse::<Host>()?], config).build()?;
    let outcome = fleet.run(command)?.next().ok_or("no outcome")?;
    stdout().write_all(&outcome.stdout().bytes()?)?;
    stderr().write_all(&outcome.stderr().bytes()?)?;
    fleet.close();
    match outcome.end() {
        End::Exited(status) => Ok(u8::try_from(*status).map_or(ExitCode::FAILURE, ExitCode::from)),
        end => Err(format!("{}: {end}", outcome.host()).into()),
    }
}
