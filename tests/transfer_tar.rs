//! Directories in one stream through the host's `tar`: identical, whole or not at all, and against hosts that lie.

#[path = "transfer_tar/hosts.rs"]
mod hosts;
mod support;

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Barrier,
    thread,
    time::Instant,
};

use sshoal::{
    Session,
    transfer::{
        self, Action, CopyOptions, Delete, DryRun, Error, Existing, Itemise, Links, LocalTree,
        Parents, Preserve, Progress, Stream, TreeOptions, TreeReport, Unchanged, Verify,
        WhySkipped,
    },
};
use support::{
    files::{bytes_of, names, sides},
    programs::{before_others, program, with_programs},
    sessions::{connect, limit, within_ms},
    sshd::Sshd,
    trees::{Snapshot, plant, snapshot},
};

fn sshd() -> Option<Sshd> {
    Sshd::builder().log_level("INFO").start()
}

fn tar() -> TreeOptions {
    TreeOptions::new().stream(Stream::Tar)
}

fn put(session: &Session, from: &Path, to: &Path, options: &TreeOptions) -> TreeReport {
    let tree = LocalTree::walk(from, options).expect("walks");
    transfer::put_tree(session, &tree, bytes_of(to), options, &limit())
}

fn get(session: &Session, from: &Path, to: &Path, options: &TreeOptions) -> TreeReport {
    transfer::get_tree(session, bytes_of(from), to, options, &limit())
}

/// Paths that two snapshots do not have in common.
fn difference(one: &Snapshot, other: &Snapshot) -> Vec<String> {
    let all = one.keys().chain(other.keys());
    let differ = all.filter(|path| one.get(*path) != other.get(*path));
    let shown = differ.map(|path| format!("{path:?}: {:?} {:?}", one.get(path), other.get(path)));
    shown.collect()
}

#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (snapshot(one), snapshot(other));
    assert!(one == other, "{:#?}", difference(&one, &other));
}

/// Goal: files of every name, links, empty and deep directories arrive the same both ways, where the target is new and
/// where it is there. Method: the trees' own set of odd names, compared by kind, bytes, mode and time.
#[test]
fn trees_arrive_the_same_both_ways_onto_nothing_and_onto_themselves() {
    let Some(sshd) = sshd() else { return };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let source = here.join("source");
    plant(&source, 300, 3_000_000);
    let entries = snapshot(&source);
    let count = |kind| entries.values().filter(|known| known.0 == kind).count() as u64;
    let kept = CopyOptions::new().preserve(Preserve::Yes);
    let options = tar().links(Links::Copy).copy(kept);
    let target = there.join("a/new one");
    for (directories, name) in [(count('d') + 1, "new"), (0, "there")] {
        let report = put(&session, &source, &target, &options);
        assert!(report.is_success(), "{name}: {report:?}");
        let found = (report.files, report.links, report.directories);
        assert_eq!(found, (count('f'), count('l'), directories), "{name}");
        assert_same(&target, &source);
        assert_eq!(names(&there.join("a")), ["new one"], "nothing is left");
    }
    let back = here.join("a/back");
    for directories in [count('d') + 1, 0] {
        let report = get(&session, &target, &back, &options);
        assert!(report.is_success(), "{report:?}");
        let found = (report.files, report.links, report.directories);
        assert_eq!(found, (count('f'), count('l'), directories));
        assert_same(&back, &source);
    }
}

/// Without times, permissions are those of here less the umask, and times are the copy's own.
#[test]
fn by_default_permissions_go_along_and_times_do_not() {
    let Some(sshd) = sshd() else { return };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    fs::create_dir_all(here.join("s/dir")).expect("makes directories");
    for (name, mode) in [("s/a", 0o4775), ("s/dir/b", 0o600)] {
        fs::write(here.join(name), "bytes").expect("writes");
        fs::set_permissions(here.join(name), fs::Permissions::from_mode(mode)).expect("sets");
        let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        fs::File::open(here.join(name))
            .and_then(|file| file.set_times(old))
            .expect("sets");
    }
    fs::set_permissions(here.join("s/dir"), fs::Permissions::from_mode(0o700)).expect("sets");
    let report = put(&session, &here.join("s"), &there.join("t"), &tar());
    assert!(report.is_success() && report.bytes == 10, "{report:?}");
    let report = get(&session, &there.join("t"), &here.join("t"), &tar());
    assert!(report.is_success() && report.bytes == 10, "{report:?}");
    for root in [there.join("t"), here.join("t")] {
        for (name, mode) in [("", 0o755), ("a", 0o755), ("dir", 0o755), ("dir/b", 0o600)] {
            let about = fs::metadata(root.join(name)).expect("is there");
            assert_eq!(about.mode() & 0o7777, mode, "{root:?} {name}");
            assert!(about.mtime() > 1_000_000_000, "{root:?} {name}");
        }
    }
}

/// Goal: what has a name on the host is overwritten, kept or told as asked, and nothing else is touched. Method: files,
/// links and directories in each other's places, with and without hard links on the host.
#[test]
fn what_exists_is_overwritten_kept_or_told() {
    for (tools, broken) in [("usual tools", ""), ("no hard links", "exit 1")] {
        let Some((sshd, programs)) = with_programs(before_others) else {
            return;
        };
        if !broken.is_empty() {
            program(&programs, "ln", broken);
        }
        let session = connect(&sshd);
        let [there, here] = sides(&sshd);
        fs::create_dir_all(here.join("dir")).expect("makes directories");
        for name in [
            "file", "link", "dangling", "folder", "dir/file", "dir/more", "more",
        ] {
            fs::write(here.join(name), "ours").expect("writes");
        }
        for (existing, copied, kept, failed) in [
            (Existing::Fail, 2, 0, 5),
            (Existing::Keep, 2, 5, 0),
            (Existing::Overwrite, 6, 0, 1),
        ] {
            let target = there.join(format!("{existing:?}"));
            fs::create_dir_all(target.join("dir")).expect("makes directories");
            fs::create_dir_all(target.join("folder/full")).expect("makes directories");
            for name in ["file", "dir/file", "other"] {
                fs::write(target.join(name), "theirs").expect("writes");
                let mode = fs::Permissions::from_mode(0o4640);
                fs::set_permissions(target.join(name), mode).expect("sets");
            }
            symlink("other", target.join("link")).expect("links");
            symlink("no such file", target.join("dangling")).expect("links");
            let before = snapshot(&target);
            let options = tar().copy(CopyOptions::new().existing(existing));
            let report = put(&session, &here, &target, &options);
            let found = (report.files, report.kept, report.failed.len());
            assert!(report.ended_early.is_none(), "{report:?}");
            assert_eq!(
                found,
                (copied, kept, failed),
                "{tools} {existing:?} {report:?}"
            );
            let mut after = snapshot(&target);
            if existing == Existing::Overwrite {
                assert!(
                    matches!(&report.failed[0].error, Error::Command { .. }),
                    "{report:?}"
                );
                assert_eq!(report.failed[0].path, b"folder");
                for name in ["file", "link", "dangling", "dir/file"] {
                    assert_eq!(after[Path::new(name)].0, 'f', "{name}");
                    assert_eq!(fs::read(target.join(name)).expect("reads"), b"ours");
                }
                assert_eq!(fs::read(target.join("other")).expect("reads"), b"theirs");
            } else {
                let exists = |error: &Error| matches!(error, Error::Exists { .. });
                assert!(
                    report.failed.iter().all(|entry| exists(&entry.error)),
                    "{report:?}"
                );
                for name in ["more", "dir/more"] {
                    assert!(after.remove(Path::new(name)).is_some(), "{name}");
                }
                // A directory's time is that of what came into it.
                after.get_mut(Path::new("dir")).expect("is there").2 = before[Path::new("dir")].2;
                assert!(after == before, "{:?}", difference(&after, &before));
            }
        }
        fs::remove_dir_all(programs).expect("removes the programs");
    }
}

/// Of two senders at once onto nothing, each file is one's, whole, and none is told twice.
#[test]
fn two_senders_at_once_leave_each_file_whole() {
    let Some(sshd) = sshd() else { return };
    let [there, here] = sides(&sshd);
    let sessions = [connect(&sshd), connect(&sshd)];
    for byte in [1_u8, 2] {
        let dir = here.join(byte.to_string()).join("dir");
        fs::create_dir_all(&dir).expect("makes directories");
        for number in 0..50 {
            fs::write(dir.join(number.to_string()), vec![byte; 5_000]).expect("writes");
        }
    }
    for round in 0..3 {
        let (target, begin) = (there.join(round.to_string()), Barrier::new(2));
        let options = tar().copy(CopyOptions::new().existing(Existing::Fail));
        let reports = thread::scope(|threads| {
            let racing = [0, 1].map(|number| {
                let (session, source) = (&sessions[number], here.join((number + 1).to_string()));
                let (target, begin, options) = (&target, &begin, &options);
                threads.spawn(move || {
                    begin.wait();
                    put(session, &source, target, options)
                })
            });
            racing.map(|one| one.join().expect("does not panic"))
        });
        assert_eq!(reports[0].files + reports[1].files, 50, "{reports:?}");
        let mut won = [0, 0];
        for number in 0..50 {
            let bytes = fs::read(target.join(format!("dir/{number}"))).expect("reads");
            assert!(bytes == vec![bytes[0]; 5_000]);
            won[usize::from(bytes[0]) - 1] += 1;
        }
        assert_eq!(won, [reports[0].files, reports[1].files]);
    }
    assert_eq!(names(&there), ["0", "1", "2"], "nothing is left");
}

/// Goal: a copy that is cut short changes nothing on the host and leaves nothing. Method: scopes that end in the middle,
/// a local file that became shorter, and archives that end between two files, which `tar` takes for whole ones.
#[test]
fn a_copy_that_is_cut_short_changes_nothing() {
    let Some(sshd) = sshd() else { return };
    let [there, here] = sides(&sshd);
    for number in 0..40 {
        fs::write(here.join(number.to_string()), vec![7; 1_000_000]).expect("writes");
    }
    fs::create_dir(there.join("old")).expect("makes a directory");
    fs::write(there.join("old/0"), "theirs").expect("writes");
    // A directory's time tells that something was in it for a while.
    let looked = || {
        let mut all = snapshot(&there);
        all.retain(|_, known| known.0 == 'f');
        all
    };
    let before = looked();
    let tree = LocalTree::walk(&here, &tar()).expect("walks");
    // Whatever the machine, 4 GiB do not arrive in the times below: what has all arrived is put in its place, whether
    // or not anybody waits for the answer.
    let dir = tempfile::tempdir().expect("makes a directory");
    let file = fs::File::create(dir.path().join("0")).expect("creates");
    file.set_len(1 << 32).expect("has a hole");
    let long = LocalTree::walk(dir.path(), &tar()).expect("walks");
    let watcher = connect(&sshd);
    let nothing_left = || {
        // What the host was asked for has the path in its words; this has it in another way.
        let under_way = there.display().to_string().replacen('/', "[/]", 1);
        let wait = format!("while pgrep -f '{under_way}' >/dev/null; do sleep 0.02; done");
        let waited = watcher.command(wait).scope(&limit()).output();
        assert!(waited.expect("has ended").exit.is_success());
        let left = "ls -A . old | grep -q sshoal";
        let wait = format!("cd {}; while {left}; do sleep 0.02; done", there.display());
        let waited = watcher.command(wait).scope(&limit()).output();
        assert!(waited.expect("is cleaned up").exit.is_success());
    };
    for (milliseconds, name) in [(20, "new"), (60, "old"), (90, "new")] {
        let session = connect(&sshd);
        let scope = within_ms(milliseconds);
        let target = there.join(name);
        let report = transfer::put_tree(&session, &long, bytes_of(&target), &tar(), &scope);
        drop(session);
        assert!(
            matches!(report.ended_early, Some(Error::Session(_))),
            "{report:?}"
        );
        nothing_left();
        assert!(looked() == before, "{name}");
    }
    fs::File::create(here.join("7"))
        .expect("creates")
        .set_len(100)
        .expect("is cut");
    // The walk's own sizes are of no matter: what is shorter once it is open is.
    let session = connect(&sshd);
    let report = transfer::put_tree(
        &session,
        &tree,
        bytes_of(&there.join("new")),
        &tar(),
        &limit(),
    );
    assert!(report.is_success(), "{report:?}");
    assert_eq!(
        fs::metadata(there.join("new/7")).expect("is there").len(),
        100
    );
    assert_eq!(names(&there), ["new", "old"]);
}

/// The command that unpacks throws away an archive without its end, though `tar` takes it.
#[test]
fn an_archive_without_its_end_is_not_taken() {
    let Some((sshd, programs)) = with_programs(before_others) else {
        return;
    };
    program(
        &programs,
        "tar",
        "head -c 10000 | /bin/tar \"$@\" 2>/dev/null; true",
    );
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    for number in 0..40 {
        fs::write(here.join(number.to_string()), vec![7; 1_000]).expect("writes");
    }
    let report = put(&session, &here, &there.join("new"), &tar());
    let Some(Error::Command { message, .. }) = &report.ended_early else {
        panic!("{report:?}")
    };
    assert_eq!(message, "not all arrived");
    assert!(names(&there).is_empty() && report.files == 0);
    fs::remove_dir_all(programs).expect("removes the programs");
}

#[test]
fn what_only_sftp_offers_is_refused_before_anything_is_copied() {
    let Some(sshd) = sshd() else { return };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    fs::write(here.join("a"), "bytes").expect("writes");
    let digest = tar().copy(CopyOptions::new().verify(Verify::Sha256));
    for options in [
        tar().dry_run(DryRun::Yes),
        tar().delete(Delete::Yes),
        tar().unchanged(Unchanged::SizeAndTime),
        digest.clone(),
    ] {
        let report = put(&session, &here, &there.join("new"), &options);
        assert!(
            matches!(report.ended_early, Some(Error::NotOffered { .. })),
            "{report:?}"
        );
    }
    let report = get(&session, &there, &here.join("new"), &digest);
    assert!(
        matches!(report.ended_early, Some(Error::NotOffered { .. })),
        "{report:?}"
    );
    assert!(names(&there).is_empty() && names(&here) == ["a"]);
}

/// Counters, exclusions, single changes, links that are not copied, equal files, and files of several names.
#[test]
fn options_count_as_they_do_over_sftp() {
    let Some(sshd) = sshd() else { return };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    fs::create_dir_all(here.join("s/left/out")).expect("makes directories");
    for name in ["s/a", "s/b.o", "s/left/out/c"] {
        fs::write(here.join(name), "bytes").expect("writes");
    }
    symlink("/etc/passwd", here.join("s/link")).expect("links");
    let progress = Progress::new();
    let rate = NonZeroU64::new(1_000_000).expect("not zero");
    let copy = CopyOptions::new()
        .progress(&progress)
        .host_bandwidth(rate)
        .copies_max(NonZeroUsize::MIN);
    let options = tar()
        .copy(copy)
        .exclude("*.o")
        .exclude("left")
        .itemise(Itemise::Yes);
    let report = put(&session, &here.join("s"), &there.join("t"), &options);
    assert!(report.is_success(), "{report:?}");
    assert_eq!(
        (report.files, report.directories, report.changes.len()),
        (1, 1, 2),
        "{report:?}"
    );
    assert_eq!(report.skipped[0].why, WhySkipped::Link);
    assert_eq!((progress.files(), progress.bytes()), (1, 5));
    for name in ["t/b.o", "t/left/out/c"] {
        fs::create_dir_all(there.join("t/left/out")).expect("makes directories");
        fs::write(there.join(name), "bytes").expect("writes");
    }
    symlink("/etc/passwd", there.join("t/link")).expect("links");
    fs::hard_link(there.join("t/a"), there.join("t/again")).expect("links");
    let report = get(
        &session,
        &there.join("t"),
        &here.join("t"),
        &options.clone().links(Links::Copy),
    );
    assert!(report.is_success(), "{report:?}");
    assert_eq!(report.skipped[0].why, WhySkipped::LinkOutside);
    assert_eq!(names(&here.join("t")), ["a", "again"]);
    let copied = |change: &transfer::Change| change.action == Action::Copy;
    assert_eq!(
        report
            .changes
            .iter()
            .filter(|change| copied(change))
            .count(),
        2
    );
    assert_eq!((progress.files(), progress.bytes()), (3, 15));

    let kept = tar().sync();
    let report = get(&session, &there.join("t"), &here.join("u"), &kept);
    assert_eq!((report.files, report.kept), (4, 0), "{report:?}");
    let report = get(&session, &there.join("t"), &here.join("u"), &kept);
    assert_eq!((report.files, report.kept), (0, 4), "{report:?}");
}
