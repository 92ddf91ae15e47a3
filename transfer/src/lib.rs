//! Files to and from one host, over a session.
//!
//! [`put()`] and [`get()`] copy one file over SFTP, [`put_tree`] and [`get_tree`] directories. All
//! write beside the target and rename, so that a
//! copy that is cut short never stands under the final name. [`sftp`] is the protocol itself. Other
//! hosts and printing are not this crate's.

#![forbid(unsafe_code)]

mod bytes;
mod checksum;
mod directories;
mod error;
mod fs;
#[cfg(fuzzing)]
pub mod fuzzing;
mod get;
mod glob;
mod host_names;
mod incoming;
mod limits;
mod options;
mod part;
mod progress;
mod put;
mod remote_path;
mod remote_tree;
mod scp;
pub mod sftp;
mod source;
mod stream;
mod tar;
mod tree;

pub use bytes::{exists, glob, read, stat, write};
pub use error::{Error, Operation};
pub use fs::{Found, LineChange, LineEdit, Owner, RemoteFs, SudoFs, WriteOptions};
pub use get::{get, get_writer};
pub use host_names::{HostNames, HostNamesError};
pub use limits::Bandwidth;
pub use options::{CopyOptions, Existing, Leftovers, Parents, Preserve, Resume, Verify};
pub use progress::{FileEvent, Progress, Snapshot};
pub use put::{Copied, put, put_reader};
pub use scp::{Keep, Scp};
pub use source::Source;
pub use tree::{
    Action, Change, Delete, DryRun, FailedEntry, Itemise, Links, LocalTree, SkippedEntry, Stream,
    TreeOptions, TreeReport, Unchanged, WhySkipped, get_tree, put_tree,
};
