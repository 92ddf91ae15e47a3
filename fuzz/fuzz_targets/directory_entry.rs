//! No name and no link that a host lists in a directory leads out of it.
//!
//! The input is an answer to SFTP's READDIR as a host would send it, without its length.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| sshoal_transfer::fuzzing::directory_entries(packet));
