//! How a run goes about its hosts: in waves, and whether somebody is asked before.

use std::num::NonZeroUsize;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::{Limit, parse_limit};
use crate::waves::Sizes;

/// In which steps.
#[derive(Debug, Args)]
#[command(next_help_heading = "How far")]
pub(crate) struct ControlArgs {
    /// Runs in waves of so many hosts, or so many per cent of all, one after the other: 1,10%,100%
    /// is one host, then a tenth, then the rest; the last size holds for all waves that follow
    #[arg(long, value_name = "SIZES", env = "SSHOAL_WAVE")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) wave: Option<Sizes>,
    /// Runs a command on this machine, by sh, after each wave but the last; the next wave is begun
    /// only if it ends with 0. It finds the counts in SSHOAL_GATE_WAVE, _WAVES, _HOSTS, _OK and
    /// _FAILED (of the wave), _ALL_HOSTS, _ALL_OK and _ALL_FAILED (so far), and _RUN
    #[arg(long, value_name = "CMD", env = "SSHOAL_GATE", requires = "wave")]
    pub(crate) gate: Option<String>,
    /// Waits between waves, in seconds; with --wave 1, between hosts
    #[arg(long, value_name = "S", env = "SSHOAL_WAVE_PAUSE", value_parser = parse_limit)]
    #[arg(allow_hyphen_values = true, requires = "wave")]
    pub(crate) wave_pause: Option<Limit>,
    /// Asks before a run on more hosts than this, if there is a terminal to ask on [default: 100]
    #[arg(long, value_name = "N", env = "SSHOAL_CONFIRM_ABOVE", value_parser = parse_above)]
    #[arg(allow_hyphen_values = true)]
    confirm_above: Option<usize>,
    /// Asks nobody before the run
    #[arg(long, env = "SSHOAL_YES", value_parser = FalseyValueParser::new())]
    pub(crate) yes: bool,
}

impl ControlArgs {
    /// Returns the largest number of hosts for which nobody is asked.
    pub(crate) fn confirm_above(&self) -> usize {
        self.confirm_above.unwrap_or(CONFIRM_ABOVE.get())
    }
}

fn parse_above(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| "write a whole number of hosts, 0 or more".to_owned())
}

/// A slip of the hand above it is a long morning's work.
const CONFIRM_ABOVE: NonZeroUsize = NonZeroUsize::new(100).expect("it is not 0");
