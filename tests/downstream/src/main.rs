//! Uses the library as its users do: prints what is linked, and runs one command on one host if it is given one.
//!
//! `downstream [HOST KNOWN_HOSTS KEY COMMAND]`

use std::{env, error::Error, io::Write, path::Path, process::ExitCode, sync::Arc};

use sshoal::{
    Config, End, Fleet, Host, HostKeyPolicy, HostKeys, Identity, known_hosts::KnownHosts,
};

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
    let known = KnownHosts::load([known_hosts])?;
    let config = Config::builder(Arc::new(HostKeys::new(HostKeyPolicy::Strict, known)))
        .identity(Arc::new(Identity::load(Path::new(key), None)?))
        .build()?;
    let fleet = Fleet::builder([host.parse::<Host>()?], Arc::new(config)).build()?;
    let outcome = fleet.run(command).next().ok_or("no outcome")?;
    std::io::stdout().write_all(outcome.stdout().text()?.as_bytes())?;
    match outcome.end() {
        End::Exited(0) => Ok(ExitCode::SUCCESS),
        end => {
            eprintln!("{}: {end}", outcome.host());
            Ok(ExitCode::FAILURE)
        }
    }
}
