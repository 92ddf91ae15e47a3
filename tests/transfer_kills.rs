//! Copies whose process, whose server or whose connection is killed at random moments, and the copies after them.
//!
//! `SSHOAL_TREE_KILLS` sets how often each is killed (default 2, in full 100).

mod support;

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    num::NonZeroU64,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use sshoal::{
    Session,
    transfer::{
        self, Bandwidth, Copied, CopyOptions, Error, Links, LocalTree, Preserve, Progress, Resume,
        Source, TreeOptions, TreeReport,
    },
};
use support::{
    files::{bytes_of, names, sides},
    process::descendants,
    sessions::{connect, host, limit, random_bytes},
    sshd::Sshd,
    trees::{Snapshot, plant, snapshot},
};

/// Set for a child process of this test binary: what it copies, and how to get in.
const CHILD_WAY: &str = "SSHOAL_TEST_KILLS_WAY";
const CHILD_PATHS: [&str; 2] = ["SSHOAL_TEST_KILLS_LOCAL", "SSHOAL_TEST_KILLS_REMOTE"];
const CHILD_HOST: [&str; 3] = [
    "SSHOAL_TEST_KILLS_HOST",
    "SSHOAL_TEST_KILLS_KNOWN",
    "SSHOAL_TEST_KILLS_KEY",
];
/// A connection's end takes no longer.
const END_LIMIT: Duration = Duration::from_secs(60);

fn rounds() -> u64 {
    let rounds = env::var("SSHOAL_TREE_KILLS").ok();
    rounds.map_or(2, |rounds| rounds.parse().expect("is a number"))
}

/// A number below a bound, another for each round.
fn random_below(bound: u64, round: u64) -> u64 {
    let bytes = random_bytes(8, 1000 + round);
    u64::from_le_bytes(bytes.try_into().expect("8 bytes")) % bound
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Put,
    Get,
}

impl Way {
    /// What is copied, and the copy.
    fn ends(self, [there, here]: &[PathBuf; 2]) -> [PathBuf; 2] {
        match self {
            Self::Put => [here.clone(), there.clone()],
            Self::Get => [there.clone(), here.clone()],
        }
    }

    /// Makes two directories equal; what is already is not copied again.
    fn sync(
        self,
        session: &Session,
        [there, here]: &[PathBuf; 2],
        copy: CopyOptions,
    ) -> TreeReport {
        let options = TreeOptions::new().sync().links(Links::Copy);
        let options = options.copy(copy.preserve(Preserve::Yes));
        match self {
            Self::Put => {
                let tree = LocalTree::walk(here, &options).expect("walks");
                transfer::put_tree(session, &tree, bytes_of(there), &options, &limit())
            }
            Self::Get => transfer::get_tree(session, bytes_of(there), here, &options, &limit()),
        }
    }

    fn copy(
        self,
        session: &Session,
        [there, here]: &[PathBuf; 2],
        options: &CopyOptions,
    ) -> Result<Copied, Error> {
        let (remote, local) = (there.join("file"), here.join("file"));
        match self {
            Self::Put => {
                let source = Source::file(local)?;
                transfer::put(session, &source, bytes_of(&remote), options, &limit())
            }
            Self::Get => transfer::get(session, bytes_of(&remote), &local, options, &limit()),
        }
    }
}

/// Not a test of its own: a copy that tells how far it is until it is killed.
#[test]
fn child_copies_until_killed() {
    let Ok(way) = env::var(CHILD_WAY) else { return };
    let way = if way == "put" { Way::Put } else { Way::Get };
    let paths = CHILD_PATHS.map(|name| PathBuf::from(env::var_os(name).unwrap()));
    let [address, known, key] = CHILD_HOST.map(|name| env::var(name).unwrap());
    let config = support::client::config(&fs::read_to_string(known).unwrap(), Path::new(&key));
    let target = host(address.parse().unwrap());
    let session = Session::connect(&target, &config.build().unwrap()).unwrap();
    let progress = Progress::new();
    let watched = progress.clone();
    std::thread::spawn(move || {
        // Nobody wakes it: it tells each millisecond, and leaves the processor to the copy.
        let (_never, nothing) = mpsc::channel::<()>();
        loop {
            writeln!(std::io::stderr(), "moved {}", watched.bytes()).unwrap();
            let _ = nothing.recv_timeout(Duration::from_millis(1));
        }
    });
    let report = way.sync(&session, &paths, CopyOptions::new().progress(&progress));
    assert!(report.is_success(), "{report:?}");
}

fn child(sshd: &Sshd, way: Way, [there, here]: &[PathBuf; 2]) -> Child {
    Command::new(env::current_exe().expect("a test knows its file"))
        .args(["--exact", "child_copies_until_killed", "--nocapture"])
        .env(CHILD_WAY, if way == Way::Put { "put" } else { "get" })
        .env(CHILD_PATHS[0], there)
        .env(CHILD_PATHS[1], here)
        .env(CHILD_HOST[0], sshd.socket().to_string())
        .env(CHILD_HOST[1], sshd.known_hosts_path())
        .env(CHILD_HOST[2], sshd.key_path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the test runs once more")
}

/// Kills a copy when it has moved so many bytes, if it has not ended before.
fn kill_after(mut child: Child, bytes: u64) {
    let lines = BufReader::new(child.stderr.take().expect("is piped")).lines();
    let moved = |line: &String| {
        let moved = line.strip_prefix("moved ").and_then(|n| n.parse().ok());
        moved.is_some_and(|moved: u64| moved >= bytes)
    };
    let _ = lines.map_while(Result::ok).find(moved);
    child.kill().expect("is ours");
    child.wait().expect("is ours");
}

fn is_part(path: &Path) -> bool {
    let name = path.file_name().expect("has a name");
    name.as_encoded_bytes()
        .windows(8)
        .any(|part| part == b".sshoal-")
}

/// Waits until the server has no more processes than so: the others are through with what they were sent.
#[track_caller]
fn wait_for_ends(sshd: &Sshd, processes: usize) {
    let begun = Instant::now();
    // Nobody tells of their end: it is looked at each millisecond.
    let (_never, nothing) = mpsc::channel::<()>();
    while descendants(sshd.daemons()[0].pid()).len() > processes {
        assert!(begun.elapsed() < END_LIMIT, "a connection did not end");
        let _ = nothing.recv_timeout(Duration::from_millis(1));
    }
}

/// What has a final name is whole; of directories the permissions and times come last.
#[track_caller]
fn check_nothing_is_short(copy: &Snapshot, source: &Snapshot, round: u64) {
    let named = copy.iter().filter(|(path, _)| !is_part(path));
    for (path, (kind, _, _, content)) in named {
        let (own, _, _, whole) = &source[path];
        assert!(
            (kind, content) == (own, whole),
            "round {round}: {}",
            path.display()
        );
    }
}

/// Method: a client in a process of its own, which copies a directory with every sort of name, is killed by SIGKILL when
/// it has moved a number of bytes that each round draws anew. What has a final name then is as in the source. Once the
/// server is through with what it was sent, the same copy is made by this process: both sides are equal, and no part
/// file is left.
#[track_caller]
fn check_tree(way: Way) {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let sides = sides(&sshd);
    let [from, to] = way.ends(&sides);
    plant(&from, 60, 8_000_000);
    let source = snapshot(&from);
    let session = connect(&sshd);
    let before = descendants(sshd.daemons()[0].pid()).len();
    let mut cut = 0;
    for round in 0..rounds() {
        fs::remove_dir_all(&to).expect("removes");
        fs::create_dir(&to).expect("makes");
        kill_after(child(&sshd, way, &sides), random_below(8_500_000, round));
        wait_for_ends(&sshd, before);
        let copy = snapshot(&to);
        check_nothing_is_short(&copy, &source, round);
        cut += usize::from(copy != source);
        let report = way.sync(&session, &sides, CopyOptions::new());
        assert!(report.is_success(), "round {round}: {report:?}");
        let copy = snapshot(&to);
        let unlike = |path: &&PathBuf| copy.get(*path) != source.get(*path);
        let differs: Vec<_> = copy.keys().chain(source.keys()).filter(unlike).collect();
        assert_eq!(differs, [""; 0].map(Path::new), "round {round}");
    }
    assert!(cut > 0, "no kill came in the middle");
}

#[test]
fn a_tree_whose_put_is_killed_is_completed_by_the_next_and_nothing_is_left() {
    check_tree(Way::Put);
}

#[test]
fn a_tree_whose_get_is_killed_is_completed_by_the_next_and_nothing_is_left() {
    check_tree(Way::Get);
}

/// What of the server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The process that answers SFTP; the connection stays.
    Sftp,
    /// All processes of the connection.
    Connection,
}

impl Victim {
    fn kill(self, sshd: &Sshd) {
        let is_sftp = |process: &Pid| {
            let title = format!("/proc/{}/cmdline", process.as_raw_nonzero());
            let title = fs::read(title).unwrap_or_default();
            title.windows(4).any(|word| word == b"sftp")
        };
        for process in descendants(sshd.daemons()[0].pid()) {
            if self == Self::Connection || is_sftp(&process) {
                let _ = kill_process(process, Signal::KILL);
            }
        }
    }
}

/// Method: the processes of the server are killed when a copy has moved a number of bytes that each round draws anew. A
/// short file never has the name; where the connection goes on, nothing is left but what may be gone on with, and a copy
/// that goes on is right.
#[test]
fn a_killed_server_leaves_no_short_file_and_the_next_copy_goes_on() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let sides = sides(&sshd);
    let size = 6_000_000;
    let bytes = random_bytes(size, 11);
    let mut resumed = 0;
    for round in 0..rounds() {
        for (way, victim, resume) in [
            (Way::Put, Victim::Sftp, Resume::No),
            (Way::Put, Victim::Sftp, Resume::Yes),
            (Way::Put, Victim::Connection, Resume::Yes),
            (Way::Get, Victim::Sftp, Resume::No),
            (Way::Get, Victim::Connection, Resume::Yes),
        ] {
            let case = format!("{way:?} {victim:?} {resume:?} {round}");
            let [from, to] = way.ends(&sides);
            let _ = (
                fs::remove_file(from.join("file")),
                fs::remove_file(to.join("file")),
            );
            fs::write(from.join("file"), &bytes).expect("writes");
            let after = random_below(size as u64 / 2, round);
            cut_by(&sshd, victim, after, |session, options| {
                way.copy(session, &sides, &options.resume(resume))
                    .expect_err(&case);
            });
            assert!(!to.join("file").exists(), "{case}");
            let left = names(&to);
            match resume {
                Resume::No => assert_eq!(left, [""; 0], "{case}"),
                Resume::Yes => assert!(left.len() <= 1, "{case}: {left:?}"),
            }
            let progress = Progress::new();
            let options = CopyOptions::new().resume(Resume::Yes).progress(&progress);
            let copied = way.copy(&connect(&sshd), &sides, &options);
            assert_eq!(copied.expect(&case).bytes, size as u64);
            assert!(fs::read(to.join("file")).expect("reads") == bytes, "{case}");
            assert_eq!(names(&to), ["file"], "{case}");
            resumed += progress.bytes_resumed();
        }
    }
    assert!(resumed > 0);
}

/// Begins a copy that is not too fast, and kills the server's processes when it has moved so many bytes.
fn cut_by(
    sshd: &Sshd,
    victim: Victim,
    after: u64,
    copy: impl FnOnce(&Session, CopyOptions) + Send,
) {
    wait_for_ends(sshd, 0);
    let session = connect(sshd);
    let progress = Progress::new();
    let slow = Bandwidth::new(NonZeroU64::new(10_000_000).expect("not 0"));
    let options = CopyOptions::new().progress(&progress).bandwidth(&slow);
    std::thread::scope(|threads| {
        let copying = threads.spawn(|| copy(&session, options));
        while (progress.files_expected() == 0 || progress.bytes() < after) && !copying.is_finished()
        {
            std::thread::yield_now();
        }
        victim.kill(sshd);
    });
}
