//! What is done on each host, resolved: the words of the command line become paths, bytes and edits.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sshoal::transfer::{Existing, LineEdit, Owner, WriteOptions};

use super::text::Form;
use crate::args::{ContentArgs, DressArgs, FsVerb, LineArgs, ListArgs, OwnerArg, WriteArgs};

/// One verb.
#[derive(Debug)]
pub(super) enum Verb {
    Read {
        path: Vec<u8>,
        bytes_max: u64,
    },
    Write {
        path: Vec<u8>,
        bytes: Vec<u8>,
        options: WriteOptions,
        diff: bool,
    },
    Append {
        path: Vec<u8>,
        bytes: Vec<u8>,
    },
    Stat {
        paths: Vec<Vec<u8>>,
        follow: bool,
        form: Form,
    },
    Exists(Vec<u8>),
    List(Vec<u8>, Form),
    Walk(Vec<u8>, NonZeroUsize, Form),
    Glob(Vec<Vec<u8>>, Form),
    MakeDirectories {
        paths: Vec<Vec<u8>>,
        parents: bool,
        mode: Option<u32>,
        owner: Owners,
    },
    Remove {
        paths: Vec<Vec<u8>>,
        recursive: bool,
    },
    Rename(Vec<u8>, Vec<u8>),
    Link {
        target: Vec<u8>,
        path: Vec<u8>,
        symbolic: bool,
    },
    Chmod(u32, Vec<Vec<u8>>),
    Chown(Owners, Vec<Vec<u8>>),
    Truncate(Vec<u8>, u64),
    Room(Vec<u8>),
    Line {
        path: Vec<u8>,
        edit: LineEdit,
        diff: bool,
    },
}

/// A user, a group, or both.
#[derive(Debug, Clone, Default)]
pub(super) struct Owners {
    pub(super) user: Option<Owner>,
    pub(super) group: Option<Owner>,
}

impl From<&OwnerArg> for Owners {
    fn from(typed: &OwnerArg) -> Self {
        let owner = |text: &Option<String>| {
            let text = text.as_deref()?;
            Some(match text.parse() {
                Ok(id) => Owner::Id(id),
                Err(_) => Owner::from(text),
            })
        };
        Self {
            user: owner(&typed.user),
            group: owner(&typed.group),
        }
    }
}

impl Verb {
    /// Resolves what was typed, and reads what is to be written; `stdin_taken` where the hosts are
    /// read from there.
    ///
    /// # Errors
    /// Fails with one line that names what is wrong and what to do.
    pub(super) fn resolve(typed: &FsVerb, stdin_taken: bool) -> Result<Self> {
        Ok(match typed {
            FsVerb::Write(write) => written(write, stdin_taken)?,
            FsVerb::Append { content } => Self::Append {
                path: bytes(&content.path),
                bytes: read(content, stdin_taken)?,
            },
            FsVerb::Line(line) => edited(line)?,
            FsVerb::Mkdir {
                parents,
                dress,
                paths,
            } => Self::MakeDirectories {
                paths: all(paths),
                parents: *parents,
                mode: dress.mode,
                owner: owners(dress),
            },
            FsVerb::Rm { recursive, paths } => Self::Remove {
                paths: all(paths),
                recursive: *recursive,
            },
            FsVerb::Mv { from, to } => Self::Rename(bytes(from), bytes(to)),
            FsVerb::Ln {
                symbolic,
                target,
                path,
            } => Self::Link {
                target: bytes(target),
                path: bytes(path),
                symbolic: *symbolic,
            },
            FsVerb::Chmod { mode, paths } => Self::Chmod(*mode, all(paths)),
            FsVerb::Chown { owner, paths } => Self::Chown(owner.into(), all(paths)),
            FsVerb::Truncate { path, bytes: size } => Self::Truncate(bytes(path), *size),
            looks => Self::looking(looks),
        })
    }

    /// Resolves a verb that changes nothing.
    fn looking(typed: &FsVerb) -> Self {
        let list = |list: &ListArgs| Form {
            long: list.long,
            times: list.times.times,
            null: list.null.null,
        };
        match typed {
            FsVerb::Stat {
                long,
                dereference,
                paths,
            } => Self::Stat {
                paths: all(paths),
                follow: *dereference,
                form: Form {
                    long: true,
                    times: long.times,
                    null: false,
                },
            },
            FsVerb::Read { path, max_bytes } => Self::Read {
                path: bytes(path),
                bytes_max: *max_bytes,
            },
            FsVerb::Ls { list: typed, path } => Self::List(bytes(path), list(typed)),
            FsVerb::Walk {
                list: typed,
                max_names,
                path,
            } => Self::Walk(bytes(path), *max_names, list(typed)),
            FsVerb::Glob { null, patterns } => {
                let null = null.null;
                let form = Form {
                    null,
                    ..Form::default()
                };
                Self::Glob(all(patterns), form)
            }
            FsVerb::Df { path } => Self::Room(bytes(path)),
            FsVerb::Exists { path } => Self::Exists(bytes(path)),
            _ => unreachable!("what changes something is resolved before"),
        }
    }

    /// Returns whether it changes anything on a host.
    pub(super) fn changes(&self) -> bool {
        !matches!(
            self,
            Self::Read { .. }
                | Self::Stat { .. }
                | Self::Exists(_)
                | Self::List(..)
                | Self::Walk(..)
                | Self::Glob(..)
                | Self::Room(_)
        )
    }
}

fn bytes(word: &OsStr) -> Vec<u8> {
    word.as_bytes().to_vec()
}

fn all(words: &[std::ffi::OsString]) -> Vec<Vec<u8>> {
    words.iter().map(|word| bytes(word)).collect()
}

fn owners(dress: &DressArgs) -> Owners {
    dress.owner.as_ref().map(Owners::from).unwrap_or_default()
}

fn written(typed: &WriteArgs, stdin_taken: bool) -> Result<Verb> {
    let mut options = WriteOptions::new().existing(match (typed.keep, typed.no_clobber) {
        (true, _) => Existing::Keep,
        (_, true) => Existing::Fail,
        _ => Existing::Overwrite,
    });
    if let Some(mode) = typed.dress.mode {
        options = options.permissions(mode);
    }
    let owner = owners(&typed.dress);
    if let Some(user) = owner.user {
        options = options.user(user);
    }
    if let Some(group) = owner.group {
        options = options.group(group);
    }
    Ok(Verb::Write {
        path: bytes(&typed.content.path),
        bytes: read(&typed.content, stdin_taken)?,
        options,
        diff: typed.diff.diff,
    })
}

/// Reads what is to be written: TEXT and a newline, or a file or standard input as it is.
fn read(typed: &ContentArgs, stdin_taken: bool) -> Result<Vec<u8>> {
    if let Some(text) = &typed.text {
        return Ok([text.as_bytes(), b"\n"].concat());
    }
    let file = typed.from.as_deref().filter(|file| *file != Path::new("-"));
    let mut content = Vec::new();
    let name = file.map_or_else(
        || "standard input".into(),
        |file| file.display().to_string(),
    );
    if file.is_none() && stdin_taken {
        bail!("standard input can be read once: for the hosts (-h -) or for the file");
    }
    let what = || format!("cannot read {name}");
    let reader: Box<dyn Read> = match file {
        Some(file) => Box::new(File::open(file).with_context(what)?),
        None => Box::new(std::io::stdin().lock()),
    };
    let mut most = reader.take(CONTENT_BYTES_MAX + 1);
    most.read_to_end(&mut content).with_context(what)?;
    if content.len() as u64 > CONTENT_BYTES_MAX {
        let most = CONTENT_BYTES_MAX >> 20;
        bail!("{name} has more than {most} MiB; copy it with sshoal put");
    }
    Ok(content)
}

fn edited(typed: &LineArgs) -> Result<Verb> {
    let pattern = typed.pattern.as_deref();
    let mut edit = match (&typed.text, pattern, typed.absent) {
        (None, Some(pattern), true) => LineEdit::absent_matching(pattern)?,
        (Some(text), None, true) => LineEdit::absent(text.as_bytes()),
        (Some(_), Some(_), true) => {
            bail!("--absent is for a TEXT or for --match; leave one out");
        }
        (None, None, true) => bail!("--absent of what? Write the line, or --match REGEX"),
        (None, _, false) => bail!("no line; write it behind the path"),
        (Some(text), None, false) => LineEdit::present(text.as_bytes()),
        (Some(text), Some(pattern), false) => {
            let line = LineEdit::present(text.as_bytes());
            match (typed.first, typed.all) {
                (true, _) => line.replacing_first(pattern)?,
                (_, true) => line.replacing_every(pattern)?,
                _ => line.replacing(pattern)?,
            }
        }
    };
    if typed.create {
        edit = edit.create();
    }
    if typed.ignore_space {
        edit = edit.ignoring_space();
    }
    let path = bytes(&typed.path);
    // A line that is none is told before any host is connected to.
    edit.apply(&path, b"")?;
    Ok(Verb::Line {
        path,
        edit,
        diff: typed.diff.diff,
    })
}

/// What is held in memory for all hosts; more is for `put`.
const CONTENT_BYTES_MAX: u64 = 64 << 20;
