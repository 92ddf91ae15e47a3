//! Any file is read, and the index judges keys by it as the rules written down line by line do.
//!
//! The input is text: a first line `name port`, then the file. A last field of `A`, `B`, `E` or
//! `R` stands for a key, and a first field of `%name` for that name hashed.

#![no_main]

#[path = "../../session/tests/known_hosts/keys.rs"]
mod keys;
#[path = "../../session/tests/known_hosts/naive.rs"]
mod naive;

use libfuzzer_sys::fuzz_target;
use sshoal_session::known_hosts::{KnownHosts, Verdict};

fuzz_target!(|input: &[u8]| {
    let (head, file) = input.split_at(input.iter().position(|b| *b == b'\n').unwrap_or(0));
    let head = String::from_utf8_lossy(head);
    let (name, port) = head.rsplit_once(' ').unwrap_or((&head, "22"));
    let port = port.parse().unwrap_or(2222);
    let text = file
        .split(|byte| *byte == b'\n')
        .map(written_out)
        .collect::<Vec<_>>()
        .join(&b'\n');

    let mut known = KnownHosts::new();
    known.add_text(&text, "kh");
    let algorithms = known.known_algorithms(name, port);
    for key in [
        keys::ed25519(1),
        keys::ed25519(2),
        keys::ecdsa(1),
        keys::rsa(1),
    ] {
        let verdict = known.check(name, port, &key);
        assert_eq!(verdict, naive::check(&text, "kh", name, port, &key));
        let algorithm = String::from_utf8_lossy(&key[4..4 + usize::from(key[3])]);
        if verdict == Verdict::Match {
            assert!(
                algorithms.contains(&&*algorithm),
                "{algorithm} of {algorithms:?}"
            );
        }
    }
});

fn written_out(line: &[u8]) -> Vec<u8> {
    let Ok(line) = str::from_utf8(line) else {
        return line.to_vec();
    };
    let line = keys::expand(line);
    match line.strip_prefix('%').and_then(|rest| rest.split_once(' ')) {
        Some((name, rest)) => format!("{} {rest}", naive::hash(&[7; 20], name.as_bytes())).into(),
        None => line.into(),
    }
}
