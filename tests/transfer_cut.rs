//! Puts that are cut short at every moment over a slow link: whatever they wait for then, nothing of them stays on the
//! host.

mod support;

use std::{
    fs,
    time::{Duration, Instant},
};

use sshoal::{
    Scope, Session,
    transfer::{self, CopyOptions, Source, Verify},
};
use support::{
    files::{bytes_of, names},
    proxy::Proxy,
    sessions::{config_knowing, host, limit, random_bytes},
    sshd::{Sshd, known_hosts_line},
};

/// Moments at which a put is cut short, spread over how long a whole one takes.
const MOMENTS: u32 = 48;

#[test]
fn a_put_that_is_cut_short_at_any_moment_leaves_nothing() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let link = Duration::from_millis(20);
    let proxy = Proxy::to(sshd.socket()).round_trip(link).start();
    let address = proxy.address();
    let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
    let config = config_knowing(&sshd, &known).build();
    let config = config.expect("a whole configuration");
    let connect = || Session::connect(&host(address), &config).expect("connects");
    let there = sshd.scratch().join("there");
    fs::create_dir(&there).expect("makes a directory");
    let to = there.join("file");
    let source = Source::bytes(random_bytes(100_000, 1));
    let options = CopyOptions::new().verify(Verify::Sha256);
    let put = |session: &Session, scope: &Scope| {
        transfer::put(session, &source, bytes_of(&to), &options, scope)
    };

    let mut session = connect();
    let begun = Instant::now();
    put(&session, &limit()).expect("arrives");
    let whole = begun.elapsed();
    let mut cut = 0;
    for moment in 0..MOMENTS {
        if to.exists() {
            fs::remove_file(&to).expect("removes");
        }
        let scope = limit().child(Some(whole * moment / MOMENTS));
        match put(&session, &scope) {
            Ok(_) => assert_eq!(names(&there), ["file"]),
            Err(error) => {
                cut += 1;
                let left = names(&there);
                let is_part = |name: &String| name != "file";
                let at = format!("{moment} of {MOMENTS}, {error}: {left:?}");
                assert!(!left.iter().any(is_part), "{at}");
            }
        }
        if !session.is_open() {
            session = connect();
        }
    }
    assert!(cut > MOMENTS / 2, "{cut}");
}
