//! Directories of a host for copies that do not need SFTP: made and dressed over SFTP where the host
//! has it, and by commands where it has not.
//!
//! The principal type is [`Directories`].

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sshoal_reactor::Scope;
use sshoal_session::{Exit, Session, quote};

use crate::error::{Error, Operation};
use crate::options::Parents;
use crate::put::{DIRECTORY_PERMISSIONS, make_directories, seconds};
use crate::remote_path;
use crate::scp::{cleaned, word};
use crate::sftp::{Attributes, FileType, Sftp, SftpError, SftpStatus};
use crate::tree::work::side_by_side;

/// The directories of one host.
#[derive(Debug)]
pub(crate) struct Directories<'a> {
    session: &'a Session,
    scope: &'a Scope,
    /// Where the host has it.
    sftp: Option<Sftp>,
}

/// A directory with what it is to be given.
#[derive(Debug, Clone)]
pub(crate) struct Dressed {
    pub(crate) path: Vec<u8>,
    pub(crate) permissions: u32,
    /// Last access and change, in seconds since 1970.
    pub(crate) times: (i64, i64),
}

impl<'a> Directories<'a> {
    /// Finds out what the host has. Parks.
    pub(crate) fn open(session: &'a Session, scope: &'a Scope) -> Result<Self, Error> {
        let sftp = match Sftp::open(session, scope) {
            Ok(sftp) => Some(sftp),
            // A subsystem that is refused, is missing, or is something else.
            Err(_) if session.is_open() && scope.check().is_ok() => None,
            Err(error) => return Err(Error::from_sftp(error)),
        };
        Ok(Self {
            session,
            scope,
            sftp,
        })
    }

    /// Makes directories whose own are there, and of a single one those it is in, if asked; whether
    /// each was made. With `permissions`, that many of them; else what the host's umask leaves. Parks.
    pub(crate) fn make(
        &self,
        paths: &[(Vec<u8>, Option<u32>)],
        parents: Parents,
    ) -> Result<Vec<Result<bool, Error>>, Error> {
        match &self.sftp {
            Some(sftp) => Ok(each(paths.len(), |index| {
                let (path, permissions) = &paths[index];
                self.make_one(sftp, path, (*permissions, parents))
            })),
            None => {
                let flag: &[u8] = match parents {
                    Parents::Make => b"-p",
                    Parents::Expect => b"",
                };
                let words = paths.iter().map(|(path, permissions)| {
                    let mode = permissions.map_or(String::new(), |mode| format!("{mode:o}"));
                    (path.as_slice(), vec![mode.into_bytes()])
                });
                self.command(Operation::MakeDirectory, (MAKE, flag), words)
            }
        }
    }

    fn make_one(
        &self,
        sftp: &Sftp,
        path: &[u8],
        (permissions, parents): (Option<u32>, Parents),
    ) -> Result<bool, Error> {
        let permissions = permissions.unwrap_or(DIRECTORY_PERMISSIONS);
        let make = || sftp.make_directory(path, permissions, self.scope);
        let made = match make() {
            Err(SftpError::Status(SftpStatus::NO_SUCH_FILE)) if parents == Parents::Make => {
                make_directories(sftp, remote_path::parent(path), self.scope)?;
                make()
            }
            other => other,
        };
        let Err(error) = made else {
            return Ok(true);
        };
        match (&error, sftp.stat(path, self.scope)) {
            (SftpError::Status(_), Ok(there)) if there.file_type() == FileType::Directory => {
                Ok(false)
            }
            (SftpError::Status(_), Ok(_)) => Err(Error::Exists {
                path: path.to_vec(),
            }),
            _ => Err(Error::remote(Operation::MakeDirectory, path, error)),
        }
    }

    /// Gives directories their permissions and times; those in others come first. Parks.
    pub(crate) fn dress(&self, all: &[Dressed]) -> Result<Vec<Result<(), Error>>, Error> {
        let Some(sftp) = &self.sftp else {
            let words = all.iter().map(|dressed| {
                let mode = format!("{:o}", dressed.permissions);
                let words = vec![mode.into_bytes(), stamp(seconds(dressed.times.1))];
                (dressed.path.as_slice(), words)
            });
            let told = self.command(Operation::SetStat, (DRESS, b""), words)?;
            return Ok(told.into_iter().map(|told| told.map(|_| ())).collect());
        };
        // One after the other: what is changed in a directory changes its times.
        Ok((all.iter())
            .map(|dressed| {
                let attributes = Attributes {
                    mode: Some(dressed.permissions),
                    times: Some((seconds(dressed.times.0), seconds(dressed.times.1))),
                    ..Attributes::default()
                };
                let set = sftp.set_stat(&dressed.path, &attributes, self.scope);
                set.map_err(|error| Error::remote(Operation::SetStat, &dressed.path, error))
            })
            .collect())
    }

    /// Runs a script over paths with words before each, as many at once as a command takes; whether
    /// it changed each.
    fn command<'p>(
        &self,
        operation: Operation,
        (script, flag): (&str, &[u8]),
        paths: impl Iterator<Item = (&'p [u8], Vec<Vec<u8>>)>,
    ) -> Result<Vec<Result<bool, Error>>, Error> {
        let begin = [
            b"exec sh -c ",
            &*quote(script.as_bytes()),
            b" sshoal ",
            &quote(flag),
        ]
        .concat();
        let (mut told, mut batch, mut line) = (Vec::new(), Vec::new(), begin.clone());
        for (path, words) in paths {
            if line.len() + path.len() > COMMAND_BYTES_MAX {
                told.extend(self.run(operation, &line, &batch)?);
                (batch, line) = (Vec::new(), begin.clone());
            }
            for word in words {
                line.push(b' ');
                line.extend_from_slice(&quote(&word));
            }
            line.push(b' ');
            line.extend_from_slice(&word(path));
            batch.push(path);
        }
        if !batch.is_empty() {
            told.extend(self.run(operation, &line, &batch)?);
        }
        Ok(told)
    }

    fn run(
        &self,
        operation: Operation,
        line: &[u8],
        batch: &[&[u8]],
    ) -> Result<Vec<Result<bool, Error>>, Error> {
        let failed = |path: &[u8], message: String| Error::Command {
            operation,
            remote: path.to_vec(),
            message,
        };
        let command = self.session.command(line).scope(self.scope);
        let output = command.output_bytes_max(OUTPUT_BYTES_MAX).output()?;
        let told: Vec<_> = output.stdout.split(|byte| *byte == 0).collect();
        // One for each, and nothing behind the last NUL.
        if output.exit != Exit::Status(0) || told.len() != batch.len() + 1 {
            let said = match cleaned(&output.stderr) {
                said if said.is_empty() => format!("it ended with {}", output.exit),
                said => said,
            };
            return Err(failed(batch[0], said));
        }
        let results = told.iter().zip(batch).map(|(told, path)| match told {
            [b'+'] => Ok(true),
            [b'='] => Ok(false),
            said => Err(failed(path, cleaned(said))),
        });
        Ok(results.collect())
    }
}

/// Does something for so many, several at once.
fn each<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(count)));
    side_by_side(AT_ONCE.min(count), &|| {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            let result = work(index);
            done.lock().push((index, result));
        }
    });
    let mut done = done.into_inner();
    done.sort_unstable_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Returns a time as `touch -t` reads it, in UTC: `CCYYMMDDhhmm.SS`.
fn stamp(seconds: u32) -> Vec<u8> {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March, so that the day that comes and goes is the last one.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = match month {
        0..10 => (year + era * 400, month + 3),
        _ => (year + era * 400 + 1, month - 9),
    };
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}.{second:02}").into_bytes()
}

/// `$1` is `-p` or nothing; then permissions, or nothing, and a path, again and again. For each it
/// says `+`, `=` if it was there, or what `mkdir` said, and NUL.
const MAKE: &str = r#"p=$1; shift; while [ $# -gt 1 ]; do if [ -d "$2" ]; then printf "=\0"; elif e=$(mkdir $p ${1:+-m "$1"} "$2" 2>&1); then printf "+\0"; elif [ -d "$2" ]; then printf "=\0"; else printf "%s\0" "$e"; fi; shift 2; done"#;
/// `$1` is nothing; then permissions, a time and a path, again and again.
const DRESS: &str = r#"shift; while [ $# -gt 2 ]; do if e=$(chmod "$1" "$3" 2>&1 && TZ=UTC0 touch -c -m -t "$2" "$3" 2>&1); then printf "+\0"; else printf "%s\0" "$e"; fi; shift 3; done"#;
/// Bytes of a command: systems take 128 KiB as one word, and a path may be quoted at length.
const COMMAND_BYTES_MAX: usize = 48 * 1024;
/// What a command may print: a message for each path.
const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Directories that are made at once over SFTP.
const AT_ONCE: usize = 32;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn times_are_written_as_touch_reads_them() {
        for seconds in [
            0,
            951_782_399,
            951_782_400,
            1_709_251_199,
            4_102_444_800,
            u32::MAX,
        ] {
            let told = Command::new("date")
                .args(["-u", "-d", &format!("@{seconds}"), "+%Y%m%d%H%M.%S"])
                .output();
            let told = told.expect("runs date").stdout;
            assert_eq!(stamp(seconds), told.trim_ascii(), "{seconds}");
        }
    }
}
