//! One configuration for a fleet: read once, then looked up from memory.

use std::fmt::Write as _;
use std::time::Instant;

use sshoal_session::Host;
use sshoal_session::ssh_config::{Local, SshConfig};

/// Method: a file with a section for each of a thousand groups of hosts and one for all is read,
/// and then removed, so that a lookup that opened it would miss it. The time is printed; that a
/// lookup may take as much as ten milliseconds before the test fails leaves room for any machine.
#[test]
fn ten_thousand_hosts_are_looked_up_from_memory() {
    let mut text = String::new();
    for group in 0..1000 {
        let _ = write!(
            text,
            "Host web{group}-* !web{group}-x\n  Port {}\n  User u{group}\n  IdentityFile ~/.ssh/k{group}\n",
            2000 + group
        );
    }
    text += "Match user u7 host *-7\n  HostKeyAlias seven\nHost *\n  ServerAliveInterval 15\n";
    let dir = tempfile::tempdir().expect("makes a directory");
    let path = dir.path().join("config");
    std::fs::write(&path, text).expect("writes the file");
    let local = Local::default().with_user("me", 1000).with_home("/home/me");
    let begin = Instant::now();
    let config = SshConfig::builder(local)
        .file(&path)
        .load()
        .expect("is read");
    let read = begin.elapsed();
    std::fs::remove_file(&path).expect("removes the file");

    let hosts: Vec<Host> = (0..10_000)
        .map(|n| {
            format!("web{}-{}", n % 1000, n / 1000)
                .parse()
                .expect("names a host")
        })
        .collect();
    let begin = Instant::now();
    for (n, host) in hosts.iter().enumerate() {
        let options = config.lookup(host).expect("is looked up");
        assert_eq!(usize::from(*options.port.value()), 2000 + n % 1000);
        assert_eq!(options.user.value(), &format!("u{}", n % 1000));
        let path = format!("/home/me/.ssh/k{}", n % 1000);
        let files = options.identity_files.expect("has one");
        assert_eq!(files[0].value().path(), std::path::Path::new(&path));
        assert_eq!(options.host_key_alias.is_some(), n == 7007);
    }
    let each = begin.elapsed() / 10_000;
    println!("read in {read:?}, {each:?} a lookup");
    assert!(each.as_millis() < 10, "{each:?} a lookup");
}
