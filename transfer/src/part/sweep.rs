//! Part files that nobody goes on with: told by their names, and removed by a later copy.
//!
//! A copy that is killed cannot remove what it wrote. Whoever looks into the directory later does:
//! at once where the copy's process is known to have ended, after a day where it is not, and after a
//! week what another copy could go on with.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use sshoal_reactor::Scope;

use super::owner::{Owner, Standing};
use super::{MARK, claim, now};
use crate::remote_path;
use crate::sftp::{Attributes, FileType, Sftp, SftpError};

/// Returns whether a name is that of a part file that nobody goes on with; `changed` is when the
/// file last changed, in seconds since 1970.
fn is_over(name: &[u8], changed: Option<i64>) -> bool {
    let Some(behind) = behind_mark(name) else {
        return false;
    };
    let now = i64::try_from(now().as_secs()).unwrap_or(i64::MAX);
    // A clock that is ahead of ours tells nothing.
    let older = |seconds| changed.is_some_and(|changed| now.saturating_sub(changed) > seconds);
    let Some(keyed) = behind.strip_prefix(b"part-") else {
        return Owner::parse(behind).is_some_and(|owner| match owner.standing() {
            Standing::Over => true,
            _ => older(DAY_SECONDS),
        });
    };
    let Some((key, owner)) = keyed.split_at_checked(claim::KEY_DIGITS) else {
        return false;
    };
    let is_ours = match owner.strip_prefix(b"-") {
        // Of a copy to this machine: who writes it has it locked.
        None => owner.is_empty(),
        Some(owner) => Owner::parse(owner).is_some_and(|owner| owner.standing() != Standing::Alive),
    };
    is_ours && key.iter().all(u8::is_ascii_hexdigit) && older(WEEK_SECONDS)
}

/// Returns what tells whose a part file is.
fn behind_mark(name: &[u8]) -> Option<&[u8]> {
    let mark = MARK.as_bytes();
    let at = name.windows(mark.len()).rposition(|part| part == mark)?;
    (name.first() == Some(&b'.') && at > 0).then(|| &name[at + mark.len()..])
}

/// Removes the part files of a host's directory that nobody goes on with, of those that it lists;
/// what cannot be removed stays. Parks.
pub(crate) fn there<'a>(
    sftp: &Sftp,
    directory: &[u8],
    listed: impl IntoIterator<Item = (&'a Vec<u8>, &'a Attributes)>,
    scope: &Scope,
) -> Result<(), SftpError> {
    let over = listed.into_iter().filter(|(name, about)| {
        let changed = about.times.map(|(_, changed)| changed.into());
        let removable = matches!(about.file_type(), FileType::File | FileType::Link);
        removable && is_over(name, changed)
    });
    // A host that lists more of them than copies leave behind does not keep us busy.
    for (name, _) in over.take(REMOVED_MAX) {
        match sftp.remove(&remote_path::join(directory, name), scope) {
            Ok(()) | Err(SftpError::Status(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Removes the part files of a directory of this machine that nobody goes on with, of this user
/// alone; what cannot be removed stays.
pub(crate) fn here(directory: BorrowedFd<'_>) {
    // What could not be looked at is left.
    let _ = sweep(directory);
}

fn sweep(directory: BorrowedFd<'_>) -> io::Result<()> {
    let user = rustix::process::geteuid();
    for entry in Dir::read_from(directory)?.take(NAMES_MAX) {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if behind_mark(name).is_none() {
            continue;
        }
        let place = OsStr::from_bytes(name);
        let about = rustix::fs::statat(directory, place, AtFlags::SYMLINK_NOFOLLOW)?;
        let file_type = rustix::fs::FileType::from_raw_mode(about.st_mode);
        let removable = (file_type.is_file() || file_type.is_symlink()) && about.st_nlink == 1;
        if removable
            && about.st_uid == user.as_raw()
            && is_over(name, Some(about.st_mtime))
            && (file_type.is_symlink() || is_unlocked(directory, place))
        {
            rustix::fs::unlinkat(directory, place, AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Returns whether no copy has the file locked.
fn is_unlocked(directory: BorrowedFd<'_>, name: &OsStr) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = rustix::fs::openat(directory.as_fd(), name, flags, Mode::empty());
    file.is_ok_and(|file| File::from(file).try_lock().is_ok())
}

/// Part files that are removed of one listing.
const REMOVED_MAX: usize = 1000;
/// Names of a directory of this machine that are looked at.
const NAMES_MAX: usize = 1_000_000;
/// How long a copy of which nothing is known may go without a change of its file.
const DAY_SECONDS: i64 = 24 * 3600;
/// How long what could be gone on with is kept.
const WEEK_SECONDS: i64 = 7 * DAY_SECONDS;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use super::super::claim::{Claim, Key};
    use super::super::name_beside;
    use super::*;

    fn named(name: &str, owner: Owner) -> Vec<u8> {
        [name.as_bytes(), &owner.text()].concat()
    }

    #[test]
    fn what_goes_on_or_is_none_of_ours_stays() {
        let seconds = i64::try_from(now().as_secs()).expect("fits");
        let (day, week) = (DAY_SECONDS + 60, WEEK_SECONDS + 60);
        let ago = |seconds_ago| Some(seconds - seconds_ago);
        let (nobody, stranger) = (Owner::nobody(1), Owner::stranger());
        let keyed = ".f.sshoal-part-0123456789abcdef";
        let and = |more: &str| format!("{keyed}{more}").into_bytes();
        for (name, changed, over) in [
            (name_beside(b"f"), ago(100), false),
            (name_beside(b"f"), ago(day), true),
            (named(".f.sshoal-", nobody), ago(0), true),
            (named(".f.sshoal-", stranger), ago(3700), false),
            (named(".f.sshoal-", stranger), ago(-3700), false),
            (named(".f.sshoal-", stranger), ago(day), true),
            (named(".f.sshoal-", stranger), None, false),
            (named("f.sshoal-", nobody), ago(day), false),
            (named(".sshoal-", nobody), ago(day), false),
            (named(".a.sshoal-b.sshoal-", nobody), ago(0), true),
            (named(&format!("{keyed}-"), nobody), ago(day), false),
            (named(&format!("{keyed}-"), nobody), ago(week), true),
            (and(""), ago(day), false),
            (and(""), ago(week), true),
            (and("0"), ago(week), false),
            (and("-x"), ago(week), false),
            (b".f.sshoal-part-".to_vec(), ago(week), false),
            (b".f.sshoal-notes".to_vec(), ago(week), false),
            (b"".to_vec(), ago(week), false),
        ] {
            let found = is_over(&name, changed);
            assert_eq!(found, over, "{} {changed:?}", name.escape_ascii());
        }
        if let Some([parent, before]) = Owner::parents() {
            assert!(!is_over(&named(".f.sshoal-", parent), ago(100)));
            assert!(is_over(&named(".f.sshoal-", before), ago(0)));
        }
        let claim = Claim::new();
        let path = claim.path(Key::new(&[], b"f"), b"f");
        assert!(!is_over(&path, ago(day)));
    }

    fn age(path: &Path, seconds: i64) {
        let seconds = u64::try_from(seconds).expect("fits");
        let then = SystemTime::now() - Duration::from_secs(seconds);
        let file = File::options().write(true).open(path);
        file.and_then(|file| file.set_modified(then)).expect("sets");
    }

    #[test]
    fn a_directory_here_is_rid_of_what_was_left() {
        let dir = tempfile::tempdir().expect("makes a folder");
        let at = |name: &[u8]| dir.path().join(OsStr::from_bytes(name));
        let over = at(&named(".f.sshoal-", Owner::nobody(1)));
        let (locked, keyed) = (
            at(b".f.sshoal-part-0123456789abcdef"),
            at(b".f.sshoal-part-0123456789abcdee"),
        );
        let (twice, other) = (at(&named(".g.sshoal-", Owner::nobody(2))), at(b"other"));
        let folder = at(&named(".h.sshoal-", Owner::nobody(3)));
        let ours = at(&name_beside(b"f"));
        for path in [&over, &locked, &keyed, &twice, &ours] {
            fs::write(path, "x").expect("writes");
        }
        fs::hard_link(&twice, &other).expect("links");
        fs::create_dir(&folder).expect("makes");
        age(&locked, WEEK_SECONDS + 60);
        age(&keyed, WEEK_SECONDS + 60);
        let held = File::open(&locked).expect("opens");
        held.try_lock().expect("locks");
        let opened = File::open(dir.path()).expect("opens");
        here(opened.as_fd());
        for (path, stays) in [
            (&over, false),
            (&keyed, false),
            (&locked, true),
            (&twice, true),
            (&folder, true),
            (&ours, true),
        ] {
            assert_eq!(path.exists(), stays, "{}", path.display());
        }
    }
}
