//! How files are copied: what was typed becomes the library's options.

use std::os::unix::ffi::OsStrExt;

use anyhow::{Result, bail};
use sshoal::transfer::{
    self, CopyOptions, Delete, DryRun, Existing, Itemise, Links, Preserve, Progress, Resume,
    Stream, TreeOptions, Unchanged, Verify,
};

use crate::args::{Bandwidth, CopyArgs, LinksArg, SyncArgs};

/// Checks that what was asked for goes together.
///
/// # Errors
/// It does not, by the flags.
pub(super) fn check(args: &CopyArgs) -> Result<()> {
    let how = &args.how;
    let (verify, resume) = ((how.verify, "--verify"), (how.resume, "--resume"));
    let refused = match (how.scp, how.tar) {
        (true, _) => ("--scp", vec![(how.tar, "--tar"), verify, resume]),
        (_, true) => ("--tar", vec![verify, resume]),
        _ => return Ok(()),
    };
    let (way, others) = refused;
    if let Some((_, other)) = others.iter().find(|(set, _)| *set) {
        bail!("{way} does not go with {other}; leave one out");
    }
    if how.scp && how.links.is_some() {
        bail!("--scp does not go with --links: put skips links, and get follows them");
    }
    Ok(())
}

/// Returns what becomes of files that are there.
pub(super) fn existing(args: &CopyArgs) -> Existing {
    let how = &args.how;
    match (how.no_clobber, how.keep, how.overwrite) {
        (true, _, _) => Existing::Fail,
        (_, true, _) => Existing::Keep,
        (_, _, false) if how.scp => Existing::Fail,
        _ => Existing::Overwrite,
    }
}

/// Returns the options of a file.
pub(super) fn file(args: &CopyArgs, progress: &Progress) -> CopyOptions {
    let how = &args.how;
    let mut options = CopyOptions::new()
        .existing(existing(args))
        .progress(progress);
    if how.preserve {
        options = options.preserve(Preserve::Yes);
    }
    if how.verify {
        options = options.verify(Verify::Sha256);
    }
    if how.resume {
        options = options.resume(Resume::Yes);
    }
    if let Some(count) = args.flow.transfers {
        options = options.copies_max(count);
    }
    for bound in &args.flow.bandwidth {
        options = match bound {
            Bandwidth::All(rate) => options.bandwidth(&transfer::Bandwidth::new(*rate)),
            Bandwidth::Host(rate) => options.host_bandwidth(*rate),
        };
    }
    options
}

/// Returns the options of a directory, but for how each file is copied.
pub(super) fn tree(args: &CopyArgs) -> TreeOptions {
    let links = match args.how.links {
        Some(LinksArg::Copy) => Links::Copy,
        _ => Links::Skip,
    };
    let stream = match args.how.tar {
        true => Stream::Tar,
        false => Stream::Each,
    };
    TreeOptions::new().links(links).stream(stream)
}

/// Returns the options of a directory that is kept in step.
pub(super) fn step(args: &SyncArgs) -> TreeOptions {
    let mut options = tree(&args.copy);
    for pattern in &args.exclude {
        options = options.exclude(pattern.as_bytes());
    }
    if args.delete {
        options = options.delete(Delete::Yes);
    }
    if args.itemize {
        options = options.itemise(Itemise::Yes);
    }
    if args.copy.dry_run {
        options = options.dry_run(DryRun::Yes);
    }
    if args.checksum {
        options = options.unchanged(Unchanged::Sha256);
    }
    options
}
