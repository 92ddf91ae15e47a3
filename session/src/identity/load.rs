//! From a file's bytes to a private key: which format it is, and the PEM formats.
//!
//! The block that was looked at is the block that is parsed: nothing else of the file is handed
//! on, so that no other parser can find another key in it. Buffers with key material are erased.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use zeroize::Zeroizing;

use super::key::PrivateKey;
use super::{Fault, IdentityError, openssh, pkcs8};
use crate::secret::Secret;

/// No private key file is larger; OpenSSH has the same bound.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// A key and what else its file says.
pub(super) struct Loaded {
    pub(super) key: PrivateKey,
    pub(super) comment: String,
}

/// Reads a key file whole, if it may be used at all.
pub(super) fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let unreadable = |source| IdentityError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o7777;
    // As OpenSSH has it: other people's files, like those of root in a shared place, may be open.
    if metadata.uid() == rustix::process::getuid().as_raw() && mode & 0o077 != 0 {
        return Err(IdentityError::TooPermissive {
            path: path.to_path_buf(),
            mode,
        });
    }
    // A pipe tells no length. The buffer never grows, because growing leaves a copy behind.
    let room = match usize::try_from(metadata.len()) {
        Ok(length) if metadata.is_file() => length.min(FILE_BYTES_MAX) + 1,
        _ => FILE_BYTES_MAX + 1,
    };
    let mut bytes = Zeroizing::new(vec![0; room]);
    let mut filled = 0;
    while filled < room {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(unreadable(e)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Parses the first private key block of a file.
pub(super) fn parse(bytes: &[u8], passphrase: Option<&Secret>) -> Result<Loaded, Fault> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Fault::TooLarge);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::Malformed)?;
    if text.starts_with("PuTTY-User-Key-File-") {
        return Err(Fault::Unsupported("PuTTY's key format".to_owned()));
    }
    let block = Block::first(text).ok_or(Fault::Malformed)?;
    let key = match block.label {
        "OPENSSH" => return openssh::parse(&block.decode()?, passphrase),
        "" => PrivateKey::new(PKey::private_key_from_pkcs8(&block.decode()?)?)?,
        "ENCRYPTED" => encrypted_pkcs8(&block.decode()?, passphrase)?,
        "RSA" | "EC" => pem(&block, passphrase)?,
        "DSA" => return Err(Fault::Unsupported("key type ssh-dss (DSA)".to_owned())),
        other => {
            let label: String = other
                .chars()
                .filter(char::is_ascii_graphic)
                .take(32)
                .collect();
            return Err(Fault::Unsupported(format!("key format {label}")));
        }
    };
    Ok(Loaded {
        key,
        comment: String::new(),
    })
}

/// Returns the public key that OpenSSH's own format carries in the clear, also where the private
/// part is encrypted.
pub(super) fn public_part(bytes: &[u8]) -> Option<Vec<u8>> {
    let block = Block::first(std::str::from_utf8(bytes).ok()?)?;
    let is_own = block.label == "OPENSSH";
    openssh::public_part(&block.decode().ok().filter(|_| is_own)?)
}

/// A `BEGIN … PRIVATE KEY` block.
struct Block<'a> {
    /// What stands before `PRIVATE KEY`.
    label: &'a str,
    /// What stands between the two marks.
    body: &'a str,
    /// The block whole, marks included.
    whole: &'a str,
}

impl<'a> Block<'a> {
    /// Finds the first block; others may stand before it, as `EC PARAMETERS` do.
    fn first(text: &'a str) -> Option<Self> {
        const BEGIN: &str = "-----BEGIN ";
        let mut from = 0;
        while let Some(found) = text[from..].find(BEGIN) {
            let start = from + found;
            from = start + BEGIN.len();
            let at_line_start = start == 0 || text[..start].ends_with(['\n', '\r']);
            let name_end = text[from..].find(['-', '\n', '\r']).map(|end| from + end)?;
            let Some(label) = text[from..name_end].strip_suffix("PRIVATE KEY") else {
                continue;
            };
            let Some(after) = text[name_end..].strip_prefix("-----") else {
                continue;
            };
            if !at_line_start {
                continue;
            }
            let end_mark = format!("-----END {}-----", &text[from..name_end]);
            let body = &after[..after.find(&end_mark)?];
            let whole_len = name_end + "-----".len() - start + body.len() + end_mark.len();
            let whole = &text[start..start + whole_len];
            return Some(Self {
                label: label.trim_end(),
                body,
                whole,
            });
        }
        None
    }

    /// Decodes the block's base64, whatever its line width.
    fn decode(&self) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let mut packed = Zeroizing::new(Vec::with_capacity(self.body.len()));
        packed.extend(self.body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
        let room = base64::decoded_len_estimate(packed.len());
        let mut bytes = Zeroizing::new(vec![0; room]);
        let count = STANDARD
            .decode_slice(&packed, &mut bytes)
            .map_err(|_| Fault::Malformed)?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

fn encrypted_pkcs8(der: &[u8], passphrase: Option<&Secret>) -> Result<PrivateKey, Fault> {
    pkcs8::check_rounds(der)?;
    let passphrase = passphrase.ok_or(Fault::Encrypted)?;
    super::count_derivation();
    let pkey =
        PKey::private_key_from_pkcs8_callback(der, |room| Ok(copy_passphrase(passphrase, room)))
            .map_err(|stack| decryption_fault(&stack));
    erase_left_stack();
    PrivateKey::new(pkey?)
}

/// Tells a scheme that the library lacks (AWS-LC has no scrypt) from a wrong passphrase.
fn decryption_fault(stack: &ErrorStack) -> Fault {
    let says = |words: &[&str]| {
        stack
            .errors()
            .iter()
            .filter_map(|error| error.reason())
            .any(|reason| {
                let reason = reason.to_ascii_lowercase().replace('_', " ");
                words.iter().any(|word| reason.contains(word))
            })
    };
    if says(&["unsupported", "unknown"]) && !says(&["bad decrypt"]) {
        return Fault::Unsupported("its encryption scheme".to_owned());
    }
    Fault::WrongPassphrase
}

/// PKCS#1 and SEC1, whose encryption (`DEK-Info`) derives its key in a single round.
fn pem(block: &Block<'_>, passphrase: Option<&Secret>) -> Result<PrivateKey, Fault> {
    let mut asked = false;
    let parsed = PKey::private_key_from_pem_callback(block.whole.as_bytes(), |room| {
        asked = true;
        super::count_derivation();
        // An empty passphrase cannot be right: no tool encrypts with one.
        Ok::<_, ErrorStack>(passphrase.map_or(0, |passphrase| copy_passphrase(passphrase, room)))
    });
    match parsed {
        Ok(pkey) if !asked || passphrase.is_some() => PrivateKey::new(pkey),
        Err(_) if !asked => match block.cipher() {
            Some(cipher) => Err(Fault::Unsupported(format!("cipher {cipher}"))),
            None => Err(Fault::Malformed),
        },
        _ if passphrase.is_none() => Err(Fault::Encrypted),
        _ => Err(Fault::WrongPassphrase),
    }
}

impl Block<'_> {
    /// The cipher that a block's `DEK-Info` header names.
    fn cipher(&self) -> Option<String> {
        let (_, after) = self.body.split_once("DEK-Info:")?;
        let name = after.trim_start().split([',', '\r', '\n']).next()?;
        Some(
            name.chars()
                .filter(char::is_ascii_graphic)
                .take(32)
                .collect(),
        )
    }
}

/// Overwrites the part of the stack that a call just left: hash functions keep a passphrase's bytes
/// there, and nothing else may run on this thread for long.
#[inline(never)]
pub(super) fn erase_left_stack() {
    use zeroize::Zeroize as _;
    let mut room = [0_u8; LEFT_STACK_BYTES];
    room.zeroize();
    std::hint::black_box(&room);
}

/// More than deriving a key takes; it runs on the CPU pool, whose threads have two megabytes.
const LEFT_STACK_BYTES: usize = 128 * 1024;

/// Copies a passphrase where the library wants it; one that is too long for it is none.
fn copy_passphrase(passphrase: &Secret, room: &mut [u8]) -> usize {
    let bytes = passphrase.expose();
    match room.get_mut(..bytes.len()) {
        Some(place) => {
            place.copy_from_slice(bytes);
            bytes.len()
        }
        None => 0,
    }
}
