//! What commands cost by the number of sessions at once: long silent and short ones, gathered, discarded or left
//! unread, and started again while outcomes come in.

use crate::{
    Size,
    cell::{Cell, Way},
    head, row,
    support::fleet::EmbeddedFleet,
};

pub(crate) fn study(size: Size) {
    let pools: &[usize] = size.pick(&[50, 100], &[100, 500, 2000, 5000]);
    let hosts = size.pick(100, 5000);
    let servers = EmbeddedFleet::start(hosts);
    head(&[
        "command",
        "sessions at once",
        "hosts",
        "output",
        "time, s",
        "CPU, ms a command",
        "memory at its peak, KiB a session",
        "held at the end, KiB a host",
    ]);
    // A long silent one takes its time on all hosts at once; a short one goes through all hosts.
    let seconds = size.pick(1, 5);
    for (command, title) in [
        (format!("sleep {seconds}"), format!("`sleep {seconds}`")),
        ("echo hi".to_owned(), "`echo hi`".to_owned()),
    ] {
        for &pool in pools {
            let hosts = if command.starts_with("sleep") {
                pool
            } else {
                hosts
            };
            for way in Way::ALL {
                if way == Way::Started && command.starts_with("sleep") {
                    continue;
                }
                let cell = Cell {
                    way,
                    ..Cell::new(servers.dir(), hosts, pool, &command)
                };
                let got = cell.run();
                assert_eq!(got.good, cell.commands(), "{cell:?}");
                row(&[
                    title.clone(),
                    pool.to_string(),
                    hosts.to_string(),
                    way.name().to_owned(),
                    format!("{:.2}", got.wall),
                    format!("{:.3}", got.cpu_ms()),
                    format!("{:.0}", (got.peak_kib - got.before_kib) / pool as f64),
                    format!("{:.1}", (got.held_kib - got.before_kib) / hosts as f64),
                ]);
            }
        }
    }
}
