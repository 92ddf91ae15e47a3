//! The rules of known_hosts files written down line by line, with no thought for time: what the
//! index must agree with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use sshoal_session::known_hosts::{KnownHosts, Verdict};

/// Judges a key against one file, reading every line of it.
pub(crate) fn check(text: &[u8], origin: &str, name: &str, port: u16, key: &[u8]) -> Verdict {
    let plain = name.to_ascii_lowercase();
    if port == 22 {
        return check_lookup(text, origin, &plain, key);
    }
    match check_lookup(text, origin, &format!("[{plain}]:{port}"), key) {
        Verdict::Unknown => match check_lookup(text, origin, &plain, key) {
            Verdict::Changed { .. } => Verdict::Unknown,
            verdict => verdict,
        },
        verdict => verdict,
    }
}

fn check_lookup(text: &[u8], origin: &str, lookup: &str, key: &[u8]) -> Verdict {
    let (mut same, mut other, mut revoked) = (false, None, None);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let Some((marker, blob)) = read(line, lookup) else {
            continue;
        };
        match (marker, blob == key) {
            ("@revoked", true) => {
                revoked = revoked.or(Some(index + 1));
            }
            ("", true) => same = true,
            ("", false) => other = Some(index + 1),
            _ => {}
        }
    }
    match (revoked, same, other) {
        (Some(line), _, _) => Verdict::Revoked {
            file: origin.into(),
            line,
        },
        (None, true, _) => Verdict::Match,
        (None, false, Some(line)) => Verdict::Changed {
            file: origin.into(),
            line,
        },
        (None, false, None) => Verdict::Unknown,
    }
}

/// Returns the marker and the key of a line that is good and speaks of the host.
fn read<'a>(line: &'a [u8], lookup: &str) -> Option<(&'a str, Vec<u8>)> {
    if line.len() > 65_536 {
        return None;
    }
    let line = line.split(|byte| *byte == 0).next()?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut fields: Vec<&[u8]> = line
        .split(|byte| b" \t".contains(byte))
        .filter(|field| !field.is_empty())
        .collect();
    let mut marker = "";
    if fields.first()?.starts_with(b"@") {
        marker = str::from_utf8(fields.remove(0)).ok()?;
        if !["@revoked", "@cert-authority"].contains(&marker) || fields.first()?.starts_with(b"@") {
            return None;
        }
    } else if fields[0].starts_with(b"#") {
        return None;
    }
    let (names, algorithm, base64) = (fields.first()?, fields.get(1)?, fields.get(2)?);
    if !matches_names(names, lookup.as_bytes()) {
        return None;
    }
    // Whether a key is well formed is not what is compared here.
    let mut alone = KnownHosts::new();
    alone.add_text(&[b"x", *algorithm, *base64].join(&b' '), "alone");
    (alone.len() == 1).then(|| (marker, STANDARD.decode(base64).expect("it was taken")))
}

fn matches_names(names: &[u8], lookup: &[u8]) -> bool {
    if names.starts_with(b"|") {
        let parts: Vec<&[u8]> = names.split(|byte| *byte == b'|').collect();
        let [b"", b"1", salt, _] = parts[..] else {
            return false;
        };
        let Ok(salt) = STANDARD.decode(salt) else {
            return false;
        };
        return salt.len() == 20 && names == hash(&salt, lookup).as_bytes();
    }
    let names = names.to_ascii_lowercase();
    if names
        .split(|byte| *byte == b',')
        .any(|pattern| pattern.len() >= 1023)
    {
        return false;
    }
    let mut wanted = false;
    for pattern in names.split(|byte| *byte == b',') {
        match pattern.strip_prefix(b"!") {
            Some(pattern) if glob(pattern, lookup) => return false,
            Some(_) => {}
            None => wanted |= glob(pattern, lookup),
        }
    }
    wanted
}

/// Returns a hashed names field as `ssh-keygen -H` writes it.
pub(crate) fn hash(salt: &[u8], lookup: &[u8]) -> String {
    let mut hmac = Hmac::<Sha1>::new_from_slice(salt).expect("any length will do");
    hmac.update(lookup);
    format!(
        "|1|{}|{}",
        STANDARD.encode(salt),
        STANDARD.encode(hmac.finalize().into_bytes())
    )
}

/// Matches by a table: `row[t]` says whether the pattern so far matches the first `t` bytes.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    for byte in pattern {
        let mut next = vec![false; text.len() + 1];
        for t in 0..=text.len() {
            next[t] = match byte {
                b'*' => row[t] || (t > 0 && next[t - 1]),
                byte => t > 0 && row[t - 1] && (*byte == b'?' || *byte == text[t - 1]),
            };
        }
        row = next;
    }
    row[text.len()]
}
