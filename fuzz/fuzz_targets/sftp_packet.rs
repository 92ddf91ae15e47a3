//! Any answer of an SFTP server is read or refused, and attributes read back as the same.
//!
//! The input is an answer as a host would send it, without its length.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| sshoal_transfer::fuzzing::sftp_answer(packet));
