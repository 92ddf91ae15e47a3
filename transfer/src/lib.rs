//! Files to and from one host, over a session.
//!
//! The first slice: [`put`] and [`get`] of one file over SFTP. Both write beside the target and
//! rename, so that a copy that is cut short never stands under the final name. Other hosts and
//! printing are not this crate's.

#![forbid(unsafe_code)]

mod bytes;
mod copy;
mod error;
mod glob;
mod scp;

pub use bytes::{exists, glob, read, stat, write};
pub use copy::{Copied, get, put};
pub use error::{Error, Operation};
pub use scp::{Keep, Scp};
