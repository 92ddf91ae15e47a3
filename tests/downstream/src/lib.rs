//! What the users' programs have in common: how hosts are reached, and what a rolling restart is told.

use std::{error::Error, fs, num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use sshoal::{
    Config, Host, HostKeyPolicy, HostKeys, Identity, known_hosts::KnownHosts, parse_hosts_file,
};

/// Makes the configuration for all hosts: strict host keys from one file, one identity.
pub fn config(known_hosts: &str, key: &str) -> Result<Arc<Config>, Box<dyn Error>> {
    let known = KnownHosts::load([known_hosts])?;
    let config = Config::builder(Arc::new(HostKeys::new(HostKeyPolicy::Strict, known)))
        .identity(Arc::new(Identity::load(Path::new(key), None)?))
        .connect_timeout(Some(Duration::from_secs(30)))
        .build()?;
    Ok(Arc::new(config))
}

/// What a rolling restart does, and to whom.
pub struct Plan {
    /// All hosts, in the order in which they are restarted.
    pub hosts: Vec<Host>,
    /// How they are reached.
    pub config: Arc<Config>,
    /// How many are restarted at once.
    pub batch: NonZeroUsize,
    /// How long a host may take until it is healthy again.
    pub limit: Duration,
    /// The command that restarts a host.
    pub restart: String,
    /// The command that ends with status 0 on a healthy host.
    pub healthy: String,
}

impl Plan {
    /// Reads the arguments `HOSTS_FILE KNOWN_HOSTS KEY BATCH SECONDS RESTART HEALTHY`.
    pub fn from_args(args: impl IntoIterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let args: Vec<String> = args.into_iter().collect();
        let [file, known_hosts, key, batch, seconds, restart, healthy] = args.as_slice() else {
            let usage = "arguments: HOSTS_FILE KNOWN_HOSTS KEY BATCH SECONDS RESTART HEALTHY";
            return Err(usage.into());
        };
        Ok(Self {
            hosts: parse_hosts_file(fs::read(file)?, file)?,
            config: config(known_hosts, key)?,
            batch: batch.parse()?,
            limit: Duration::from_secs(seconds.parse()?),
            restart: restart.clone(),
            healthy: healthy.clone(),
        })
    }

    /// The gate between batches: what failed and what was therefore left alone, if anything failed.
    pub fn gate(&self, failures: &[String], done: usize) -> Result<(), Box<dyn Error>> {
        if failures.is_empty() {
            return Ok(());
        }
        let untouched = self.hosts.get(done..).unwrap_or_default().len();
        let failures = failures.join("; ");
        Err(format!("stopped: {failures}; {untouched} hosts untouched").into())
    }
}

/// How long to wait between two looks at a host that is not healthy yet.
pub const PAUSE: Duration = Duration::from_millis(50);
