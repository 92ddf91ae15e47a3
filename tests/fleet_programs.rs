//! Programs per host: straight-line code over a session, several calls at once, errors per host.

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use sshoal::{
    CheckError, Error, Exit, Fleet, HostFiles, Kind, Phase, Reached, Visited,
    transfer::{
        self, Operation,
        sftp::{FileType, SftpStatus},
    },
};
use support::{client::host, sessions::random_bytes, sshd::Sshd};

/// A server of several hosts, and a fleet of them and of one where nobody listens.
#[track_caller]
fn fleet(count: u32) -> Option<(Sshd, Fleet)> {
    let sshd = Sshd::builder()
        .addresses(count)
        .log_level("VERBOSE")
        .start()?;
    let config = sshd.config().build().expect("is whole");
    let fleet = Fleet::builder(sshd.targets(), config.into()).build();
    Some((sshd, fleet.expect("is good")))
}

/// What the program returned on the only host.
#[track_caller]
fn only<T>(mut all: Vec<Visited<T>>) -> T {
    assert_eq!(all.len(), 1);
    all.remove(0).into_result().expect("returned")
}

fn path(dir: &std::path::Path, name: &str) -> String {
    dir.join(name).display().to_string()
}

#[test]
fn files_and_commands_read_as_straight_lines() {
    let Some((sshd, fleet)) = fleet(3) else {
        return;
    };
    let dir = sshd.scratch();
    let each = fleet.each(move |host| -> Result<String, transfer::Error> {
        let own = path(&dir, &format!("of {}", host.index()));
        host.write(&own, format!("I am {}\n", host.index()))?;
        let text = host.read_to_string(&own)?;
        let listed = host.run(format!("cat '{own}'; exit {}", host.index()))?;
        assert_eq!(
            listed.exit,
            Exit::Status(u32::try_from(host.index()).unwrap())
        );
        Ok(text + std::str::from_utf8(&listed.stdout).expect("is text"))
    });
    for (n, visited) in each.in_order().into_iter().enumerate() {
        let text = visited.into_result().expect("is reached").expect("returns");
        assert_eq!(text, format!("I am {n}\nI am {n}\n"));
    }
    fleet.close();
}

/// Goal: what fails on one host is that host's value alone, by what it was. Method: one host fails
/// each way, the others do not, and one is not there.
#[test]
fn errors_are_those_of_their_host() {
    let Some(sshd) = Sshd::builder().addresses(5).log_level("INFO").start() else {
        return;
    };
    let mut hosts = sshd.targets();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let nobody = free.local_addr().expect("is bound");
    drop(free);
    hosts.push(host(nobody));
    let config = sshd.config().build().expect("is whole");
    let fleet = Fleet::builder(hosts, config.into())
        .build()
        .expect("is good");
    let each = fleet.each(
        |host| -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
            match host.index() {
                1 => drop(host.read("/no/such/file")?),
                2 => drop(host.check("echo why >&2; exit 3")?),
                3 => panic!("on host 3"),
                _ => drop(host.check("true")?),
            }
            Ok(host.index())
        },
    );
    let mut all = each.in_order().into_iter().map(Visited::into_result);
    let mut next = || all.next().expect("six hosts");
    assert_eq!(next().expect("returned").expect("is fine"), 0);
    let error = next().expect("returned").expect_err("has no such file");
    let remote = error.downcast_ref::<transfer::Error>();
    let open = Operation::Open;
    assert!(
        matches!(remote, Some(transfer::Error::Remote { operation, status: SftpStatus::NO_SUCH_FILE, .. }) if *operation == open),
        "{error:?}"
    );
    let error = next().expect("returned").expect_err("exits 3");
    assert_eq!(error.to_string(), "command failed: exit 3: why");
    let failed = error
        .downcast_ref::<CheckError>()
        .and_then(CheckError::output);
    assert_eq!(failed.expect("has its output").exit, Exit::Status(3));
    let error = next().expect_err("panics");
    assert!(
        matches!(&error, Error::Internal { message, .. } if message == "on host 3"),
        "{error:?}"
    );
    assert_eq!(next().expect("returned").expect("is fine"), 4);
    let error = next().expect_err("is not there");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Connect, Kind::Refused)
    );
}

/// Goal: several calls of one host go at once over its one connection. Method: each call waits for
/// a file that the next one makes, so that one after the other they would hang.

#[test]
fn several_calls_go_at_once_over_one_connection() {
    let Some((sshd, fleet)) = fleet(2) else {
        return;
    };
    let dir = sshd.scratch();
    let each = fleet.each(move |host| -> Result<Vec<u8>, Error> {
        let at = |name: &str| path(&dir, &format!("{name} {}", host.index()));
        let wait = |name: &str| format!("until [ -e '{}' ]; do sleep 0.01; done", at(name));
        let (first, second, third) = host.join((
            || host.run(format!("{}; printf first", wait("one"))),
            || {
                host.run(format!(
                    "{}; : >'{}'; printf second",
                    wait("two"),
                    at("one")
                ))
            },
            || host.run(format!(": >'{}'; printf third", at("two"))),
        ));
        Ok([first?.stdout, second?.stdout, third?.stdout].concat())
    });
    for visited in each.in_order() {
        let said = visited.into_result().expect("is reached").expect("runs");
        assert_eq!(said, b"firstsecondthird");
    }
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 2);
    fleet.close();
}

#[test]
fn a_panic_among_calls_leaves_the_others_and_the_session() {
    let Some((_sshd, fleet)) = fleet(1) else {
        return;
    };
    let each = fleet.each(|host: &Reached<'_>| {
        let (one, two) = host.try_join((|| host.run("echo one"), || -> u8 { panic!("two") }));
        let one = one.expect("does not panic").expect("runs").stdout;
        let two = two.expect_err("panics").message().to_owned();
        (one, two, host.run("echo after").expect("runs").stdout)
    });
    let (one, two, after) = only(each.in_order());
    assert_eq!(
        (&*one, &*two, &*after),
        (b"one\n".as_slice(), "two", b"after\n".as_slice())
    );
}

#[test]
fn rounds_go_over_kept_connections() {
    let Some((sshd, fleet)) = fleet(3) else {
        return;
    };
    for round in 0..5 {
        let each = fleet.each(move |host| host.run(format!("echo {round}")));
        for visited in each {
            let output = visited.into_result().expect("is reached").expect("runs");
            assert_eq!(output.stdout, format!("{round}\n").as_bytes());
        }
    }
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 3);
}

/// Goal: a kept connection that ended is replaced before a program sees it. Method: its process is
/// killed on the host; the next round begins when this side's socket has the end.
#[test]
fn a_kept_connection_that_ended_is_replaced_for_a_program() {
    let Some((sshd, fleet)) = fleet(1) else {
        return;
    };
    let parent = |fleet: &Fleet| {
        let pid = only(fleet.each(|host| host.run("echo $PPID")).in_order());
        let pid = String::from_utf8(pid.expect("runs").stdout).expect("is text");
        rustix::process::Pid::from_raw(pid.trim().parse().expect("is a number")).expect("is one")
    };
    let first = parent(&fleet);
    rustix::process::kill_process(first, rustix::process::Signal::KILL).expect("is there");
    // On a busy machine the kernel delivers it some time after the process has gone. 01: established.
    let established = format!(":{:04X} 01 ", sshd.socket().port());
    let sockets = || fs::read_to_string("/proc/self/net/tcp").expect("reads the sockets");
    while sockets().contains(&established) {
        std::thread::yield_now();
    }
    assert_ne!(parent(&fleet), first);
}

/// Files, directories and links of every sort, in a directory of their own; `a.log` was changed at
/// [`CHANGED`].
fn files(sshd: &Sshd, large: &[u8]) -> PathBuf {
    let dir = sshd.scratch().join("files");
    fs::create_dir(&dir).expect("makes a directory");
    fs::write(dir.join("large.log"), large).expect("writes");
    fs::write(dir.join("bad.log"), b"\xff").expect("writes");
    for name in ["b.log", "a.log", ".hidden.log", "a.txt", "new\nline.log"] {
        fs::write(dir.join(name), name).expect("writes");
    }
    symlink("nowhere", dir.join("dangling")).expect("links");
    symlink("a.log", dir.join("link.log")).expect("links");
    let file = fs::File::options().write(true).open(dir.join("a.log"));
    file.and_then(|file| file.set_modified(UNIX_EPOCH + CHANGED))
        .expect("sets the time");
    dir
}

const CHANGED: Duration = Duration::from_secs(1_500_000_000);

#[test]
fn what_stands_on_the_host_is_told() {
    let Some((sshd, fleet)) = fleet(1) else {
        return;
    };
    let dir = files(&sshd, b"");
    let mode = fs::metadata(dir.join("a.log")).expect("is there").mode() & 0o7777;
    let each = fleet.each(move |host| {
        let at = |name: &str| path(&dir, name);
        let told = host.stat(at("link.log")).expect("is there");
        let changed = Some(1_500_000_000);
        let time = told.times.map(|(_, changed)| changed);
        let found = (told.file_type(), told.size, told.permissions(), time);
        assert_eq!(found, (FileType::File, Some(5), Some(mode), changed));
        let told = host.stat(dir.as_os_str().as_encoded_bytes());
        assert_eq!(told.expect("is there").file_type(), FileType::Directory);
        assert!(host.exists(at("a.log")).expect("is told"));
        for name in ["missing", "dangling"] {
            assert!(!host.exists(at(name)).expect("is told"), "{name}");
        }
        let listed = host.glob(at(""), "*.log").expect("lists");
        let names = [
            "a.log",
            "b.log",
            "bad.log",
            "large.log",
            "link.log",
            "new\nline.log",
        ];
        assert_eq!(listed, names.map(|name| at(name).into_bytes()));
        let listed = host.glob(at("missing"), "*");
        let list = Operation::List;
        assert!(
            matches!(listed, Err(transfer::Error::Remote { operation, .. }) if operation == list)
        );
    });
    only(each.in_order());
}

#[test]
fn files_are_read_and_written_whole_and_within_bounds() {
    let Some((sshd, fleet)) = fleet(1) else {
        return;
    };
    let large = random_bytes(700_000, 1);
    let dir = files(&sshd, &large);
    let each = fleet.each(move |host| {
        let at = |name: &str| path(&dir, name);
        assert!(host.read(at("large.log")).expect("reads") == large);
        let name = at("large.log");
        let bounded = transfer::read(host.session(), name.as_bytes(), 699_999, host.scope());
        let bytes_max = 699_999;
        assert!(
            matches!(bounded, Err(transfer::Error::TooLarge { bytes_max: bound }) if bound == bytes_max)
        );
        let text = host.read_to_string(at("bad.log"));
        assert!(matches!(text, Err(transfer::Error::NotText { .. })));
        // It tells no size.
        assert!(!host.read("/proc/uptime").expect("reads").is_empty());
        host.write(at("b.log"), &large).expect("writes over it");
        assert!(fs::read(dir.join("b.log")).expect("reads") == large);
        host.write(at("new"), "").expect("writes");
        assert_eq!(fs::read(dir.join("new")).expect("reads"), b"");
        let within = host.write(at("a.log/such"), "x");
        assert!(within.is_err(), "a file holds no file: {within:?}");
    });
    only(each.in_order());
}
