//! One file to and from a host over SFTP, against OpenSSH's own server: whole or not at all.

mod support;

use std::{
    fs,
    num::NonZeroU64,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use sshoal::{
    Kind, Phase, Scope, Session,
    transfer::{
        self, Copied, CopyOptions, Error, Operation, Parents, Source,
        sftp::{Sftp, SftpError, SftpStatus},
    },
};
use support::{
    files::{bytes_of, names, sides},
    proxy::{Direction, Ending, Proxy},
    sessions::{config_knowing, connect, hangs_in, host, limit, random_bytes, within_ms},
    sshd::{Sshd, known_hosts_line},
};

/// Puts a file that only its owner may read.
fn put(session: &Session, local: &Path, remote: &[u8], scope: &Scope) -> Result<Copied, Error> {
    let options = CopyOptions::new().permissions(0o600);
    transfer::put(session, &Source::file(local)?, remote, &options, scope)
}

/// Gets a file of at most so many bytes, that only its owner may read.
fn get(
    session: &Session,
    remote: &[u8],
    local: &Path,
    bytes_max: u64,
    scope: &Scope,
) -> Result<Copied, Error> {
    let options = CopyOptions::new().permissions(0o600);
    let bytes_max = NonZeroU64::new(bytes_max).expect("not 0");
    transfer::get(session, remote, local, &options.bytes_max(bytes_max), scope)
}

/// Beyond any file here.
const NO_BOUND: u64 = u64::MAX;

#[test]
fn files_of_any_size_arrive_whole_both_ways() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    check_sizes(
        &sshd,
        &session,
        &[0, 1, 32_768, 239_999, 240_000, 240_001, 5_000_000],
    );
}

#[test]
fn files_arrive_whole_under_rekeying_and_short_reads() {
    let builder = Sshd::builder().log_level("DEBUG1").config("RekeyLimit 1M");
    let Some(sshd) = builder.start() else { return };
    for cipher in ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"] {
        let config = support::sessions::config_for(&sshd)
            .ciphers(cipher)
            .inject_short_io(17);
        let session = support::sessions::connect_with(&sshd, config);
        check_sizes(&sshd, &session, &[240_001, 5_000_000]);
        let _ = fs::remove_dir_all(sshd.scratch().join("there"));
        let _ = fs::remove_dir_all(sshd.scratch().join("here"));
    }
    assert!(sshd.log().matches("SSH2_MSG_NEWKEYS received").count() > 10);
}

#[track_caller]
fn check_sizes(sshd: &Sshd, session: &Session, sizes: &[usize]) {
    let [there, here] = sides(sshd);
    for &size in sizes {
        let bytes = random_bytes(size, size as u64);
        let (local, remote, back) = (here.join("file"), there.join("file"), here.join("back"));
        fs::write(&local, &bytes).expect("writes the file");
        let copied = put(session, &local, bytes_of(&remote), &limit()).expect("puts");
        assert_eq!(copied.bytes, size as u64);
        assert!(
            fs::read(&remote).expect("reads it there") == bytes,
            "{size} there"
        );
        let copied = get(session, bytes_of(&remote), &back, NO_BOUND, &limit()).expect("gets");
        assert_eq!(copied.bytes, size as u64);
        assert!(
            fs::read(&back).expect("reads it back") == bytes,
            "{size} back"
        );
        for path in [&remote, &back] {
            let mode = fs::metadata(path).expect("is there").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{}", path.display());
        }
        assert_eq!(names(&there), ["file"]);
        assert_eq!(names(&here), ["back", "file"]);
    }
}

/// A reader that has the old file open goes on reading the old one: the new one took its name, not its bytes.
#[test]
fn an_existing_file_is_replaced_not_written_into() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let (local, remote) = (here.join("file"), there.join("file"));
    fs::write(&local, "new").expect("writes");
    fs::write(&remote, "the old one").expect("writes");
    let mut old = fs::File::open(&remote).expect("opens");
    put(&session, &local, bytes_of(&remote), &limit()).expect("puts");
    assert_eq!(
        std::io::read_to_string(&mut old).expect("reads"),
        "the old one"
    );
    assert_eq!(fs::read_to_string(&remote).expect("reads"), "new");
    fs::write(&local, "ours before").expect("writes");
    let mut old = fs::File::open(&local).expect("opens");
    get(&session, bytes_of(&remote), &local, NO_BOUND, &limit()).expect("gets");
    assert_eq!(
        std::io::read_to_string(&mut old).expect("reads"),
        "ours before"
    );
    assert_eq!(fs::read_to_string(&local).expect("reads"), "new");
}

/// What the host refused, and at which operation.
#[track_caller]
fn assert_remote(error: &Error, operation: Operation, status: SftpStatus) {
    match error {
        Error::Remote {
            operation: at,
            status: told,
            ..
        } => {
            assert_eq!((*at, *told), (operation, status), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn refusals_are_told_by_operation() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let local = here.join("file");
    fs::write(&local, "mine").expect("writes");
    let put_to = |path: PathBuf| put(&session, &local, bytes_of(&path), &limit());
    let get_from = |path: PathBuf| get(&session, bytes_of(&path), &local, NO_BOUND, &limit());

    let error = get_from(there.join("missing")).expect_err("is not there");
    assert_remote(&error, Operation::Stat, SftpStatus::NO_SUCH_FILE);
    assert!(
        error.to_string().contains("could not stat remote file"),
        "{error}"
    );
    let expecting = CopyOptions::new().parents(Parents::Expect);
    let source = Source::file(&local).expect("opens");
    let path = there.join("missing/file");
    let error = transfer::put(&session, &source, bytes_of(&path), &expecting, &limit());
    let error = error.expect_err("no such directory");
    assert_remote(&error, Operation::Open, SftpStatus::NO_SUCH_FILE);
    // Nobody may make files there, root neither.
    let error = put_to("/proc/file".into()).expect_err("may not");
    assert!(
        matches!(
            &error,
            Error::Remote {
                operation: Operation::Open,
                ..
            }
        ),
        "{error:?}"
    );
    fs::create_dir(there.join("dir")).expect("makes a directory");
    let error = put_to(there.join("dir")).expect_err("is a directory");
    assert!(matches!(&error, Error::IsDirectory { .. }), "{error:?}");
    let error = get_from(there.join("dir")).expect_err("is a directory");
    assert!(matches!(&error, Error::IsDirectory { .. }), "{error:?}");
    let missing = here.join("missing");
    let error = put(&session, &missing, bytes_of(&there.join("x")), &limit()).expect_err("no file");
    assert!(
        matches!(&error, Error::Local { path, .. } if *path == missing),
        "{error:?}"
    );

    // Nothing came of any of them, and the session is as good as before.
    assert_eq!(names(&there), ["dir"]);
    assert_eq!(names(&here), ["file"]);
    assert_eq!(fs::read_to_string(&local).expect("reads"), "mine");
    put_to(there.join("file")).expect("puts");
}

#[test]
fn a_file_larger_than_allowed_is_refused() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = connect(&sshd);
    let [there, here] = sides(&sshd);
    let (remote, local) = (there.join("file"), here.join("file"));
    fs::write(&remote, random_bytes(1_000_000, 1)).expect("writes");
    fs::write(&local, "mine").expect("writes");
    let error = get(&session, bytes_of(&remote), &local, 999_999, &limit()).expect_err("too large");
    assert!(
        matches!(error, Error::TooLarge { bytes_max: 999_999 }),
        "{error:?}"
    );
    assert_eq!(fs::read_to_string(&local).expect("reads"), "mine");
    assert_eq!(names(&here), ["file"]);
    let copied = get(&session, bytes_of(&remote), &local, 1_000_000, &limit());
    assert_eq!(copied.expect("is just within").bytes, 1_000_000);
}

/// A server that runs something else in SFTP's place, or nothing at all.
#[test]
fn a_server_without_sftp_is_told() {
    for config in [
        "ForceCommand exit 3",
        "ForceCommand echo hello",
        "MaxSessions 0",
    ] {
        let builder = Sshd::builder().config(config).log_level("INFO");
        let Some(sshd) = builder.start() else { return };
        let session = connect(&sshd);
        let error = Sftp::open(&session, &within_ms(20_000)).expect_err("there is none");
        match error {
            SftpError::Session(error) => {
                assert_eq!(error.phase(), Phase::Open, "{config}: {error:?}");
                assert_eq!(error.kind(), Kind::Denied, "{config}: {error:?}");
            }
            SftpError::Protocol(_) | SftpError::Ended => {}
            other => panic!("{config}: {other:?}"),
        }
    }
}

/// The scope ends while the copy hangs half way: nothing stands under the final name on either side, and what was
/// there before still is.
#[test]
fn a_copy_cut_short_leaves_the_target_as_it_was() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let [there, here] = sides(&sshd);
    let (local, remote) = (here.join("file"), there.join("file"));
    for (direction, ending) in [
        (Direction::ToServer, Ending::Stall),
        (Direction::ToServer, Ending::Close),
        (Direction::ToServer, Ending::Reset),
        (Direction::ToClient, Ending::Stall),
        (Direction::ToClient, Ending::Close),
        (Direction::ToClient, Ending::Reset),
    ] {
        let proxy = Proxy::to(sshd.socket())
            .end_after(direction, 1_000_000, ending)
            .start();
        let address = proxy.address();
        let known = known_hosts_line(address.ip(), address.port(), &sshd.host_keys()[0]);
        let config = config_knowing(&sshd, &known)
            .build()
            .expect("a whole configuration");
        let milliseconds = if ending == Ending::Stall { 700 } else { 60_000 };
        let (error, ..) = hangs_in(Phase::Transfer, milliseconds, |milliseconds| {
            let session = Session::connect(&host(address), &config).expect("connects");
            let scope = within_ms(milliseconds);
            let result = match direction {
                Direction::ToServer => {
                    fs::write(&local, random_bytes(5_000_000, 8)).expect("writes");
                    fs::write(&remote, "before").expect("writes");
                    put(&session, &local, bytes_of(&remote), &scope)
                }
                Direction::ToClient => {
                    fs::write(&remote, random_bytes(5_000_000, 9)).expect("writes");
                    fs::write(&local, "before").expect("writes");
                    get(&session, bytes_of(&remote), &local, NO_BOUND, &scope)
                }
            };
            let Err(Error::Session(error)) = result else {
                panic!("{direction:?}: {result:?}")
            };
            error
        });
        assert_eq!(error.phase(), Phase::Transfer, "{error:?}");
        let expected = match ending {
            Ending::Stall => Kind::Timeout,
            Ending::Close => Kind::Closed,
            Ending::Reset => Kind::Reset,
        };
        assert_eq!(error.kind(), expected, "{direction:?} {error:?}");
        let target = if direction == Direction::ToServer {
            &remote
        } else {
            &local
        };
        assert_eq!(fs::read_to_string(target).expect("reads"), "before");
        // Beside the target on our side nothing is left; on the host's a connection that is gone can clear nothing up.
        assert_eq!(names(&here), ["file"]);
    }
}

/// Copies in both directions share a session with commands.
#[test]
fn copies_and_commands_go_side_by_side() {
    let Some(sshd) = Sshd::builder().log_level("INFO").start() else {
        return;
    };
    let session = Arc::new(connect(&sshd));
    let [there, here] = sides(&sshd);
    let threads: Vec<_> = (0..6_u64)
        .map(|number| {
            let session = session.clone();
            let (local, remote) = (
                here.join(format!("{number}")),
                there.join(format!("{number}")),
            );
            let copy = move || {
                let bytes = random_bytes(1_000_000, number);
                fs::write(&local, &bytes).expect("writes");
                put(&session, &local, bytes_of(&remote), &limit()).expect("puts");
                let same = format!("cmp {} {} && echo same", local.display(), remote.display());
                let output = session.command(same).output().expect("runs");
                assert_eq!(output.stdout, b"same\n");
                fs::remove_file(&local).expect("removes");
                get(&session, bytes_of(&remote), &local, NO_BOUND, &limit()).expect("gets");
                assert!(fs::read(&local).expect("reads") == bytes);
            };
            sshoal::spawn(copy).expect("starts")
        })
        .collect();
    for thread in threads {
        thread.join().expect("whole");
    }
    let cancelled = Scope::root();
    cancelled.cancel();
    let result = put(
        &session,
        &here.join("0"),
        bytes_of(&there.join("late")),
        &cancelled,
    );
    assert!(
        matches!(
            &result,
            Err(Error::Session(sshoal::Error::Cancelled { .. }))
        ),
        "{result:?}"
    );
    assert!(!there.join("late").exists());
}
