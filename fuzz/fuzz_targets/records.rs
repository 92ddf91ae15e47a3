//! Lines of a host's `scp` and members of its `tar` are read or refused; none leads out of its place.
//!
//! The input is lines of the protocol of `scp`, or an archive.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sshoal_transfer::fuzzing::records(bytes));
