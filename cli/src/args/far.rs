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
    max_fail: Option<MaxFail>,
}

/// How many failures stop a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MaxFail {
    Hosts(NonZeroUsize),
    Percent(NonZeroU8),
}

impl FarArgs {
    /// Returns when the run is to stop by itself; of both, the first failure.
    pub(crate) fn stop_after(&self) -> Option<StopAfter> {
        self.max_fail().map(|max_fail| match max_fail {
            MaxFail::Hosts(hosts) => StopAfter::failures(hosts),
            MaxFail::Percent(percent) => StopAfter::percent(percent),
        })
    }

    /// Returns how many failures stop the run; of both, the first.
    pub(crate) fn max_fail(&self) -> Option<MaxFail> {
        match self.fail_fast {
            true => Some(MaxFail::Hosts(NonZeroUsize::MIN)),
            false => self.max_fail,
        }
    }
}

impl MaxFail {
    /// Returns how many failures stop a run over so many hosts.
    pub(crate) fn of(self, hosts: usize) -> usize {
        match self {
            Self::Hosts(hosts) => hosts.get(),
            Self::Percent(percent) => (hosts * usize::from(percent.get())).div_ceil(100),
        }
    }
}

fn parse_max_fail(text: &str) -> Result<MaxFail, String> {
    let parsed = match text.strip_suffix('%') {
        Some(percent) => {
            let percent = percent.parse::<NonZeroU8>().ok();
            let percent = percent.filter(|percent| percent.get() <= 100);
            percent.map(MaxFail::Percent)
        }
        None => text.parse::<NonZeroUsize>().ok().map(MaxFail::Hosts),
    };
    parsed.ok_or_else(|| "write a number of hosts, at least 1, or 1% to 100%".to_owned())
}
