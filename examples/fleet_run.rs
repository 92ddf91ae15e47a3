//! Runs a command on all hosts of a file and prints each host's output as soon as the host ends.
//!
//! `cargo run --example fleet_run -- HOSTS_FILE KNOWN_HOSTS KEY COMMAND`

use std::{
    env,
    error::Error,
    fs,
    io::{Write, stdout},
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use sshoal::{
    Config, Fleet, HostKeyPolicy, HostKeys, Identity, known_hosts::KnownHosts, parse_hosts_file,
};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [hosts_file, known_hosts, key, command] = args.as_slice() else {
        return Err("usage: fleet_run HOSTS_FILE KNOWN_HOSTS KEY COMMAND".into());
    };
    let hosts = parse_hosts_file(fs::read(hosts_file)?, hosts_file)?;
    let host_keys = HostKeys::new(HostKeyPolicy::Strict, KnownHosts::load([known_hosts])?);
    // Read and decrypted once, whatever the number of hosts.
    let identity = Identity::load(Path::new(key), None)?;
    let config = Config::builder(Arc::new(host_keys))
        .identity(Arc::new(identity))
        .build()?;

    // One descriptor a session: the pool takes as many as the limit leaves room for.
    sshoal::raise_descriptor_limit()?;
    let fleet = Fleet::builder(hosts, Arc::new(config))
        .command_timeout(Some(Duration::from_secs(60)))
        .build()?;
    let (mut ended, mut failed) = (0, 0);
    for outcome in fleet.run(command.as_str())? {
        ended += 1;
        failed += usize::from(!outcome.is_success());
        let mut out = stdout().lock();
        writeln!(out, "[{ended}] {}: {}", outcome.host(), outcome.end())?;
        out.write_all(&outcome.stdout().bytes()?)?;
        out.write_all(&outcome.stderr().bytes()?)?;
    }
    fleet.close();
    Ok(ExitCode::from(u8::from(failed > 0)))
}
