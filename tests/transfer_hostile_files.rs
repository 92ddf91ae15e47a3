//! Hosts that attack whoever gets one file, walks or empties a directory, or keeps one in step: nothing else changes.

mod support;

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use sshoal::{
    HostFiles, Kind, Session,
    transfer::{
        self, CopyOptions, Delete, DryRun, Error, Existing, Links, Preserve, RemoteFs, TreeOptions,
        TreeReport, Unchanged, WhySkipped,
    },
};
use support::{
    hostile_sftp::{EVIL, Lie, PERMISSIONS, SCANT_BYTES, asked, bad_names, liar, odd_names},
    sessions::{connect, limit},
    sshd::Sshd,
    trees::{Snapshot, age, snapshot},
};

support::hostile_sftp::hostile_sftp!();

/// A liar, a session to it, and a directory of ours, `in`, with others beside it.
struct Scene {
    dir: tempfile::TempDir,
    before: Snapshot,
    session: Session,
    scripts: tempfile::TempDir,
    _sshd: Sshd,
}

impl Scene {
    fn new(lie: Lie) -> Option<Self> {
        let scripts = tempfile::tempdir().expect("makes a directory");
        let sshd = liar(lie, scripts.path())?;
        let dir = tempfile::tempdir().expect("makes a directory");
        for name in ["in/ours/deep", "out/deeper"] {
            fs::create_dir_all(dir.path().join(name)).expect("makes directories");
        }
        for name in ["out/file", "out/deeper/file", "file", "in/ours/deep/file"] {
            fs::write(dir.path().join(name), "ours").expect("writes");
        }
        symlink("../out", dir.path().join("in/planted")).expect("links");
        symlink("../../out", dir.path().join("in/ours/planted")).expect("links");
        age(dir.path());
        Some(Self {
            before: snapshot(dir.path()),
            session: connect(&sshd),
            dir,
            scripts,
            _sshd: sshd,
        })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn tree(&self, options: &TreeOptions) -> TreeReport {
        transfer::get_tree(
            &self.session,
            b"/the root",
            &self.at("in"),
            options,
            &limit(),
        )
    }

    /// What changed, in and beside the directory.
    fn changed(&self) -> Vec<PathBuf> {
        let after = snapshot(self.dir.path());
        let mut all: Vec<_> = self.before.keys().chain(after.keys()).collect();
        all.sort();
        all.dedup();
        let changed = all
            .into_iter()
            .filter(|path| self.before.get(*path) != after.get(*path));
        changed.cloned().collect()
    }

    #[track_caller]
    fn only_changed_within(&self, within: &str) {
        let outside: Vec<_> = (self.changed().into_iter())
            .filter(|path| !path.starts_with(within) || path == Path::new(within))
            .filter(|path| path != Path::new("in"))
            .collect();
        assert_eq!(outside, Vec::<PathBuf>::new());
    }
}

/// A file that sends more than it said, or less, or claims what no disk has: nothing comes of it.
#[test]
fn one_file_with_a_lie_about_its_size_leaves_nothing() {
    let million = NonZeroU64::new(1_000_000).expect("not zero");
    for (lie, names) in [
        (Lie::Sizes, &["long", "short", "huge", "untold"][..]),
        (Lie::Boast, &["boast"]),
    ] {
        let Some(scene) = Scene::new(lie) else { return };
        for name in names {
            let remote = format!("/the root/{name}");
            let options = CopyOptions::new().bytes_max(million);
            let to = scene.at("in/copy");
            let got = transfer::get(&scene.session, remote.as_bytes(), &to, &options, &limit());
            assert!(got.is_err(), "{name}: {got:?}");
            let bytes = transfer::read(&scene.session, remote.as_bytes(), 1_000_000, &limit());
            assert!(
                bytes.is_ok_and(|bytes| bytes.len() == 10)
                    == (*name == "short" || *name == "boast")
            );
            // But the time of the directory that the part was in for a while.
            assert_eq!(scene.changed(), [PathBuf::from("in")], "{name}");
        }
    }
}

/// A host that gives less than it is asked for is asked for less: nothing is read twice, but for what
/// was under way when its first answer came.
#[test]
fn short_answers_are_not_asked_for_again_and_again() {
    let Some(scene) = Scene::new(Lie::Scant) else {
        return;
    };
    let (remote, to) = (b"/the root/scant", scene.at("in/copy"));
    let got = transfer::get(&scene.session, remote, &to, &CopyOptions::new(), &limit());
    assert_eq!(got.expect("is got").bytes, SCANT_BYTES);
    let whole: Vec<u8> = EVIL.iter().copied().cycle().take(1_000_000).collect();
    assert!(fs::read(&to).expect("is there") == whole);
    // A hundred answers and one at the end, behind 31 that were under way.
    let reads = asked(scene.scripts.path()).len();
    assert!(reads < 150, "{reads}");
}

/// Of every permission only what is harmless arrives, for one file and for those of a tree.
#[test]
fn every_permission_is_masked_alone_and_in_a_tree() {
    for preserve in [Preserve::No, Preserve::Yes] {
        let Some(scene) = Scene::new(Lie::Permissions) else {
            return;
        };
        let copy = CopyOptions::new().preserve(preserve);
        let report = scene.tree(&TreeOptions::new().copy(copy.clone()));
        assert!(report.is_success(), "{report:?}");
        for told in PERMISSIONS {
            let name = format!("file {told:o}");
            let to = scene.at("in/alone").join(&name);
            let remote = format!("/the root/{name}");
            let got = transfer::get(&scene.session, remote.as_bytes(), &to, &copy, &limit());
            assert_eq!(got.expect("is got").bytes, EVIL.len() as u64);
            for path in [
                to,
                scene.at("in").join(&name),
                scene.at(&format!("in/dir {told:o}")),
            ] {
                let about = fs::symlink_metadata(&path).expect("is there");
                let mode = about.permissions().mode() & 0o7777;
                assert_eq!(
                    mode & 0o7022,
                    0,
                    "{preserve:?} {}: {mode:o}",
                    path.display()
                );
                if about.is_file() || preserve == Preserve::Yes {
                    assert_eq!(mode & !told, 0, "{preserve:?} {}: {mode:o}", path.display());
                }
            }
        }
        scene.only_changed_within("in");
    }
}

/// The first of a name is taken, whatever the second one is, and the second is told.
#[test]
fn names_that_are_listed_twice_are_taken_once() {
    let Some(scene) = Scene::new(Lie::Twice) else {
        return;
    };
    let report = scene.tree(&TreeOptions::new().links(Links::Copy));
    let mut twice: Vec<_> = (report.failed.iter())
        .filter(|entry| matches!(entry.error, Error::NamedTwice { .. }))
        .map(|entry| entry.path.as_slice())
        .collect();
    twice.sort_unstable();
    assert_eq!(twice, [&b"dir"[..], b"file", b"link"]);
    assert_eq!(report.failed.len(), 3, "{report:?}");
    assert_eq!((report.files, report.directories), (3, 1), "{report:?}");
    assert!(matches!(&report.skipped[..], [one] if one.why == WhySkipped::LinkOutside));
    scene.only_changed_within("in");
}

/// A host of which a copy is kept in step says that it has nothing: what is in the directory goes, links too, and what
/// they lead to stays. Where it ends or breaks off its lists, nothing goes.
#[test]
fn what_a_host_has_deleted_is_within_the_directory() {
    let options = TreeOptions::new().delete(Delete::Yes).sync();
    for dry_run in [DryRun::Yes, DryRun::No] {
        let Some(scene) = Scene::new(Lie::Empty) else {
            return;
        };
        let report = scene.tree(&options.clone().dry_run(dry_run));
        assert!(report.is_success(), "{report:?}");
        assert_eq!(report.deleted, 5, "{report:?}");
        match dry_run {
            DryRun::Yes => assert_eq!(scene.changed(), Vec::<PathBuf>::new()),
            DryRun::No => {
                assert_eq!(fs::read_dir(scene.at("in")).expect("lists").count(), 0);
                scene.only_changed_within("in");
            }
        }
    }
    let thousand = NonZeroUsize::new(1_000).expect("not zero");
    for lie in [Lie::Endless, Lie::Dots, Lie::Files, Lie::Deep] {
        let scene = Scene::new(lie).expect("sshd is there");
        let few = options.clone().entries_max(thousand);
        let report = scene.tree(&few);
        assert!(!report.is_success(), "{lie:?}: {report:?}");
        assert_eq!(report.deleted, 0, "{lie:?}");
        assert!(scene.at("in/ours/deep/file").exists(), "{lie:?}");
        scene.only_changed_within("in");
    }
}

/// A planted link that has a file's name is never compared with what it leads to.
#[test]
fn a_planted_link_is_not_taken_for_an_equal_file() {
    let Some(scene) = Scene::new(Lie::PlantedFile) else {
        return;
    };
    fs::write(scene.at("out/equal"), EVIL).expect("writes");
    fs::remove_file(scene.at("in/planted")).expect("removes");
    symlink("../out/equal", scene.at("in/planted")).expect("links");
    let before = fs::symlink_metadata(scene.at("out/equal")).expect("is there");
    let options = TreeOptions::new().unchanged(Unchanged::Sha256).sync();
    let report = scene.tree(&options);
    assert_eq!((report.files, report.kept), (1, 0), "{report:?}");
    assert!(!scene.at("in/planted").is_symlink());
    let after = fs::symlink_metadata(scene.at("out/equal")).expect("is there");
    let modified = |about: &fs::Metadata| about.modified().expect("has a time");
    assert_eq!(modified(&before), modified(&after));
}

/// One file goes in the place of a link that somebody planted, and not through it.
#[test]
fn one_file_replaces_a_planted_link() {
    let Some(scene) = Scene::new(Lie::Permissions) else {
        return;
    };
    let link = scene.at("in/link");
    for existing in [Existing::Fail, Existing::Keep, Existing::Overwrite] {
        let _ = fs::remove_file(&link);
        symlink("../out/file", &link).expect("links");
        let options = CopyOptions::new().existing(existing);
        let got = transfer::get(
            &scene.session,
            b"/the root/file 666",
            &link,
            &options,
            &limit(),
        );
        assert_eq!(got.is_ok(), existing != Existing::Fail, "{got:?}");
        assert_eq!(link.is_symlink(), existing != Existing::Overwrite);
    }
    let up = transfer::get(
        &scene.session,
        b"/the root/..",
        &scene.at("in/"),
        &CopyOptions::new(),
        &limit(),
    );
    assert!(up.is_err());
    scene.only_changed_within("in");
}

/// What a host lists is walked, found and removed beneath the directory that was asked for and nowhere else.
#[test]
fn walks_and_removals_stay_beneath() {
    let many = NonZeroUsize::new(10_000).expect("not zero");
    for lie in [Lie::Files, Lie::Directories, Lie::LinkThenThrough] {
        let Some(scene) = Scene::new(lie) else { return };
        let files = scene.session.fs().expect("opens");
        let beneath = |path: &[u8]| {
            let rest = path
                .strip_prefix(b"/the root")
                .expect("begins with the root");
            let mut names = rest.split(|byte| *byte == b'/').skip(1);
            names.all(|name| !matches!(name, b"" | b"." | b"..") && !name.contains(&0))
        };
        let walked = files.walk("/the root", many).expect("walks");
        assert!(walked.iter().all(|found| beneath(&found.path)), "{lie:?}");
        if lie == Lie::Files {
            assert_eq!(
                walked.len(),
                odd_names().len(),
                "{} bad ones",
                bad_names().len()
            );
        }
        drop(files);
        let files = scene
            .session
            .fs()
            .expect("opens a channel with another liar");
        for pattern in ["/the root/*", "/the root/**", "/the root/*/*"] {
            let found = files.glob(pattern).expect("finds");
            assert!(found.iter().all(|path| beneath(path)), "{lie:?} {pattern}");
        }
        let files = scene
            .session
            .fs()
            .expect("opens a channel with another liar");
        assert!(files.remove_all("/the root").expect("removes"), "{lie:?}");
        let removed = asked(scene.scripts.path());
        assert!(
            removed.iter().all(|path| beneath(path)),
            "{lie:?}: {removed:?}"
        );
        assert_eq!(
            removed.last().map(Vec::as_slice),
            Some(&b"/the root"[..]),
            "{lie:?}"
        );
        for path in ["/the root/..", "/", ".", ".."] {
            assert!(files.remove_all(path).is_err());
        }
        assert_eq!(asked(scene.scripts.path()).len(), removed.len());
    }
}

/// Directories without an end, in length and depth, are given up when they are walked or removed.
#[test]
fn endless_directories_are_given_up_by_walks_and_removals() {
    let thousand = NonZeroUsize::new(1_000).expect("not zero");
    for lie in [Lie::Endless, Lie::Deep, Lie::Dots] {
        let Some(scene) = Scene::new(lie) else { return };
        let opened = || scene.session.fs().expect("opens a channel");
        assert!(opened().walk("/the root", thousand).is_err(), "{lie:?}");
        if lie != Lie::Endless {
            assert!(opened().remove_all("/the root").is_err(), "{lie:?}");
            assert_eq!(asked(scene.scripts.path()).len(), 0, "{lie:?}");
        }
    }
}

/// A directory of nothing without an end is not emptied for ever.
#[test]
fn an_endless_directory_of_no_names_is_not_emptied_for_ever() {
    let Some(scene) = Scene::new(Lie::Blank) else {
        return;
    };
    let files = RemoteFs::open(&scene.session, &limit()).expect("opens");
    let Err(Error::Session(error)) = files.remove_all("/the root") else {
        panic!("it is endless");
    };
    assert_eq!(error.kind(), Kind::Limit, "{error:?}");
    assert!(
        error.to_string().contains("more names in a directory"),
        "{error}"
    );
    assert_eq!(asked(scene.scripts.path()), Vec::<Vec<u8>>::new());
}
