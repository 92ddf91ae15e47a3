//! What of a run is done in processes of its own.

use clap::Args;

/// In which processes.
#[derive(Debug, Args)]
#[command(next_help_heading = "How fast, how long")]
pub(crate) struct IsolationArgs {
    /// Has so many child processes talk to the hosts, so that a crash costs only the hosts that one
    /// of them has; 0 and 1 are none [default: 1]
    #[arg(long, value_name = "N", env = "SSHOAL_WORKERS", value_parser = parse_workers)]
    #[arg(allow_hyphen_values = true)]
    workers: Option<usize>,
}

impl IsolationArgs {
    /// Returns how many child processes there are to be, at least 2; `None` for none.
    pub(crate) fn workers(&self) -> Option<usize> {
        self.workers.filter(|count| *count > 1)
    }
}

fn parse_workers(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count <= WORKERS_MAX);
    count.ok_or_else(|| format!("write a number of processes, 0 to {WORKERS_MAX}"))
}

/// More of them share no less of a crash, and each takes memory and threads.
const WORKERS_MAX: usize = 64;
