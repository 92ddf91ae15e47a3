//! The embedded fleet as a command of its own; everything is in the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    sshoal_loopback::main(std::env::args_os().skip(1))
}
