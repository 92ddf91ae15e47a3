//! Very many hosts over a bounded number of sessions: every outcome, CPU for each host as for few, and memory for each
//! host that has ended.

use crate::{
    Size,
    cell::{Cell, Way},
    head, row,
    support::fleet::EmbeddedFleet,
};

pub(crate) fn study(size: Size) {
    let (few, many) = size.pick((100, 500), (1000, 100_000));
    let servers = EmbeddedFleet::start(many);
    head(&[
        "`true` on",
        "sessions at once",
        "outcomes",
        "good",
        "time, s",
        "CPU, ms a host",
        "memory before, MiB",
        "at its peak, MiB",
        "at the end, MiB",
    ]);
    for way in [Way::Gathered, Way::Discarded] {
        let [small, large] = [few, many].map(|hosts| {
            let cell = Cell {
                way,
                ..Cell::new(servers.dir(), hosts, few, "true")
            };
            let got = cell.run();
            let mib = |kib: f64| format!("{:.1}", kib / 1024.0);
            row(&[
                hosts.to_string(),
                few.to_string(),
                way.name().to_owned(),
                got.good.to_string(),
                format!("{:.2}", got.wall),
                format!("{:.3}", got.cpu_ms()),
                mib(got.before_kib),
                mib(got.peak_kib),
                mib(got.held_kib),
            ]);
            assert_eq!(got.good, hosts, "every host ends well");
            got
        });
        let more = (many - few) as f64;
        println!(
            "\n{}: CPU of a host {:.2} times that of the small run; for each further host {:.0} bytes before the run, \
             {:.0} more at the peak and {:.0} more at the end\n",
            way.name(),
            large.cpu_ms() / small.cpu_ms(),
            (large.before_kib - small.before_kib) * 1024.0 / more,
            ((large.peak_kib - large.before_kib) - (small.peak_kib - small.before_kib)) * 1024.0
                / more,
            ((large.held_kib - large.before_kib) - (small.held_kib - small.before_kib)) * 1024.0
                / more,
        );
    }
}
