//! Host lists as text: node sets with ranges (`web[01-40,50].eu`), set algebra, groups and folding,
//! and the inventories of other programs.
//!
//! Everything in here is pure: no file is read, no command run, nothing resolved; a [`GroupSource`] is
//! the caller's. What names a host
//! is the caller's to check; here a name is any text without blanks, operators and brackets. The
//! principal types are [`Inventory`] and [`Selector`].

#![forbid(unsafe_code)]

mod error;
mod expression;
mod fold;
mod glob;
mod inventory;
mod names;
mod node;
mod pattern;
mod selector;

pub use self::error::{InventoryError, NodeSetError, Place};
pub use self::fold::fold;
pub use self::glob::glob;
pub use self::inventory::{
    GroupSource, GroupsConf, HOSTS_MAX, Inventory, Program, Question, Settings, Upcalls, Value,
    VarsOf, fill_cfgdir, ssh_config_includes,
};
pub use self::selector::{Selector, Words};

/// Expands a node set without groups: each host once, in the order of the text.
///
/// # Errors
/// It is none, or stands for more than [`HOSTS_MAX`] hosts; see [`NodeSetError`].
///
/// # Examples
/// ```
/// use sshoal_hosts::expand;
///
/// assert_eq!(expand("web[08-10].eu")?, ["web08.eu", "web09.eu", "web10.eu"]);
/// assert_eq!(expand("n[0-10/5],n[1-3]!n2")?, ["n0", "n5", "n10", "n1", "n3"]);
/// assert!(expand("web[1-1000000000000]").is_err());
/// # Ok::<(), sshoal_hosts::NodeSetError>(())
/// ```
pub fn expand(text: &str) -> Result<Vec<String>, NodeSetError> {
    Inventory::default().selector().select(text, Words::Hosts)
}

/// The digits of the longest number: it fits into 64 bits with room to count on.
pub(crate) const DIGITS_MAX: usize = 18;
