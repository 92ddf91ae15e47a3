//! `sshoal install-links DIR`: the names of pssh's tools, as links to this program.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::tool::NAMES;

/// Makes the links, and the folder if it is not there; returns the exit code.
///
/// Links that are there already and lead to this program stay. Nothing is made where something else
/// has one of the names.
///
/// # Errors
/// Something else has a name, or the folder cannot be written to.
pub(crate) fn install(dir: &Path) -> Result<u8> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let what = || format!("cannot use the directory {}", dir.display());
    std::fs::create_dir_all(dir).with_context(what)?;
    let mut made = 0;
    for path in missing(dir, &program)? {
        match symlink(&program, &path) {
            Ok(()) => made += 1,
            // Another process has made it meanwhile.
            Err(_) if leads_to(&path, &program) => {}
            Err(error) => {
                let what = format!("cannot make the link {}", path.display());
                return Err(error).context(what);
            }
        }
    }
    let there = NAMES.len() - made;
    let said = format!("{}: {made} links made, {there} were there\n", dir.display());
    // The links are there, whether anybody reads of them or not.
    let _ = std::io::stdout().write_all(said.as_bytes());
    Ok(0)
}

/// Returns the links that are to be made.
fn missing(dir: &Path, program: &Path) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for (name, _) in NAMES {
        let path = dir.join(name);
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => missing.push(path),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
            Ok(_) if leads_to(&path, program) => {}
            Ok(_) => bail!(
                "{} is there and is something else; remove it",
                path.display()
            ),
        }
    }
    Ok(missing)
}

fn leads_to(link: &Path, program: &Path) -> bool {
    std::fs::read_link(link).is_ok_and(|to| to == program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_at_once_make_the_links_together() {
        let dir = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let dir = dir.path().join(round.to_string());
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| install(&dir))).collect();
                for thread in threads {
                    assert_eq!(thread.join().unwrap().unwrap(), 0);
                }
            });
        }
    }

    #[test]
    fn what_is_something_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let program = Path::new("/usr/bin/sshoal");
        assert_eq!(missing(dir.path(), program).unwrap().len(), NAMES.len());
        symlink(program, dir.path().join("pssh")).unwrap();
        assert_eq!(missing(dir.path(), program).unwrap().len(), NAMES.len() - 1);
        std::fs::write(dir.path().join("pscp"), "").unwrap();
        let error = missing(dir.path(), program).unwrap_err();
        assert!(error.to_string().contains("pscp is there"), "{error}");
    }
}
