//! Directories to and from a host by its `scp`, with and without SFTP, and the promise that nothing is overwritten.

mod support;

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    sync::Barrier,
    thread,
};

use sshoal::{
    Session,
    transfer::{
        self, CopyOptions, Delete, DryRun, Error, Existing, Keep, LocalTree, Preserve, Progress,
        Scp, TreeOptions, TreeReport, Unchanged, Verify, WhySkipped,
    },
};
use support::{
    files::{bytes_of, names, sides},
    sessions::{connect, limit, random_bytes},
    sshd::Sshd,
    trees::{Snapshot, plant, snapshot},
};

/// Servers with SFTP and without.
fn servers() -> impl Iterator<Item = Sshd> {
    let without = Sshd::builder().config("Subsystem nothing /bin/false");
    [Sshd::builder(), without]
        .into_iter()
        .filter_map(|server| server.log_level("INFO").start())
}

fn send(session: &Session, from: &Path, to: &Path, options: &TreeOptions) -> TreeReport {
    let tree = LocalTree::walk(from, options).expect("walks");
    Scp::new(session, &limit()).send_tree(&tree, bytes_of(to), options)
}

fn receive(session: &Session, from: &Path, to: &Path, options: &TreeOptions) -> TreeReport {
    Scp::new(session, &limit()).receive_tree(bytes_of(from), to, options)
}

/// What stands in a directory, without links and, unless they were kept, times.
fn without_links(root: &Path, times: bool) -> Snapshot {
    let mut all = snapshot(root);
    all.retain(|_, known| known.0 != 'l');
    if !times {
        all.values_mut().for_each(|known| known.2 = 0);
    }
    all
}

#[test]
fn one_of_the_servers_has_no_sftp() {
    let refused = servers().map(|sshd| {
        let told = transfer::exists(&connect(&sshd), b"/", &limit());
        told.is_err_and(|error| error.is_subsystem_refused())
    });
    let refused: Vec<_> = refused.collect();
    assert!(matches!(refused[..], [] | [false, true]), "{refused:?}");
}

/// Goal: files of every name, directories and empty ones go there and come back the same, with modes and times where
/// asked. Method: the trees' own set of odd names, over servers with SFTP and without; `scp` writes a newline in a
/// name in its own way, so that such names go one way only.
#[test]
fn trees_arrive_whole_both_ways_with_sftp_and_without() {
    for sshd in servers() {
        let session = connect(&sshd);
        let [there, here] = sides(&sshd);
        let source = here.join("source");
        plant(&source, 40, 300_000);
        for preserve in [Preserve::No, Preserve::Yes] {
            let kept = preserve == Preserve::Yes;
            let options = TreeOptions::new().copy(CopyOptions::new().preserve(preserve));
            let target = there.join(format!("a/b {kept}"));
            let report = send(&session, &source, &target, &options);
            assert!(report.is_success(), "{report:?}");
            let expected = without_links(&source, kept);
            let directories = expected.values().filter(|known| known.0 == 'd').count();
            assert_eq!(report.files as usize, expected.len() - directories);
            assert_eq!(report.directories as usize, directories + 1);
            assert_eq!(report.skipped.len(), 3, "the links: {report:?}");
            assert!(
                report
                    .skipped
                    .iter()
                    .all(|entry| entry.why == WhySkipped::Link)
            );
            let found = without_links(&target, kept);
            let mut expected = expected;
            if !kept {
                // A directory gets what the host's umask leaves.
                let directories = expected.values_mut().filter(|known| known.0 == 'd');
                directories.for_each(|known| known.1 = 0o755);
            }
            assert!(
                found == expected,
                "{kept}: {:?}",
                difference(&found, &expected)
            );

            for name in ["new\nline", "odd/new\nline/in it"] {
                fs::remove_file(target.join(name)).expect("removes");
            }
            fs::remove_dir(target.join("odd/new\nline")).expect("removes");
            let back = here.join(format!("back/{kept}"));
            let report = receive(&session, &target, &back, &options);
            assert!(report.is_success(), "{report:?}");
            let times = |path| match kept {
                true => without_links(path, true),
                false => without_links(path, false),
            };
            let (found, expected) = (times(&back), times(&target));
            assert_eq!(report.files as usize, expected.len() - directories + 1);
            assert!(
                found == expected,
                "{kept}: {:?}",
                difference(&found, &expected)
            );
        }
    }
}

/// Paths that two snapshots do not have in common.
fn difference(one: &Snapshot, other: &Snapshot) -> Vec<String> {
    let all = one.keys().chain(other.keys());
    let differ = all.filter(|path| one.get(*path) != other.get(*path));
    differ
        .map(|path| format!("{path:?}: {:?} {:?}", one.get(path), other.get(path)))
        .collect()
}

/// Goal: Must show 8, alone and inside a tree. Method: what stands at each name is a file, a link or a directory; all
/// of it is compared by bytes, mode and times before and after.
#[test]
fn what_exists_is_told_and_stays_alone_and_inside_a_tree() {
    for sshd in servers() {
        let session = connect(&sshd);
        let [there, here] = sides(&sshd);
        let source = here.join("source");
        fs::create_dir_all(source.join("dir")).expect("makes directories");
        for name in [
            "file",
            "link",
            "nowhere",
            "folder",
            "dir/file",
            "dir/other",
            "other",
        ] {
            fs::write(source.join(name), "ours, and longer").expect("writes");
        }
        fs::create_dir_all(there.join("dir")).expect("makes directories");
        fs::create_dir(there.join("folder")).expect("makes a directory");
        for name in ["file", "dir/file"] {
            fs::write(there.join(name), "theirs").expect("writes");
            fs::set_permissions(there.join(name), fs::Permissions::from_mode(0o4640))
                .expect("sets");
        }
        symlink("file", there.join("link")).expect("links");
        symlink("no such file", there.join("nowhere")).expect("links");
        let before = snapshot(&there);
        let scope = limit();
        let alone =
            Scp::new(&session, &scope).send(&source.join("file"), bytes_of(&there.join("file")));
        let error = alone.expect_err("is there");
        assert!(error.is_already_there(), "{error:?}");
        assert!(error.to_string().ends_with("already exists"), "{error}");
        assert!(snapshot(&there) == before);

        for existing in [Existing::Overwrite, Existing::Fail, Existing::Keep] {
            let options = TreeOptions::new().copy(CopyOptions::new().existing(existing));
            let report = send(&session, &source, &there, &options);
            assert!(report.ended_early.is_none(), "{report:?}");
            let stays = if existing == Existing::Overwrite {
                5
            } else {
                7
            };
            if existing == Existing::Keep {
                assert_eq!((report.kept, report.failed.len()), (stays, 0), "{report:?}");
            } else {
                assert_eq!(report.failed.len() as u64, stays, "{report:?}");
                assert!(
                    report
                        .failed
                        .iter()
                        .all(|entry| matches!(entry.error, Error::Exists { .. }))
                );
            }
            let mut after = snapshot(&there);
            after.remove(Path::new("other"));
            after.remove(Path::new("dir/other"));
            // A directory's time is that of what came into it.
            after.get_mut(Path::new("dir")).expect("is there").2 = before[Path::new("dir")].2;
            assert!(after == before, "{:?}", difference(&after, &before));
        }
    }
}

/// Goal: of two senders of one tree, each file is one sender's, whole, with its mode, and the other is told of it.
/// Method: two sessions begin together, again and again; each sender's files have its own bytes and mode.
#[test]
fn of_two_senders_that_race_one_has_each_file_and_the_other_is_told() {
    const FILES: usize = 12;
    for sshd in servers() {
        let [there, here] = sides(&sshd);
        let sessions = [connect(&sshd), connect(&sshd)];
        let sources = [(1_u8, 0o640), (2, 0o604)].map(|(byte, mode)| {
            let source = here.join(byte.to_string());
            fs::create_dir_all(source.join("dir")).expect("makes directories");
            for number in 0..FILES {
                let path = source.join(format!("dir/{number}"));
                fs::write(&path, vec![byte; 20_000]).expect("writes");
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("sets");
            }
            source
        });
        for round in 0..3 {
            let (target, begin) = (there.join(round.to_string()), Barrier::new(2));
            let reports = thread::scope(|threads| {
                let racing = [0, 1].map(|number| {
                    let (session, source) = (&sessions[number], &sources[number]);
                    let (target, begin) = (&target, &begin);
                    threads.spawn(move || {
                        begin.wait();
                        send(session, source, target, &TreeOptions::new())
                    })
                });
                racing.map(|one| one.join().expect("does not panic"))
            });
            let files = reports
                .iter()
                .map(|report| report.files as usize)
                .sum::<usize>();
            assert_eq!(files, FILES, "{reports:?}");
            for report in &reports {
                let told = report.failed.len();
                assert_eq!(told + report.files as usize, FILES, "{report:?}");
                assert!(
                    report
                        .failed
                        .iter()
                        .all(|entry| matches!(entry.error, Error::Exists { .. }))
                );
            }
            let mut won = [0, 0];
            for number in 0..FILES {
                let path = target.join(format!("dir/{number}"));
                let (bytes, mode) = (
                    fs::read(&path).expect("reads"),
                    fs::metadata(&path).expect("is there").mode() & 0o7777,
                );
                let winner = usize::from(bytes[0]) - 1;
                assert!(bytes == vec![bytes[0]; 20_000]);
                assert_eq!(mode, [0o640, 0o604][winner]);
                won[winner] += 1;
            }
            assert_eq!(won, [reports[0].files, reports[1].files]);
            assert_eq!(names(&target.join("dir")).len(), FILES, "nothing is left");
        }
    }
}

#[test]
fn what_scp_cannot_read_is_told_in_its_words_and_the_rest_arrives() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    for name in ["a", "dir/b"] {
        fs::create_dir_all(there.join("dir")).expect("makes a directory");
        fs::write(there.join(name), "bytes").expect("writes");
    }
    symlink("no such\x1b[31m file", there.join("nowhere")).expect("links");
    let report = receive(&session, &there, &here.join("got"), &TreeOptions::new());
    assert!(
        report.ended_early.is_none() && report.files == 2,
        "{report:?}"
    );
    let [failed] = &report.failed[..] else {
        panic!("{report:?}")
    };
    let text = failed.error.to_string();
    assert!(
        text.contains("nowhere: No such file or directory"),
        "{text}"
    );
    assert!(!text.contains(char::is_control), "{text:?}");
    let report = receive(
        &session,
        &there.join("none"),
        &here.join("none"),
        &TreeOptions::new(),
    );
    let Some(Error::Scp { message, .. }) = &report.ended_early else {
        panic!("{report:?}")
    };
    assert!(
        message.ends_with("none: No such file or directory"),
        "{message}"
    );
    assert!(!here.join("none").exists());
    let report = receive(
        &session,
        &there.join("a"),
        &here.join("none"),
        &TreeOptions::new(),
    );
    assert!(
        matches!(report.ended_early, Some(Error::ScpProtocol { .. })),
        "{report:?}"
    );
}

/// Goal: the host's refusals to write are told by file, and the others arrive. Method: a file stands where a
/// directory is to be.
#[test]
fn what_cannot_be_made_is_told_and_the_rest_arrives() {
    for sshd in servers() {
        let session = connect(&sshd);
        let [there, here] = sides(&sshd);
        fs::create_dir_all(here.join("dir/deeper")).expect("makes directories");
        for name in ["a", "dir/b", "dir/deeper/c"] {
            fs::write(here.join(name), "bytes").expect("writes");
        }
        fs::write(there.join("dir"), "in the way").expect("writes");
        let report = send(&session, &here, &there, &TreeOptions::new());
        assert!(report.ended_early.is_none(), "{report:?}");
        assert_eq!((report.files, report.failed.len()), (1, 1), "{report:?}");
        assert_eq!(report.failed[0].path, b"dir");
        assert_eq!(names(&there), ["a", "dir"]);
        let parents =
            TreeOptions::new().copy(CopyOptions::new().parents(transfer::Parents::Expect));
        let report = send(&session, &here, &there.join("x/y"), &parents);
        assert!(report.failed.len() == 1 && report.files == 0, "{report:?}");
    }
}

#[test]
fn what_only_sftp_offers_is_refused_before_anything_is_copied() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    fs::write(here.join("a"), "bytes").expect("writes");
    let digest = CopyOptions::new().verify(Verify::Sha256);
    for options in [
        TreeOptions::new().dry_run(DryRun::Yes),
        TreeOptions::new().delete(Delete::Yes),
        TreeOptions::new().unchanged(Unchanged::SizeAndTime),
        TreeOptions::new().copy(digest.clone()),
    ] {
        let report = send(&session, &here, &there.join("new"), &options);
        assert!(
            matches!(report.ended_early, Some(Error::NotOffered { .. })),
            "{report:?}"
        );
    }
    let options = TreeOptions::new().copy(digest);
    let report = receive(&session, &there, &here.join("new"), &options);
    assert!(
        matches!(report.ended_early, Some(Error::NotOffered { .. })),
        "{report:?}"
    );
    assert!(names(&there).is_empty() && names(&here) == ["a"]);
}

/// Goal: counters, bounds and exclusions count for SCP too. Method: counters are read behind copies both ways; a copy
/// at a bounded rate takes as long as its bytes do, which is a bound from below alone.
#[test]
fn limits_and_exclusions_are_kept() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let source = here.join("source");
    fs::create_dir_all(source.join("left/out")).expect("makes directories");
    for (name, size) in [("a", 30_000), ("b", 70_000), ("c.o", 5), ("left/out/d", 5)] {
        fs::write(source.join(name), random_bytes(size, 1)).expect("writes");
    }
    let progress = Progress::new();
    let rate = NonZeroU64::new(200_000).expect("not zero");
    let copy = CopyOptions::new()
        .progress(&progress)
        .host_bandwidth(rate)
        .copies_max(NonZeroUsize::MIN);
    let options = TreeOptions::new()
        .copy(copy)
        .exclude("*.o")
        .exclude("left")
        .for_host(0);
    let begun = std::time::Instant::now();
    let report = send(&session, &source, &there.join("new"), &options);
    assert!(report.is_success() && report.files == 2, "{report:?}");
    assert!(begun.elapsed().as_millis() >= 350, "{:?}", begun.elapsed());
    assert_eq!(
        (
            progress.files(),
            progress.bytes(),
            progress.bytes_expected()
        ),
        (2, 100_000, 100_000)
    );
    for name in ["c.o", "left/out/d"] {
        fs::create_dir_all(there.join("new/left/out")).expect("makes directories");
        fs::write(there.join("new").join(name), "theirs").expect("writes");
    }
    let report = receive(&session, &there.join("new"), &here.join("got"), &options);
    assert!(report.is_success() && report.files == 2, "{report:?}");
    assert_eq!((progress.files(), progress.bytes()), (4, 200_000));
    assert_eq!(names(&here.join("got")), ["a", "b"]);

    let counted = CopyOptions::new().progress(&progress);
    let scope = limit();
    let scp = Scp::new(&session, &scope)
        .limits(&counted)
        .keep(Keep::Nothing);
    scp.send(&source.join("a"), bytes_of(&there.join("alone")))
        .expect("sends");
    scp.receive_bytes(bytes_of(&there.join("alone")))
        .expect("receives");
    scp.receive(bytes_of(&there.join("alone")), &here.join("alone"))
        .expect("receives");
    assert_eq!((progress.files(), progress.bytes()), (7, 290_000));
}

/// What is received into memory has a bound, whatever the host says of its size.
#[test]
fn bytes_in_memory_have_a_bound() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let large = sshd.scratch().join("large");
    let file = fs::File::create(&large).expect("creates");
    file.set_len(64 * 1024 * 1024 + 1).expect("has a hole");
    let told = Scp::new(&session, &limit()).receive_bytes(bytes_of(&large));
    assert!(
        matches!(
            told,
            Err(Error::TooLarge {
                bytes_max: 67_108_864
            })
        ),
        "{:?}",
        told.map(|bytes| bytes.len())
    );
}

/// Files here stay, are kept or are overwritten as the options say.
#[test]
fn files_here_are_overwritten_kept_or_fail_as_asked() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    for name in ["a", "b"] {
        fs::write(there.join(name), "theirs").expect("writes");
    }
    fs::write(here.join("a"), "ours").expect("writes");
    for (existing, expected) in [
        (Existing::Fail, (1, 0, 1, "ours")),
        (Existing::Keep, (0, 2, 0, "ours")),
        (Existing::Overwrite, (2, 0, 0, "theirs")),
    ] {
        let options = TreeOptions::new().copy(CopyOptions::new().existing(existing));
        let report = receive(&session, &there, &here, &options);
        let read = fs::read_to_string(here.join("a")).expect("reads");
        let found = (
            report.files,
            report.kept,
            report.failed.len(),
            read.as_str(),
        );
        assert_eq!(found, expected, "{existing:?} {report:?}");
    }
}
