//! Host lists as text: node sets with ranges (`web[01-40,50].eu`), set algebra and folding.
//!
//! Everything in here is pure: no file is read, no command run, nothing resolved. What names a host
//! is the caller's to check; here a name is any text without blanks, operators and brackets.

#![forbid(unsafe_code)]

mod fold;

pub use self::fold::fold;

/// The digits of the longest number: it fits into 64 bits with room to count on.
pub(crate) const DIGITS_MAX: usize = 18;
