//! Times with their percentiles, in bounded memory: exact for some thousands, then in classes.
//!
//! The classes are log-linear, as those of HdrHistogram: each power of two is divided into equal
//! parts, so that a time is known to one part in so many, however long or short it is.

use std::time::Duration;

/// Times of which percentiles are wanted.
///
/// Up to 4,096 times are kept as they are, and percentiles of them are exact. Of more, each is
/// counted in a class of its size, and percentiles are at most 1/64 too long; this takes at most
/// 32 KiB. The shortest, the longest and the number of times are always exact. A time beyond 584
/// years counts as that.
#[derive(Debug, Clone, Default)]
pub struct Times {
    kept: Kept,
    count: u64,
    /// In nanoseconds.
    min: u64,
    max: u64,
}

/// Percentiles of times, each the least time within which so many of a hundred lie (the nearest
/// rank); see [`Times`] for how exact they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spread {
    /// How many times there are.
    pub count: u64,
    /// The shortest.
    pub min: Duration,
    /// Half of them are no longer.
    pub p50: Duration,
    /// Nine of ten are no longer.
    pub p90: Duration,
    /// 99 of a hundred are no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

#[derive(Debug, Clone)]
enum Kept {
    /// In nanoseconds, as they came.
    All(Vec<u64>),
    /// How many there are of each class, up to the highest that has one.
    Classes(Vec<u64>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::All(Vec::new())
    }
}

impl Times {
    /// Returns no times.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a time.
    pub fn add(&mut self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.min = if self.count == 0 {
            time
        } else {
            self.min.min(time)
        };
        self.max = self.max.max(time);
        self.count += 1;
        match &mut self.kept {
            Kept::All(all) if all.len() < EXACT_MAX => all.push(time),
            Kept::All(all) => {
                let mut classes = Vec::new();
                all.iter().for_each(|time| count(&mut classes, *time));
                count(&mut classes, time);
                self.kept = Kept::Classes(classes);
            }
            Kept::Classes(classes) => count(classes, time),
        }
    }

    /// Returns how many times were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns their percentiles; `None` if there are no times.
    pub fn spread(&self) -> Option<Spread> {
        let [p50, p90, p99] = self.percentiles([50, 90, 99])?;
        Some(Spread {
            count: self.count,
            min: Duration::from_nanos(self.min),
            p50,
            p90,
            p99,
            max: Duration::from_nanos(self.max),
        })
    }

    /// Returns the least time within which so many of a hundred lie; `None` if there are no times.
    /// 0 is the shortest, 100 and more the longest.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        let [time] = self.percentiles([percent])?;
        Some(time)
    }

    fn percentiles<const N: usize>(&self, percents: [u8; N]) -> Option<[Duration; N]> {
        if self.count == 0 {
            return None;
        }
        let ranks = percents.map(|percent| rank(self.count, percent));
        let times = match &self.kept {
            Kept::All(all) => {
                let mut sorted = all.clone();
                sorted.sort_unstable();
                // The rank is at most the number of times, of which a `Vec` holds all.
                ranks.map(|rank| sorted[usize::try_from(rank - 1).unwrap_or(usize::MAX)])
            }
            Kept::Classes(classes) => ranks.map(|rank| in_classes(classes, rank)),
        };
        Some(times.map(|time| Duration::from_nanos(time.clamp(self.min, self.max))))
    }
}

/// The place, from 1, of the percentile among so many sorted times.
fn rank(count: u64, percent: u8) -> u64 {
    let rank = u128::from(count) * u128::from(percent.min(100));
    u64::try_from(rank.div_ceil(100)).unwrap_or(count).max(1)
}

/// The longest time of the class that the place is in.
fn in_classes(classes: &[u64], rank: u64) -> u64 {
    let mut before = 0;
    let at = classes.iter().position(|count| {
        before += count;
        before >= rank
    });
    longest(at.unwrap_or(classes.len()))
}

fn count(classes: &mut Vec<u64>, time: u64) {
    let class = class(time);
    if class >= classes.len() {
        classes.resize(class + 1, 0);
    }
    classes[class] += 1;
}

/// The class of a time: itself below `PARTS`, then by its highest bit and the `PART_BITS` below it.
fn class(time: u64) -> usize {
    let shift = (u64::BITS - time.leading_zeros()).saturating_sub(PART_BITS + 1);
    let part = (time >> shift) as usize;
    (shift as usize) * PARTS + part
}

/// The longest time of a class.
fn longest(class: usize) -> u64 {
    if class < 2 * PARTS {
        return class as u64;
    }
    let shift = class / PARTS - 1;
    let part = (class % PARTS + PARTS) as u128;
    let next = (part + 1) << shift;
    u64::try_from(next - 1).unwrap_or(u64::MAX)
}

/// Times that are kept as they are.
const EXACT_MAX: usize = 4096;
/// Each power of two has two to this power of classes.
const PART_BITS: u32 = 6;
const PARTS: usize = 1 << PART_BITS;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The percentile by its definition.
    fn exact(times: &[u64], percent: u8) -> u64 {
        let mut sorted = times.to_vec();
        sorted.sort_unstable();
        let at = (times.len() * usize::from(percent)).div_ceil(100).max(1);
        sorted[at - 1]
    }

    fn filled(times: &[u64]) -> Times {
        let mut filled = Times::new();
        for time in times {
            filled.add(Duration::from_nanos(*time));
        }
        filled
    }

    #[test]
    fn classes_join_without_a_gap() {
        for class_ in 0..class(u64::MAX) {
            let last = longest(class_);
            assert_eq!(class(last), class_);
            assert_eq!(class(last + 1), class_ + 1);
        }
        assert_eq!(longest(class(u64::MAX)), u64::MAX);
        assert_eq!(class(u64::MAX) + 1, 3776, "30 KiB at most");
    }

    #[test]
    fn no_times_have_no_spread_and_one_has_itself() {
        assert!(Times::new().spread().is_none() && Times::new().percentile(50).is_none());
        let second = Duration::from_secs(1);
        let mut one = Times::new();
        one.add(second);
        let spread = one.spread().unwrap();
        let all = [spread.min, spread.p50, spread.p90, spread.p99, spread.max];
        assert_eq!((all, spread.count), ([second; 5], 1));
        one.add(Duration::MAX);
        assert_eq!(one.spread().unwrap().max, Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn percentiles_of_a_hundred_are_the_times_of_their_number() {
        let times: Vec<u64> = (1..=100).rev().collect();
        let times = filled(&times);
        for percent in 1..=100 {
            let expected = Duration::from_nanos(u64::from(percent));
            assert_eq!(times.percentile(percent), Some(expected));
        }
        assert_eq!(times.percentile(0), times.percentile(1));
        assert_eq!(times.percentile(200), times.percentile(100));
    }

    /// Goes from kept times to classes in the middle; the counts and the ends stay exact.
    #[test]
    fn the_bound_of_exactness_is_where_it_is_said_to_be() {
        let times: Vec<u64> = (0..5000).map(|n| n * 1_000_003).collect();
        let exactly = filled(&times[..EXACT_MAX]);
        assert!(matches!(exactly.kept, Kept::All(_)));
        let median = exact(&times[..EXACT_MAX], 50);
        assert_eq!(exactly.percentile(50), Some(Duration::from_nanos(median)));
        let more = filled(&times);
        assert!(matches!(more.kept, Kept::Classes(_)));
        let spread = more.spread().unwrap();
        let ends = (spread.count, spread.min, spread.max);
        assert_eq!(ends.0, 5000);
        assert_eq!(ends.1, Duration::ZERO);
        assert_eq!(ends.2, Duration::from_nanos(times[4999]));
    }

    fn times() -> impl Strategy<Value = Vec<u64>> {
        // All sizes of times alike, from nanoseconds to centuries.
        let time = (0..64_u32, any::<u64>()).prop_map(|(shift, time)| time >> shift);
        prop::collection::vec(time, 1..200)
    }

    proptest! {
        #[test]
        fn few_times_have_exact_percentiles(times in times(), percent in 0..=100_u8) {
            let expected = Duration::from_nanos(exact(&times, percent));
            prop_assert_eq!(filled(&times).percentile(percent), Some(expected));
        }

        /// The same times over and over, beyond what is kept: no percentile is shorter than the exact one, or longer
        /// by more than a part of its class, or beyond the longest.
        #[test]
        fn many_times_have_percentiles_within_a_class(times in times(), percent in 0..=100_u8) {
            let many: Vec<u64> = times.iter().copied().cycle().take(EXACT_MAX + 200).collect();
            let filled = filled(&many);
            prop_assert!(matches!(filled.kept, Kept::Classes(_)));
            let expected = u128::from(exact(&many, percent));
            let seen = filled.percentile(percent).unwrap().as_nanos();
            prop_assert!(seen >= expected && seen <= expected + expected / 64, "{seen} {expected}");
        }
    }
}
