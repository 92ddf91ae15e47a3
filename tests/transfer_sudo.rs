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
        Error, Existing, LineEdit, Operation, Owner, SudoFs, WriteOptions, sftp::SftpStatus,
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
