//! Copies whose source or target changes meanwhile, servers that lack an extension, permissions and names at their
//! bounds, and what killed copies left before.

mod support;

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::Write as _,
    num::NonZeroU64,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use sshoal::{
    Session,
    transfer::{
        self, Bandwidth, Copied, CopyOptions, Error, Existing, LocalTree, Progress, Resume, Source,
        TreeOptions, Verify,
    },
};
use support::{
    files::{bytes_of, names, sides},
    sessions::{connect, limit, random_bytes},
    sshd::Sshd,
};

fn start(lines: &[&str]) -> Option<(Sshd, Session, [PathBuf; 2])> {
    let builder = Sshd::builder().log_level("INFO");
    let sshd = lines
        .iter()
        .fold(builder, |builder, line| builder.config(line));
    let sshd = sshd.start()?;
    let (session, sides) = (connect(&sshd), sides(&sshd));
    Some((sshd, session, sides))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Put,
    Get,
    /// A directory with the file in it.
    GetTree,
}

impl Way {
    /// The file that is copied, and the copy.
    fn ends(self, [there, here]: &[PathBuf; 2]) -> [PathBuf; 2] {
        let [there, here] = [there, here].map(|dir| dir.join("file"));
        match self {
            Self::Put => [here, there],
            Self::Get | Self::GetTree => [there, here],
        }
    }

    fn copy(
        self,
        session: &Session,
        sides: &[PathBuf; 2],
        options: &CopyOptions,
    ) -> Result<u64, Error> {
        let [there, here] = sides;
        let (remote, local) = (there.join("file"), here.join("file"));
        let bytes = |copied: Copied| copied.bytes;
        match self {
            Self::Put => {
                let source = Source::file(local)?;
                transfer::put(session, &source, bytes_of(&remote), options, &limit()).map(bytes)
            }
            Self::Get => {
                transfer::get(session, bytes_of(&remote), &local, options, &limit()).map(bytes)
            }
            Self::GetTree => {
                let options = TreeOptions::new().copy(options.clone());
                let report = transfer::get_tree(session, bytes_of(there), here, &options, &limit());
                match report.failed.into_iter().next() {
                    Some(failed) => Err(failed.error),
                    None => Ok(report.bytes),
                }
            }
        }
    }
}

/// Writes over the middle of a file, and leaves it as long as it was; its time is another whatever the second.
fn write_into(path: &Path) {
    use std::os::unix::fs::FileExt as _;
    let file = OpenOptions::new().write(true).open(path).expect("opens");
    file.write_all_at(b"another", 3_000_000).expect("writes");
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(past).expect("sets");
}

/// Method: once a slow copy has begun, its source is written to, appended to, or cut. What was written to in the middle
/// may be neither version, so the copy fails and leaves nothing; what grew is copied as it was.
#[test]
fn a_source_that_changes_meanwhile_fails_and_one_that_grows_is_as_it_was() {
    let Some((_sshd, session, sides)) = start(&[]) else {
        return;
    };
    for way in [Way::Put, Way::Get, Way::GetTree] {
        for resume in [Resume::No, Resume::Yes] {
            for change in ["written", "grown", "cut"] {
                let case = format!("{way:?} {resume:?} {change}");
                let [from, to] = way.ends(&sides);
                let _ = (fs::remove_file(&from), fs::remove_file(&to));
                let bytes = random_bytes(6_000_000, 2);
                fs::write(&from, &bytes).expect("writes");
                let result = while_copying(&session, (way, &sides, resume), || match change {
                    "written" => write_into(&from),
                    "grown" => {
                        let mut file = OpenOptions::new().append(true).open(&from).expect("opens");
                        file.write_all(&[7; 3_000_000]).expect("writes");
                    }
                    _ => {
                        let file = OpenOptions::new().write(true).open(&from).expect("opens");
                        file.set_len(100).expect("cuts");
                    }
                });
                if change == "grown" {
                    assert_eq!(result.expect(&case), 6_000_000);
                    assert!(fs::read(&to).expect("reads") == bytes, "{case}");
                } else {
                    let error = result.expect_err(&case);
                    let told = match way {
                        Way::Put => matches!(error, Error::Local { .. }),
                        _ => matches!(error, Error::Changed { .. } | Error::Short { .. }),
                    };
                    assert!(told, "{case}: {error:?}");
                    assert!(!to.exists(), "{case}");
                }
                let left = names(to.parent().expect("has one"));
                assert!(left.iter().all(|name| name == "file"), "{case}: {left:?}");
            }
        }
    }
}

/// Calls something once a copy has moved a million bytes, and lets it go on to its end.
fn while_copying(
    session: &Session,
    (way, sides, resume): (Way, &[PathBuf; 2], Resume),
    meanwhile: impl FnOnce(),
) -> Result<u64, Error> {
    let progress = Progress::new();
    let slow = Bandwidth::new(NonZeroU64::new(20_000_000).expect("not 0"));
    let options = CopyOptions::new()
        .progress(&progress)
        .bandwidth(&slow)
        .resume(resume);
    std::thread::scope(|threads| {
        let copy = threads.spawn(|| way.copy(session, sides, &options));
        while progress.bytes() < 1_000_000 && !copy.is_finished() {
            std::thread::yield_now();
        }
        meanwhile();
        copy.join().expect("no panic")
    })
}

/// Servers that are not OpenSSH's lack some of its extensions: the target that is there is replaced all the same, and
/// stays where it may not be.
#[test]
fn a_server_without_extensions_replaces_files_and_leaves_nothing() {
    let without = "Subsystem sftp internal-sftp -P posix-rename,fsync,limits,hardlink,statvfs";
    let Some((_sshd, session, [there, here])) = start(&[without]) else {
        return;
    };
    let (local, remote) = (here.join("file"), there.join("file"));
    let bytes = random_bytes(300_000, 2);
    fs::write(&local, &bytes).expect("writes");
    for resume in [Resume::No, Resume::Yes] {
        for before in [None, Some("as it was")] {
            let _ = fs::remove_file(&remote);
            if let Some(before) = before {
                fs::write(&remote, before).expect("writes");
            }
            let options = CopyOptions::new().resume(resume);
            let source = Source::file(&local).expect("opens");
            let put = transfer::put(&session, &source, bytes_of(&remote), &options, &limit());
            put.expect("puts");
            assert!(
                fs::read(&remote).expect("reads") == bytes,
                "{resume:?} {before:?}"
            );
            assert_eq!(names(&there), ["file"]);
            let keep = options.existing(Existing::Fail);
            let put = transfer::put(&session, &source, bytes_of(&remote), &keep, &limit());
            assert!(matches!(put, Err(Error::Exists { .. })), "{put:?}");
            assert_eq!(names(&there), ["file"]);
        }
    }
}

/// Permissions that do not let the copy's own owner read or write it are given last, so that it can be gone on with and
/// its SHA-256 be computed by whoever is not root; what nobody asked for is not given.
#[test]
fn copies_get_permissions_that_lock_out_their_owner_in_the_end() {
    let Some((sshd, session, sides)) = start(&[]) else {
        return;
    };
    let umask = Command::new("sh")
        .args(["-c", "umask"])
        .output()
        .expect("runs");
    let umask = String::from_utf8_lossy(&umask.stdout).trim().to_owned();
    let umask = u32::from_str_radix(&umask, 8).expect("is octal");
    let [from, to] = Way::Put.ends(&sides);
    for (mode, resume) in [
        (0o444, Resume::Yes),
        (0o400, Resume::No),
        (0o555, Resume::Yes),
        (0o600, Resume::Yes),
        (0o664, Resume::No),
        (0o044, Resume::No),
    ] {
        let _ = (fs::remove_file(&from), fs::remove_file(&to));
        fs::write(&from, random_bytes(100_000, 5)).expect("writes");
        fs::set_permissions(&from, Permissions::from_mode(mode)).expect("sets");
        if File::open(&from).is_err() {
            // Nobody but root reads such a source.
            continue;
        }
        let options = CopyOptions::new().resume(resume).verify(Verify::Sha256);
        Way::Put.copy(&session, &sides, &options).expect("puts");
        let found = fs::metadata(&to).expect("is there").permissions().mode() & 0o7777;
        assert_eq!(found, mode & !umask, "{mode:o}: {found:o}");
    }
    drop(sshd);
}

/// Names for which there is no room beside what tells a part file, and targets that are links.
#[test]
fn the_longest_names_and_links_in_the_place_of_targets() {
    let Some((_sshd, session, [there, here])) = start(&[]) else {
        return;
    };
    let source = Source::bytes(random_bytes(70_000, 3));
    for resume in [Resume::No, Resume::Yes] {
        let options = CopyOptions::new().resume(resume);
        for name in ["x".repeat(255), "ü".repeat(127)] {
            let (remote, local) = (there.join(&name), here.join(&name));
            let put = transfer::put(&session, &source, bytes_of(&remote), &options, &limit());
            assert_eq!(put.expect("puts").bytes, 70_000);
            let get = transfer::get(&session, bytes_of(&remote), &local, &options, &limit());
            assert_eq!(get.expect("gets").bytes, 70_000);
            for path in [remote, local] {
                assert!(path.exists());
                fs::remove_file(path).expect("removes");
            }
        }
        let (remote, target) = (there.join("source"), here.join("link"));
        fs::write(&remote, "x").expect("writes");
        let dir = here.join("dir");
        let _ = fs::create_dir(&dir);
        symlink(&dir, &target).expect("links");
        let get = transfer::get(&session, bytes_of(&remote), &target, &options, &limit());
        assert!(matches!(get, Err(Error::Local { .. })), "{get:?}");
        assert!(
            fs::symlink_metadata(&target)
                .expect("is there")
                .is_symlink()
        );
        assert_eq!(names(&dir), [""; 0]);
        assert_eq!(names(&here), ["dir", "link"]);
        fs::remove_file(&target).expect("removes");
    }
}

/// A name as copies give it that are over in order, or of a machine that nobody knows.
fn part(of: &str, machine: u32) -> String {
    format!(".{of}.sshoal-{machine:x}-1-1-{:x}", of.len())
}

/// A directory for this case on the side that is copied to, with part files and others; and where in it they are.
fn with_leftovers(case: &str, [there, here]: [&Path; 2]) -> (PathBuf, PathBuf) {
    let dir = match case.starts_with("put") {
        true => there.join(case),
        false => here.join(case),
    };
    let sub = match case.ends_with("tree") {
        true => dir.join("sub"),
        false => dir.clone(),
    };
    fs::create_dir_all(&sub).expect("makes");
    let old = part("old", 77);
    for name in [
        &part("left", 0),
        &part("young", 77),
        &old,
        ".odd.sshoal-x",
        "sshoal-0-1-1-1",
    ] {
        fs::write(sub.join(name), "x").expect("writes");
    }
    let file = OpenOptions::new()
        .write(true)
        .open(sub.join(&old))
        .expect("opens");
    let day = Duration::from_secs(25 * 3600);
    file.set_modified(SystemTime::now() - day).expect("sets");
    (dir, sub)
}

/// Method: part files of copies that are over, of ones that may go on, and files that look alike stand on either side;
/// then comes another copy, of one file or of a tree.
#[test]
fn what_killed_copies_left_goes_and_nothing_else() {
    let Some((_sshd, session, [there, here])) = start(&[]) else {
        return;
    };
    let trees = TreeOptions::new().sync();
    let (source, yes) = (Source::bytes("x"), CopyOptions::new().resume(Resume::Yes));
    let from = here.join("from");
    fs::create_dir_all(from.join("sub")).expect("makes");
    fs::write(from.join("sub/file"), "x").expect("writes");
    let tree = LocalTree::walk(&from, &trees).expect("walks");
    for case in ["put", "get", "put_tree", "get_tree"] {
        let (dir, sub) = with_leftovers(case, [&there, &here]);
        let (target, scope) = (dir.join("file"), limit());
        match case {
            "put" => drop(transfer::put(
                &session,
                &source,
                bytes_of(&target),
                &yes,
                &scope,
            )),
            "get" => {
                let remote = from.join("sub/file");
                drop(transfer::get(
                    &session,
                    bytes_of(&remote),
                    &target,
                    &yes,
                    &scope,
                ));
            }
            "put_tree" => drop(transfer::put_tree(
                &session,
                &tree,
                bytes_of(&dir),
                &trees,
                &scope,
            )),
            _ => drop(transfer::get_tree(
                &session,
                bytes_of(&from),
                &dir,
                &trees,
                &scope,
            )),
        }
        let stay = [
            ".odd.sshoal-x",
            &part("young", 77),
            "file",
            "sshoal-0-1-1-1",
        ];
        assert_eq!(names(&sub), stay, "{case}");
    }
}

/// Of copies that race for a name, one wins; for those that were told to leave what is there, that is no failure.
#[test]
fn copies_that_lose_a_race_keep_what_is_there() {
    let Some((_sshd, session, [there, here])) = start(&[]) else {
        return;
    };
    let remote = there.join("source");
    fs::write(&remote, random_bytes(50_000, 1)).expect("writes");
    let keep = CopyOptions::new().existing(Existing::Keep);
    for resume in [Resume::No, Resume::Yes] {
        let keep = keep.clone().resume(resume);
        let (won_put, won_get) = std::thread::scope(|threads| {
            let racing: Vec<_> = (0..8_u8)
                .map(|number| {
                    let (session, keep, remote) = (&session, &keep, &remote);
                    let (to, local) = (there.join("target"), here.join("target"));
                    threads.spawn(move || {
                        let source = Source::bytes(vec![number; 50_000]);
                        let put = transfer::put(session, &source, bytes_of(&to), keep, &limit());
                        let get = transfer::get(session, bytes_of(remote), &local, keep, &limit());
                        (put.expect("or kept").kept, get.expect("or kept").kept)
                    })
                })
                .collect();
            let kept: Vec<_> = racing
                .into_iter()
                .map(|one| one.join().expect("no panic"))
                .collect();
            let won =
                |copy: fn(&(bool, bool)) -> bool| kept.iter().filter(|one| !copy(one)).count();
            (won(|kept| kept.0), won(|kept| kept.1))
        });
        assert_eq!((won_put, won_get), (1, 1), "{resume:?}");
        assert_eq!(names(&there), ["source", "target"]);
        assert_eq!(names(&here), ["target"]);
        fs::remove_file(there.join("target")).expect("removes");
        fs::remove_file(here.join("target")).expect("removes");
    }
}
