//! Copies a file to all hosts of a hosts file and tells how each copy went.
//!
//! `cargo run --example fleet_put -- HOSTS_FILE KNOWN_HOSTS KEY LOCAL REMOTE`

use std::{
    env,
    error::Error,
    fs,
    io::{Write, stdout},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use sshoal::{
    Config, Fleet, HostKeyPolicy, HostKeys, Identity,
    known_hosts::KnownHosts,
    parse_hosts_file,
    transfer::{CopyOptions, Source},
};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [hosts_file, known_hosts, key, local, remote] = args.as_slice() else {
        return Err("usage: fleet_put HOSTS_FILE KNOWN_HOSTS KEY LOCAL REMOTE".into());
    };
    let hosts = parse_hosts_file(fs::read(hosts_file)?, hosts_file)?;
    let host_keys = HostKeys::new(HostKeyPolicy::Strict, KnownHosts::load([known_hosts])?);
    let identity = Identity::load(Path::new(key), None)?;
    let config = Config::builder(Arc::new(host_keys))
        .identity(Arc::new(identity))
        .build()?;
    let fleet = Fleet::builder(hosts, Arc::new(config)).build()?;

    let mut failed = 0;
    let mut out = stdout().lock();
    let source = Source::file(local)?;
    for visited in fleet.put(&source, remote.as_str(), &CopyOptions::new()) {
        let host = visited.host().clone();
        // A host that was not reached is the outer error, a copy that failed the inner one.
        match visited.into_result() {
            Ok(Ok(copied)) => writeln!(out, "{host}: {} bytes", copied.bytes)?,
            Ok(Err(error)) => {
                failed += 1;
                writeln!(out, "{host}: copy failed: {error}")?;
            }
            Err(error) => {
                failed += 1;
                writeln!(out, "{host}: not reached: {error}")?;
            }
        }
    }
    fleet.close();
    Ok(ExitCode::from(u8::from(failed > 0)))
}
