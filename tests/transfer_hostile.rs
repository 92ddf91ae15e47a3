//! Hosts that attack whoever gets a directory from them: nothing outside that directory changes, and each is told.

mod support;

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::PathBuf,
    time::Duration,
};

use sshoal::{
    Scope,
    transfer::{
        self, CopyOptions, Error, Existing, Links, Preserve, TreeOptions, TreeReport, WhySkipped,
    },
};
use support::{
    hostile_sftp::{EVIL, Lie, TARGETS_OUTSIDE, bad_names, liar, odd_names},
    sessions::{connect, limit},
    trees::{Snapshot, age, snapshot},
};

support::hostile_sftp::hostile_sftp!();

/// A directory to get into, `in`, with others beside it that nothing may change.
struct Stage {
    dir: tempfile::TempDir,
    before: Snapshot,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("makes a directory");
        for name in ["in", "out/deeper"] {
            fs::create_dir_all(dir.path().join(name)).expect("makes directories");
        }
        for name in ["out/file", "out/deeper/file", "evil", "file"] {
            fs::write(dir.path().join(name), "ours").expect("writes");
        }
        // Times that are long over: whatever is touched gets another.
        age(dir.path());
        Self {
            before: outside(&dir),
            dir,
        }
    }

    fn inside(&self) -> PathBuf {
        self.dir.path().join("in")
    }

    /// Gets the liar's directory; nothing outside may change by it.
    #[track_caller]
    fn attacked(&self, lie: Lie, options: &TreeOptions) -> Option<TreeReport> {
        let scripts = tempfile::tempdir().expect("makes a directory");
        let sshd = liar(lie, scripts.path())?;
        let session = connect(&sshd);
        let report = transfer::get_tree(&session, b"/root", &self.inside(), options, &limit());
        assert!(
            self.before == outside(&self.dir),
            "{lie:?} changed what is outside"
        );
        let parts = snapshot(&self.inside()).into_keys().filter(|path| {
            let name = path.file_name().expect("has a name").as_bytes();
            name.windows(8).any(|bytes| bytes == b".sshoal-")
        });
        assert_eq!(parts.count(), 0, "{lie:?} leaves parts of files");
        Some(report)
    }
}

/// All that is beside the directory, and that directory's own being.
fn outside(dir: &tempfile::TempDir) -> Snapshot {
    let mut all = snapshot(dir.path());
    all.retain(|path, _| !path.starts_with("in"));
    all
}

/// Every bad name is told once, and every odd one arrives under just that name.
#[test]
fn bad_names_of_files_and_directories_lead_nowhere() {
    assert!(bad_names().len() >= 40);
    for lie in [Lie::Files, Lie::Directories] {
        let stage = Stage::new();
        let Some(report) = stage.attacked(lie, &TreeOptions::new()) else {
            return;
        };
        assert!(report.ended_early.is_none(), "{report:?}");
        let mut told: Vec<_> = (report.failed.iter())
            .map(|entry| match &entry.error {
                Error::BadName { name } => name.clone(),
                other => panic!("{lie:?} {}: {other:?}", entry.path.escape_ascii()),
            })
            .collect();
        told.sort_unstable();
        let mut expected = bad_names();
        expected.sort_unstable();
        assert_eq!(told, expected, "{lie:?}");
        let mut found: Vec<_> = fs::read_dir(stage.inside())
            .expect("lists")
            .map(|entry| entry.expect("is there").file_name().as_bytes().to_vec())
            .collect();
        found.sort_unstable();
        let mut expected = odd_names();
        expected.sort_unstable();
        assert_eq!(found, expected, "{lie:?}");
        let read = match lie {
            Lie::Files => fs::read(stage.inside().join("good")),
            _ => fs::read(stage.inside().join("good/evil")),
        };
        assert_eq!(read.expect("is there"), EVIL);
    }
}

/// A link is sent, and then a directory of its name with a file in it, for each way out that there is.
#[test]
fn links_that_lead_out_are_not_made_and_nothing_goes_through_them() {
    for links in [Links::Skip, Links::Copy] {
        let stage = Stage::new();
        let options = TreeOptions::new().links(links);
        let Some(report) = stage.attacked(Lie::LinkThenThrough, &options) else {
            return;
        };
        let why = match links {
            Links::Skip => WhySkipped::Link,
            Links::Copy => WhySkipped::LinkOutside,
        };
        assert_eq!(report.links, 0);
        assert_eq!(report.skipped.len(), TARGETS_OUTSIDE.len(), "{report:?}");
        assert!(
            report.skipped.iter().all(|entry| entry.why == why),
            "{report:?}"
        );
        assert_eq!(report.failed.len(), TARGETS_OUTSIDE.len());
        let twice = |error: &Error| matches!(error, Error::NamedTwice { .. });
        assert!(
            report.failed.iter().all(|entry| twice(&entry.error)),
            "{report:?}"
        );
        assert_eq!(snapshot(&stage.inside()).len(), 0);
    }
}

/// A link that somebody planted here is not gone through, as a directory or as a file.
#[test]
fn a_link_planted_in_the_target_is_not_followed() {
    let stage = Stage::new();
    symlink("../out", stage.inside().join("planted")).expect("links");
    let Some(report) = stage.attacked(Lie::Planted, &TreeOptions::new()) else {
        return;
    };
    assert!(
        matches!(&report.failed[..], [one] if matches!(one.error, Error::Local { .. })),
        "{report:?}"
    );
    for existing in [Existing::Fail, Existing::Keep, Existing::Overwrite] {
        let stage = Stage::new();
        let link = stage.inside().join("planted");
        symlink("../out/file", &link).expect("links");
        let options = TreeOptions::new().copy(CopyOptions::new().existing(existing));
        let report = stage
            .attacked(Lie::PlantedFile, &options)
            .expect("sshd is there");
        let replaced = existing == Existing::Overwrite;
        assert_eq!(report.files, u64::from(replaced), "{report:?}");
        assert_eq!(link.is_symlink(), !replaced);
    }
}

/// Files that send more than was said, less, or without end: none is stored, and each is told.
#[test]
fn lies_about_sizes_are_bounded_and_told() {
    let stage = Stage::new();
    let all = NonZeroU64::new(3_000_000).expect("not zero");
    let options = TreeOptions::new()
        .bytes_max(all)
        .files_at_once(NonZeroUsize::MIN);
    let Some(report) = stage.attacked(Lie::Sizes, &options) else {
        return;
    };
    // The last that was listed comes first: without a size it goes on to the bound of all, which ends the copy.
    assert!(
        matches!(report.ended_early, Some(Error::TreeTooLarge { .. })),
        "{report:?}"
    );
    assert_eq!(snapshot(&stage.inside()).len(), 0);

    let stage = Stage::new();
    let one = NonZeroU64::new(1_000_000).expect("not zero");
    let options = TreeOptions::new().copy(CopyOptions::new().bytes_max(one));
    let report = stage.attacked(Lie::Sizes, &options).expect("sshd is there");
    assert!(report.ended_early.is_none(), "{report:?}");
    let mut told: Vec<_> = (report.failed.iter())
        .map(|entry| {
            (
                String::from_utf8_lossy(&entry.path).into_owned(),
                &entry.error,
            )
        })
        .collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let [huge, long, short, untold] = &told[..] else {
        panic!("{report:?}")
    };
    for (name, error) in [huge, long, untold] {
        assert!(
            matches!(
                error,
                Error::TooLarge {
                    bytes_max: 1_000_000
                }
            ),
            "{name}: {error:?}"
        );
    }
    let (expected, arrived) = (1_000_000, 10);
    assert!(
        matches!(short.1, Error::Short { expected: e, arrived: a } if (*e, *a) == (expected, arrived)),
        "{short:?}"
    );
    assert_eq!(snapshot(&stage.inside()).len(), 0);
}

/// Nothing gets an id bit, whatever is kept, and what is no file is not opened.
#[test]
fn modes_are_masked_and_devices_are_not_opened() {
    for preserve in [Preserve::No, Preserve::Yes] {
        let stage = Stage::new();
        let options = TreeOptions::new().copy(CopyOptions::new().preserve(preserve));
        let Some(report) = stage.attacked(Lie::Modes, &options) else {
            return;
        };
        assert!(report.is_success(), "{report:?}");
        let special = |why| why == WhySkipped::Special;
        assert_eq!(report.skipped.len(), 5, "{report:?}");
        assert!(report.skipped.iter().all(|entry| special(entry.why)));
        for name in ["mode0", "mode1", "mode1/evil"] {
            let about = fs::symlink_metadata(stage.inside().join(name)).expect("is there");
            let mode = about.permissions().mode();
            assert_eq!(mode & 0o7022, 0, "{preserve:?} {name}: {mode:o}");
        }
    }
    let stage = Stage::new();
    let report = stage
        .attacked(Lie::Pipe, &TreeOptions::new())
        .expect("sshd is there");
    assert!(
        matches!(&report.failed[..], [one] if matches!(one.error, Error::NoFile { .. })),
        "{report:?}"
    );
}

/// Names that are taken of an endless directory, and directories of an endless depth: the default of the first and
/// 10,000 in full, with `SSHOAL_TREES=full`.
fn ends() -> (usize, usize) {
    if std::env::var_os("SSHOAL_TREES").is_none() {
        return (1_000, 300);
    }
    // Each level holds a descriptor.
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let limit = rustix::process::Rlimit {
        current: most,
        maximum: most,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).expect("raises it");
    (1_000_000, 10_000)
}

/// Directories without an end, in length and in depth, and lists that say nothing for ever.
#[test]
fn directories_without_an_end_are_bounded_and_told() {
    let (entries_max, depth) = ends();
    let most = NonZeroUsize::new(entries_max).expect("not zero");
    let options = TreeOptions::new().entries_max(most);
    let Some(report) = Stage::new().attacked(Lie::Endless, &options) else {
        return;
    };
    assert!(
        matches!(report.ended_early, Some(Error::TooManyEntries { entries_max: told }) if told == entries_max),
        "{report:?}"
    );
    let stage = Stage::new();
    let report = stage
        .attacked(Lie::Deep, &TreeOptions::new())
        .expect("sshd is there");
    assert_eq!(report.directories, 64, "{report:?}");
    assert!(
        matches!(&report.failed[..], [one] if matches!(one.error, Error::TooDeep { depth_max: 64 })),
        "{report:?}"
    );
    let deep = NonZeroUsize::new(20_000).expect("not zero");
    let few = NonZeroUsize::new(depth).expect("not zero");
    let options = TreeOptions::new().depth_max(deep).entries_max(few);
    let report = Stage::new().attacked(Lie::Deep, &options);
    let report = report.expect("sshd is there");
    assert!(
        matches!(
            report.ended_early,
            Some(Error::TooManyEntries { entries_max }) if entries_max == depth
        ),
        "{report:?}"
    );
    assert_eq!(report.directories, depth as u64);
    let attacked = |lie| Stage::new().attacked(lie, &TreeOptions::new());
    let report = attacked(Lie::Dots).expect("sshd is there");
    assert!(
        matches!(report.ended_early, Some(Error::Sftp(_))),
        "{report:?}"
    );
    // A list of no names is the end of the directory, as for OpenSSH's client.
    let report = attacked(Lie::Empty).expect("sshd is there");
    assert!(report.is_success() && report.files == 0, "{report:?}");
}

/// Somebody here swaps a directory for a link to outside and back while copies go on; a while in CI, 60 s in full.
#[test]
fn a_directory_that_is_swapped_for_a_link_leads_nowhere() {
    let seconds = if std::env::var_os("SSHOAL_TREES").is_some() {
        60
    } else {
        3
    };
    let scripts = tempfile::tempdir().expect("makes a directory");
    let Some(sshd) = liar(Lie::Planted, scripts.path()) else {
        return;
    };
    let session = connect(&sshd);
    let stage = Stage::new();
    let place = stage.inside().join("planted");
    let scope = Scope::root().child(Some(Duration::from_secs(seconds)));
    let (mut copied, mut refused) = (0, 0);
    std::thread::scope(|threads| {
        let over = &scope;
        threads.spawn(|| {
            while over.check().is_ok() {
                let _ = fs::remove_dir_all(&place);
                let _ = symlink("../out", &place);
                std::thread::yield_now();
                let _ = fs::remove_file(&place);
                std::thread::yield_now();
            }
        });
        while over.check().is_ok() {
            let options = TreeOptions::new();
            let report =
                transfer::get_tree(&session, b"/root", &stage.inside(), &options, &limit());
            assert!(report.ended_early.is_none(), "{report:?}");
            copied += report.files;
            refused += report.failed.len();
        }
    });
    assert!(
        stage.before == outside(&stage.dir),
        "something outside changed"
    );
    println!("{copied} files copied, {refused} times refused");
    assert!(copied > 0 || refused > 0, "nothing was tried");
}
