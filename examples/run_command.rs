//! Runs a command on one host and prints what it says, with no fleet around it.
//!
//! `cargo run --example run_command -- HOST KNOWN_HOSTS KEY COMMAND`

use std::{
    env,
    error::Error,
    io::{Write, stderr, stdout},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use sshoal::{
    Config, Exit, Host, HostKeyPolicy, HostKeys, Identity, Session, known_hosts::KnownHosts,
};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [host, known_hosts, key, command] = args.as_slice() else {
        return Err("usage: run_command HOST KNOWN_HOSTS KEY COMMAND".into());
    };
    let host: Host = host.parse()?;
    let host_keys = HostKeys::new(HostKeyPolicy::Strict, KnownHosts::load([known_hosts])?);
    let identity = Identity::load(Path::new(key), None)?;
    let config = Config::builder(Arc::new(host_keys))
        .identity(Arc::new(identity))
        .build()?;

    let session = Session::connect(&host, &config)?;
    let output = session.command(command.as_str()).output()?;
    session.close()?;
    stdout().write_all(&output.stdout)?;
    stderr().write_all(&output.stderr)?;
    match output.exit {
        Exit::Status(status) => Ok(ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))),
        other => Err(format!("{host}: {other:?}").into()),
    }
}
