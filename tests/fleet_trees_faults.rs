//! Directories whose copies meet what is in their way: changes under way, refusals, lost connections, cancels and bounds.

mod support;

use std::{
    fs,
    num::NonZeroUsize,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
};

use sshoal::{
    Config, HostKeyPolicy, Scope, Session,
    transfer::{
        self, CopyOptions, Delete, Error, Links, LocalTree, Preserve, TreeOptions, TreeReport,
    },
};
use support::{
    account::{ACCOUNT, SUDOER_ID},
    files::{bytes_of, sides},
    proxy::{Direction, Ending, Proxy},
    sessions::{config_knowing, connect, connect_with, host, host_keys, limit},
    sshd::{Sshd, known_hosts_line},
    trees::{plant, snapshot},
};

fn walk(root: &Path, options: &TreeOptions) -> LocalTree {
    LocalTree::walk(root, options).expect("walks")
}

fn put(session: &Session, from: &Path, to: &Path, options: &TreeOptions) -> TreeReport {
    let tree = walk(from, options);
    transfer::put_tree(session, &tree, bytes_of(to), options, &limit())
}

fn get(session: &Session, from: &Path, to: &Path, options: &TreeOptions) -> TreeReport {
    transfer::get_tree(session, bytes_of(from), to, options, &limit())
}

#[track_caller]
fn whole(report: &TreeReport) {
    assert!(report.is_success(), "{report:?}");
}

fn everything() -> TreeOptions {
    let copy = CopyOptions::new().preserve(Preserve::Yes);
    TreeOptions::new().copy(copy).links(Links::Copy)
}

/// The paths that failed, sorted.
fn failed(report: &TreeReport) -> Vec<String> {
    let text = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    let mut all: Vec<_> = report
        .failed
        .iter()
        .map(|entry| text(&entry.path))
        .collect();
    all.sort();
    all
}

/// After the walk files vanish, shrink, and become links and pipes, a directory becomes a link, and the tree's own
/// path another directory: what changed is told, no link is followed, and the rest is what was walked.
#[test]
fn a_tree_that_changes_after_the_walk_is_told_and_never_left() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let (from, secret) = (here.join("from"), here.join("secret"));
    for dir in [&from.join("dir/deeper"), &secret] {
        fs::create_dir_all(dir).expect("makes directories");
    }
    fs::write(secret.join("inside"), "secret").expect("writes");
    for file in [
        "dir/deeper/inside",
        "gone",
        "link",
        "pipe",
        "short",
        "stays",
    ] {
        fs::write(from.join(file), "what was walked").expect("writes");
    }
    let tree = walk(&from, &TreeOptions::new());
    let remove = |name: &str| fs::remove_file(from.join(name)).expect("removes");
    remove("gone");
    remove("link");
    remove("pipe");
    symlink("../secret/inside", from.join("link")).expect("links");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, from.join("pipe"), kind, mode, 0).expect("makes a pipe");
    fs::write(from.join("short"), "x").expect("writes");
    fs::remove_dir_all(from.join("dir/deeper")).expect("removes");
    symlink("../../secret", from.join("dir/deeper")).expect("links");
    fs::rename(&from, here.join("moved")).expect("renames");
    symlink("secret", &from).expect("links");
    let to = there.join("to");
    let options = TreeOptions::new();
    let report = transfer::put_tree(&session, &tree, bytes_of(&to), &options, &limit());
    assert!(report.ended_early.is_none(), "{report:?}");
    assert_eq!(
        failed(&report),
        ["dir/deeper/inside", "gone", "link", "pipe"]
    );
    let local = |error: &Error| matches!(error, Error::Local { .. });
    assert!(report.failed.iter().all(|entry| local(&entry.error)));
    let read = |name: &str| fs::read_to_string(to.join(name)).expect("arrived");
    assert_eq!(
        (read("stays"), read("short")),
        ("what was walked".into(), "x".into())
    );
    let found: Vec<_> = snapshot(&to).into_keys().collect();
    let expected = ["dir", "dir/deeper", "short", "stays"].map(PathBuf::from);
    assert_eq!(found, expected);
}

/// The tree and the target by a link, by a path from where we are, and with a `/` at the end: the target becomes the
/// copy each time, and nothing is named after the source.
#[test]
fn the_target_becomes_the_copy_however_both_are_named() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let from = here.join("from");
    fs::create_dir_all(from.join("dir")).expect("makes directories");
    fs::write(from.join("dir/file"), "mine").expect("writes");
    symlink("from", here.join("link")).expect("links");
    let own = std::env::current_dir().expect("is somewhere");
    let up: PathBuf = own.components().skip(1).map(|_| "..").collect();
    let relative = up.join(from.strip_prefix("/").expect("is absolute"));
    let expected = snapshot(&from);
    for (number, root) in [from.clone(), from.join(""), here.join("link"), relative]
        .into_iter()
        .enumerate()
    {
        let to = there
            .join(number.to_string())
            .join(if number == 1 { "to/" } else { "to" });
        whole(&put(&session, &root, &to, &everything()));
        assert!(snapshot(&to) == expected, "{}", root.display());
        let back = here.join(format!("back {number}/"));
        whole(&get(&session, &to, &back, &everything()));
        assert!(snapshot(&back) == expected, "{}", to.display());
    }
    // Targets that are links to directories are filled through them.
    for (dir, way) in [(&there, "put"), (&here, "get")] {
        fs::create_dir(dir.join("real")).expect("makes a directory");
        symlink("real", dir.join("by link")).expect("links");
        let report = match way {
            "put" => put(&session, &from, &dir.join("by link"), &everything()),
            _ => get(&session, &from, &dir.join("by link"), &everything()),
        };
        whole(&report);
        assert!(snapshot(&dir.join("real")) == expected, "{way}");
    }
    let none = TreeOptions::new().exclude("*").exclude(".*");
    assert_eq!(walk(Path::new("."), &none).entries(), 0);
}

/// Deeper than the default of 64, and a path that no system takes at once, which the host refuses alone.
#[test]
fn deep_trees_are_walked_as_far_as_asked() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let from = here.join("from");
    let deep: PathBuf = (0..100).map(|_| "d").collect();
    fs::create_dir_all(from.join(&deep)).expect("makes directories");
    fs::write(from.join(&deep).join("file"), "down here").expect("writes");
    let report = put(&session, &from, &there.join("short"), &everything());
    assert!(
        matches!(&report.failed[..], [one] if matches!(one.error, Error::TooDeep { depth_max: 64 }))
    );
    let hundred = everything().depth_max(NonZeroUsize::new(100).expect("not zero"));
    whole(&put(&session, &from, &there.join("to"), &hundred));
    whole(&get(
        &session,
        &there.join("to"),
        &here.join("back"),
        &hundred,
    ));
    assert!(snapshot(&from) == snapshot(&here.join("back")));

    let name = "n".repeat(200);
    let mut dir = fs::File::open(&from).expect("opens");
    for _ in 0..25 {
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mkdirat(&dir, &*name, mode).expect("makes a directory");
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY;
        let next = rustix::fs::openat(&dir, &*name, flags, rustix::fs::Mode::empty());
        dir = fs::File::from(next.expect("opens"));
    }
    assert_eq!(walk(&from, &hundred).entries(), 126);
    let report = put(&session, &from, &there.join("long"), &hundred);
    assert!(report.ended_early.is_none(), "{report:?}");
    assert_eq!((report.files, report.failed.len()), (1, 1), "{report:?}");
    assert!(report.failed[0].path.len() > 3_000);
    // No path leads to it: it has to be deleted as we do.
    let emptied = get(
        &session,
        &there.join("to"),
        &from,
        &hundred.clone().delete(Delete::Yes),
    );
    whole(&emptied);
    assert_eq!(emptied.deleted, 25);
}

/// A session of a user of the host who is not root, with a directory of his; `None` where no account can be made.
fn account() -> Option<(Sshd, Session, tempfile::TempDir)> {
    let sshd = Sshd::builder()
        .sudoer("secret", &["ALL ALL=(ALL:ALL) NOPASSWD: ALL"])
        .log_level("INFO")
        .config("UsePAM yes")
        .config("PasswordAuthentication yes")
        .start()?;
    let keys = host_keys(HostKeyPolicy::Strict, &sshd.known_hosts());
    let config = Config::builder(keys)
        .user(ACCOUNT)
        .password("secret".to_owned().into());
    let session = connect_with(&sshd, config.keepalive(None));
    let dir = tempfile::tempdir().expect("makes a directory");
    chown(dir.path(), Some(SUDOER_ID), Some(SUDOER_ID)).expect("gives it away");
    Some((sshd, session, dir))
}

/// Directories without write permission arrive as they are, and are brought in step again; root alone could write to
/// them without more.
#[test]
fn directories_that_may_not_be_written_to_are_kept_in_step() {
    let Some((sshd, session, home)) = account() else {
        return;
    };
    let [_, here] = sides(&sshd);
    let (from, to) = (here.join("from"), home.path().join("to"));
    plant(&from, 10, 1_000);
    let options = everything().delete(Delete::Yes);
    whole(&put(&session, &from, &to, &options));
    assert!(snapshot(&from) == snapshot(&to));
    fs::write(from.join("shut/shut too/in it"), "changed").expect("writes");
    fs::write(from.join("shut/another"), "new").expect("writes");
    let extra = to.join("shut/extra");
    fs::write(&extra, "theirs").expect("writes");
    let report = put(&session, &from, &to, &options.clone().sync());
    whole(&report);
    assert_eq!((report.files, report.deleted), (2, 1), "{report:?}");
    assert!(snapshot(&from) == snapshot(&to));
}

/// What the host's user may not read or write is told by its path, and the rest arrives.
#[test]
fn what_the_host_refuses_is_named_and_the_rest_arrives() {
    let Some((sshd, session, home)) = account() else {
        return;
    };
    let [_, here] = sides(&sshd);
    let theirs = home.path().join("theirs");
    for dir in ["open", "closed", "read only"] {
        fs::create_dir_all(theirs.join(dir)).expect("makes directories");
    }
    for file in ["open/a", "closed/b", "read only/c", "d"] {
        fs::write(theirs.join(file), "theirs").expect("writes");
    }
    let sets = |name: &str, mode| {
        fs::set_permissions(theirs.join(name), fs::Permissions::from_mode(mode)).expect("sets");
    };
    sets("closed", 0o700);
    sets("d", 0o600);
    let report = get(&session, &theirs, &here.join("back"), &TreeOptions::new());
    assert_eq!(failed(&report), ["closed", "d"], "{report:?}");
    let denied = |error: &Error| matches!(error, Error::Remote { .. });
    assert!(report.failed.iter().all(|entry| denied(&entry.error)));
    assert_eq!(report.files, 2, "{report:?}");
    assert!(report.ended_early.is_none());

    sets("closed", 0o755);
    for open in ["", "open"] {
        chown(theirs.join(open), Some(SUDOER_ID), None).expect("gives it away");
    }
    let from = here.join("from");
    for name in ["open", "closed", "read only"] {
        fs::create_dir_all(from.join(name)).expect("makes directories");
        fs::write(from.join(name).join("mine"), "mine").expect("writes");
    }
    let report = put(&session, &from, &theirs, &TreeOptions::new());
    assert_eq!(
        failed(&report),
        ["closed/mine", "read only/mine"],
        "{report:?}"
    );
    assert_eq!((report.files, report.directories), (1, 0));
}

/// Parts of copies in a directory.
fn parts(root: &Path) -> usize {
    let names = snapshot(root).into_keys();
    names
        .filter(|path| bytes_of(path).windows(8).any(|bytes| bytes == b".sshoal-"))
        .count()
}

/// Whatever of a tree is there is whole.
#[track_caller]
fn only_whole_files(all: &Path, some: &Path) {
    let all = snapshot(all);
    for (path, known) in snapshot(some) {
        let is_part = bytes_of(&path).windows(8).any(|bytes| bytes == b".sshoal-");
        if known.0 == 'f' && !is_part {
            assert!(all[&path].3 == known.3, "{}", path.display());
        }
    }
}

/// The connection is reset in the middle: the copy ends with the session's failure, no short file has a name, nothing
/// of ours is left here, and another session completes it.
#[test]
fn a_lost_connection_ends_the_copy_and_another_completes_it() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let [there, here] = sides(&sshd);
    let (from, to, back) = (here.join("from"), there.join("to"), here.join("back"));
    plant(&from, 100, 1_000_000);
    for way in [Direction::ToServer, Direction::ToClient] {
        let proxy = Proxy::to(sshd.socket()).end_after(way, 700_000, Ending::Reset);
        let proxy = proxy.start();
        let address = proxy.address();
        let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
        let config = config_knowing(&sshd, &known).build();
        let config = config.expect("a whole configuration");
        let lost = Session::connect(&host(address), &config).expect("connects");
        let session = connect(&sshd);
        let report = match way {
            Direction::ToServer => put(&lost, &from, &to, &everything()),
            Direction::ToClient => get(&lost, &to, &back, &everything()),
        };
        assert!(
            matches!(report.ended_early, Some(Error::Session(_))),
            "{report:?}"
        );
        assert!(!report.is_success() && report.bytes < 1_500_000);
        let arrived = match way {
            Direction::ToServer => &to,
            Direction::ToClient => &back,
        };
        only_whole_files(&from, arrived);
        let again = everything().delete(Delete::Yes).sync();
        match way {
            Direction::ToServer => whole(&put(&session, &from, &to, &again)),
            Direction::ToClient => {
                assert_eq!(parts(&back), 0);
                whole(&get(&session, &to, &back, &again));
            }
        }
        assert!(snapshot(&from) == snapshot(arrived), "{way:?}");
    }
}

/// A copy is cancelled when something has arrived: it says so, leaves no part and no short file on either side, and the
/// session goes on.
#[test]
fn a_cancelled_copy_leaves_whole_files_and_a_session() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let (from, to, back) = (here.join("from"), there.join("to"), here.join("back"));
    plant(&from, 300, 3_000_000);
    for (arriving, way) in [(&to, "put"), (&back, "get")] {
        let scope = Scope::root().child(Some(support::sessions::LIMIT));
        let options = everything();
        let report = std::thread::scope(|threads| {
            threads.spawn(|| {
                let arrived = || fs::read_dir(arriving).is_ok_and(|all| all.count() > 3);
                while !arrived() && scope.check().is_ok() {
                    std::thread::yield_now();
                }
                scope.cancel();
            });
            match way {
                "put" => {
                    let tree = walk(&from, &options);
                    transfer::put_tree(&session, &tree, bytes_of(&to), &options, &scope)
                }
                _ => transfer::get_tree(&session, bytes_of(&to), &back, &options, &scope),
            }
        });
        let cancelled =
            |error: &Error| matches!(error, Error::Session(sshoal::Error::Cancelled { .. }));
        assert!(
            report.ended_early.as_ref().is_some_and(cancelled),
            "{way}: {report:?}"
        );
        assert!(report.failed.is_empty(), "{way}: {report:?}");
        only_whole_files(&from, arriving);
        assert_eq!(parts(arriving), 0, "{way}");
        let again = everything().sync();
        match way {
            "put" => whole(&put(&session, &from, &to, &again)),
            _ => whole(&get(&session, &to, &back, &again)),
        }
        assert!(snapshot(&from) == snapshot(arriving), "{way}");
    }
}

/// Of what is told the first 10,000 are listed, and the others are counted.
#[test]
fn long_lists_of_a_report_are_cut_and_counted() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    for number in 0..10_050 {
        symlink("nowhere", here.join(number.to_string())).expect("links");
    }
    let report = put(&session, &here, &there, &TreeOptions::new());
    whole(&report);
    assert_eq!((report.skipped.len(), report.unlisted), (10_000, 50));
}
