//! Directories here that are kept in step with those of real hosts.

mod support;

use std::{
    fs,
    num::NonZeroUsize,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use sshoal::{
    Fleet,
    transfer::{
        Action, CopyOptions, Delete, DryRun, Error, Itemise, Links, Preserve, TreeOptions,
        TreeReport, Unchanged,
    },
};
use support::{
    files::{bytes_of, sides},
    sshd::Sshd,
    trees::{plant, snapshot},
};

/// A tree of a host, and a directory here that is to be in step with it.
struct Pair {
    fleet: Fleet,
    from: PathBuf,
    to: PathBuf,
    _sshd: Sshd,
}

impl Pair {
    fn start() -> Option<Self> {
        let sshd = Sshd::builder().log_level("INFO").start()?;
        let [there, here] = sides(&sshd);
        let (from, to) = (there.join("from"), here.join("to"));
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

    /// With links, without objects, and without what only we have.
    fn options() -> TreeOptions {
        let options = TreeOptions::new().links(Links::Copy).exclude("*.o");
        options.delete(Delete::Yes).itemise(Itemise::Yes)
    }

    fn pull(&self, options: &TreeOptions) -> TreeReport {
        let to = self.to.clone();
        let local = move |_: usize, _: &_| to.clone();
        let each = self.fleet.sync_from(bytes_of(&self.from), local, options);
        let visited = each.in_order().remove(0);
        visited.into_result().expect("was reached")
    }

    #[track_caller]
    fn whole(&self, options: &TreeOptions) -> TreeReport {
        let report = self.pull(options);
        assert!(report.is_success(), "{report:?}");
        report
    }
}

/// What a report says of each change, sorted by path.
fn changes(report: &TreeReport) -> Vec<(String, Action)> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let mut all: Vec<_> = (report.changes.iter())
        .map(|change| (text(&change.path), change.action))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn changed(expected: &[(&str, Action)]) -> Vec<(String, Action)> {
    let owned = expected
        .iter()
        .map(|(path, action)| ((*path).to_owned(), *action));
    owned.collect()
}

/// What is equal stays, what differs is copied, what only we have goes but for what is excluded, and where a planted
/// link leads to stays; a dry run says the same, before there is anything here too, and changes nothing.
#[test]
fn a_tree_is_pulled_in_step() {
    let Some(pair) = Pair::start() else { return };
    let (from, to, options) = (&pair.from, &pair.to, Pair::options());
    let dry_options = options.clone().dry_run(DryRun::Yes);
    let dry = pair.whole(&dry_options);
    assert!(!to.exists(), "a dry run makes nothing");
    let first = pair.whole(&options);
    assert_eq!(changes(&dry), changes(&first));
    assert_eq!((dry.files, dry.bytes), (first.files, first.bytes));
    assert!(first.files > 50 && first.kept == 0, "{first:?}");
    assert!(!to.join("cache/x.o").exists());
    let second = pair.whole(&options);
    assert_eq!(changes(&second), []);
    assert_eq!(second.kept, first.files + first.links);

    let outside = to.with_file_name("outside");
    fs::create_dir_all(outside.join("deep")).expect("makes directories");
    fs::write(outside.join("deep/file"), "ours").expect("writes");
    fs::write(from.join("large"), "changed").expect("writes");
    fs::write(from.join("empty/emptier/new"), "new").expect("writes");
    fs::create_dir_all(to.join("extra/deep")).expect("makes directories");
    fs::write(to.join("extra/deep/file"), "ours").expect("writes");
    symlink(&outside, to.join("extra/way")).expect("links");
    symlink("../../outside/deep", to.join("shut/way")).expect("links");
    fs::create_dir_all(to.join("half/gone")).expect("makes directories");
    for kept in ["keep.o", "half/keep.o"] {
        fs::write(to.join(kept), "ours").expect("writes");
    }
    let expected = changed(&[
        ("empty/emptier/new", Action::Copy),
        ("extra", Action::Delete),
        ("half", Action::Delete),
        ("large", Action::Copy),
        ("shut/way", Action::Delete),
    ]);
    let (before, beside) = (snapshot(to), snapshot(&outside));
    let dry = pair.whole(&dry_options);
    assert_eq!(changes(&dry), expected);
    assert!(before == snapshot(to), "a dry run changes nothing");
    let third = pair.whole(&options);
    assert_eq!(changes(&third), expected);
    assert_eq!((dry.deleted, third.deleted), (6, 6));
    assert!(beside == snapshot(&outside), "what links lead to stays");
    assert!(to.join("half/keep.o").exists() && !to.join("half/gone").exists());
    let (mut theirs, mut ours) = (snapshot(from), snapshot(to));
    theirs.remove(Path::new("cache/x.o"));
    for kept in ["keep.o", "half", "half/keep.o"] {
        ours.remove(Path::new(kept));
    }
    assert!(ours == theirs, "in step");
}

/// Files of one size and time that are not equal: only a digest tells. Equal ones get permissions and times again, both
/// ways, without being copied.
#[test]
fn digests_tell_files_apart_and_equal_ones_are_adjusted() {
    let Some(pair) = Pair::start() else { return };
    let options = Pair::options();
    assert!(pair.whole(&options).files > 50);
    let large = pair.to.join("large");
    let time = fs::metadata(&large).and_then(|about| about.modified());
    let mut bytes = fs::read(&large).expect("reads");
    bytes[5_000] ^= 1;
    fs::write(&large, bytes).expect("writes");
    let times = fs::FileTimes::new().set_modified(time.expect("has a time"));
    let file = fs::OpenOptions::new().write(true).open(&large);
    file.and_then(|file| file.set_times(times)).expect("sets");
    assert_eq!(pair.whole(&options).files, 0);
    let digests = options.clone().unchanged(Unchanged::Sha256);
    let report = pair.whole(&digests);
    assert_eq!(changes(&report), changed(&[("large", Action::Copy)]));
    assert!(snapshot(&pair.from)[Path::new("large")] == snapshot(&pair.to)[Path::new("large")]);

    let shut = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    for side in [&pair.to, &pair.from] {
        shut(&side.join("script")).expect("sets");
        fs::write(
            side.join("dir 0/2"),
            fs::read(side.join("dir 0/2")).expect("reads"),
        )
        .expect("writes the same");
        let expected = changed(&[("dir 0/2", Action::Adjust), ("script", Action::Adjust)]);
        let dry = pair.whole(&digests.clone().dry_run(DryRun::Yes));
        assert_eq!(changes(&dry), expected);
        let report = pair.whole(&digests);
        assert_eq!(changes(&report), expected);
        assert_eq!((report.files, report.adjusted), (0, 2), "{report:?}");
        assert_eq!(changes(&pair.whole(&digests)), []);
    }
}

/// Where something failed or the list is not whole, nothing is deleted.
#[test]
fn nothing_is_deleted_where_not_all_is_known() {
    let Some(pair) = Pair::start() else { return };
    fs::create_dir(&pair.to).expect("makes a directory");
    fs::write(pair.to.join("ours"), "ours").expect("writes");
    let three = NonZeroUsize::new(3).expect("not zero");
    let report = pair.pull(&Pair::options().depth_max(three));
    assert!(matches!(&report.failed[..], [one] if matches!(one.error, Error::TooDeep { .. })));
    assert_eq!(report.deleted, 0);
    let report = pair.pull(&Pair::options().entries_max(three));
    assert!(matches!(
        report.ended_early,
        Some(Error::TooManyEntries { .. })
    ));
    fs::create_dir(pair.from.join("ours2")).expect("makes a directory");
    fs::write(pair.to.join("ours2"), "in the way").expect("writes");
    let report = pair.pull(&Pair::options());
    assert_eq!(report.failed.len(), 1, "{report:?}");
    assert!(pair.to.join("ours").exists());
    fs::remove_file(pair.to.join("ours2")).expect("removes");
    // Without the times of directories, too.
    let copy = CopyOptions::new().preserve(Preserve::No);
    let report = pair.whole(&Pair::options().copy(copy));
    assert_eq!(report.deleted, 1, "{report:?}");
    assert!(!pair.to.join("ours").exists());
}
