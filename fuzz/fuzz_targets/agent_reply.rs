//! Whatever an agent answers is keys or a signature within bounds, or an error.
//!
//! The input is what an agent sends, from its first answer on, with the lengths.

#![no_main]

use std::io::{self, Read, Write};

use libfuzzer_sys::fuzz_target;
use sshoal_session::agent::{AgentClient, inner_signature};

/// An agent that has said everything before it is asked.
struct Said<'a>(&'a [u8]);

impl Read for Said<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Said<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fuzz_target!(|said: &[u8]| {
    let mut client = AgentClient::new(Said(said));
    if let Ok(keys) = client.identities() {
        assert!(keys.len() <= 1024);
        for key in &keys {
            assert!(key.blob().len() + key.comment().len() <= said.len());
            let _ = (key.algorithm(), format!("{key:?}"));
        }
    }
    if let Ok(signature) = client.sign(b"blob", b"data", 0) {
        assert!(signature.len() <= said.len());
        for algorithm in ["ssh-ed25519", "rsa-sha2-512", "ecdsa-sha2-nistp256"] {
            if let Ok(inner) = inner_signature(algorithm, &signature) {
                assert!(inner.len() < signature.len());
            }
        }
    }
});
