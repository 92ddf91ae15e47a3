//! `pscp`: files to hosts by scp's rules for names, and in its words.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sshoal::Reached;
use sshoal::transfer::sftp::{FileType, SftpStatus};
use sshoal::transfer::{self, Error, LocalTree, RemoteFs, Source, TreeReport};

use super::{Done, How};
use crate::pssh::outcome::SSH_FAILED;

/// What was named of this machine.
#[derive(Debug)]
pub(super) struct Sources(pub(super) Vec<Named>);

/// One of the paths.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) path: PathBuf,
    pub(super) what: What,
}

/// What a path is.
#[derive(Debug)]
pub(super) enum What {
    File(Source),
    Tree(LocalTree),
    /// A directory, where these are not wanted.
    Directory,
    /// It cannot be read.
    Missing(io::Error),
}

impl Sources {
    /// Looks at each path.
    pub(super) fn look(paths: Vec<PathBuf>, how: &How) -> Self {
        let named = |path: PathBuf| Named {
            what: look(&path, how),
            path,
        };
        Self(paths.into_iter().map(named).collect())
    }
}

impl Named {
    /// Its last part; `.` and `..` have none.
    pub(super) fn name(&self) -> &[u8] {
        self.path
            .file_name()
            .map_or(b"".as_slice(), |name| name.as_bytes())
    }
}

fn look(path: &Path, how: &How) -> What {
    let missing = |error: Error| {
        What::Missing(match error {
            Error::Local { source, .. } => source,
            other => io::Error::other(other.to_string()),
        })
    };
    match fs::metadata(path) {
        Err(error) => What::Missing(error),
        Ok(facts) if facts.is_dir() && how.is_recursive => {
            LocalTree::walk(path, &how.tree).map_or_else(missing, What::Tree)
        }
        Ok(facts) if facts.is_dir() => What::Directory,
        Ok(_) => Source::file(path).map_or_else(missing, What::File),
    }
}

/// Copies all to a host. Parks.
pub(super) fn put(sources: &Sources, to: &[u8], (how, host): (&How, &Reached<'_>)) -> Done {
    let mut done = Done::default();
    // scp looks at all of them before it begins.
    for Named { path, what } in &sources.0 {
        if let What::Missing(error) = what {
            let reason = crate::wording::os_text(error);
            done.scp(&format!("stat local \"{}\": {reason}", path.display()));
            done.code = SSH_FAILED;
            return done;
        }
    }
    let files = match RemoteFs::open(host.session(), host.scope()) {
        Ok(files) => files,
        Err(error) => return without_sftp(&error),
    };
    let to = &from_home(to);
    let mut is_directory = is_directory(&files, to);
    if sources.0.len() > 1 && is_directory != Some(true) {
        if let Some(error) = make(&files, to) {
            if !done.ends_with(&error) {
                done.scp(&format!("remote mkdir \"{}\": Failure", shown(to)));
                done.code = SSH_FAILED;
            }
            return done;
        }
        is_directory = Some(true);
    }
    for named in &sources.0 {
        if done.ended.is_some() {
            break;
        }
        let target = match is_directory {
            Some(true) => join(to, named.name()),
            _ => to.clone(),
        };
        one(named, (to, &target), (how, host), (&files, &mut done));
    }
    done
}

/// Copies one of the paths; `to` is what was asked for, `target` where it is.
fn one(
    named: &Named,
    (to, target): (&[u8], &[u8]),
    (how, host): (&How, &Reached<'_>),
    (files, done): (&RemoteFs<'_>, &mut Done),
) {
    let path = named.path.display();
    match &named.what {
        What::File(source) => {
            let copied = match target.ends_with(b"/") {
                true => Err("Failure".to_owned()),
                false => {
                    let (session, scope) = (host.session(), host.scope());
                    let copied = transfer::put(session, source, target, &how.file, scope);
                    match copied {
                        Err(error) if done.ends_with(&error) => return,
                        copied => copied.map_err(|error| reason(&error)),
                    }
                }
            };
            if let Err(reason) = copied {
                done.scp(&format!("dest open \"{}\": {reason}", shown(target)));
                done.scp(&format!("failed to upload file {path} to {}", shown(to)));
                done.code = 1;
            }
        }
        What::Tree(tree) => {
            if let Some(wrong) = no_place(files, target, done) {
                if done.ended.is_none() {
                    done.scp(&wrong);
                    done.scp(&format!(
                        "failed to upload directory {path} to {}",
                        shown(to)
                    ));
                    done.code = 1;
                }
                return;
            }
            let (session, scope) = (host.session(), host.scope());
            let report = transfer::put_tree(session, tree, target, &how.tree, scope);
            reported(report, done);
        }
        What::Directory => {
            done.scp(&format!("local \"{path}\" is not a regular file"));
            done.scp(&format!("failed to upload file {path} to {}", shown(to)));
            done.code = 1;
        }
        What::Missing(_) => {}
    }
}

/// Makes the directory that a tree comes to be in; what is wrong, if it cannot be.
fn no_place(files: &RemoteFs<'_>, target: &[u8], done: &mut Done) -> Option<String> {
    match is_directory(files, target) {
        Some(true) => None,
        Some(false) => Some(format!(
            "\"{}\" exists but is not a directory",
            shown(target)
        )),
        None => {
            let error = make(files, target)?;
            done.ends_with(&error);
            let reason = reason(&error);
            Some(format!("remote mkdir \"{}\": {reason}", shown(target)))
        }
    }
}

/// Makes a directory; what is wrong, if it is not there then. Another host may be the same machine,
/// and have made it.
pub(super) fn make(files: &RemoteFs<'_>, path: &[u8]) -> Option<Error> {
    let error = files.make_directory(path).err()?;
    (is_directory(files, path) != Some(true)).then_some(error)
}

/// Tells of what of a tree was not copied.
pub(super) fn reported(report: TreeReport, done: &mut Done) {
    for failed in &report.failed {
        let reason = reason(&failed.error);
        done.scp(&format!("\"{}\": {reason}", shown(&failed.path)));
        done.code = 1;
    }
    // scp would follow links; what is left out in silence would be missed later.
    for skipped in &report.skipped {
        let path = shown(&skipped.path);
        done.scp(&format!(
            "\"{path}\": links and special files are not copied"
        ));
        done.code = 1;
    }
    if let Some(error) = &report.ended_early
        && !done.ends_with(error)
    {
        done.scp(&reason(error));
        done.code = 1;
    }
}

/// What a host that offers no SFTP comes to.
pub(super) fn without_sftp(error: &Error) -> Done {
    let mut done = Done::failed(SSH_FAILED);
    let refused = matches!(
        error,
        Error::Session(sshoal::Error::Channel { .. }) | Error::Sftp(_)
    );
    if !refused && done.ends_with(error) {
        return done;
    }
    done.stderr = b"subsystem request failed on channel 0\r\n".to_vec();
    done.scp("Connection closed");
    done
}

/// Whether a path is a directory; `None` where nothing is.
pub(super) fn is_directory(files: &RemoteFs<'_>, path: &[u8]) -> Option<bool> {
    let found = files.stat(path).ok()?;
    Some(found.file_type() == FileType::Directory)
}

/// Leaves a `~` out, which scp puts the user's home directory for: paths begin there.
pub(super) fn from_home(path: &[u8]) -> Vec<u8> {
    match path {
        b"" | b"~" | b"~/" => b".".to_vec(),
        [b'~', b'/', rest @ ..] => rest.to_vec(),
        path => path.to_vec(),
    }
}

/// Puts a name behind a directory.
pub(super) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match (dir, name) {
        (dir, b"") => dir.to_vec(),
        ([.., b'/'], name) => [dir, name].concat(),
        (dir, name) => [dir, b"/", name].concat(),
    }
}

/// Returns a failure in the words of SFTP.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::Remote { status, .. } if *status == SftpStatus::NO_SUCH_FILE => {
            "No such file or directory".to_owned()
        }
        Error::Remote { status, .. } if *status == SftpStatus::PERMISSION_DENIED => {
            "Permission denied".to_owned()
        }
        Error::Remote { .. } | Error::IsDirectory { .. } => "Failure".to_owned(),
        Error::Local { source, .. } => {
            let text = source.to_string();
            text.split(" (os error ").next().unwrap_or(&text).to_owned()
        }
        error => crate::sanitise::one_line(&crate::wording::chain(error)).into_owned(),
    }
}

pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_put_together_as_scp_does() {
        assert_eq!(join(b"/a", b"x"), b"/a/x");
        assert_eq!(join(b"/a/", b"x"), b"/a/x");
        assert_eq!(join(b"/a", b""), b"/a");
        assert_eq!(from_home(b"~/x"), b"x");
        assert_eq!(from_home(b"~"), b".");
        assert_eq!(from_home(b"/~/x"), b"/~/x");
    }
}
