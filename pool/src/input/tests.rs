//! A window under a made-up reader and hosts that come, read and go at random.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::window::{Next, Task, Window};

/// What a made-up reader, and hosts that come, read and go at random, do with a window.
struct World {
    window: Window,
    input: Vec<u8>,
    read: usize,
    complete: bool,
    kept: Vec<u8>,
    got: Vec<Vec<u8>>,
    /// Hosts that had all, or were let go.
    over: Vec<bool>,
}

const BYTES_MAX: usize = 50;

impl World {
    fn new(hosts: usize, bytes: usize) -> Self {
        Self {
            window: Window::new(hosts, BYTES_MAX, false),
            input: (0..bytes).map(|n| (n * 7 % 251) as u8).collect(),
            read: 0,
            complete: false,
            kept: Vec::new(),
            got: vec![Vec::new(); hosts],
            over: vec![false; hosts],
        }
    }

    /// One step of the reader; false if it can do nothing.
    fn read(&mut self, len: usize) -> bool {
        if self.complete {
            return false;
        }
        match self.window.task() {
            Task::Stop | Task::Wait => false,
            Task::Keep {
                piece,
                offset,
                bytes,
            } => {
                assert_eq!(offset as usize, self.kept.len(), "kept without a gap");
                self.kept.extend_from_slice(&bytes);
                self.window.kept(piece);
                true
            }
            Task::Read => {
                let end = self.input.len().min(self.read + len);
                self.window.push(self.input[self.read..end].into());
                self.complete = end == self.read;
                self.read = end;
                true
            }
        }
    }

    /// One step of a host; false if it can do nothing.
    fn feed(&mut self, host: usize, len: usize) -> bool {
        match self.window.next(host) {
            Next::Piece(bytes) => self.got[host].extend_from_slice(&bytes),
            Next::Kept {
                offset,
                len: longest,
            } => {
                let (from, len) = (offset as usize, len.min(longest as usize));
                self.got[host].extend_from_slice(&self.kept[from..from + len]);
                self.window.given(host, len as u64);
            }
            Next::Later => return false,
            Next::End => {
                assert_eq!(self.got[host], self.input, "host {host}");
                self.window.ended(host);
                self.over[host] = true;
            }
        }
        true
    }
}

proptest! {
    /// A pool smaller than the fleet, pieces of any size, hosts that leave in the middle: who stays
    /// gets every byte in order, memory stays within its bound, and nothing ever stands still.
    #[test]
    fn whoever_stays_gets_all_of_it(
        hosts in 1_usize..8,
        places in 1_usize..4,
        bytes in 0_usize..400,
        steps in prop::collection::vec((0_usize..12, 1_usize..30), 0..300),
    ) {
        let mut world = World::new(hosts, bytes);
        let mut waiting: VecDeque<usize> = (0..hosts).collect();
        let mut running: Vec<usize> = Vec::new();
        let mut steps = steps.into_iter();
        loop {
            running.retain(|host| !world.over[*host]);
            while running.len() < places
                && let Some(host) = waiting.pop_front()
            {
                world.window.begin(host);
                running.push(host);
            }
            if running.is_empty() {
                break;
            }
            match steps.next() {
                Some((0, _)) => {
                    let host = running[0];
                    world.window.ended(host);
                    world.window.ended(host);
                    world.over[host] = true;
                }
                Some((1..4, len)) => { world.read(len); }
                Some((which, len)) => { world.feed(running[which % running.len()], len); }
                None => {
                    let mut moved = world.read(9);
                    for host in &running {
                        moved |= !world.over[*host] && world.feed(*host, 9);
                    }
                    prop_assert!(moved, "nobody can go on");
                }
            }
            // A piece is at most 29 bytes long, and read where there is room for one byte.
            prop_assert!(world.window.bytes() < BYTES_MAX + 29);
        }
        prop_assert_eq!(world.window.task(), Task::Stop);
    }
}

#[test]
fn what_fits_into_memory_is_kept_nowhere_else() {
    let mut world = World::new(3, BYTES_MAX - 1);
    for host in 0..3 {
        world.window.begin(host);
        while !world.over[host] {
            assert!(world.read(10) | world.feed(host, 10));
        }
    }
    assert!(world.kept.is_empty());
}

#[test]
fn the_slowest_host_holds_the_others_up() {
    let mut world = World::new(2, 1000);
    world.window.begin(0);
    world.window.begin(1);
    while world.read(10) | world.feed(0, 10) {}
    assert_eq!(
        (world.read, world.got[0].len(), world.kept.len()),
        (50, 50, 0)
    );
    // It goes, and the other goes on.
    world.window.ended(1);
    while !world.over[0] {
        assert!(world.read(10) | world.feed(0, 10));
    }
    assert!(world.kept.is_empty(), "nobody could come for it");
}

#[test]
fn nothing_is_read_ahead_for_those_who_only_wait() {
    let mut world = World::new(2, 1000);
    world.window.begin(0);
    world.window.ended(0);
    while world.read(10) {}
    assert_eq!((world.read, world.kept.len()), (50, 0));
}
