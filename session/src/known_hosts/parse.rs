//! One line of a known_hosts file, taken apart as ssh does it (hostfile.c).

use std::fmt;

use super::key::Key;
use super::pattern::Names;
use crate::certificate::Certificate;

/// A line that holds a key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) marker: Marker,
    pub(super) names: Names,
    pub(super) key: Key,
    /// The file's place in the list of files.
    pub(super) origin: usize,
    /// From 1.
    pub(super) line: usize,
}

/// What a line says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// The key is the host's.
    None,
    /// The key signs host certificates; it is no host's own.
    CertAuthority,
    /// The key must never be accepted.
    Revoked,
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Parsed {
    /// Blank or a comment.
    Nothing,
    /// Names and their key.
    Entry {
        marker: Marker,
        names: Names,
        key: Key,
    },
    /// Something else.
    Bad(BadLineReason),
}

/// Why a line of a known_hosts file was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadLineReason {
    /// The line is longer than 64 KiB.
    TooLong,
    /// The marker is neither `@revoked` nor `@cert-authority`, or there are two.
    Marker,
    /// The names are a damaged hash or overlong.
    Names,
    /// There is no key, its type is unknown or differs from the one named, or it is damaged.
    Key,
}

impl fmt::Display for BadLineReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "line too long",
            Self::Marker => "unknown marker",
            Self::Names => "bad host names",
            Self::Key => "bad key",
        })
    }
}

/// Takes a line apart; the line break is off already.
pub(super) fn line(line: &[u8]) -> Parsed {
    if line.len() > LINE_BYTES_MAX {
        return Parsed::Bad(BadLineReason::TooLong);
    }
    // ssh's lines are C strings.
    let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut fields = Fields(line);
    let Some(mut names) = fields.next().filter(|field| !field.starts_with(b"#")) else {
        return Parsed::Nothing;
    };
    let mut marker = Marker::None;
    if names.starts_with(b"@") {
        marker = match names {
            b"@revoked" => Marker::Revoked,
            b"@cert-authority" => Marker::CertAuthority,
            _ => return Parsed::Bad(BadLineReason::Marker),
        };
        names = fields.next().unwrap_or_default();
        if names.starts_with(b"@") {
            return Parsed::Bad(BadLineReason::Marker);
        }
    }
    let Some(names) = Names::parse(names) else {
        return Parsed::Bad(BadLineReason::Names);
    };
    let key = fields
        .next()
        .zip(fields.next())
        .and_then(|(a, b)| Key::from_fields(a, b).or_else(|| certified(marker, a, b)));
    match key {
        Some(key) => Parsed::Entry { marker, names, key },
        None => Parsed::Bad(BadLineReason::Key),
    }
}

/// Reads a certificate that stands in a line instead of a key. As in ssh a mark is on the key that
/// is certified, and without a mark the host is known by what it can never show.
fn certified(marker: Marker, algorithm: &[u8], base64: &[u8]) -> Option<Key> {
    let certificate = Certificate::from_fields(algorithm, base64)?;
    Some(match marker {
        Marker::None => Key::of_certificate(&certificate),
        Marker::CertAuthority | Marker::Revoked => certificate.key,
    })
}

/// The fields of a line, divided by blanks and tabs.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let begin = self.0.iter().position(|byte| !is_blank(byte))?;
        let rest = &self.0[begin..];
        let end = rest.iter().position(is_blank).unwrap_or(rest.len());
        let (field, rest) = rest.split_at(end);
        self.0 = rest;
        Some(field)
    }
}

/// Above the largest key with as many names as one likes.
const LINE_BYTES_MAX: usize = 64 << 10;
