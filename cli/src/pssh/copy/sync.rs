//! `prsync`: files and directories to hosts by rsync's rules for names; whole files, equal ones left
//! alone where times are kept.

use std::os::unix::ffi::OsStrExt;

use sshoal::Reached;
use sshoal::transfer::{self, Error, RemoteFs};

use super::scp::{
    Named, Sources, What, from_home, is_directory, join, make, reason, shown, without_sftp,
};
use super::{Done, How};

/// Copies all to a host. Parks.
pub(super) fn put(sources: &Sources, to: &[u8], (how, host): (&How, &Reached<'_>)) -> Done {
    let files = match RemoteFs::open(host.session(), host.scope()) {
        Ok(files) => files,
        Err(error) => return without_sftp(&error),
    };
    let mut done = Done::default();
    let to = &from_home(to);
    let into = to.ends_with(b"/") || sources.0.len() > 1 || is_directory(&files, to) == Some(true);
    let makes = into
        || sources
            .0
            .iter()
            .any(|named| matches!(named.what, What::Tree(_)));
    if makes && is_directory(&files, to) != Some(true) {
        let dir = to.strip_suffix(b"/").unwrap_or(to);
        if let Some(error) = make(&files, dir) {
            if !done.ends_with(&error) {
                done.say(&format!(
                    "mkdir \"{}\" failed: {}",
                    shown(dir),
                    reason(&error)
                ));
                done.code = NO_DIRECTORY;
            }
            return done;
        }
    }
    for named in &sources.0 {
        if done.ended.is_some() {
            break;
        }
        one(named, (to, into), (how, host), &mut done);
    }
    done
}

fn one(
    named: &Named,
    (to, into): (&[u8], bool),
    (how, host): (&How, &Reached<'_>),
    done: &mut Done,
) {
    let (session, scope) = (host.session(), host.scope());
    match &named.what {
        What::File(source) => {
            let target = match into {
                true => join(to, named.name()),
                false => to.to_vec(),
            };
            match transfer::put(session, source, &target, &how.file, scope) {
                Ok(_) => {}
                Err(error) if done.ends_with(&error) => {}
                Err(error) => done.fail(&target, &error),
            }
        }
        What::Tree(tree) => {
            // Behind a slash it is the content alone that is meant.
            let content = named.path.as_os_str().as_bytes().ends_with(b"/");
            let target = match content {
                true => to.to_vec(),
                false => join(to, named.name()),
            };
            let report = transfer::put_tree(session, tree, &target, &how.tree, scope);
            for failed in &report.failed {
                done.fail(&failed.path, &failed.error);
            }
            for skipped in &report.skipped {
                let line = format!("skipping non-regular file \"{}\"\n", shown(&skipped.path));
                done.stdout.extend_from_slice(line.as_bytes());
            }
            if let Some(error) = &report.ended_early
                && !done.ends_with(error)
            {
                done.fail(&target, error);
            }
        }
        What::Directory => {
            let line = format!("skipping directory {}\n", shown(named.name()));
            done.stdout.extend_from_slice(line.as_bytes());
        }
        What::Missing(error) => {
            let reason = crate::wording::os_text(error);
            done.say(&format!("\"{}\" failed: {reason}", named.path.display()));
            done.code = PARTIAL;
        }
    }
}

impl Done {
    fn say(&mut self, line: &str) {
        self.stderr
            .extend_from_slice(format!("rsync: {line}\n").as_bytes());
    }

    fn fail(&mut self, path: &[u8], error: &Error) {
        self.say(&format!("\"{}\" failed: {}", shown(path), reason(error)));
        self.code = PARTIAL;
    }
}

/// Some files were not copied.
const PARTIAL: u8 = 23;
/// The directory is not there, and cannot be made.
const NO_DIRECTORY: u8 = 11;
