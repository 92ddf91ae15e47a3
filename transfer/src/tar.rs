//! A directory in one stream through the host's `tar`, for many small files; chosen by
//! [`Stream::Tar`](crate::Stream::Tar).
//!
//! `format` is the archive's, written and read here: what is written is as plain as it can be, so
//! that every `tar` reads it, and what is read has bounds for each part, since a host may send
//! anything. `put` unpacks into a directory of its own and gives all of it names in the end, `get`
//! takes entries by the rules of `incoming`.

mod format;
mod get;
mod pipe;
mod put;

#[cfg(fuzzing)]
pub(crate) use get::check as check_archive;
pub(crate) use get::get;
pub(crate) use put::put;
