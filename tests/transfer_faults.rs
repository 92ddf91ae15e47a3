//! What becomes of a fleet's copies where one host, or one place of this machine, has no room or gives no leave.
//!
//! Permissions and quotas do not bind root, and a full disk takes a file system of its own. So a test runs itself again
//! as root in a mount namespace of its own, where it mounts what is full or read-only and starts a server, and once more
//! as a user without rights, who copies from and to that server. Where that cannot be had it says `skipped: ` and why.

mod support;

use std::{
    env,
    fmt::Write as _,
    fs::{self, File, Permissions},
    io::Cursor,
    os::{
        fd::AsRawFd as _,
        unix::{
            fs::{PermissionsExt as _, chown},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::{Resource, Rlimit, prlimit};
use sshoal::{
    Fleet, Reached,
    transfer::{
        self, CopyOptions, Error, LocalTree, Progress, Resume, Source, TreeOptions, TreeReport,
        Unchanged,
    },
};
use support::{
    account::may_mount,
    files::{bytes_of, names},
    sessions::{host, random_bytes},
    sshd::Sshd,
};

/// Set for the test's own child processes: which of them it is, and what it works with.
const ROLE: &str = "SSHOAL_TEST_FAULTS_ROLE";
const BASE: &str = "SSHOAL_TEST_FAULTS_BASE";
/// Who has no rights: an account that every system has.
const NOBODY: u32 = 65_534;
/// More than any of the places has room for, and what it has room for.
const BYTES: usize = 3_000_000;
const ROOM: &str = "size=1m";

/// A place where a copy fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Full,
    NoInodes,
    Quota,
    ReadOnly,
    Denied,
    /// No file may be larger than so: as a quota, `write` fails in the middle of a file.
    Limited,
}

const FAULTS: [Fault; 6] = [
    Fault::Full,
    Fault::NoInodes,
    Fault::Quota,
    Fault::ReadOnly,
    Fault::Denied,
    Fault::Limited,
];

impl Fault {
    fn dir(self, base: &Path) -> PathBuf {
        base.join(format!("{self:?}"))
    }

    /// Whether a part of a file can be written.
    fn takes_a_part(self) -> bool {
        matches!(self, Self::Full | Self::Quota | Self::Limited)
    }

    /// Makes the place, with a file of `nobody`'s in it; `Err` where this system cannot.
    fn make(self, base: &Path) -> Result<(), String> {
        let dir = self.dir(base);
        fs::create_dir(&dir).expect("makes a directory");
        match self {
            Self::Full => mount(&dir, ROOM)?,
            // The root and two files.
            Self::NoInodes => mount(&dir, "nr_inodes=3")?,
            Self::Quota => mount(&dir, "usrquota,usrquota_block_hardlimit=1m")?,
            Self::ReadOnly => mount(&dir, "size=9m")?,
            Self::Denied | Self::Limited => {}
        }
        for name in ["file", "other"] {
            let path = dir.join(name);
            fs::write(&path, "as it was").expect("writes");
            chown(&path, Some(NOBODY), Some(NOBODY)).expect("is root");
        }
        if self != Self::Denied {
            chown(&dir, Some(NOBODY), Some(NOBODY)).expect("is root");
        }
        match self {
            Self::ReadOnly => mount(&dir, "remount,ro"),
            _ => Ok(()),
        }
    }
}

fn mount(at: &Path, options: &str) -> Result<(), String> {
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "tmpfs"])
        .arg(at)
        .output()
        .expect("mount runs");
    match mount.status.success() {
        true => Ok(()),
        false => Err(format!("no tmpfs with {options} here")),
    }
}

/// Method: see the head of the file. The last child makes every copy, of a file and of a tree, for each of the faults at
/// the second of three hosts and then at the second of three places of its own.
#[test]
fn one_fault_fails_one_host_by_its_path_and_leaves_nothing() {
    match env::var(ROLE).as_deref() {
        Ok("root") => return prepare(),
        Ok("nobody") => return copies(),
        _ => {}
    }
    if !may_mount() {
        return skipped("mounting takes root and a mount namespace");
    }
    if support::sshd::program().is_none() {
        return;
    }
    // A write beyond the limit of a file's size is an error, and not the end of the process.
    let script = "trap '' XFSZ; exec \"$0\" \"$@\"";
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .arg(env::current_exe().expect("a test knows its file"))
        .args(TEST)
        .env(ROLE, "root")
        .status();
    assert!(status.expect("unshare runs").success());
}

/// How a child is told to run this test.
const TEST: [&str; 3] = [
    "--exact",
    "one_fault_fails_one_host_by_its_path_and_leaves_nothing",
    "--nocapture",
];

#[expect(clippy::print_stdout, reason = "a test that is left out says so")]
fn skipped(why: &str) {
    println!("skipped: {why}");
}

/// The second process: root in a mount namespace of its own.
fn prepare() {
    let sshd = || Sshd::builder().addresses(3).log_level("INFO").start();
    let (Some(sshd), Some(limited)) = (sshd(), sshd()) else {
        return;
    };
    let size = Some(1 << 20);
    for daemon in limited.daemons() {
        let limit = Rlimit {
            current: size,
            maximum: size,
        };
        prlimit(Some(daemon.pid()), Resource::Fsize, limit).expect("is root");
    }
    let base = tempfile::tempdir().expect("makes a directory");
    let base = base.path();
    fs::set_permissions(base, Permissions::from_mode(0o755)).expect("sets");
    for fault in FAULTS {
        match fault.make(base) {
            Ok(()) => {}
            Err(why) => {
                skipped(&format!("{fault:?}: {why}"));
                fs::remove_dir_all(fault.dir(base)).expect("removes");
            }
        }
    }
    limited.authorize(&sshd.public_key());
    let (most, few) = (sshd.sockets(), limited.sockets());
    for (name, sockets) in [
        ("sshd", most.clone()),
        ("limited", vec![most[0], few[1], most[2]]),
    ] {
        let dir = base.join(name);
        fs::create_dir(&dir).expect("makes a directory");
        let mut hosts = String::new();
        for socket in sockets {
            writeln!(hosts, "{socket}").expect("is memory");
        }
        fs::write(dir.join("hosts"), hosts).expect("writes");
        let known = sshd.known_hosts() + &limited.known_hosts();
        fs::write(dir.join("known"), known).expect("writes");
        fs::copy(sshd.key_path(), dir.join("key")).expect("copies");
        chown(dir.join("key"), Some(NOBODY), None).expect("is root");
    }
    for sshd in [&sshd, &limited] {
        // The server reads the accepted keys as the user who comes.
        let own = sshd.scratch();
        let own = own.parent().expect("has one");
        fs::set_permissions(own, Permissions::from_mode(0o755)).expect("sets");
    }
    let work = base.join("work");
    fs::create_dir(&work).expect("makes a directory");
    chown(&work, Some(NOBODY), Some(NOBODY)).expect("is root");
    // By its descriptor: the way to the file may be root's alone.
    let exe = File::open(env::current_exe().expect("a test knows its file")).expect("opens");
    let status = Command::new(format!("/proc/self/fd/{}", exe.as_raw_fd()))
        .args(TEST)
        .env(ROLE, "nobody")
        .env(BASE, base)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .status();
    assert!(status.expect("the test runs once more").success());
}

fn fleet(dir: &Path) -> Fleet {
    let read = |name: &str| fs::read_to_string(dir.join(name)).expect("reads");
    let hosts = read("hosts");
    let hosts = hosts
        .lines()
        .map(|line| host(line.parse().expect("is one")));
    let config = support::client::config(&read("known"), &dir.join("key")).user("nobody");
    let config = config.keepalive(None).build().expect("is good");
    let fleet = Fleet::builder(hosts.collect::<Vec<_>>(), config.into());
    fleet.build().expect("is good")
}

/// The third process: a user without rights.
fn copies() {
    let base = PathBuf::from(env::var_os(BASE).expect("is set"));
    if fs::read_dir(&base).is_err() {
        return skipped("the directory for temporary files is not for every user");
    }
    let work = base.join("work");
    let [tree, lesser] = [("tree", BYTES), ("lesser", BYTES / 10)].map(|(name, bytes)| {
        let tree = work.join(name);
        fs::create_dir(&tree).expect("makes a directory");
        fs::write(tree.join("file"), random_bytes(bytes, 1)).expect("writes");
        fs::write(tree.join("small"), "small").expect("writes");
        tree
    });
    let places = [work.join("first"), PathBuf::new(), work.join("third")];
    for place in [&places[0], &places[2]] {
        fs::create_dir(place).expect("makes a directory");
    }
    let fleets = ["sshd", "limited"].map(|name| fleet(&base.join(name)));
    for fault in FAULTS.into_iter().filter(|fault| fault.dir(&base).exists()) {
        let mut stage = Stage {
            fault,
            trees: [&tree, &tree, &tree].map(Clone::clone),
            places: places.clone(),
        };
        stage.places[1] = fault.dir(&base);
        let fleet = &fleets[usize::from(fault == Fault::Limited)];
        for way in PUTS {
            stage.check(fleet, way);
        }
        if fault == Fault::Limited {
            limit_size(Some(1 << 20));
            // It is this process's: the others stay beneath it.
            stage.trees = [&lesser, &tree, &lesser].map(Clone::clone);
        }
        for way in GETS {
            stage.check(&fleets[0], way);
        }
        limit_size(None);
    }
    go_on_with_what_may_not_be_written(&fleets, &work);
}

/// Method: a file that nobody may write to is copied to where there is no room for it, and then to where there is: the
/// second copy has to open what the first one left.
fn go_on_with_what_may_not_be_written(fleets: &[Fleet; 2], work: &Path) {
    let (file, to) = (work.join("read-only"), work.join("first/file"));
    fs::write(&file, random_bytes(BYTES, 4)).expect("writes");
    fs::set_permissions(&file, Permissions::from_mode(0o444)).expect("sets");
    let resumed = [&fleets[1], &fleets[0]].map(|fleet| {
        let (file, to) = (file.clone(), to.clone());
        let each = fleet.each(move |host| {
            let progress = Progress::new();
            let options = CopyOptions::new().resume(Resume::Yes).progress(&progress);
            let source = Source::file(&file).expect("opens");
            let (session, scope) = (host.session(), host.scope());
            let put = || transfer::put(session, &source, bytes_of(&to), &options, scope);
            (host.index() == 1).then(|| put().map(|_| progress.bytes_resumed()))
        });
        let mut each = each.filter_map(|visited| visited.into_result().expect("is reached"));
        each.next().expect("is the second")
    });
    assert!(resumed[0].is_err(), "{resumed:?}");
    assert!(
        resumed[1].as_ref().is_ok_and(|bytes| *bytes > 0),
        "{resumed:?}"
    );
    let mode = fs::metadata(&to).expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o444);
    assert_eq!(names(&work.join("first")), ["file"]);
}

/// Bounds the size of this process's files, or lets it be what it may.
fn limit_size(current: Option<u64>) {
    let maximum = rustix::process::getrlimit(Resource::Fsize).maximum;
    let limit = Rlimit { current, maximum };
    rustix::process::setrlimit(Resource::Fsize, limit).expect("is not raised");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Put(Resume),
    PutReader,
    Write,
    PutTree,
    Sync,
    Get(Resume),
    GetTree,
}

const PUTS: [Way; 6] = [
    Way::Put(Resume::No),
    Way::Put(Resume::Yes),
    Way::PutReader,
    Way::Write,
    Way::PutTree,
    Way::Sync,
];
const GETS: [Way; 3] = [Way::Get(Resume::No), Way::Get(Resume::Yes), Way::GetTree];

/// What a copy came to: what failed, and of a tree more than one file may.
type Came = Result<(), Vec<Error>>;

struct Stage {
    fault: Fault,
    /// What each host copies; `file` in the second one's is too large for its place.
    trees: [PathBuf; 3],
    /// Where each host's copies go; the second has the fault.
    places: [PathBuf; 3],
}

impl Stage {
    fn check(&self, fleet: &Fleet, way: Way) {
        let case = format!("{:?} {way:?}", self.fault);
        let (trees, places) = (self.trees.clone(), self.places.clone());
        let each =
            fleet.each(move |host| copy(host, way, &trees[host.index()], &places[host.index()]));
        let visited: Vec<_> = each.collect();
        let mut came: Vec<(usize, &Came)> = (visited.iter())
            .map(|visited| (visited.index(), visited.value().expect("is reached")))
            .collect();
        came.sort_by_key(|(index, _)| *index);
        assert_eq!(came.len(), 3, "{case}");
        for (index, came) in came {
            match index {
                1 => self.check_failed(&case, way, came),
                _ => {
                    assert!(came.is_ok(), "{case}: {came:?}");
                    let (file, copy) = (
                        self.trees[index].join("file"),
                        self.places[index].join("file"),
                    );
                    let same = fs::read(file).expect("reads") == fs::read(copy).expect("reads");
                    assert!(same, "{case}");
                    let left: Vec<_> = names(&self.places[index]);
                    assert!(
                        left.iter().all(|name| !name.starts_with('.')),
                        "{case}: {left:?}"
                    );
                    for name in left {
                        fs::remove_file(self.places[index].join(name)).expect("removes");
                    }
                }
            }
        }
    }

    /// The error names the file that was to be written, which is as it was, and nothing is beside it.
    fn check_failed(&self, case: &str, way: Way, came: &Came) {
        let place = &self.places[1];
        let file = place.join("file");
        let errors = came.as_ref().expect_err(case);
        let is_of = |error: &Error| match error {
            Error::Remote { remote, .. } => !way.is_get() && remote == bytes_of(&file),
            Error::Local { path, .. } => way.is_get() && path == &file,
            _ => false,
        };
        assert!(errors.iter().any(is_of), "{case}: {errors:?}");
        let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let named = file.display().to_string();
        assert!(
            text.iter().any(|text| text.contains(&named)),
            "{case}: {text:?}"
        );
        assert_eq!(
            fs::read_to_string(&file).expect("reads"),
            "as it was",
            "{case}"
        );
        let _ = fs::remove_file(place.join("small"));
        let left: Vec<_> = names(place)
            .into_iter()
            .filter(|name| name.starts_with('.'))
            .collect();
        let kept = matches!(way, Way::Put(Resume::Yes) | Way::Get(Resume::Yes));
        if kept && self.fault.takes_a_part() {
            // What is to be gone on with stays, once.
            assert!(
                left.len() == 1 && left[0].contains(".sshoal-part-"),
                "{case}: {left:?}"
            );
            fs::remove_file(place.join(&left[0])).expect("removes");
        } else {
            assert_eq!(left, [""; 0], "{case}");
        }
    }
}

impl Way {
    fn is_get(self) -> bool {
        matches!(self, Self::Get(_) | Self::GetTree)
    }
}

/// Copies the file `file`, or all that is beside it, to or from where this test put it.
fn copy(host: &Reached<'_>, way: Way, tree: &Path, place: &Path) -> Came {
    let (session, scope) = (host.session(), host.scope());
    let (file, target) = (tree.join("file"), place.join("file"));
    let options = CopyOptions::new();
    let trees = TreeOptions::new().unchanged(Unchanged::Copy);
    let one = |result: Result<_, Error>| result.map(drop).map_err(|error| vec![error]);
    let walk = || LocalTree::walk(tree, &trees).expect("walks");
    let put_tree = |options: &TreeOptions| {
        transfer::put_tree(session, &walk(), bytes_of(place), options, scope)
    };
    match way {
        Way::Put(resume) => {
            let source = Source::file(&file).expect("opens");
            let options = options.resume(resume);
            one(transfer::put(
                session,
                &source,
                bytes_of(&target),
                &options,
                scope,
            ))
        }
        Way::PutReader => {
            let reader = Cursor::new(fs::read(&file).expect("reads"));
            one(transfer::put_reader(
                session,
                reader,
                bytes_of(&target),
                &options,
                scope,
            ))
        }
        Way::Write => {
            let bytes = fs::read(&file).expect("reads");
            one(transfer::write(session, bytes_of(&target), &bytes, scope))
        }
        Way::Get(resume) => {
            let options = options.resume(resume);
            one(transfer::get(
                session,
                bytes_of(&file),
                &target,
                &options,
                scope,
            ))
        }
        Way::PutTree => failures(put_tree(&trees)),
        Way::Sync => failures(put_tree(&trees.clone().sync())),
        Way::GetTree => failures(transfer::get_tree(
            session,
            bytes_of(tree),
            place,
            &trees,
            scope,
        )),
    }
}

fn failures(report: TreeReport) -> Came {
    let failed = report.failed.into_iter().map(|entry| entry.error);
    let errors: Vec<_> = failed.chain(report.ended_early).collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}
