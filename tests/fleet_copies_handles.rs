//! Copies with a handle for each host: asked, waited for, cancelled, told apart by their errors, and told as they go.

mod support;

use std::{
    fs,
    num::{NonZeroU64, NonZeroUsize},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use sshoal::{
    End, Fleet, HostLogger, Kind, Phase, TreeCopies,
    transfer::{
        CopyOptions, Error, Existing, FileEvent, Keep, Operation, Progress, TreeOptions,
        sftp::SftpStatus,
    },
};
use support::{
    files::{bytes_of, names, sides},
    sessions::random_bytes,
    sshd::{Sshd, SshdBuilder},
};

const LONG: Option<Duration> = Some(Duration::from_secs(60));

#[track_caller]
fn start(builder: SshdBuilder, hosts: u32, at_once: usize) -> Option<(Sshd, Fleet)> {
    let sshd = builder.addresses(hosts).log_level("INFO").start()?;
    let config = sshd.config().build().expect("a whole configuration");
    let size = NonZeroUsize::new(at_once).expect("not 0");
    let fleet = Fleet::builder(sshd.targets(), Arc::new(config)).pool_size(size);
    Some((sshd, fleet.build().expect("the fleet is sound")))
}

/// Goal: one host's copy is given up, under way and before its turn; the others are as if nothing had been, and what
/// was given up leaves nothing. Method: copies that are so slow that they do not end by themselves, two at once.
#[test]
fn one_hosts_copy_is_cancelled_and_the_others_go_on() {
    let Some((sshd, fleet)) = start(Sshd::builder(), 3, 2) else {
        return;
    };
    let [there, here] = sides(&sshd);
    let local = here.join("local");
    fs::write(&local, random_bytes(400_000, 1)).expect("writes");
    let slow = NonZeroU64::new(200).expect("not 0");
    let progress = Progress::new();
    let options = CopyOptions::new().host_bandwidth(slow).progress(&progress);
    let remote = sshoal::Template::new(format!("{}/{{n}}/copy", there.display()));
    let copies = fleet.put_each(&local, remote, &options);
    let copies = copies.expect("are begun").visits();
    assert!(!copies.is_finished() && copies.first_error().is_none());
    // Until both that have a place are under way.
    for waited in copies.every(Duration::from_millis(5)) {
        assert!(waited.finished.is_empty());
        if progress.files_expected() == 2 {
            break;
        }
    }
    let begun: Vec<usize> = progress.hosts().iter().map(|(index, _)| *index).collect();
    assert_eq!(begun, [0, 1]);
    copies.host(2).cancel();
    copies.host(0).cancel();
    assert!(copies.host(0).wait(LONG).is_some());
    let value = copies.host(0).value().expect("its copy returned");
    let error = value.as_ref().expect_err("it was given up");
    assert_eq!(
        (error.phase(), error.kind()),
        (Phase::Transfer, Kind::NotRun)
    );
    // Its place is free: the one that waited has its turn, which ends it.
    assert!(copies.host(2).wait(LONG).is_some());
    let end = copies.host(2).outcome().expect("has ended").end();
    assert!(matches!(end, End::Cancelled { .. }), "{end:?}");
    assert!(
        copies
            .host(1)
            .wait(Some(Duration::from_millis(20)))
            .is_none()
    );
    assert_eq!(
        copies
            .first_error()
            .expect("one was given up")
            .visit()
            .index(),
        0
    );
    assert!(names(&there.join("0")).is_empty(), "nothing is left");
    copies.host(1).cancel();
    assert!(copies.wait(LONG).is_complete());
    let again = fleet.put_each(&local, there.join("again"), &CopyOptions::new());
    let again = again.expect("are begun").visits();
    again
        .join()
        .expect("hosts whose copies were given up copy again");
}

/// Goal: the first error of many copies is told as soon as it comes, with its host, and the others end as they would.
#[test]
fn a_join_raises_the_first_error_and_the_others_are_copied() {
    let Some((sshd, fleet)) = start(Sshd::builder(), 3, 3) else {
        return;
    };
    let [there, here] = sides(&sshd);
    fs::write(there.join("0"), "zero").expect("writes");
    fs::write(there.join("2"), "two").expect("writes");
    let remote = sshoal::Template::new(format!("{}/{{n}}", there.display()));
    let copies = fleet.get_each(remote, here.join("out"), &CopyOptions::new());
    let copies = copies.expect("are begun").visits();
    let first = copies.join().expect_err("one file is missing");
    assert_eq!(first.visit().index(), 1);
    let error = first.error().expect("the copy failed");
    let missing = there.join("1");
    let expected = (
        Operation::Stat,
        bytes_of(&missing),
        SftpStatus::NO_SUCH_FILE,
    );
    assert_eq!(error.sftp_status(), Some(expected));
    assert!(
        first.to_string().contains(&missing.display().to_string()),
        "{first}"
    );
    assert!(copies.wait(LONG).is_complete());
    for index in [0, 2] {
        let value = copies.host(index).value().expect("has ended");
        assert!(value.is_ok(), "{value:?}");
    }
    assert_eq!(copies.ended().count(), 3);
    assert_eq!(names(&here.join("out")).len(), 2);
}

/// Goal: errors are told apart by kind, and each by what it is about: a refused subsystem, an SFTP status, what `scp`
/// said, a file of this machine, and what is there already. Method: a host without SFTP, and one where things are not
/// as they should be.
#[test]
fn errors_are_told_apart() {
    let without = Sshd::builder().config("Subsystem other /bin/true");
    let Some((sshd, fleet)) = start(without, 1, 1) else {
        return;
    };
    let [there, here] = sides(&sshd);
    fs::write(here.join("file"), "new").expect("writes");
    let error_of = |copies: sshoal::FileCopies| {
        let copy = copies.in_order().remove(0).into_result();
        copy.expect("is reached").expect_err("fails")
    };
    let error = fleet.put_each(here.join("file"), there.join("a"), &CopyOptions::new());
    let error = error_of(error.expect("is begun"));
    assert!(error.is_subsystem_refused(), "{error:?}");
    assert_eq!((error.phase(), error.kind()), (Phase::Open, Kind::Denied));
    assert!(!error.is_permission_denied(), "nobody asked for a file");

    let Some((sshd, fleet)) = start(Sshd::builder(), 1, 1) else {
        return;
    };
    let [there, here] = sides(&sshd);
    fs::write(here.join("file"), "new").expect("writes");
    fs::write(there.join("is there"), "old").expect("writes");
    let put = |name: &str, options: &CopyOptions| {
        let copies = fleet.put_each(here.join("file"), there.join(name), options);
        error_of(copies.expect("is begun"))
    };
    let exists = put("is there", &CopyOptions::new().existing(Existing::Fail));
    assert!(
        exists.is_already_there() && !exists.is_local(),
        "{exists:?}"
    );
    assert_eq!(exists.kind(), Kind::Exists);
    let beneath = put("is there/x", &CopyOptions::new());
    let (_, path, _) = beneath.sftp_status().expect("the server refused");
    assert!(path.starts_with(bytes_of(&there)), "{beneath:?}");
    let by_scp = fleet.scp_put_each(here.join("file"), there.join("is there"), Keep::Mode);
    let by_scp = error_of(by_scp.expect("is begun"));
    assert!(by_scp.is_already_there(), "{by_scp:?}");
    assert_eq!(
        fs::read_to_string(there.join("is there")).expect("reads"),
        "old"
    );

    let to = here.join("out");
    let missing = fleet.scp_get_each(there.join("missing"), &to, Keep::Mode, 100);
    let missing = error_of(missing.expect("is begun"));
    let said = missing.scp_message().expect("scp said why");
    assert!(said.contains("No such file"), "{said}");
    assert!(missing.is_not_found() && !missing.is_local());
    let local = fleet.get_each(
        there.join("is there"),
        here.join("file"),
        &CopyOptions::new(),
    );
    let local = error_of(local.expect("is begun"));
    assert!(
        local.is_local() && local.phase() == Phase::Local,
        "{local:?}"
    );
    assert!(matches!(&local, Error::Local { path, .. } if path.starts_with(here.join("file"))));
    let no_file = fleet.get_each(&there, &to, &CopyOptions::new());
    let no_file = error_of(no_file.expect("is begun"));
    assert!(matches!(no_file, Error::IsDirectory { .. }), "{no_file:?}");
}

/// Goal: a directory of which not everything could be copied is an error that names the first path and holds the rest
/// of the report.
#[test]
fn a_directory_that_is_not_copied_whole_is_an_error() {
    let Some((sshd, fleet)) = start(Sshd::builder(), 2, 2) else {
        return;
    };
    let [there, here] = sides(&sshd);
    for name in ["a", "b"] {
        fs::write(here.join(name), name).expect("writes");
    }
    // On one host a directory has the name of a file.
    fs::create_dir_all(there.join("1/b/in the way")).expect("makes directories");
    let remote = sshoal::Template::new(format!("{}/{{n}}", there.display()));
    let copies: TreeCopies = fleet
        .put_tree_each(&here, remote, &TreeOptions::new())
        .expect("are begun");
    let copies = copies.visits();
    let first = copies.join().expect_err("one file is in the way");
    assert_eq!(first.visit().index(), 1);
    let failed = first.error().expect("the copy failed");
    assert_eq!(failed.to_string(), "could not copy b");
    assert_eq!((failed.report.files, failed.report.failed.len()), (1, 1));
    assert_eq!(failed.remote, bytes_of(&there.join("1")));
    assert!(std::error::Error::source(failed).is_some());
    assert!(copies.wait(LONG).is_complete());
    assert_eq!(names(&there.join("0")), ["a", "b"]);
}

/// Goal: a program hears of each file with its host, before and after, and sees the same in the counters of each host
/// and of all.
#[test]
fn files_are_told_as_they_begin_and_end() {
    let Some((sshd, fleet)) = start(Sshd::builder(), 3, 3) else {
        return;
    };
    let [there, here] = sides(&sshd);
    fs::write(here.join("file"), random_bytes(100_000, 2)).expect("writes");
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let progress = Progress::telling(move |event| {
        heard.lock().expect("nobody panics").push(*event);
    });
    let options = CopyOptions::new().progress(&progress);
    let remote = sshoal::Template::new(format!("{}/{{n}}", there.display()));
    let copies = fleet.put_each(here.join("file"), remote, &options);
    copies
        .expect("are begun")
        .visits()
        .join()
        .expect("all are copied");
    let told = told.lock().expect("nobody panics").clone();
    assert_eq!(told.len(), 6, "{told:?}");
    for index in 0..3 {
        let host = Some(index);
        let own = told.iter().filter(|event| match event {
            FileEvent::Begun { host: own, .. } | FileEvent::Ended { host: own } => *own == host,
            _ => false,
        });
        let expected = [
            FileEvent::Begun {
                host,
                bytes: 100_000,
            },
            FileEvent::Ended { host },
        ];
        assert_eq!(own.copied().collect::<Vec<_>>(), expected);
        let counted = progress.of_host(index).snapshot();
        assert_eq!((counted.bytes, counted.files), (100_000, 1));
    }
    let all = progress.snapshot();
    assert_eq!((all.bytes, all.bytes_expected), (300_000, 300_000));
    assert_eq!((all.files, all.files_expected), (3, 3));
    assert_eq!(all.time_left, Some(Duration::ZERO));
}

/// Goal: finished copies are logged in parallel-ssh's words, over SFTP and by `scp`, to hosts and from them; copies
/// that failed, and files that were kept, are not.
#[test]
fn finished_copies_are_logged_in_the_words_of_parallel_ssh() {
    let Some((sshd, fleet)) = start(Sshd::builder(), 1, 1) else {
        return;
    };
    let [there, here] = sides(&sshd);
    fs::write(here.join("file"), "x").expect("writes");
    let (local, remote) = (here.join("file"), there.join("file"));
    let kept = CopyOptions::new().existing(Existing::Keep);
    let mut log = Vec::new();
    let mut logger = HostLogger::new(&mut log);
    let mut note = |copies: Result<sshoal::FileCopies, sshoal::CopiesError>| {
        for copy in copies.expect("are begun").visits().ended() {
            if let Some(Ok(copied)) = copy.value() {
                copied.log(copy.host(), &mut logger).expect("writes");
            }
        }
    };
    note(fleet.put_each(&local, &remote, &CopyOptions::new()));
    note(fleet.put_each(&local, &remote, &kept));
    note(fleet.scp_put_each(&local, &remote, Keep::Mode));
    note(fleet.scp_put_each(&local, there.join("scp"), Keep::Mode));
    note(fleet.get_each(&remote, &here, &CopyOptions::new()));
    note(fleet.scp_get_each(&remote, here.join("scp/"), Keep::Mode, 100));
    drop(logger);
    let address = sshd.address();
    let line = |words: &str, local: &Path, way: &str, remote: &Path| {
        let (local, remote) = (local.display(), remote.display());
        format!(
            "[{address}]\t{words} local file {local} {way} remote destination {address}:{remote}\n"
        )
    };
    let (own, own_scp) = (
        here.join(address.to_string()),
        here.join(format!("scp/{address}/file")),
    );
    let expected = [
        line("Copied", &local, "to", &remote),
        line("SCP", &local, "to", &there.join("scp")),
        line("Copied", &own, "from", &remote),
        line("SCP", &own_scp, "from", &remote),
    ];
    assert_eq!(String::from_utf8(log).expect("is text"), expected.concat());
}
