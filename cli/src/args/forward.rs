//! What the user typed about ports to forward.

use clap::Args;
use clap::builder::FalseyValueParser;

use super::{AccessArgs, PaceArgs, WhomArgs};

/// The arguments of `sshoal forward`.
#[derive(Debug, Args)]
pub(crate) struct ForwardArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) pace: PaceArgs,
    /// Port of this machine whose connections each host makes, `[bind:]port:host:hostport`; /path
    /// stands for a Unix socket on either side; port 0 takes a free one; may repeat
    #[arg(
        short = 'L',
        long = "local-forward",
        value_name = "SPEC",
        env = "SSHOAL_LOCAL_FORWARD"
    )]
    pub(crate) local_forwards: Vec<String>,
    /// Port of each host whose connections this machine makes, `[bind:]port:host:hostport` or
    /// `[bind:]port:/path`; may repeat
    #[arg(
        short = 'R',
        long = "remote-forward",
        value_name = "SPEC",
        env = "SSHOAL_REMOTE_FORWARD"
    )]
    pub(crate) remote_forwards: Vec<String>,
    /// Says only what failed, and which ports are forwarded
    #[arg(short = 'q', long, env = "SSHOAL_QUIET", value_parser = FalseyValueParser::new())]
    #[arg(conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Adds the time of each phase to the lines of hosts that end
    #[arg(short = 'v', long, env = "SSHOAL_VERBOSE", value_parser = FalseyValueParser::new())]
    pub(crate) verbose: bool,
}

pub(super) const EXAMPLES: &str = "\
Examples:
  sshoal forward -H web1 -L 8080:db.internal:80
  sshoal forward -h hosts.txt -L 0:localhost:5432   # a free port here for each host
  sshoal forward -h hosts.txt -R 3128:proxy:3128    # the same port on each host

Standard output has a line for each forwarding that is up:
  HOST<tab>local 127.0.0.1:40123 -> localhost:5432
  HOST<tab>remote localhost:3128 -> proxy:3128

Exit codes: 2 usage, 3 --deadline was reached, 4 a host could not be reached, refused a forwarding \
or was lost, 129 hung up, 130 interrupted, 143 terminated, 1 internal.";
