//! Whole directories to and from a host, over SFTP: many files at once on one channel.
//!
//! The principal types are [`LocalTree`], which is walked once for all hosts, [`TreeOptions`] and
//! [`TreeReport`]. What a host names is held against rules in `name`, and what it sends is written
//! in `beneath`, which never leaves the chosen directory. One file's own rules are `put`'s and
//! `get`'s.

pub(crate) mod beneath;
mod get;
pub(crate) mod local;
pub(crate) mod name;
mod open;
pub(crate) mod options;
mod prune;
mod put;
pub(crate) mod report;
pub(crate) mod work;

pub(crate) use name::is_one_name;
#[cfg(fuzzing)]
pub(crate) use name::stays_beneath;

pub use get::get_tree;
pub use local::LocalTree;
pub use options::{Delete, DryRun, Itemise, Links, Stream, TreeOptions, Unchanged};
pub use put::put_tree;
pub use report::{Action, Change, FailedEntry, SkippedEntry, TreeReport, WhySkipped};
