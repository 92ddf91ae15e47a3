//! How far a run goes when hosts fail.

use std::num::{NonZeroU8, NonZeroUsize};

use clap::Args;
use clap::builder::FalseyValueParser;
use sshoal::StopAfter;

/// How far.
#[derive(Debug, Args)]
#[command(next_help_heading = "How far")]
pub(crate) struct FarArgs {
    /// Begins no more hosts after the first that fails: that is not reached, whose command ends with
    /// anything but exit status 0, or whose files cannot all be copied; those under way go on to
    /// their end
    #[arg(short = 'k', long, env = "SSHOAL_FAIL_FAST", value_parser = FalseyValueParser::new())]
    fail_fast: bool,
    /// Begins no more hosts after so many that fail, or so many per cent of all, as in 10%
    #[arg(long, value_name = "N|P%", env = "SSHOAL_MAX_FAIL", value_parser = parse_max_fail)]
    #[arg(allow_hyphen_values = true)]
    max_fail: Option<StopAfter>,
}

impl FarArgs {
    /// Returns when the run is to stop by itself; of both, the first failure.
    pub(crate) fn stop_after(&self) -> Option<StopAfter> {
        match self.fail_fast {
            true => Some(StopAfter::first()),
            false => self.max_fail,
        }
    }
}

fn parse_max_fail(text: &str) -> Result<StopAfter, String> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.parse::<NonZeroU8>().ok();
            let percent = percent.filter(|percent| percent.get() <= 100);
            percent.map(StopAfter::percent)
        }
        None => text.parse::<NonZeroUsize>().ok().map(StopAfter::failures),
    };
    parsed.ok_or_else(|| "write a number of hosts, at least 1, or 1% to 100%".to_owned())
}
