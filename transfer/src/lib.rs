//! Files to and from one host, over a session.
//!
//! [`put`](fn@put) and [`get`](fn@get) copy one file over SFTP, [`put_tree`] and [`get_tree`] directories. All write beside the target and rename, so that a
//! copy that is cut short never stands under the final name. [`sftp`] is the protocol itself. Other
//! hosts and printing are not this crate's.

#![forbid(unsafe_code)]

mod bytes;
mod checksum;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod get;
mod glob;
mod host_names;
mod options;
mod part;
mod put;
mod remote_path;
mod scp;
pub mod sftp;
mod source;
mod tree;

pub use bytes::{exists, glob, read, stat, write};
pub use error::{Error, Operation};
pub use get::get;
pub use host_names::{HostNames, HostNamesError};
pub use options::{CopyOptions, Existing, Parents, Preserve, Verify};
pub use put::{Copied, put};
pub use scp::{Keep, Scp};
pub use source::Source;
pub use tree::{
    Action, Change, Delete, DryRun, FailedEntry, Itemise, Links, LocalTree, SkippedEntry,
    TreeOptions, TreeReport, Unchanged, WhySkipped, get_tree, put_tree,
};
