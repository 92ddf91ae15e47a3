//! SHA-256 of both sides of a copy: ours on the CPU pool, the host's by a command.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sshoal_reactor::Scope;
use sshoal_session::{Exit, Session, quote};

use crate::error::Error;
use crate::source::Source;

/// A SHA-256 digest.
pub(crate) type Digest = [u8; 32];

/// Computes the digest of what is sent, once for all hosts. Parks.
pub(crate) fn of_source(source: &Source, scope: &Scope) -> Result<Digest, Error> {
    source.digest(hash, scope)
}

fn hash(source: &Source) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut offset = 0;
    while offset < source.size() {
        let left = usize::try_from(source.size() - offset).unwrap_or(usize::MAX);
        let piece = &mut buffer[..left.min(BUFFER_BYTES)];
        source.read_at(offset, piece)?;
        hasher.update(&*piece);
        offset += piece.len() as u64;
    }
    Ok(hasher.finalize().into())
}

/// Compares the host's digest of the file at `path` with ours; `remote` names it in errors. Parks.
pub(crate) fn compare(
    session: &Session,
    (path, remote): (&[u8], &[u8]),
    ours: Digest,
    scope: &Scope,
) -> Result<(), Error> {
    let theirs = of_remote(session, path, scope)?;
    if theirs == ours {
        return Ok(());
    }
    Err(Error::Differs {
        remote: remote.to_vec(),
        ours: hex(&ours),
        theirs: hex(&theirs),
    })
}

/// Has the host compute the digest of a file. Parks.
pub(crate) fn of_remote(session: &Session, path: &[u8], scope: &Scope) -> Result<Digest, Error> {
    let command = command(path);
    let output = session
        .command(command)
        .scope(scope)
        // A part file is removed over the same session when this is cut short.
        .reply_grace(REPLY_GRACE)
        .output_bytes_max(OUTPUT_BYTES_MAX)
        .output()?;
    let digest = (output.exit == Exit::Status(0))
        .then(|| parse(&output.stdout))
        .flatten();
    digest.ok_or_else(|| Error::NoChecksum {
        remote: path.to_vec(),
    })
}

/// Returns a command that prints the SHA-256 of a file with what the host has for that.
fn command(path: &[u8]) -> Vec<u8> {
    // A path that begins with `-` is no option: the file is on standard input.
    // One line, since some login shells take no newline between quotes.
    let script = "if command -v sha256sum >/dev/null 2>&1; then sha256sum; \
                  elif command -v shasum >/dev/null 2>&1; then shasum -a 256; \
                  elif command -v sha256 >/dev/null 2>&1; then sha256 -q; \
                  else openssl dgst -sha256 -r; fi < ";
    let script = [script.as_bytes(), &quote(path)].concat();
    [b"exec sh -c ".as_slice(), &quote(&script)].concat()
}

/// Reads the digest that begins what was printed.
fn parse(output: &[u8]) -> Option<Digest> {
    let digits = output.get(..64)?;
    if output
        .get(64)
        .is_some_and(|byte| !byte.is_ascii_whitespace())
    {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16)
            .ok()
            .filter(|_| !pair.contains('+'))?;
    }
    Some(digest)
}

/// Returns a digest as people and commands write it.
pub(crate) fn hex(digest: &Digest) -> String {
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a command may print besides the digest: the name of the file.
const OUTPUT_BYTES_MAX: usize = 16 * 1024;
/// How much longer than its scope a command that was asked for is waited for.
const REPLY_GRACE: Duration = Duration::from_secs(2);
/// Bytes hashed at once.
const BUFFER_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_where_it_begins_the_line() {
        let digest = [0xab; 32];
        let text = hex(&digest);
        for (output, expected) in [
            (format!("{text}  -\n"), Some(digest)),
            (format!("{text}\n"), Some(digest)),
            (text.to_uppercase(), Some(digest)),
            (format!("{text}0  -\n"), None),
            (format!("\\{text}  -\n"), None),
            (text[1..].to_owned(), None),
            (String::new(), None),
            (format!("+{}", &text[1..]), None),
        ] {
            assert_eq!(parse(output.as_bytes()), expected, "{output:?}");
        }
    }

    /// The command as `sh` reads it, with every sort of path.
    #[test]
    fn the_command_gives_the_digest_of_any_name() {
        use std::os::unix::ffi::OsStrExt as _;
        let dir = tempfile::tempdir().expect("makes a folder");
        for name in [&b"a"[..], b"-n", b"x y'\"$`\\\n z", b"\xff\xfe"] {
            let path = dir.path().join(std::ffi::OsStr::from_bytes(name));
            std::fs::write(&path, b"abc").expect("writes");
            let command = command(path.as_os_str().as_bytes());
            let output = std::process::Command::new("sh")
                .arg("-c")
                .arg(std::ffi::OsStr::from_bytes(&command))
                .output()
                .expect("runs");
            let digest = parse(&output.stdout).expect("prints a digest");
            assert!(hex(&digest).starts_with("ba7816bf"), "{}", hex(&digest));
        }
    }
}
