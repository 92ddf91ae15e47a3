//! Copies a file to all hosts of a hosts file, tells how far that is while it goes on, and fetches it
//! again to a file for each host.
//!
//! This is the loop that parallel-ssh documents: copies are started, each has a handle, and while not
//! all of them are ready the program does something else.
//!
//! `cargo run --example fleet_copies -- HOSTS_FILE KNOWN_HOSTS KEY LOCAL REMOTE`

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
    Config, Fleet, HostKeyPolicy, HostKeys, HostLogger, Identity, LocalPaths,
    known_hosts::KnownHosts,
    parse_hosts_file,
    transfer::{CopyOptions, HostNames, Progress},
};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [hosts_file, known_hosts, key, local, remote] = args.as_slice() else {
        return Err("usage: fleet_copies HOSTS_FILE KNOWN_HOSTS KEY LOCAL REMOTE".into());
    };
    let hosts = parse_hosts_file(fs::read(hosts_file)?, hosts_file)?;
    let host_keys = HostKeys::new(HostKeyPolicy::Strict, KnownHosts::load([known_hosts])?);
    let identity = Identity::load(Path::new(key), None)?;
    let config = Config::builder(Arc::new(host_keys))
        .identity(Arc::new(identity))
        .build()?;
    let fleet = Fleet::builder(hosts, Arc::new(config)).build()?;
    let mut out = stdout();

    // greenlets = client.copy_file(local, remote)
    let progress = Progress::new();
    let options = CopyOptions::new().progress(&progress);
    let copies = fleet
        .put_each(local.as_str(), remote.as_str(), &options)?
        .visits();

    // while not all(g.ready() for g in greenlets): print(...); time.sleep(...)
    let all = copies.hosts().len();
    for waited in copies.every(Duration::from_millis(200)) {
        let (done, bytes) = (waited.finished.len(), progress.bytes());
        writeln!(out, "{done}/{all} copies, {bytes} bytes")?;
    }

    // joinall(greenlets, raise_error=True)
    if let Err(first) = copies.join() {
        writeln!(out, "failed: {first}")?;
        return Ok(ExitCode::FAILURE);
    }

    // copy_remote_file(remote, local), with the log that enable_logger turns on.
    let separator = b"_".to_vec();
    let names = LocalPaths::named(local.as_str(), HostNames::ParallelSsh { separator });
    let back = fleet.get_each(remote.as_str(), names, &CopyOptions::new())?;
    let back = back.visits();
    let mut logger = HostLogger::new(&mut out);
    for copy in back.ended() {
        if let Some(Ok(copied)) = copy.value() {
            copied.log(copy.host(), &mut logger)?;
        }
    }
    back.join()?;
    drop(logger);
    fleet.close();
    Ok(ExitCode::SUCCESS)
}
