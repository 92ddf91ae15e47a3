//! The turns of key exchanges that nobody has anything of (law S1): a tenth of all cores, for all
//! sessions together.
//!
//! A host cannot make much work alone (`work.rs`), but a thousand can. So a session of which more
//! than a little was for nothing takes its turn for each further key exchange, and nothing is
//! received on it until that comes. Sound hosts never come here: their exchanges are between bytes
//! that are delivered.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sshoal_reactor::{sleep, spawn, yield_now};

use super::Wire;

/// One part in so many of the time of all cores.
const CORES_SHARE: u32 = 10;
/// Work that was not done is saved up to this: one host alone comes to half its own bound by it.
const SAVED_MAX: Duration = Duration::from_secs(2);

/// The work that all of them may still do: pure, the clock is the caller's.
#[derive(Debug)]
struct Budget {
    saved: Duration,
    /// What was worked beyond; `saved` is zero then.
    owed: Duration,
    counted: Instant,
    cores: u32,
}

impl Budget {
    fn new(cores: usize, now: Instant) -> Self {
        Self {
            saved: SAVED_MAX,
            owed: Duration::ZERO,
            counted: now,
            cores: u32::try_from(cores).unwrap_or(1).max(1),
        }
    }

    /// Takes note of the time.
    fn count(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.counted);
        self.counted = now;
        let earned = time.saturating_mul(self.cores) / CORES_SHARE;
        let paid = earned.min(self.owed);
        self.owed -= paid;
        self.saved = (self.saved + (earned - paid)).min(SAVED_MAX);
    }

    /// Takes a turn of about that much work, which may be more than was saved; if nothing was,
    /// returns how long it takes until there is a turn.
    fn take_turn(&mut self, work: Duration) -> Result<(), Duration> {
        if self.saved.is_zero() {
            return Err((self.owed + LEAST) * CORES_SHARE / self.cores);
        }
        let there = work.min(self.saved);
        self.saved -= there;
        self.owed += work - there;
        Ok(())
    }
}

/// What must have been saved before it is worth waking up for.
const LEAST: Duration = Duration::from_micros(100);

/// Who waits for a turn, in the order they came, each with its work since its last one.
struct Queue {
    budget: Budget,
    waiting: VecDeque<(Weak<Wire>, Duration)>,
    /// Whether there is a green thread that gives the turns.
    is_attended: bool,
}

enum Next {
    Turn(Arc<Wire>),
    Later(Duration),
    Nobody,
}

/// A leaf lock.
static QUEUE: LazyLock<Mutex<Queue>> = LazyLock::new(|| {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    Mutex::new(Queue {
        budget: Budget::new(cores, Instant::now()),
        waiting: VecDeque::new(),
        is_attended: false,
    })
});

/// Asks for a turn, with the work since the last one, which the next is taken to cost; if it is
/// not there at once, [`Wire::go_on`] is called when it is.
pub(super) fn ask_turn(worked: Duration, wire: &Arc<Wire>, now: Instant) -> bool {
    let mut queue = QUEUE.lock();
    queue.budget.count(now);
    if queue.waiting.is_empty() && queue.budget.take_turn(worked).is_ok() {
        return true;
    }
    // Without memory for a green thread nobody would ever be let on.
    queue.is_attended = queue.is_attended || spawn(attend).is_ok();
    if queue.is_attended {
        queue.waiting.push_back((Arc::downgrade(wire), worked));
    }
    !queue.is_attended
}

/// Makes so much the work that was saved up, at most [`SAVED_MAX`].
pub(crate) fn save(work: Duration) {
    let budget = &mut QUEUE.lock().budget;
    (budget.saved, budget.owed) = (work.min(SAVED_MAX), Duration::ZERO);
    budget.counted = Instant::now();
}

/// Gives the turns, until nobody waits.
fn attend() {
    loop {
        let now = Instant::now();
        let next = QUEUE.lock().next(now);
        match next {
            Next::Turn(wire) => {
                wire.go_on(now);
                yield_now();
            }
            Next::Later(time) => sleep(time),
            Next::Nobody => return,
        }
    }
}

impl Queue {
    fn next(&mut self, now: Instant) -> Next {
        self.budget.count(now);
        while let Some((first, work)) = self.waiting.front() {
            // Not those that have ended meanwhile. The last handle is not dropped under the lock.
            if first.strong_count() > 0
                && let Err(time) = self.budget.take_turn(*work)
            {
                return Next::Later(time);
            }
            let wire = self.waiting.pop_front();
            if let Some(wire) = wire.and_then(|(wire, _)| wire.upgrade()) {
                return Next::Turn(wire);
            }
        }
        self.is_attended = false;
        Next::Nobody
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However much is asked for, a second has a tenth of it for each core, and the first what
    /// was saved up.
    #[test]
    fn all_together_get_a_share_of_the_cores() {
        let begin = Instant::now();
        let mut budget = Budget::new(4, begin);
        let mut now = begin;
        let mut turns = 0;
        while now < begin + Duration::from_secs(10) {
            budget.count(now);
            match budget.take_turn(Duration::from_millis(1)) {
                Ok(()) => turns += 1,
                Err(time) => now += time,
            }
        }
        assert!((5990..=6010).contains(&turns), "{turns}");
    }

    #[test]
    fn a_turn_of_much_work_is_waited_for_afterwards() {
        let begin = Instant::now();
        let mut budget = Budget::new(1, begin);
        let work = SAVED_MAX + Duration::from_millis(160);
        assert_eq!(budget.take_turn(work), Ok(()));
        let wait = budget.take_turn(LEAST).unwrap_err();
        assert_eq!(wait, (Duration::from_millis(160) + LEAST) * CORES_SHARE);
        budget.count(begin + wait);
        assert_eq!(budget.take_turn(LEAST), Ok(()));
        assert!(budget.take_turn(LEAST).is_err());
    }
}
