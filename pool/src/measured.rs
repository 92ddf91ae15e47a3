//! What the bench `guard` of the root package measures and nobody else has a use for: no part of
//! the interface.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::schedule::{Bounds, Left, Schedule};

pub use crate::live::measured::lines;

/// Runs a schedule of so many hosts over so many places, a destination each, to its end; returns
/// how many hosts were begun.
pub fn schedule(hosts: usize, places: usize) -> usize {
    let bounds = Bounds {
        size: places,
        handshakes: places,
        destination_handshakes: 10,
        rate: None,
        destination_rate: None,
        keep_open: false,
        idle_timeout: Some(Duration::from_secs(60)),
    };
    let destinations: Arc<[u32]> = (0..hosts).filter_map(|host| host.try_into().ok()).collect();
    let (mut schedule, now) = (Schedule::new(bounds, destinations), Instant::now());
    let _ = schedule.submit(hosts, None);
    let mut begun = 0;
    loop {
        let starts: Vec<_> = std::iter::from_fn(|| schedule.next(now)).collect();
        if starts.is_empty() {
            return begun;
        }
        begun += starts.len();
        for start in starts {
            schedule.opened(start.run, start.host, start.seat);
            schedule.ended(start.run, start.host);
            if schedule.leave(start.seat, now) == Left::Last {
                schedule.release();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schedule_that_is_measured_begins_every_host() {
        assert_eq!(super::schedule(25, 10), 25);
    }

    #[test]
    fn the_lines_that_are_measured_are_all_of_the_output() {
        assert_eq!(super::lines(b"a\nb\r\nc", 2), 3);
    }
}
