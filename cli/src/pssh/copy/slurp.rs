//! `pslurp`: files from hosts, a folder for each, by scp's rules for names and in its words.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sshoal::Reached;
use sshoal::transfer::{self, Error, RemoteFs};

use super::scp::{from_home, is_directory, reason, reported, shown, without_sftp};
use super::{Done, How};
use crate::pssh::Stop;
use crate::pssh::hosts::Listed;
use crate::pssh::options::Options;

/// Makes the folder of each host, named by the host and, where one was said, the port; returns them
/// in the order of the list.
///
/// # Errors
/// One cannot be made, or a host makes no name.
pub(super) fn folders(options: &Options, listed: &[Listed]) -> Result<Vec<PathBuf>, Stop> {
    let base = options.localdir.clone().unwrap_or_default();
    if options.localdir.is_some() {
        let made = fs::create_dir_all(&base);
        made.map_err(|error| cannot(&base, &error))?;
    }
    let mut folders = Vec::with_capacity(listed.len());
    for host in listed {
        let name = match &host.port {
            Some(port) => format!("{}:{port}", host.name),
            None => host.name.clone(),
        };
        let folder = base.join(&name);
        let is_name = !name.contains('/') && !matches!(name.as_str(), "" | "." | "..");
        // A host that is no name is not connected to either.
        if host.host.is_ok() && is_name && !folder.exists() {
            fs::create_dir(&folder).map_err(|error| cannot(&folder, &error))?;
        }
        folders.push(folder);
    }
    Ok(folders)
}

fn cannot(path: &Path, error: &std::io::Error) -> Stop {
    let reason = crate::wording::os_text(error);
    Stop::Fatal(format!(
        "cannot make the directory {}: {reason}",
        path.display()
    ))
}

/// Copies what a host has of a path to one of this machine. Parks.
pub(super) fn get(from: &[u8], to: &Path, (how, host): (&How, &Reached<'_>)) -> Done {
    let files = match RemoteFs::open(host.session(), host.scope()) {
        Ok(files) => files,
        Err(error) => return without_sftp(&error),
    };
    let mut done = Done::default();
    let pattern = from_home(from);
    let found = match is_directory(&files, &pattern) {
        Some(_) => vec![pattern.clone()],
        None => match files.glob(&pattern) {
            Ok(found) => found,
            Err(error) => {
                done.ends_with(&error);
                done.code = 1;
                return done;
            }
        },
    };
    if found.is_empty() {
        done.scp(&format!("{}: No such file or directory", shown(&pattern)));
        done.code = 1;
    }
    if found.len() > 1 && !to.is_dir() {
        done.scp(&format!("{}: Not a directory", to.display()));
        done.code = 1;
        return done;
    }
    for path in &found {
        one(path, to, (how, host), (&files, &mut done));
        if done.ended.is_some() {
            break;
        }
    }
    done
}

fn one(
    path: &[u8],
    to: &Path,
    (how, host): (&How, &Reached<'_>),
    (files, done): (&RemoteFs<'_>, &mut Done),
) {
    let (session, scope) = (host.session(), host.scope());
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let name = trimmed
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    let name = Path::new(std::ffi::OsStr::from_bytes(name));
    let target = match to.is_dir() {
        true => to.join(name),
        false => to.to_owned(),
    };
    if is_directory(files, path) == Some(true) {
        if how.is_recursive {
            let report = transfer::get_tree(session, path, &target, &how.tree, scope);
            reported(report, done);
        } else {
            done.scp(&format!("download {}/: not a regular file", shown(trimmed)));
            done.code = 1;
        }
        return;
    }
    match transfer::get(session, path, &target, &how.file, scope) {
        Ok(_) => {}
        Err(error) if done.ends_with(&error) => {}
        Err(error @ Error::Local { .. }) => {
            done.scp(&format!(
                "open local \"{}\": {}",
                target.display(),
                reason(&error)
            ));
            done.code = 1;
        }
        Err(error) => {
            done.scp(&format!("open \"{}\": {}", shown(path), reason(&error)));
            done.code = 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_a_folder_with_its_port_where_it_has_one() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            localdir: Some(dir.path().join("new")),
            host_strings: vec!["web1 ann@web2:22 a/b:1".to_owned()],
            ..Options::default()
        };
        let listed = crate::pssh::hosts::read(&options, &mut |_| {}).unwrap();
        let folders = folders(&options, &listed).unwrap();
        assert!(folders[0].ends_with("new/web1") && folders[0].is_dir());
        assert!(folders[1].ends_with("new/web2:22") && folders[1].is_dir());
        assert!(!folders[2].exists());
    }
}
