//! How large waves are: `1,10%,100%`.

use std::num::{NonZeroU8, NonZeroUsize};
use std::str::FromStr;

/// Sizes of waves, one after the other; the last one holds for all waves that follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes(Vec<Size>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Hosts(NonZeroUsize),
    /// Of all hosts, rounded up.
    Percent(NonZeroU8),
}

impl Sizes {
    /// Splits a list into waves, in its order; none is empty.
    pub(crate) fn split(&self, hosts: &[usize]) -> Vec<Vec<usize>> {
        let (all, mut left) = (hosts.len(), hosts);
        let mut sizes = self.0.iter();
        let mut size = sizes.next();
        let mut waves = Vec::new();
        while let (Some(now), false) = (size, left.is_empty()) {
            let (wave, rest) = left.split_at(now.of(all).min(left.len()));
            waves.push(wave.to_vec());
            left = rest;
            size = sizes.next().or(size);
        }
        waves
    }
}

impl Size {
    fn of(self, all: usize) -> usize {
        match self {
            Self::Hosts(hosts) => hosts.get(),
            Self::Percent(percent) => (all * usize::from(percent.get())).div_ceil(100),
        }
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = |text: &str| match text.trim().strip_suffix('%') {
            Some(percent) => {
                let percent = percent.parse::<NonZeroU8>().ok();
                let percent = percent.filter(|percent| percent.get() <= 100);
                percent.map(Size::Percent)
            }
            None => text.trim().parse().ok().map(Size::Hosts),
        };
        let sizes: Option<Vec<Size>> = text.split(',').map(size).collect();
        sizes.map(Self).ok_or_else(|| {
            "write numbers of hosts, at least 1, or 1% to 100%, separated by commas, as 1,10%,100%"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, hosts: usize, expected: &[usize]) {
        let sizes: Sizes = text.parse().unwrap();
        let hosts: Vec<usize> = (0..hosts).collect();
        let waves = sizes.split(&hosts);
        let lengths: Vec<usize> = waves.iter().map(Vec::len).collect();
        assert_eq!(lengths, expected, "{text} of {}", hosts.len());
        assert_eq!(waves.concat(), hosts, "{text}");
    }

    #[test]
    fn the_last_size_holds_for_all_waves_that_follow() {
        check("1,10%,100%", 50, &[1, 5, 44]);
        check("1", 3, &[1, 1, 1]);
        check("40%", 10, &[4, 4, 2]);
        check("2, 3", 10, &[2, 3, 3, 2]);
        check("10%", 5, &[1, 1, 1, 1, 1]);
        check("100%", 5, &[5]);
        check("7", 5, &[5]);
        check("1%", 0, &[]);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for wrong in [
            "", "0", "0%", "101%", "1,", ",1", "ten", "-1", "1.5", "5 %", "%",
        ] {
            assert!(wrong.parse::<Sizes>().is_err(), "{wrong:?} was taken");
        }
    }

    proptest! {
        /// Whatever the sizes are, every host is in one wave, in order, and no wave is empty.
        #[test]
        fn every_host_is_in_one_wave(
            sizes in proptest::collection::vec((1_u8..=100, any::<bool>()), 1..5),
            hosts in 0_usize..300,
        ) {
            let text = sizes.iter().map(|(size, percent)| match percent {
                true => format!("{size}%"),
                false => size.to_string(),
            });
            let sizes: Sizes = text.collect::<Vec<_>>().join(",").parse().unwrap();
            let hosts: Vec<usize> = (0..hosts).collect();
            let waves = sizes.split(&hosts);
            prop_assert!(waves.iter().all(|wave| !wave.is_empty()));
            prop_assert_eq!(waves.concat(), hosts);
        }
    }
}
