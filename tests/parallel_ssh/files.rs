//! One file to and from each host: names by host, folders that are made, and what is no file.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sshoal::{
    HostFiles,
    transfer::{CopyOptions, Error, Source, sftp::Sftp},
};

use super::{fleet_of, server};
use crate::support::sessions::{connect, limit};

fn bytes_of(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// The path to an absolute one from where this process is.
fn relative(path: &Path) -> PathBuf {
    let here = std::env::current_dir().expect("has a folder");
    let here = here.canonicalize().expect("is there");
    let up = here.components().skip(1).map(|_| "..");
    let path = path.canonicalize().expect("is there");
    let rest = path.strip_prefix("/").expect("is absolute");
    up.collect::<PathBuf>().join(rest)
}

/// Goal: a local path may be relative, and its folders are made where it leads, not at the root.
#[test]
fn a_relative_local_path_has_its_folders_made_where_it_leads() {
    let Some(sshd) = server(2) else { return };
    let fleet = fleet_of(&sshd, sshd.targets());
    let folder = tempfile::tempdir().expect("makes a directory");
    let remote = sshd.scratch().join("file");
    fs::write(&remote, "theirs").expect("writes");
    let to = relative(folder.path());
    assert!(to.is_relative());
    let local = move |index: usize, _: &sshoal::Host| to.join(format!("sub/dir/{index}"));
    for visited in fleet.get(bytes_of(&remote), local, &CopyOptions::new()) {
        visited.into_result().expect("is reached").expect("gets");
    }
    for index in 0..2 {
        let copy = folder.path().join(format!("sub/dir/{index}"));
        assert_eq!(fs::read_to_string(copy).expect("is there"), "theirs");
    }
}

/// Goal: both paths of a copy may differ by host, and hosts of one name have copies of their own,
/// where parallel-ssh gives them one name. Method: one host that is listed twice.
#[test]
fn paths_differ_by_host_and_duplicates_do_not_share_one() {
    let Some(sshd) = server(1) else { return };
    let hosts = [sshd.targets(), sshd.targets()].concat();
    let fleet = fleet_of(&sshd, hosts);
    let (here, there) = (
        tempfile::tempdir().expect("makes a directory"),
        sshd.scratch(),
    );
    for index in 0..2 {
        let local = here.path().join(format!("out {index}"));
        fs::write(local, format!("for {index}")).expect("writes");
    }
    let folder = here.path().to_owned();
    let each = fleet.each(move |host| -> Result<(), Error> {
        let (local, back) = (
            format!("out {}", host.index()),
            format!("back {}", host.index()),
        );
        let remote = there.join(format!("in/{}", host.index()));
        host.put(folder.join(local), bytes_of(&remote))?;
        host.get(bytes_of(&remote), folder.join(back), 100)?;
        Ok(())
    });
    for visited in each {
        visited.into_result().expect("is reached").expect("copies");
    }
    for index in 0..2 {
        let back = fs::read_to_string(here.path().join(format!("back {index}")));
        assert_eq!(back.expect("is there"), format!("for {index}"));
    }
}

/// Goal: a folder in place of a file is refused before any host is reached, where parallel-ssh's
/// fleet copies all of it, asked or not.
#[test]
fn a_folder_is_refused_before_any_host_is_reached() {
    let folder = tempfile::tempdir().expect("makes a directory");
    let refused = Source::file(folder.path()).expect_err("is no file");
    assert!(matches!(&refused, Error::Local { path, .. } if path == folder.path()));
}

/// Goal: folders of a host are made, one call for each, and a refusal says why.
#[test]
fn folders_are_made_on_a_host() {
    let Some(sshd) = server(1) else { return };
    let session = connect(&sshd);
    let sftp = Sftp::open(&session, &limit()).expect("opens");
    let path = sshd.scratch().join("made");
    for inner in [path.clone(), path.join("within")] {
        let made = sftp.make_directory(bytes_of(&inner), 0o750, &limit());
        made.expect("makes a directory");
        assert!(inner.is_dir());
    }
    let again = sftp.make_directory(bytes_of(&path), 0o750, &limit());
    assert!(again.is_err(), "it is there");
}
