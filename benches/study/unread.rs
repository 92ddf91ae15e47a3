//! Hosts that print without end while nobody reads: once all of them are held up, the client costs nothing.

use std::{
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use sshoal::{Fleet, KeepOpen, OutputStream, Started, raise_descriptor_limit};

use crate::{
    Size,
    support::{
        fleet::EmbeddedFleet,
        usage::{processor_time, resident_kib, wakes},
    },
};

pub(crate) fn study(size: Size) {
    let (hosts, seconds) = size.pick((50, 1), (1000, 10));
    raise_descriptor_limit().unwrap();
    let servers = EmbeddedFleet::start(hosts);
    let fleet = Fleet::builder(servers.targets(), servers.config())
        .pool_size(NonZeroUsize::new(hosts).unwrap())
        .connect_timeout(Some(Duration::from_secs(120)))
        .keep_open(KeepOpen::No)
        .build()
        .unwrap();
    let (begun, before) = (Instant::now(), resident_kib());
    let run = fleet.start("head -c 1000000000000").unwrap();
    let unread = once_held_up(&run);
    let (filling, filled) = (processor_time(), begun.elapsed());
    let (spent, woken) = (processor_time(), wakes());
    sshoal::sleep(Duration::from_secs(seconds));
    let (spent, woken) = (processor_time() - spent, wakes() - woken);
    println!(
        "{hosts} hosts held up after {:.1} s and {:.2} s of CPU with {:.1} MiB unread and {:.0} KiB of memory each; \
         then in {seconds} s: {:.4} s of CPU, {:.4} % of a core, {woken} wake-ups",
        filled.as_secs_f64(),
        filling.as_secs_f64(),
        unread as f64 / 1048576.0,
        resident_kib().saturating_sub(before) as f64 / hosts as f64,
        spent.as_secs_f64(),
        spent.as_secs_f64() * 100.0 / seconds as f64,
    );
}

/// Waits until all hosts have begun and none gives more for a second; returns how much is unread.
fn once_held_up(run: &Started) -> u64 {
    assert!(run.accepted(None).is_complete());
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let unread = run
            .hosts()
            .iter()
            .map(|host| host.unread(OutputStream::Stdout))
            .sum();
        if unread != last {
            (last, since) = (unread, Instant::now());
        }
        if unread > 0 && since.elapsed() > Duration::from_secs(1) {
            return unread;
        }
        sshoal::sleep(Duration::from_millis(50));
    }
}
