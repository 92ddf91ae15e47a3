//! Places in the pool, each with one session: who uses it, which are idle, who waits for one.
//!
//! The principal type is [`Seats`]. Where sessions are kept open, a host has one session that is
//! shared: a second run's command goes beside the first one's, and a host that is being connected
//! to is not connected to a second time.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::destinations::Place;

/// One place with its session, from the begin of its making until it is closed; never used twice
/// in a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Seat(u64);

/// All seats of a pool.
#[derive(Debug)]
pub(super) struct Seats {
    /// Whether seats are shared.
    shared: bool,
    seats: HashMap<Seat, Taken>,
    /// The seat of a host that its next user gets, where seats are shared.
    current: HashMap<usize, Seat>,
    /// Seats without a user, the oldest first.
    idle: BTreeMap<u64, Seat>,
    /// Who waits for a host's seat, by host; no empty lists.
    held: HashMap<usize, Vec<Place>>,
    /// Counts seats made and seats gone idle; larger is younger.
    count: u64,
}

#[derive(Debug)]
struct Taken {
    host: usize,
    users: usize,
    /// Whether its session is made.
    open: bool,
    /// Since when it has no user, and its age among those.
    idle: Option<(Instant, u64)>,
}

/// What a host without a user of its own finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vacancy {
    /// No seat: one is to be made.
    None,
    /// An idle seat, or one with room for another user.
    Open(Seat),
    /// A seat that has no room yet.
    Busy,
}

/// What remains when a user has left a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Left {
    /// Others use it.
    Used,
    /// It is idle and kept.
    Kept,
    /// Its session is to be closed, and the place to be released.
    Last,
}

impl Seats {
    pub(super) fn new(shared: bool) -> Self {
        Self {
            shared,
            seats: HashMap::new(),
            current: HashMap::new(),
            idle: BTreeMap::new(),
            held: HashMap::new(),
            count: 0,
        }
    }

    /// Returns what a host's next user finds.
    pub(super) fn vacancy(&self, host: usize) -> Vacancy {
        let Some(seat) = self.current.get(&host) else {
            return Vacancy::None;
        };
        let taken = &self.seats[seat];
        if taken.open && taken.users < USERS_MAX {
            Vacancy::Open(*seat)
        } else {
            Vacancy::Busy
        }
    }

    /// Returns whether a seat has users or is idle.
    pub(super) fn has(&self, seat: Seat) -> bool {
        self.seats.contains_key(&seat)
    }

    /// Returns how many seats are idle.
    pub(super) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// Returns whether a host has an open seat.
    pub(super) fn is_open(&self, host: usize) -> bool {
        let seat = self.current.get(&host);
        seat.is_some_and(|seat| self.seats[seat].open)
    }

    /// Makes a seat for a host, its session not made, with one user.
    pub(super) fn make(&mut self, host: usize) -> Seat {
        self.count += 1;
        let seat = Seat(self.count);
        let taken = Taken {
            host,
            users: 1,
            open: false,
            idle: None,
        };
        self.seats.insert(seat, taken);
        if self.shared {
            self.current.entry(host).or_insert(seat);
        }
        seat
    }

    /// Adds a user to an open seat.
    pub(super) fn join(&mut self, seat: Seat) {
        let taken = self.taken(seat);
        taken.users += 1;
        if let Some((_, age)) = taken.idle.take() {
            self.idle.remove(&age);
        }
    }

    /// Notes that a seat's session is made; returns who waited for that.
    pub(super) fn opened(&mut self, seat: Seat) -> Vec<Place> {
        self.taken(seat).open = true;
        let host = self.seats[&seat].host;
        self.released(host)
    }

    /// Takes a user off a seat that is in order; with `keep` the last one leaves it idle.
    pub(super) fn leave(&mut self, seat: Seat, keep: bool, now: Instant) -> (Left, Vec<Place>) {
        self.count += 1;
        let age = self.count;
        let current = self.current.get(&self.seats[&seat].host) == Some(&seat);
        let taken = self.taken(seat);
        taken.users -= 1;
        let host = taken.host;
        let left = match taken.users {
            0 if keep && current => {
                taken.idle = Some((now, age));
                self.idle.insert(age, seat);
                Left::Kept
            }
            0 => {
                self.remove(seat);
                Left::Last
            }
            _ => Left::Used,
        };
        (left, self.released(host))
    }

    /// Takes a user off a seat that is of no more use: nobody else gets it.
    pub(super) fn retire(&mut self, seat: Seat) -> (Left, Vec<Place>) {
        let taken = self.taken(seat);
        taken.users -= 1;
        let (host, last) = (taken.host, taken.users == 0);
        if self.current.get(&host) == Some(&seat) {
            self.current.remove(&host);
        }
        if last {
            self.remove(seat);
            return (Left::Last, self.released(host));
        }
        (Left::Used, self.released(host))
    }

    /// Takes the seat that has been idle for longest, with its host.
    pub(super) fn take_oldest(&mut self) -> Option<(Seat, usize)> {
        let (_, seat) = self.idle.first_key_value()?;
        let (seat, host) = (*seat, self.seats[seat].host);
        self.remove(seat);
        Some((seat, host))
    }

    /// Returns since when the seat is idle that is idle for longest.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let (_, seat) = self.idle.first_key_value()?;
        self.seats[seat].idle.map(|(since, _)| since)
    }

    /// Takes in a session that is open already, as a host's idle seat.
    pub(super) fn adopt(&mut self, host: usize, now: Instant) -> Option<Seat> {
        if !self.shared || self.current.contains_key(&host) {
            return None;
        }
        let seat = self.make(host);
        self.taken(seat).open = true;
        let (left, _) = self.leave(seat, true, now);
        (left == Left::Kept).then_some(seat)
    }

    /// Sets a host aside until something changes with its seat.
    pub(super) fn hold(&mut self, place: Place) {
        self.held.entry(place.1).or_default().push(place);
    }

    /// Forgets the hosts of a run that wait.
    pub(super) fn forget(&mut self, run: super::RunId) {
        self.held.retain(|_, places| {
            places.retain(|(other, _)| *other != run);
            !places.is_empty()
        });
    }

    fn remove(&mut self, seat: Seat) {
        let taken = self.seats.remove(&seat).expect("a seat is removed once");
        if let Some((_, age)) = taken.idle {
            self.idle.remove(&age);
        }
        if self.current.get(&taken.host) == Some(&seat) {
            self.current.remove(&taken.host);
        }
    }

    /// Takes back all who wait for a host's seat: who finds it busy again waits again.
    fn released(&mut self, host: usize) -> Vec<Place> {
        self.held.remove(&host).unwrap_or_default()
    }

    fn taken(&mut self, seat: Seat) -> &mut Taken {
        self.seats
            .get_mut(&seat)
            .expect("a seat lasts until its last user has left")
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.values().map(Vec::len).sum()
    }

    #[cfg(test)]
    pub(super) fn newest(&self, host: usize) -> Option<Seat> {
        let seats = self.seats.iter().filter(|(_, taken)| taken.host == host);
        seats.map(|(seat, _)| *seat).max()
    }

    #[cfg(test)]
    pub(super) fn users(&self, seat: Seat) -> usize {
        self.seats[&seat].users
    }
}

/// Users of one session at once: an OpenSSH server allows ten channels (`MaxSessions`), and two
/// are left to what is done beside the commands.
pub(super) const USERS_MAX: usize = 8;
