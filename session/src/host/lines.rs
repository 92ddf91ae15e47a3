//! Hosts files: a host a line, with comments, and with options of its own.

use std::path::Path;
use std::sync::Arc;

use super::{Host, HostError, refuse_password};
use crate::ssh_config::Origin;

/// A host of a hosts file, with what its line says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostLine {
    /// The host.
    pub host: Host,
    /// Options for this host alone, in the order of the line; often none.
    pub options: Vec<HostOption>,
}

impl From<Host> for HostLine {
    fn from(host: Host) -> Self {
        let options = Vec::new();
        Self { host, options }
    }
}

/// An ssh_config option for one host alone, `KEY=VALUE`, and where it stands.
///
/// Nothing but its form is checked before it is used
/// ([`Resolver::config_with`](crate::Resolver::config_with)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostOption {
    text: String,
    origin: Origin,
}

impl HostOption {
    /// Makes an option of its text, `KEY=VALUE` or `KEY VALUE`, quoted as in ssh_config(5); `origin`
    /// is where errors say that it stands.
    pub fn new(text: impl Into<String>, origin: Origin) -> Self {
        let text = text.into();
        Self { text, origin }
    }

    /// Returns the text as given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns where it stands.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

/// A line of a hosts file that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}:{line}")]
#[non_exhaustive]
pub struct HostsFileError {
    /// The file, as the caller named it.
    pub origin: String,
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub source: HostError,
}

/// Reads a hosts file without options: one host a line, `#` comments, blank lines.
///
/// A comment begins at a `#` that opens the line or follows white space. The older form with the
/// user as a second field (`host[:port] user`) is understood. `origin` names the file in errors.
///
/// # Errors
/// Fails at the first line that names no host, and at the first with options, which
/// [`parse_host_lines`] reads: without them the host would be reached in another way.
pub fn parse_hosts_file(text: impl AsRef<[u8]>, origin: &str) -> Result<Vec<Host>, HostsFileError> {
    read(text.as_ref(), origin, |line, _| {
        let parsed = parse_line(line)?;
        match parsed {
            Some((_, options)) if !options.is_empty() => {
                let text = options[0].to_owned();
                Err(HostError::Option { text })
            }
            parsed => Ok(parsed.map(|(host, _)| host)),
        }
    })
}

/// Reads a hosts file as [`parse_hosts_file`] does, with options: after the host, and the user of
/// the older form, each further field `KEY=VALUE` is an ssh_config option for that host alone.
///
/// Values with blanks are quoted as in ssh_config(5). The options themselves are checked when they
/// are used.
///
/// # Errors
/// Fails at the first line that names no host, or has a field that is none of these.
///
/// # Examples
/// ```
/// use sshoal_session::parse_host_lines;
///
/// let lines = parse_host_lines("web1 Port=2222 IdentityFile=\"~/my keys/web\"\nweb2\n", "hosts")?;
/// assert_eq!(lines[0].options[1].text(), "IdentityFile=\"~/my keys/web\"");
/// assert_eq!(lines[0].options[1].origin().to_string(), "hosts:1");
/// assert!(lines[1].options.is_empty());
/// # Ok::<(), sshoal_session::HostsFileError>(())
/// ```
pub fn parse_host_lines(
    text: impl AsRef<[u8]>,
    origin: &str,
) -> Result<Vec<HostLine>, HostsFileError> {
    let path: Arc<Path> = Path::new(origin).into();
    read(text.as_ref(), origin, |line, number| {
        let Some((host, options)) = parse_line(line)? else {
            return Ok(None);
        };
        let origin = || Origin::HostsFile {
            path: Arc::clone(&path),
            line: number,
        };
        let options = options.into_iter();
        let options = options.map(|text| HostOption::new(text, origin()));
        let options = options.collect();
        Ok(Some(HostLine { host, options }))
    })
}

fn read<'a, T>(
    text: &'a [u8],
    origin: &str,
    parse: impl Fn(&'a [u8], usize) -> Result<Option<T>, HostError>,
) -> Result<Vec<T>, HostsFileError> {
    // Editors of one system put this mark first; it belongs to no name.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let mut read = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let parsed = parse(line, index + 1).map_err(|source| HostsFileError {
            origin: origin.to_owned(),
            line: index + 1,
            source,
        });
        read.extend(parsed?);
    }
    Ok(read)
}

/// Reads one line of a hosts file into host and options; `None` if it is blank or a comment.
fn parse_line(line: &[u8]) -> Result<Option<(Host, Vec<&str>)>, HostError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (fields, end) = fields(line)?;
    if end > LINE_BYTES_MAX {
        let max = LINE_BYTES_MAX;
        return Err(HostError::TooLong { max });
    }
    let fields: Result<Vec<&str>, _> = fields.into_iter().map(str::from_utf8).collect();
    let fields = fields.map_err(|_| HostError::NotUtf8)?;
    let mut fields = fields.into_iter();
    let Some(spec) = fields.next() else {
        return Ok(None);
    };
    let mut host: Host = spec.parse()?;
    let mut fields = fields.peekable();
    if let Some(user) = fields.next_if(|field| !is_option(field)) {
        refuse_password(user)?;
        host = match host.user() {
            Some(first) if first != user => {
                return Err(HostError::TwoUsers {
                    first: first.to_owned(),
                    second: user.to_owned(),
                });
            }
            _ => host.with_user(user)?,
        };
    }
    let options: Vec<&str> = fields.collect();
    match options.iter().find(|field| !is_option(field)) {
        Some(text) => Err(HostError::TooManyFields {
            text: (*text).to_owned(),
        }),
        None => Ok(Some((host, options))),
    }
}

/// Whether a field is `KEY=VALUE`, and not a user.
fn is_option(field: &str) -> bool {
    let key = field.split_once('=').map(|(key, _)| key);
    key.is_some_and(|key| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Divides a line at white space outside of quotes, up to a `#` that begins a field; returns where
/// the last one ends, too. A field keeps its quotes.
fn fields(line: &[u8]) -> Result<(Vec<&[u8]>, usize), HostError> {
    let (mut fields, mut last) = (Vec::new(), 0);
    let line = line.trim_ascii_start();
    let mut rest = line;
    while !rest.is_empty() && rest[0] != b'#' {
        // Quotes mean something in options alone: a host or a user has none.
        let quotes = !fields.is_empty();
        let end = field_end(rest, quotes)?;
        let (field, after) = rest.split_at(end);
        fields.push(field);
        last = line.len() - after.len();
        rest = after.trim_ascii_start();
    }
    Ok((fields, last))
}

/// Returns where the first field ends, by the rules for arguments of ssh_config(5).
fn field_end(text: &[u8], quotes: bool) -> Result<usize, HostError> {
    let mut open = None;
    let mut at = 0;
    while at < text.len() {
        match (text[at], open) {
            (b'\\', _) if quotes => {
                let escaped = text.get(at + 1);
                let pair = match escaped {
                    Some(b'\'' | b'"' | b'\\') => true,
                    Some(b' ') => open.is_none(),
                    _ => false,
                };
                at += usize::from(pair);
            }
            (byte, Some(quote)) if byte == quote => open = None,
            (byte @ (b'"' | b'\''), None) if quotes => open = Some(byte),
            (byte, None) if byte.is_ascii_whitespace() => return Ok(at),
            _ => {}
        }
        at += 1;
    }
    match open {
        Some(_) => Err(HostError::UnbalancedQuote),
        None => Ok(text.len()),
    }
}

/// Room for the longest host and user and some options, and nothing like a binary file.
pub(super) const LINE_BYTES_MAX: usize = 4096;
