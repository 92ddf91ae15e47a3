//! Where hosts' connections lead, and which hosts wait for room there.
//!
//! Many hosts may be one server: users of one machine, hosts behind one address. Such a server
//! drops connections when too many are not yet authenticated, so each destination has bounds of
//! its own. A host that meets them steps aside and holds up no host of another destination; as
//! soon as there is room, those that stepped aside come back in their order, one at a time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::RunId;
use super::bucket::{Bucket, Rate};

/// One host of one run.
pub(super) type Place = (RunId, usize);

/// All destinations of a pool.
#[derive(Debug)]
pub(super) struct Destinations {
    /// The destination of each host, counted from 0 without gaps.
    of: Arc<[u32]>,
    all: Vec<Destination>,
    handshakes_max: usize,
    rate: Option<Rate>,
    /// Hosts that stepped aside, by destination; no empty queues.
    held: HashMap<u32, VecDeque<Place>>,
    /// Destinations with hosts in `held` that may have room.
    changed: Vec<u32>,
    /// Destinations with hosts in `held` whose rate gives room at that time.
    timed: BinaryHeap<Reverse<(Instant, u32)>>,
}

#[derive(Debug, Clone, Default)]
struct Destination {
    handshakes: usize,
    bucket: Bucket,
    /// Whether it is in `changed` or `timed`; it is in neither twice.
    marked: bool,
}

impl Destinations {
    pub(super) fn new(of: Arc<[u32]>, handshakes_max: usize, rate: Option<Rate>) -> Self {
        let count = of.iter().max().map_or(0, |last| *last as usize + 1);
        Self {
            of,
            all: vec![Destination::default(); count],
            handshakes_max,
            rate,
            held: HashMap::new(),
            changed: Vec::new(),
            timed: BinaryHeap::new(),
        }
    }

    /// Returns whether a connection to a host's destination may begin.
    pub(super) fn admits(&self, host: usize, now: Instant) -> bool {
        let destination = &self.all[self.of[host] as usize];
        destination.handshakes < self.handshakes_max && destination.bucket.is_open(now)
    }

    /// Notes that a host's handshake begins.
    pub(super) fn enter(&mut self, host: usize, now: Instant) {
        let destination = &mut self.all[self.of[host] as usize];
        destination.handshakes += 1;
        if let Some(rate) = self.rate {
            destination.bucket.take(rate, now);
        }
        self.mark(self.of[host], None);
    }

    /// Notes that a host, which may have been given room here, begins without a handshake.
    pub(super) fn pass(&mut self, host: usize) {
        self.mark(self.of[host], None);
    }

    /// Notes that a host's handshake is over.
    pub(super) fn leave(&mut self, host: usize) {
        self.all[self.of[host] as usize].handshakes -= 1;
        self.mark(self.of[host], None);
    }

    /// Sets a host aside whose destination has no room; `again` if it came back too early.
    pub(super) fn hold(&mut self, place: Place, again: bool) {
        let number = self.of[place.1];
        let queue = self.held.entry(number).or_default();
        match again {
            true => queue.push_front(place),
            false => queue.push_back(place),
        }
        let destination = &self.all[number as usize];
        // With all handshakes taken, the end of one is what makes room.
        if destination.handshakes < self.handshakes_max {
            self.mark(number, destination.bucket.opens());
        }
    }

    /// Takes back a host whose destination has room.
    pub(super) fn released(&mut self, now: Instant) -> Option<Place> {
        loop {
            let number = match self.changed.pop() {
                Some(number) => number,
                None => {
                    let Reverse((at, number)) = *self.timed.peek()?;
                    if at > now {
                        return None;
                    }
                    self.timed.pop();
                    number
                }
            };
            let destination = &mut self.all[number as usize];
            destination.marked = false;
            if destination.handshakes >= self.handshakes_max {
                continue;
            }
            if !destination.bucket.is_open(now) {
                let opens = destination.bucket.opens();
                self.mark(number, opens);
                continue;
            }
            let Some(queue) = self.held.get_mut(&number) else {
                continue;
            };
            let place = queue.pop_front();
            if queue.is_empty() {
                self.held.remove(&number);
            }
            return place;
        }
    }

    /// Returns whether [`Destinations::released`] has something to look at, whatever the time.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Returns the next moment at which time alone makes room.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.timed.peek().map(|Reverse((at, _))| *at)
    }

    /// Forgets the hosts of a run. Others may have been waiting behind one that had come back.
    pub(super) fn forget(&mut self, run: RunId) {
        self.held.retain(|_, queue| {
            queue.retain(|(other, _)| *other != run);
            !queue.is_empty()
        });
        let numbers: Vec<u32> = self.held.keys().copied().collect();
        for number in numbers {
            self.mark(number, None);
        }
    }

    /// Has a destination looked at: at that time, or as soon as possible.
    fn mark(&mut self, number: u32, at: Option<Instant>) {
        let destination = &mut self.all[number as usize];
        if destination.marked || !self.held.contains_key(&number) {
            return;
        }
        destination.marked = true;
        match at {
            Some(at) => self.timed.push(Reverse((at, number))),
            None => self.changed.push(number),
        }
    }

    #[cfg(test)]
    pub(super) fn handshakes(&self, host: usize) -> usize {
        self.all[self.of[host] as usize].handshakes
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.values().map(VecDeque::len).sum()
    }
}
