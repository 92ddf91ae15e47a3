//! Work on a host's files as another user, by the real sudo, where SFTP's user may not.

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use sshoal::{
    HostFiles, Sudo,
    transfer::{
        CopyOptions, Error, Existing, LineEdit, Operation, Owner, Parents, Preserve, Progress,
        Resume, Source, SudoFs, Verify, WriteOptions, sftp::SftpStatus,
    },
};
use support::{
    account::ACCOUNT,
    files::{bytes_of, names},
    sessions::sudoer,
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("is there").permissions().mode() & 0o7777
}

#[test]
fn what_sftp_may_not_is_done_by_sudo() {
    let Some((sshd, session)) = sudoer("") else {
        return;
    };
    let dir = sshd.scratch().join("it's $root's");
    fs::create_dir(&dir).expect("makes");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("sets");
    let at = |name: &str| bytes_of(&dir.join(name)).to_vec();
    let file = dir.join("-a b");
    let error = session
        .fs()
        .expect("opens")
        .write(at("-a b"), "x", &WriteOptions::new());
    let refused = matches!(
        error,
        Err(Error::Remote {
            status: SftpStatus::PERMISSION_DENIED,
            ..
        })
    );
    assert!(refused, "{error:?}");
    let files: SudoFs<'_> = session.sudo_fs(Sudo::new());
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let private = WriteOptions::new().permissions(0o640).user(ACCOUNT);
    assert!(
        files
            .write(at("-a b"), bytes.clone(), &private)
            .expect("writes")
    );
    assert_eq!(fs::read(&file).expect("reads"), bytes);
    assert_eq!(mode(&file), 0o640);
    let owner = fs::metadata(&file).expect("is there").uid();
    assert_ne!(owner, 0);
    assert_eq!(files.read(at("-a b"), 100_000).expect("reads"), bytes);
    assert!(matches!(
        files.read(at("-a b"), 99_999),
        Err(Error::TooLarge { .. })
    ));
    // A file that is written over keeps its mode and owner.
    assert!(
        files
            .write(at("-a b"), "a=1\n", &WriteOptions::new())
            .expect("writes")
    );
    assert_eq!(
        (mode(&file), fs::metadata(&file).expect("is there").uid()),
        (0o640, owner)
    );
    files.append(at("-a b"), "b=2\n").expect("appends");
    let edit = LineEdit::present("a=3").replacing("^a=").expect("is one");
    let change = files.line_in_file(at("-a b"), &edit).expect("edits");
    assert!(change.diff.contains("-a=1\n+a=3\n"), "{}", change.diff);
    assert_eq!(fs::read_to_string(&file).expect("reads"), "a=3\nb=2\n");
    assert_eq!(names(&dir), ["-a b"]);
}

#[test]
fn names_modes_and_owners_are_changed_by_sudo() {
    let Some((sshd, session)) = sudoer("") else {
        return;
    };
    let dir = sshd.scratch().join("it's $root's");
    fs::create_dir(&dir).expect("makes");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("sets");
    let at = |name: &str| bytes_of(&dir.join(name)).to_vec();
    let files = session.sudo_fs(Sudo::new());
    fs::write(dir.join("file"), "x").expect("writes");
    let fail = WriteOptions::new().existing(Existing::Fail);
    assert!(
        files
            .write(at("file"), "x", &fail)
            .expect_err("is there")
            .is_already_there()
    );
    files.make_directories(at("d/e"), None).expect("makes");
    files.write(at("d/e/x\ny"), "", &fail).expect("writes");
    let listed = files.list(at("d/e")).expect("lists");
    assert_eq!((listed.len(), &listed[0].name[..]), (1, &b"x\ny"[..]));
    files.rename(at("d/e/x\ny"), at("moved")).expect("renames");
    files.chmod(at("moved"), 0o4711).expect("sets");
    assert_eq!(mode(&dir.join("moved")), 0o4711);
    files
        .chown(at("moved"), Some(&Owner::Id(4321)), None)
        .expect("sets");
    assert_eq!(
        fs::metadata(dir.join("moved")).expect("is there").uid(),
        4321
    );
    assert!(files.remove_all(at("d")).expect("removes"));
    assert!(!files.exists(at("d")).expect("is gone"));
    let error = files.read(at("missing"), 10).expect_err("is not there");
    let Error::Command {
        operation: Operation::Read,
        remote,
        message,
    } = &error
    else {
        panic!("{error}")
    };
    assert!(*remote == at("missing") && !message.is_empty(), "{error}");
    let error = files
        .write(at(""), "x", &WriteOptions::new())
        .expect_err("is a directory");
    assert!(matches!(error, Error::IsDirectory { .. }), "{error}");
    assert_eq!(names(&dir), ["file", "moved"]);
}

/// Sources of several sizes, the empty one among them, arrive whole and are counted. What cannot be
/// copied, since a directory has the name, the source was written to meanwhile, no directory is there
/// or the options ask for what there is not, leaves all as it was and nothing beside it.
#[test]
fn a_source_of_any_size_is_put_by_sudo_whole_or_not_at_all() {
    let Some((sshd, session)) = sudoer("") else {
        return;
    };
    let dir = sshd.scratch().join("it's $root's");
    fs::create_dir(&dir).expect("makes");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("sets");
    let at = |name: &str| bytes_of(&dir.join(name)).to_vec();
    let files: SudoFs<'_> = session.sudo_fs(Sudo::new());
    let progress = Progress::new();
    let options = CopyOptions::new().progress(&progress);
    let mut all = 0;
    for size in [0, 1, 131_072, 131_073, 5_000_000] {
        let bytes: Vec<u8> = (0..size).map(|n: usize| ((n * 31) >> 7) as u8).collect();
        let source = Source::bytes(bytes.clone());
        let copied = files.put(&source, at("f"), &options).expect("copies");
        assert_eq!((copied.bytes, copied.kept), (size as u64, false));
        assert!(fs::read(dir.join("f")).expect("reads") == bytes);
        let again = files.put(&source, at("f"), &options).expect("looks");
        assert!(again.kept, "it is so already");
        all += 2 * size as u64;
    }
    assert_eq!(progress.bytes(), all);
    let local = sshd.scratch().join("local");
    fs::write(&local, "first").expect("writes");
    let source = Source::file(&local).expect("opens");
    let kept = options.clone().existing(Existing::Keep);
    assert!(files.put(&source, at("f"), &kept).expect("looks").kept);
    fs::create_dir(dir.join("d")).expect("makes");
    let expect = options.clone().parents(Parents::Expect);
    let fail = options.clone().existing(Existing::Fail);
    let put = |name: &str, options: &CopyOptions| {
        let put = files.put(&source, at(name), options);
        put.expect_err("does not copy").to_string()
    };
    for (name, options, part) in [
        ("f", &fail, "already exists"),
        ("d", &options, "is a directory"),
        ("n/f", &expect, "could not write remote file"),
        ("f/g", &options, "could not make remote directory"),
        (
            "g",
            &options.clone().preserve(Preserve::Yes),
            "does not offer the times",
        ),
        (
            "g",
            &options.clone().verify(Verify::Sha256),
            "does not offer SHA-256",
        ),
        (
            "g",
            &options.clone().resume(Resume::Yes),
            "does not offer copies",
        ),
    ] {
        let error = put(name, options);
        assert!(error.contains(part), "{name}: {error}");
    }
    files
        .put(&source, at("new/dir/"), &options)
        .expect("keeps its name");
    assert_eq!(
        fs::read(dir.join("new/dir/local")).expect("reads"),
        b"first"
    );
    fs::write(&local, "other").expect("writes");
    let changed = put("g", &options);
    assert!(changed.starts_with("local file"), "{changed}");
    assert_eq!(names(&dir), ["d", "f", "new"], "{changed}");
}
