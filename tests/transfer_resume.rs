//! Copies that are cut short, and those that go on with them, against OpenSSH's own server.

mod support;

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use sshoal::{
    Scope, Session,
    transfer::{self, Bandwidth, Copied, CopyOptions, Error, Progress, Resume, Source},
};
use support::{
    files::{bytes_of, names, sides},
    sessions::{connect, connect_with, host_keys, identity, limit, random_bytes},
    sshd::Sshd,
};

/// Set for a child process of this test binary: what it copies, and how to get in.
const CHILD_WAY: &str = "SSHOAL_TEST_RESUME_WAY";
const CHILD_PATHS: [&str; 2] = ["SSHOAL_TEST_RESUME_LOCAL", "SSHOAL_TEST_RESUME_REMOTE"];
const CHILD_HOST: [&str; 3] = [
    "SSHOAL_TEST_RESUME_HOST",
    "SSHOAL_TEST_RESUME_KNOWN",
    "SSHOAL_TEST_RESUME_KEY",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Put,
    Get,
}

impl Way {
    fn copy(
        self,
        session: &Session,
        (local, remote): (&Path, &Path),
        options: &CopyOptions,
        scope: &Scope,
    ) -> Result<Copied, Error> {
        let options = options.clone().resume(Resume::Yes);
        match self {
            Self::Put => {
                let source = Source::file(local)?;
                transfer::put(session, &source, bytes_of(remote), &options, scope)
            }
            Self::Get => transfer::get(session, bytes_of(remote), local, &options, scope),
        }
    }

    /// The file that is copied, and the copy.
    fn ends<'a>(self, (local, remote): (&'a Path, &'a Path)) -> (&'a Path, &'a Path) {
        match self {
            Self::Put => (local, remote),
            Self::Get => (remote, local),
        }
    }
}

/// Not a test of its own: a copy that tells how far it is until it is killed.
#[test]
fn child_copies_until_killed() {
    let Ok(way) = env::var(CHILD_WAY) else { return };
    let way = if way == "put" { Way::Put } else { Way::Get };
    let [local, remote] = CHILD_PATHS.map(|name| PathBuf::from(env::var_os(name).unwrap()));
    let [address, known, key] = CHILD_HOST.map(|name| env::var(name).unwrap());
    let known = fs::read_to_string(known).unwrap();
    let keys = host_keys(sshoal::HostKeyPolicy::Strict, &known);
    let config = sshoal::Config::builder(keys).identity(identity(Path::new(&key)));
    let host = support::sessions::host(address.parse().unwrap());
    let session = Session::connect(&host, &config.build().unwrap()).unwrap();
    let progress = Progress::new();
    let watched = progress.clone();
    std::thread::spawn(move || {
        // Nobody wakes it: it tells each millisecond, and leaves the processor to the copy.
        let (_never, nothing) = std::sync::mpsc::channel::<()>();
        loop {
            writeln!(std::io::stderr(), "moved {}", watched.bytes()).unwrap();
            let _ = nothing.recv_timeout(Duration::from_millis(1));
        }
    });
    let options = CopyOptions::new().progress(&progress);
    way.copy(&session, (&local, &remote), &options, &limit())
        .unwrap();
    writeln!(std::io::stderr(), "whole").unwrap();
}

fn child(sshd: &Sshd, way: Way, (local, remote): (&Path, &Path)) -> Child {
    let way = if way == Way::Put { "put" } else { "get" };
    Command::new(env::current_exe().expect("a test knows its file"))
        .args(["--exact", "child_copies_until_killed", "--nocapture"])
        .env(CHILD_WAY, way)
        .env(CHILD_PATHS[0], local)
        .env(CHILD_PATHS[1], remote)
        .env(CHILD_HOST[0], sshd.socket().to_string())
        .env(CHILD_HOST[1], sshd.known_hosts_path())
        .env(CHILD_HOST[2], sshd.key_path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test runs once more")
}

/// Kills a copy when it has moved so many bytes; returns false if it was whole before.
fn kill_after(mut child: Child, bytes: u64) -> bool {
    let lines = BufReader::new(child.stderr.take().expect("is piped")).lines();
    let mut cut = false;
    for line in lines.map_while(Result::ok) {
        let moved = line.strip_prefix("moved ").and_then(|n| n.parse().ok());
        if moved.is_some_and(|moved: u64| moved >= bytes) {
            cut = true;
            break;
        }
    }
    child.kill().expect("is ours");
    child.wait().expect("is ours");
    cut
}

/// Method: a client in a process of its own is killed by SIGKILL when it has moved a number of bytes that each round
/// draws anew; then this process goes on with the copy and counts what it still has to move.
#[track_caller]
#[expect(clippy::print_stdout, reason = "the record of a full run")]
fn check_kills(way: Way) {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let rounds: Option<u64> = env::var("SSHOAL_RESUME_KILLS").map_or(None, |n| n.parse().ok());
    let size: u64 = if rounds.is_some() {
        100_000_000
    } else {
        12_000_000
    };
    let [there, here] = sides(&sshd);
    let (local, remote) = (here.join("file"), there.join("file"));
    let (from, to) = way.ends((&local, &remote));
    let bytes = random_bytes(usize::try_from(size).expect("fits"), 5);
    fs::write(from, &bytes).expect("writes");
    let session = connect(&sshd);
    let (mut resumed_rounds, mut sent_again) = (0, 0);
    for round in 0..rounds.unwrap_or(10) {
        let _ = fs::remove_file(to);
        let random = random_bytes(8, 100 + round).try_into().expect("8 bytes");
        let after = u64::from_le_bytes(random) % size;
        let cut = kill_after(child(&sshd, way, (&local, &remote)), after);
        match fs::read(to) {
            Ok(there) => assert!(there == bytes, "a short file has the name"),
            Err(_) => assert!(cut, "the copy ended without its file"),
        }
        let kept: u64 = match names(to.parent().expect("has one")) {
            names if names.len() == 1 && to.exists() => continue,
            names => names
                .iter()
                .filter(|name| name.contains(".sshoal-part-"))
                .map(|name| fs::metadata(to.with_file_name(name)).map_or(0, |part| part.len()))
                .sum(),
        };
        let progress = Progress::new();
        let options = CopyOptions::new().progress(&progress);
        let copied = way.copy(&session, (&local, &remote), &options, &limit());
        assert_eq!(copied.expect("goes on").bytes, size);
        sent_again = sent_again.max((after + progress.bytes()).saturating_sub(size));
        assert!(fs::read(to).expect("is there") == bytes, "not the same");
        assert_eq!(names(to.parent().expect("has one")), ["file"]);
        assert_eq!(progress.bytes() + progress.bytes_resumed(), size);
        assert!(progress.bytes_resumed() >= kept, "{kept}: {progress:?}");
        resumed_rounds += u64::from(kept > 0);
    }
    assert!(resumed_rounds > 0, "no kill came in the middle");
    println!("{way:?}: {resumed_rounds} gone on with, at most {sent_again} bytes moved again");
}

#[test]
fn a_put_whose_client_is_killed_leaves_no_short_file_and_goes_on() {
    check_kills(Way::Put);
}

#[test]
fn a_get_whose_client_is_killed_leaves_no_short_file_and_goes_on() {
    check_kills(Way::Get);
}

/// Cancels a copy when it has moved a part.
#[track_caller]
fn cut_short(way: Way, session: &Session, paths: (&Path, &Path), after: u64) {
    let (progress, scope) = (Progress::new(), limit());
    let slow = Bandwidth::new(NonZeroU64::new(20_000_000).expect("not 0"));
    let options = CopyOptions::new().progress(&progress).bandwidth(&slow);
    std::thread::scope(|threads| {
        let copy = threads.spawn(|| way.copy(session, paths, &options, &scope));
        while progress.bytes() < after && !copy.is_finished() {
            std::thread::yield_now();
        }
        scope.cancel();
        let error = copy.join().expect("no panic").expect_err("is cut short");
        assert!(matches!(error, Error::Session(_)), "{error}");
    });
}

/// What is left of a copy.
fn part_of(to: &Path) -> PathBuf {
    let names = names(to.parent().expect("has one"));
    let part = names.iter().find(|name| name.contains(".sshoal-part-"));
    to.with_file_name(part.unwrap_or_else(|| panic!("no part file in {names:?}")))
}

/// Method: of a copy that was cut short, the left part is spoiled at its end, where it is compared, and at its begin,
/// where only the whole's SHA-256 tells; and once the source changes. The copy is right each time.
#[test]
fn what_was_left_counts_only_if_it_is_as_the_source() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let (local, remote) = (here.join("file"), there.join("file"));
    for (way, spoil) in [
        (Way::Put, "end"),
        (Way::Put, "begin"),
        (Way::Put, "source"),
        (Way::Put, "nothing"),
        (Way::Get, "end"),
        (Way::Get, "begin"),
        (Way::Get, "nothing"),
    ] {
        let (from, to) = way.ends((&local, &remote));
        let _ = (fs::remove_file(from), fs::remove_file(to));
        let mut bytes = random_bytes(12_000_000, 3);
        fs::write(from, &bytes).expect("writes");
        cut_short(way, &session, (&local, &remote), 7_000_000);
        assert!(!to.exists());
        let part = part_of(to);
        let mut left = fs::read(&part).expect("reads");
        assert!(left.len() > 6_000_000 && left[..] == bytes[..left.len()]);
        match spoil {
            "end" => *left.last_mut().expect("is not empty") ^= 1,
            "begin" => left[10] ^= 1,
            "source" => {
                bytes[100] ^= 1;
                fs::write(from, &bytes).expect("writes");
            }
            _ => {}
        }
        fs::write(&part, &left).expect("writes");
        let progress = Progress::new();
        let options = CopyOptions::new().progress(&progress);
        let copied = way.copy(&session, (&local, &remote), &options, &limit());
        assert_eq!(copied.expect("copies").bytes, 12_000_000, "{way:?} {spoil}");
        assert!(fs::read(to).expect("reads") == bytes, "{way:?} {spoil}");
        match spoil {
            "nothing" => assert_eq!(progress.bytes_resumed(), left.len() as u64),
            "begin" => assert!(progress.bytes() >= 12_000_000),
            // Up to the byte that is wrong.
            "end" if way == Way::Put => {
                assert_eq!(progress.bytes_resumed(), left.len() as u64 - 1);
            }
            _ => assert_eq!(progress.bytes_resumed(), 0, "{way:?} {spoil}"),
        }
        // Of another version of the source, the part stays: that may come back.
        let _ = fs::remove_file(&part);
        assert_eq!(
            names(to.parent().expect("has one")),
            ["file"],
            "{way:?} {spoil}"
        );
    }
}

/// Method: while one copy goes on slowly, another of the same source begins; it may not take what the first one writes.
#[test]
fn two_copies_at_once_never_share_a_part_file() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let (local, remote) = (here.join("file"), there.join("file"));
    for way in [Way::Put, Way::Get] {
        let (from, to) = way.ends((&local, &remote));
        let _ = (fs::remove_file(from), fs::remove_file(to));
        let bytes = random_bytes(6_000_000, 4);
        fs::write(from, &bytes).expect("writes");
        let slow = Bandwidth::new(NonZeroU64::new(4_000_000).expect("not 0"));
        let (first, second) = (Progress::new(), Progress::new());
        let slowly = CopyOptions::new().progress(&first).bandwidth(&slow);
        let quickly = CopyOptions::new().progress(&second);
        let within = limit();
        std::thread::scope(|threads| {
            let paths = (local.as_path(), remote.as_path());
            let (session, scope) = (&session, &within);
            let slow = threads.spawn(move || way.copy(session, paths, &slowly, scope));
            while first.bytes() < 1_000_000 && !slow.is_finished() {
                std::thread::yield_now();
            }
            way.copy(session, paths, &quickly, scope).expect("copies");
            assert!(fs::read(to).expect("reads") == bytes);
            slow.join().expect("no panic").expect("copies too");
        });
        assert_eq!((first.bytes_resumed(), second.bytes_resumed()), (0, 0));
        assert!(fs::read(to).expect("reads") == bytes);
        assert_eq!(names(to.parent().expect("has one")), ["file"]);
    }
}

#[test]
fn many_that_go_on_with_one_part_file_are_one_that_does() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let (local, remote) = (here.join("file"), there.join("file"));
    let bytes = random_bytes(5_000_000, 6);
    fs::write(&local, &bytes).expect("writes");
    cut_short(Way::Put, &session, (&local, &remote), 2_000_000);
    let progress: Vec<_> = (0..4).map(|_| Progress::new()).collect();
    std::thread::scope(|threads| {
        for progress in &progress {
            threads.spawn(|| {
                let options = CopyOptions::new().progress(progress);
                let paths = (local.as_path(), remote.as_path());
                Way::Put
                    .copy(&session, paths, &options, &limit())
                    .expect("copies");
            });
        }
    });
    let resumed = progress.iter().filter(|one| one.bytes_resumed() > 0);
    assert_eq!(resumed.count(), 1);
    assert!(fs::read(&remote).expect("reads") == bytes);
    assert_eq!(names(&there), ["file"]);
}

/// A link of the part file's name is neither written through nor read.
#[test]
fn a_planted_link_is_not_followed() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect_with(&sshd, support::sessions::config_for(&sshd));
    let [there, here] = sides(&sshd);
    let (local, remote) = (here.join("file"), there.join("file"));
    for way in [Way::Put, Way::Get] {
        let (from, to) = way.ends((&local, &remote));
        let _ = (fs::remove_file(from), fs::remove_file(to));
        let bytes = random_bytes(5_000_000, 9);
        fs::write(from, &bytes).expect("writes");
        cut_short(way, &session, (&local, &remote), 2_000_000);
        let part = part_of(to);
        let outside = sshd.scratch().join("outside");
        fs::rename(&part, &outside).expect("renames");
        let before = fs::read(&outside).expect("reads");
        std::os::unix::fs::symlink(&outside, &part).expect("links");
        let copied = way.copy(&session, (&local, &remote), &CopyOptions::new(), &limit());
        copied.expect("copies");
        assert!(fs::read(to).expect("reads") == bytes);
        assert!(fs::symlink_metadata(to).expect("is there").is_file());
        assert!(
            fs::read(&outside).expect("reads") == before,
            "written through"
        );
        fs::remove_file(&part).expect("is still there");
    }
}
