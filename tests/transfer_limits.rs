//! Bounds and counters of copies, streams, and what becomes of a copy where there is no room or no leave.

mod support;

use std::{
    fs,
    io::{self, Cursor, Read, Write},
    num::{NonZeroU64, NonZeroUsize},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use sshoal::{
    Fleet, HostFiles, Kind, Session,
    transfer::{
        self, Bandwidth, CopyOptions, Error, Existing, Operation, Progress, Resume, Source, Verify,
        WriteOptions, sftp::SftpStatus,
    },
};
use support::{
    account::may_mount,
    files::{bytes_of, names},
    sessions::{connect, connect_with, limit, random_bytes, resident_kib},
    sshd::Sshd,
};

/// A server, a session, and a directory for each side.
fn start() -> Option<(Sshd, Session, [PathBuf; 2])> {
    let sshd = Sshd::builder().log_level("INFO").start()?;
    let session = connect(&sshd);
    let sides = ["there", "here"].map(|name| {
        let dir = sshd.scratch().join(name);
        fs::create_dir(&dir).expect("makes a directory");
        dir
    });
    Some((sshd, session, sides))
}

/// A reader that gives a few bytes at once, and fails in the end if told so.
struct Trickle {
    left: Cursor<Vec<u8>>,
    fails: bool,
}

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = buffer.len().min(70_001);
        match self.left.read(&mut buffer[..most])? {
            0 if self.fails => Err(io::Error::other("the tap is dry")),
            count => Ok(count),
        }
    }
}

/// A writer that has room for so many bytes.
struct Cup(Vec<u8>, usize);

impl Write for Cup {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > self.1 {
            return Err(io::Error::other("the cup is full"));
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_a_reader_gives_arrives_and_comes_back_into_a_writer() {
    let Some((_sshd, session, [there, _])) = start() else {
        return;
    };
    let remote = there.join("deep/file");
    for size in [0, 1, 70_001, 3_000_000] {
        let bytes = random_bytes(size, 8);
        let reader = Trickle {
            left: Cursor::new(bytes.clone()),
            fails: false,
        };
        let progress = Progress::new();
        let options = CopyOptions::new()
            .verify(Verify::Sha256)
            .progress(&progress);
        let copied = transfer::put_reader(&session, reader, bytes_of(&remote), &options, &limit());
        assert_eq!(copied.expect("puts").bytes, size as u64);
        assert!(fs::read(&remote).expect("reads") == bytes, "{size}");
        assert_eq!((progress.bytes(), progress.files()), (size as u64, 1));
        assert_eq!(progress.bytes_expected(), size as u64);
        let got = transfer::get_writer(&session, bytes_of(&remote), Vec::new(), &options, &limit());
        let (back, copied) = got.expect("gets");
        assert!(back == bytes && copied.bytes == size as u64, "{size}");
    }
    assert_eq!(names(&there.join("deep")), ["file"]);
    let before = fs::read(&remote).expect("reads");
    let reader = Trickle {
        left: Cursor::new(vec![1; 2_000_000]),
        fails: true,
    };
    let error = session
        .put_reader(reader, bytes_of(&remote))
        .expect_err("runs dry");
    assert!(matches!(error, Error::Local { .. }), "{error}");
    let cup = Cup(Vec::new(), 2_000_000);
    let got = session
        .get_writer(bytes_of(&remote), cup, u64::MAX)
        .map(|cup| cup.0);
    assert!(matches!(got, Err(Error::Local { .. })), "the cup is full");
    let got = session.get_writer(bytes_of(&remote), Vec::new(), 1000);
    assert!(
        matches!(got, Err(Error::TooLarge { bytes_max: 1000 })),
        "more than allowed"
    );
    let keep = CopyOptions::new().existing(Existing::Keep);
    let kept = transfer::put_reader(&session, io::empty(), bytes_of(&remote), &keep, &limit());
    assert!(kept.expect("keeps").kept);
    assert!(fs::read(&remote).expect("reads") == before, "is as it was");
    assert_eq!(names(&there.join("deep")), ["file"]);
}

/// Method: far more than the bound is streamed from a reader that holds nothing into a writer that counts.
#[test]
fn streams_of_any_size_take_bounded_memory() {
    let Some((_sshd, session, [there, _])) = start() else {
        return;
    };
    let remote = there.join("file");
    let size = 200_000_000;
    session
        .put_reader(io::repeat(7).take(5_000_000), bytes_of(&remote))
        .expect("warms up");
    let before = resident_kib();
    session
        .put_reader(io::repeat(7).take(size), bytes_of(&remote))
        .expect("puts");
    assert_eq!(fs::metadata(&remote).expect("is there").len(), size);
    session
        .get_writer(bytes_of(&remote), io::sink(), u64::MAX)
        .expect("gets");
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 60_000, "grew by {grown} KiB");
}

/// Method: the times that bounds ask for at least are exact; nothing is said of how much longer it takes.
#[test]
fn bounds_of_a_host_and_of_all_hold() {
    let Some(sshd) = Sshd::builder().addresses(3).log_level("INFO").start() else {
        return;
    };
    let config = Arc::new(sshd.config().build().expect("is good"));
    let fleet = Fleet::builder(sshd.targets(), config)
        .build()
        .expect("is good");
    let number = |n| NonZeroU64::new(n).expect("not 0");
    let source = Source::bytes(vec![1; 1_000_000]);
    let remote = bytes_of(&sshd.scratch().join("file")).to_vec();
    for (options, least) in [
        // 3 MB at 3 MB/s, less the burst.
        (
            CopyOptions::new().bandwidth(&Bandwidth::new(number(3_000_000))),
            0.85,
        ),
        (CopyOptions::new().host_bandwidth(number(1_000_000)), 0.85),
    ] {
        let progress = Progress::new();
        let begun = Instant::now();
        let each = fleet.put(&source, remote.clone(), &options.progress(&progress));
        let copied = each.filter(|visited| matches!(visited.value(), Some(Ok(_))));
        assert_eq!(copied.count(), 3);
        let took = begun.elapsed().as_secs_f64();
        assert!(took >= least, "{took}");
        assert_eq!((progress.bytes(), progress.files()), (3_000_000, 3));
        let hosts = progress.hosts();
        assert_eq!(hosts.len(), 3);
        for (_, host) in hosts {
            assert_eq!((host.bytes(), host.files_expected()), (1_000_000, 1));
        }
        assert!(progress.time_left().is_some_and(|left| left.is_zero()));
    }
}

/// A copy that waits for its bound ends with its scope.
#[test]
fn a_copy_that_is_held_back_can_be_cancelled() {
    let Some((_sshd, session, [there, _])) = start() else {
        return;
    };
    let slow = Bandwidth::new(NonZeroU64::new(1000).expect("not 0"));
    let progress = Progress::new();
    let options = CopyOptions::new().bandwidth(&slow).progress(&progress);
    let scope = limit();
    std::thread::scope(|threads| {
        let put = threads.spawn(|| {
            let source = Source::bytes(vec![1; 1_000_000]);
            transfer::put(
                &session,
                &source,
                bytes_of(&there.join("file")),
                &options,
                &scope,
            )
        });
        while progress.files_expected() == 0 && !put.is_finished() {
            std::thread::yield_now();
        }
        scope.cancel();
        let error = put.join().expect("no panic").expect_err("is cancelled");
        assert!(
            matches!(&error, Error::Session(error) if error.kind() == Kind::NotRun),
            "{error}"
        );
    });
    assert_eq!(names(&there), [""; 0]);
}

/// A reader that counts how many of its kind are being read, and the most at once.
struct Counted(io::Take<io::Repeat>, Arc<Counts>, bool);

struct Counts {
    /// By how many, and by how many at most.
    read: [AtomicU64; 2],
    /// Two begin together.
    pair: Barrier,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.2 {
            self.2 = true;
            let [now, most] = &self.1.read;
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            self.1.pair.wait();
        }
        self.0.read(buffer)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.2 {
            self.1.read[0].fetch_sub(1, Ordering::SeqCst);
        }
    }
}

#[test]
fn no_more_copies_than_allowed_move_at_once_whatever_the_sessions() {
    let Some((_sshd, session, [there, _])) = start() else {
        return;
    };
    let options = CopyOptions::new().copies_max(NonZeroUsize::new(2).expect("not 0"));
    let counts = Arc::new(Counts {
        read: [AtomicU64::new(0), AtomicU64::new(0)],
        pair: Barrier::new(2),
    });
    std::thread::scope(|threads| {
        for number in 0..8 {
            let (session, options, counts) = (&session, options.clone(), counts.clone());
            let remote = there.join(format!("file{number}"));
            threads.spawn(move || {
                let reader = Counted(io::repeat(1).take(3_000_000), counts, false);
                transfer::put_reader(session, reader, bytes_of(&remote), &options, &limit())
                    .expect("puts");
            });
        }
    });
    assert_eq!(names(&there).len(), 8);
    assert_eq!(counts.read[1].load(Ordering::SeqCst), 2);
}

/// A small file system of its own; gone with the value.
struct Small(PathBuf);

impl Small {
    /// `None` where the tests may not mount.
    fn mount(at: PathBuf, options: &str) -> Option<Self> {
        if !may_mount() {
            return None;
        }
        fs::create_dir_all(&at).expect("makes a directory");
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&at)
            .status();
        assert!(mount.expect("mount runs").success());
        Some(Self(at))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status();
    }
}

/// Method: a file system of 2 MiB is filled from either side, beside a copy that has room.
#[test]
fn a_full_disk_on_either_side_fails_by_its_path_and_leaves_nothing() {
    let Some((sshd, session, [there, here])) = start() else {
        return;
    };
    let Some(small) = Small::mount(sshd.scratch().join("small"), "size=2m") else {
        return;
    };
    let bytes = random_bytes(8_000_000, 1);
    let (local, full) = (here.join("file"), small.0.join("file"));
    fs::write(&local, &bytes).expect("writes");
    fs::write(&full, "as it was").expect("writes");
    let options = CopyOptions::new();
    let source = Source::file(&local).expect("opens");
    let put =
        |remote: &Path| transfer::put(&session, &source, bytes_of(remote), &options, &limit());
    let error = put(&full).expect_err("is full");
    let Error::Remote {
        operation: Operation::Write,
        remote,
        status,
    } = &error
    else {
        panic!("{error}")
    };
    assert!(
        remote.starts_with(bytes_of(&small.0)) && *status == SftpStatus::FAILURE,
        "{error}"
    );
    put(&there.join("file")).expect("has room");
    let error = session.put_reader(Cursor::new(bytes.clone()), bytes_of(&full));
    assert!(matches!(error, Err(Error::Remote { .. })), "{error:?}");
    let files = session.fs().expect("opens");
    let error = files.write(bytes_of(&full), &bytes, &WriteOptions::new());
    assert!(matches!(error, Err(Error::Remote { .. })), "{error:?}");
    let remote = there.join("file");
    let error = transfer::get(&session, bytes_of(&remote), &full, &options, &limit());
    let Err(Error::Local { path, source }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        (path.as_path(), source.kind()),
        (full.as_path(), io::ErrorKind::StorageFull)
    );
    assert_eq!(names(&small.0), ["file"]);
    assert_eq!(fs::read_to_string(&full).expect("reads"), "as it was");
    // One that may go on later keeps what it has, and goes on once there is room.
    let resume = CopyOptions::new().resume(Resume::Yes);
    let copy = |local: &Path| transfer::get(&session, bytes_of(&remote), local, &resume, &limit());
    copy(&full).expect_err("is full");
    assert_eq!(names(&small.0).len(), 2);
    let mount = std::process::Command::new("mount")
        .args(["-o", "remount,size=20m"])
        .arg(&small.0)
        .status();
    assert!(mount.expect("mount runs").success());
    copy(&full).expect("has room");
    assert!(fs::read(&full).expect("reads") == bytes);
    assert_eq!(names(&small.0), ["file"]);
}

#[test]
fn a_read_only_file_system_on_either_side_fails_by_its_path() {
    let Some((sshd, session, [there, _])) = start() else {
        return;
    };
    let Some(small) = Small::mount(sshd.scratch().join("small"), "size=2m,ro") else {
        return;
    };
    fs::write(there.join("file"), "x").expect("writes");
    let target = small.0.join("file");
    let (source, options) = (Source::bytes("x"), CopyOptions::new());
    let error = transfer::put(&session, &source, bytes_of(&target), &options, &limit());
    let Err(Error::Remote {
        operation: Operation::Open,
        remote,
        ..
    }) = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(remote, bytes_of(&target));
    let remote = there.join("file");
    let error = transfer::get(&session, bytes_of(&remote), &target, &options, &limit());
    let Err(Error::Local { source, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(source.kind(), io::ErrorKind::ReadOnlyFilesystem);
    assert_eq!(names(&small.0), [""; 0]);
}

/// Method: the account is not root, for whom there is no permission to lack; files that may not be read and directories
/// that may not be written to, on the host.
#[test]
fn what_the_user_may_not_fails_by_its_path_and_leaves_nothing() {
    let Some(sshd) = Sshd::builder()
        .sudoer("secret", &["ALL ALL=(ALL:ALL) ALL"])
        .config("PasswordAuthentication yes")
        .config("UsePAM yes")
        .start()
    else {
        return;
    };
    let keys = support::sessions::host_keys(sshoal::HostKeyPolicy::Strict, &sshd.known_hosts());
    let config = sshoal::Config::builder(keys)
        .user(support::account::ACCOUNT)
        .password("secret".to_owned().into())
        .keepalive(None);
    let session = connect_with(&sshd, config);
    let dir = sshd.scratch().join("locked");
    fs::create_dir(&dir).expect("makes");
    fs::write(dir.join("file"), "x").expect("writes");
    fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(0o600)).expect("sets");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("sets");
    let target = dir.join("file");
    for resume in [Resume::No, Resume::Yes] {
        let options = CopyOptions::new().resume(resume);
        let source = Source::bytes("y");
        let put = transfer::put(&session, &source, bytes_of(&target), &options, &limit());
        let local = sshd.scratch().join("local");
        let get = transfer::get(&session, bytes_of(&target), &local, &options, &limit());
        for error in [put, get] {
            let Err(Error::Remote {
                operation: Operation::Open,
                remote,
                status,
            }) = &error
            else {
                panic!("{error:?}")
            };
            assert_eq!(
                (remote.as_slice(), *status),
                (bytes_of(&target), SftpStatus::PERMISSION_DENIED)
            );
        }
        assert!(!local.exists());
    }
    assert_eq!(names(&dir), ["file"]);
    assert_eq!(fs::read_to_string(&target).expect("root may read"), "x");
}
