//! Whole directories to and from real OpenSSH servers: identical, many files at once, and in step.

mod support;

use std::{
    fs,
    num::NonZeroUsize,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use sshoal::{
    Fleet, Session,
    transfer::{
        self, Action, CopyOptions, Delete, DryRun, Error, Existing, HostNames, Itemise, Links,
        LocalTree, Preserve, TreeOptions, TreeReport, Unchanged, WhySkipped,
    },
};
use support::{
    files::{bytes_of, sides},
    proxy::Proxy,
    sessions::{config_knowing, connect, host, limit},
    sshd::{Sshd, known_hosts_line},
    trees::{plant, snapshot},
};

/// Files, bytes of the large one, and hosts: in full with `SSHOAL_TREES=full`.
fn load() -> (usize, usize, u32) {
    match std::env::var_os("SSHOAL_TREES") {
        Some(_) => (5_000, 100_000_000, 20),
        None => (300, 5_000_000, 3),
    }
}

fn walk(root: &Path, options: &TreeOptions) -> LocalTree {
    LocalTree::walk(root, options).expect("walks")
}

fn put(session: &Session, from: &Path, to: &Path, options: &TreeOptions) -> TreeReport {
    transfer::put_tree(
        session,
        &walk(from, options),
        bytes_of(to),
        options,
        &limit(),
    )
}

fn get(session: &Session, from: &Path, to: &Path, options: &TreeOptions) -> TreeReport {
    transfer::get_tree(session, bytes_of(from), to, options, &limit())
}

#[track_caller]
fn whole(report: &TreeReport) {
    assert!(report.is_success(), "{report:?}");
}

/// All times and permissions are kept, and links that stay beneath.
fn everything() -> TreeOptions {
    let copy = CopyOptions::new().preserve(Preserve::Yes);
    TreeOptions::new().copy(copy).links(Links::Copy)
}

/// A directory of all sorts of names goes to each host, and back from all hosts at once to a directory for each: what
/// stands at either end is what stood at the begin, with permissions and times.
#[test]
fn trees_are_identical_on_many_hosts_and_back() {
    let (files, large, hosts) = load();
    let Some(sshd) = Sshd::builder().addresses(hosts).log_level("INFO").start() else {
        return;
    };
    let [there, here] = sides(&sshd);
    let (from, back) = (here.join("from"), here.join("back"));
    plant(&from, files, large);
    let expected = snapshot(&from);
    let options = everything();
    let tree = walk(&from, &options);
    assert_eq!(tree.entries(), expected.len());
    let config = Arc::new(sshd.config().build().expect("a whole configuration"));
    let fleet = Fleet::builder(sshd.targets(), config)
        .build()
        .expect("is sound");
    // The hosts share one disk: each has a directory of its own on it.
    let (base, all, with) = (there.clone(), tree.clone(), options.clone());
    let each = fleet.each(move |host| {
        let remote = base.join(host.index().to_string()).join("a/b");
        transfer::put_tree(host.session(), &all, bytes_of(&remote), &with, host.scope())
    });
    let mut seen = 0;
    for visited in each {
        let index = visited.index();
        let report = visited.into_result().expect("was reached");
        whole(&report);
        assert_eq!(report.bytes, tree.bytes());
        assert_eq!(report.links, 3);
        assert!(
            expected == snapshot(&there.join(index.to_string()).join("a/b")),
            "host {index}"
        );
        seen += 1;
    }
    assert_eq!(seen, hosts as usize);
    let names: Vec<String> = (fleet.hosts().iter())
        .map(|host| host.name().to_owned())
        .collect();
    let places = HostNames::default()
        .paths(&names, &back, b"")
        .expect("hosts have names");
    fs::create_dir(&back).expect("makes a directory");
    let (first, locals) = (there.join("0/a/b"), places.clone());
    let each = fleet.get_tree(
        bytes_of(&first),
        move |index, _| locals[index].clone(),
        &options,
    );
    for visited in each.in_order() {
        let place = &places[visited.index()];
        whole(&visited.into_result().expect("was reached"));
        assert!(expected == snapshot(place), "{}", place.display());
    }
}

/// Small files over a slow line: many at once take at most a third of the time that one after the other take.
#[test]
fn small_files_over_a_round_trip_of_50_ms_go_many_at_once() {
    let builder = Sshd::builder().log_level("INFO");
    let Some(sshd) = builder.start() else { return };
    let proxy = Proxy::to(sshd.socket())
        .round_trip(Duration::from_millis(50))
        .start();
    let address = proxy.address();
    let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
    let config = config_knowing(&sshd, &known)
        .build()
        .expect("a whole configuration");
    let session = Session::connect(&host(address), &config).expect("connects");
    let [there, here] = sides(&sshd);
    let many = if load().0 > 1000 { 5_000 } else { 100 };
    let few = 6;
    for (name, count) in [("many", many), ("few", few)] {
        fs::create_dir(here.join(name)).expect("makes a directory");
        for number in 0..count {
            let path = here.join(name).join(number.to_string());
            fs::write(path, number.to_string().repeat(100)).expect("writes");
        }
    }
    let one = TreeOptions::new().files_at_once(NonZeroUsize::MIN);
    let timed = |call: &dyn Fn() -> TreeReport| {
        let begin = Instant::now();
        whole(&call());
        begin.elapsed().as_secs_f64()
    };
    let fast = TreeOptions::new();
    let scale = many as f64 / few as f64;
    let quick = timed(&|| put(&session, &here.join("many"), &there.join("many"), &fast));
    let slow = scale * timed(&|| put(&session, &here.join("few"), &there.join("few"), &one));
    println!("put {many}: {quick:.2} s at once, {slow:.2} s one by one");
    assert!(quick * 3.0 <= slow, "put: {quick} against {slow}");
    let quick = timed(&|| get(&session, &there.join("many"), &here.join("back"), &fast));
    let slow = scale * timed(&|| get(&session, &there.join("few"), &here.join("slow"), &one));
    println!("get {many}: {quick:.2} s at once, {slow:.2} s one by one");
    assert!(quick * 3.0 <= slow, "get: {quick} against {slow}");
    let content = |dir: &Path| {
        snapshot(dir)
            .into_iter()
            .map(|(path, known)| (path, known.3))
    };
    assert!(content(&here.join("many")).eq(content(&here.join("back"))));
}

/// Links and pipes are told and left; a link that leads out is, where links are copied.
#[test]
fn links_and_special_files_are_skipped_and_reported() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let from = here.join("from");
    fs::create_dir_all(from.join("dir")).expect("makes directories");
    fs::write(from.join("file"), "mine").expect("writes");
    for (target, name) in [
        ("file", "in"),
        ("../file", "dir/in"),
        ("../file", "out"),
        ("dir/../../x", "crooked"),
        ("/etc", "absolute"),
    ] {
        symlink(target, from.join(name)).expect("links");
    }
    let pipe = rustix::fs::mknodat(
        rustix::fs::CWD,
        from.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    );
    pipe.expect("makes a pipe");
    let check = |report: &TreeReport, at: &Path, links: Links| {
        whole(report);
        assert_eq!((report.files, report.directories), (1, 2), "{report:?}");
        let mut skipped: Vec<_> = (report.skipped.iter())
            .map(|entry| (String::from_utf8_lossy(&entry.path).into_owned(), entry.why))
            .collect();
        skipped.sort_by(|a, b| a.0.cmp(&b.0));
        let (link, copied) = match links {
            Links::Skip => (WhySkipped::Link, 0),
            Links::Copy => (WhySkipped::LinkOutside, 2),
        };
        assert_eq!(report.links, copied);
        let mut expected = vec![("absolute", link), ("crooked", link)];
        expected.extend((links == Links::Skip).then_some(("dir/in", link)));
        expected.extend((links == Links::Skip).then_some(("in", link)));
        expected.extend([("out", link), ("pipe", WhySkipped::Special)]);
        let skipped: Vec<_> = (skipped.iter())
            .map(|(path, why)| (path.as_str(), *why))
            .collect();
        assert_eq!(skipped, expected);
        assert_eq!(snapshot(at).len(), 2 + copied as usize);
    };
    for (name, links) in [("skip", Links::Skip), ("copy", Links::Copy)] {
        let options = TreeOptions::new().links(links);
        let (put_to, got_to) = (there.join(name), here.join(name));
        check(&put(&session, &from, &put_to, &options), &put_to, links);
        check(&get(&session, &from, &got_to, &options), &got_to, links);
    }
}

/// A directory stands where a file is to go, and a file where a directory is: both are told, and the rest arrives.
#[test]
fn what_fails_is_named_and_the_rest_goes_on() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    for dir in ["dir", "other/deeper"] {
        fs::create_dir_all(here.join("from").join(dir)).expect("makes directories");
    }
    for file in ["file", "dir/a", "dir/b", "other/c", "other/deeper/d"] {
        fs::write(here.join("from").join(file), "mine").expect("writes");
    }
    for (place, way) in [(there.join("to"), "put"), (here.join("to"), "get")] {
        fs::create_dir_all(place.join("file")).expect("makes directories");
        fs::write(place.join("dir"), "in the way").expect("writes");
        let report = match way {
            "put" => put(&session, &here.join("from"), &place, &TreeOptions::new()),
            _ => get(&session, &here.join("from"), &place, &TreeOptions::new()),
        };
        assert!(!report.is_success());
        assert!(report.ended_early.is_none(), "{report:?}");
        let mut failed: Vec<_> = (report.failed.iter())
            .map(|entry| entry.path.as_slice())
            .collect();
        failed.sort_unstable();
        assert_eq!(failed, [&b"dir"[..], b"file"], "{way}: {:?}", report.failed);
        assert_eq!((report.files, report.directories), (2, 2), "{way}");
        // No part of a file is left.
        let found: Vec<_> = snapshot(&place).into_keys().collect();
        let expected = [
            "dir",
            "file",
            "other",
            "other/c",
            "other/deeper",
            "other/deeper/d",
        ];
        assert_eq!(found, expected.map(PathBuf::from), "{way}");
    }
    let missing = get(
        &session,
        &there.join("missing"),
        &here.join("x"),
        &TreeOptions::new(),
    );
    assert!(
        matches!(missing.ended_early, Some(Error::Remote { .. })),
        "{missing:?}"
    );
    assert!(!here.join("x").exists());
    let no_directory = LocalTree::walk(here.join("from/file"), &TreeOptions::new());
    assert!(matches!(no_directory, Err(Error::Local { .. })));
}

#[test]
fn existing_files_of_a_tree_are_kept_or_fail_as_asked() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    for (dir, text) in [(&here, "mine"), (&there, "theirs")] {
        fs::write(dir.join("both"), text).expect("writes");
    }
    fs::write(here.join("only"), "mine").expect("writes");
    let options = |existing| TreeOptions::new().copy(CopyOptions::new().existing(existing));
    let report = put(&session, &here, &there, &options(Existing::Fail));
    assert!(matches!(&report.failed[..], [one] if matches!(one.error, Error::Exists { .. })));
    assert_eq!(report.files, 1);
    let report = put(&session, &here, &there, &options(Existing::Keep));
    whole(&report);
    assert_eq!((report.files, report.kept), (0, 2));
    let report = get(&session, &there, &here, &options(Existing::Keep));
    whole(&report);
    assert_eq!((report.files, report.kept), (0, 2));
    let report = get(&session, &there, &here, &options(Existing::Fail));
    assert_eq!((report.files, report.failed.len()), (0, 2));
    assert_eq!(
        fs::read_to_string(there.join("both")).expect("reads"),
        "theirs"
    );
    assert_eq!(
        fs::read_to_string(here.join("both")).expect("reads"),
        "mine"
    );
}

/// A tree of ours and a host that is to be in step with it.
struct Pair {
    fleet: Fleet,
    from: PathBuf,
    to: PathBuf,
    _sshd: Sshd,
}

impl Pair {
    /// A planted tree with a file that is excluded, and nothing on the host.
    fn start() -> Option<Self> {
        let sshd = Sshd::builder().log_level("INFO").start()?;
        let [there, here] = sides(&sshd);
        let (from, to) = (here.join("from"), there.join("to"));
        plant(&from, 40, 10_000);
        fs::create_dir(from.join("cache")).expect("makes a directory");
        fs::write(from.join("cache/x.o"), "not this").expect("writes");
        let config = Arc::new(sshd.config().build().expect("a whole configuration"));
        let fleet = Fleet::builder(sshd.targets(), config).build();
        Some(Self {
            fleet: fleet.expect("is sound"),
            from,
            to,
            _sshd: sshd,
        })
    }

    /// With links, without objects, and without what only the host has.
    fn options() -> TreeOptions {
        let options = TreeOptions::new().links(Links::Copy).exclude("*.o");
        options.delete(Delete::Yes).itemise(Itemise::Yes)
    }

    #[track_caller]
    fn sync(&self, options: &TreeOptions) -> TreeReport {
        let tree = walk(&self.from, options);
        let each = self.fleet.sync(&tree, bytes_of(&self.to), options);
        let report = each
            .in_order()
            .remove(0)
            .into_result()
            .expect("was reached");
        whole(&report);
        report
    }
}

/// What a report says of each change, sorted by path.
fn changes(report: &TreeReport) -> Vec<(String, Action)> {
    let mut all: Vec<_> = (report.changes.iter())
        .map(|change| {
            (
                String::from_utf8_lossy(&change.path).into_owned(),
                change.action,
            )
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// What is equal stays, what differs is copied, what is extraneous goes, what is excluded is left; a dry run says the
/// same and changes nothing.
#[test]
fn a_tree_is_brought_in_step() {
    let Some(pair) = Pair::start() else { return };
    let (from, to, options) = (&pair.from, &pair.to, Pair::options());
    let first = pair.sync(&options);
    assert!(first.files > 50 && first.kept == 0, "{first:?}");
    assert!(!to.join("cache/x.o").exists());
    let second = pair.sync(&options);
    assert_eq!((second.files, second.links, second.deleted), (0, 0, 0));
    assert_eq!(second.kept, first.files + first.links);

    fs::write(from.join("large"), "changed").expect("writes");
    fs::write(from.join("empty/emptier/new"), "new").expect("writes");
    fs::create_dir_all(to.join("extra/deep")).expect("makes directories");
    fs::write(to.join("extra/deep/file"), "theirs").expect("writes");
    fs::write(to.join("keep.o"), "theirs").expect("writes");
    let before = snapshot(to);
    let expected = [
        ("empty/emptier/new".to_owned(), Action::Copy),
        ("extra".to_owned(), Action::Delete),
        ("large".to_owned(), Action::Copy),
    ];
    let dry = pair.sync(&options.clone().dry_run(DryRun::Yes));
    assert_eq!(changes(&dry), expected);
    assert!(before == snapshot(to), "a dry run changes nothing");
    let third = pair.sync(&options);
    assert_eq!(changes(&third), expected);
    assert_eq!(third.deleted, 3);
    assert_eq!(
        fs::read_to_string(to.join("keep.o")).expect("stays"),
        "theirs"
    );
    let (mut ours, mut theirs) = (snapshot(from), snapshot(to));
    ours.remove(Path::new("cache/x.o"));
    theirs.remove(Path::new("keep.o"));
    assert!(ours == theirs, "in step");
}

/// Files of one size and time that are not equal: only a digest tells.
#[test]
fn unlike_files_of_one_size_and_time_differ_by_digest() {
    let Some(pair) = Pair::start() else { return };
    let options = Pair::options();
    assert!(pair.sync(&options).files > 50);
    let large = pair.to.join("large");
    let time = fs::metadata(&large).and_then(|about| about.modified());
    let mut bytes = fs::read(&large).expect("reads");
    bytes[5_000] ^= 1;
    fs::write(&large, bytes).expect("writes");
    let times = fs::FileTimes::new().set_modified(time.expect("has a time"));
    let file = fs::OpenOptions::new().write(true).open(&large);
    file.and_then(|file| file.set_times(times)).expect("sets");
    assert_eq!(pair.sync(&options).files, 0);
    let digests = options.unchanged(Unchanged::Sha256);
    let report = pair.sync(&digests);
    assert_eq!(changes(&report), [("large".to_owned(), Action::Copy)]);
    let ours = fs::read(pair.from.join("large")).expect("reads");
    assert!(fs::read(&large).expect("reads") == ours);
}

#[test]
fn depth_names_and_bytes_are_bounded() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let two = NonZeroUsize::new(2).expect("not zero");
    fs::create_dir_all(there.join("a/b/c/d")).expect("makes directories");
    for name in ["a/1", "a/b/2", "a/b/c/3"] {
        fs::write(there.join(name), "theirs").expect("writes");
    }
    let deep = TreeOptions::new().depth_max(two);
    let got = get(&session, &there, &here.join("deep"), &deep);
    assert!(got.ended_early.is_none(), "{got:?}");
    let sent = put(&session, &there, &there.join("../deep"), &deep);
    for report in [&got, &sent] {
        assert!(
            matches!(&report.failed[..], [one] if one.path == b"a/b/c"
                && matches!(one.error, Error::TooDeep { depth_max: 2 })),
            "{report:?}"
        );
        assert_eq!(report.files, 2, "{report:?}");
    }
    let few = TreeOptions::new().entries_max(two);
    let got = get(&session, &there, &here.join("few"), &few);
    assert!(
        matches!(
            got.ended_early,
            Some(Error::TooManyEntries { entries_max: 2 })
        ),
        "{got:?}"
    );
    let walked = LocalTree::walk(&there, &few);
    assert!(
        matches!(walked, Err(Error::TooManyEntries { .. })),
        "{walked:?}"
    );
    let small = TreeOptions::new().bytes_max(std::num::NonZeroU64::new(13).expect("not zero"));
    let got = get(&session, &there, &here.join("small"), &small);
    assert!(
        matches!(got.ended_early, Some(Error::TreeTooLarge { bytes_max: 13 })),
        "{got:?}"
    );
    assert!(got.bytes <= 13);
}
