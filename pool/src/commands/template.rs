//! A command with placeholders, filled in for each host.
//!
//! The principal type is [`Template`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use sshoal_session::quote;

use super::Listed;
use super::args::Args;
use super::parse::{self, Key, Piece, Value};
use super::place::{Place, Reader};
use crate::error::RunError;

/// A command with placeholders, which are filled in for each host.
///
/// | placeholder | value |
/// | --- | --- |
/// | `{host}` | the host's name or address, as it is listed |
/// | `{user}` | the user that is logged in |
/// | `{port}` | the port that is connected to |
/// | `{n}` | the host's position in the list, from 0 |
/// | `{total}` | how many hosts there are |
/// | `{0}`, `{1}`, … | the host's arguments by position |
/// | `{name}` | the host's argument of this name |
/// | `{name:raw}` | the same, put as it is |
/// | `{{`, `}}` | a brace |
///
/// Each value reaches the command as the bytes that it is: it is quoted for a POSIX shell, in the
/// way that its place in the template asks for. Outside of quotes of the template's own that is
/// [`quote`]; between double or single quotes what would end them is escaped. Where quotes are not
/// followed (behind a backslash, in a comment, in the brackets of `a[…]` and `$a[…]`, and from a
/// backquote, a here-document, arithmetic, `$'…'`, `"$(…)"` or `${…}` with more than a name in it on)
/// only plain words are put, and another value is [`ArgumentError::Place`]; with `f={0}` at the
/// front, `"$f"` can be used anywhere. Quotes in values that are put as they are count like the
/// template's own. A value that a shell reads twice, as with `eval` or `sh -c`, is quoted for the
/// first reading; and what it takes for a number, as `[[ {0} -gt 1 ]]` or `let`, it reads as
/// arithmetic, in which `a[$(…)]` runs a command: check such values first.
///
/// All arguments are resolved and checked before anything is run. A list that is too short or too
/// long, a position or name that is missing, and a position that no placeholder uses are errors
/// of [`RunError`]. Names that no placeholder uses are not.
///
/// # Examples
///
/// ```
/// use sshoal_pool::{Args, Template};
///
/// let by_position = Template::new("useradd {0} --comment {1}")
///     .args([["ann", "Ann's"], ["ben", "Ben's"]]);
/// let by_name = Template::new("echo {role} > /etc/role # {n} of {total}")
///     .args([Args::new().named("role", "web"), Args::new().named("role", "db")]);
/// let by_function = Template::new("test -d /srv/{0}")
///     .args_by(|listed| Args::from([listed.host().name()]));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Template {
    text: Vec<u8>,
    source: Source,
    quoting: Quoting,
}

/// How a template's values are put in, where a placeholder does not say `:raw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Quoting {
    /// So that a POSIX shell gives them back as they are.
    #[default]
    Posix,
    /// As they are. Whoever sets a value then writes a part of the command.
    Raw,
}

/// What is wrong with one placeholder and one host's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// The host has no argument at this position, or of this name.
    #[error("has no value")]
    Missing,
    /// The host has an argument at this position, and the template no such placeholder.
    #[error("is not in the template")]
    Unused,
    /// The argument has a name that a template cannot have, or has for itself.
    #[error("is no name for an argument")]
    Name,
    /// The value holds a NUL byte, which no command can have.
    #[error("has a value with a NUL byte")]
    NulByte,
    /// The value has to be quoted, and stands where that cannot be done safely.
    #[error("has a value that cannot be quoted in this place; assign it first, as in f={{0}}")]
    Place,
}

/// Where arguments come from.
#[derive(Clone)]
enum Source {
    Nowhere,
    List(Arc<[Args]>),
    By(Arc<dyn Fn(&Listed<'_>) -> Args + Send + Sync>),
}

impl Template {
    /// Returns a template without arguments: `{host}` and the like are filled in.
    ///
    /// What is wrong with the text is told when a run is begun, as [`RunError::Template`].
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        Self {
            text: text.into(),
            source: Source::Nowhere,
            quoting: Quoting::default(),
        }
    }

    /// Sets each host's arguments, in the order of the hosts; there have to be as many.
    pub fn args<A: Into<Args>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.source = Source::List(args.into_iter().map(Into::into).collect());
        self
    }

    /// Sets a function that returns each host's arguments. It is called for all hosts, in their
    /// order and on the caller's thread, before anything is run.
    pub fn args_by(mut self, args: impl Fn(&Listed<'_>) -> Args + Send + Sync + 'static) -> Self {
        self.source = Source::By(Arc::new(args));
        self
    }

    /// Sets how values are put in. Default: [`Quoting::Posix`].
    pub fn quoting(mut self, quoting: Quoting) -> Self {
        self.quoting = quoting;
        self
    }

    /// Reads the text and counts the arguments.
    pub(super) fn checked(&self, hosts: usize) -> Result<Checked<'_>, RunError> {
        let quoted = self.quoting == Quoting::Posix;
        let pieces = parse::parse(&self.text, quoted);
        let pieces = pieces.map_err(|source| RunError::Template { source })?;
        match &self.source {
            Source::List(args) if args.len() != hosts => Err(RunError::ArgumentCount {
                arguments: args.len(),
                hosts,
            }),
            source => Ok(Checked {
                pieces,
                source,
                quoted,
            }),
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template")
            .field("text", &self.text.escape_ascii().to_string())
            .field("quoting", &self.quoting)
            .finish_non_exhaustive()
    }
}

/// A template that was read.
pub(super) struct Checked<'a> {
    pieces: Vec<Piece>,
    source: &'a Source,
    quoted: bool,
}

impl Checked<'_> {
    /// Makes a host's command.
    pub(super) fn fill(&self, listed: &Listed<'_>) -> Result<Vec<u8>, RunError> {
        let fault = |placeholder: String, source| RunError::Argument {
            index: listed.index(),
            placeholder,
            source,
        };
        let made;
        let none = Args::new();
        let args = match self.source {
            Source::Nowhere => &none,
            // Counted before; a host that is not on the list has none.
            Source::List(args) => args.get(listed.index()).unwrap_or(&none),
            Source::By(function) => {
                made = function(listed);
                &made
            }
        };
        if let Some(name) = args.names().find(|name| !Key::is_free(name)) {
            return Err(fault(format!("{{{name}}}"), ArgumentError::Name));
        }
        if let Some(position) = (0..args.positions()).find(|position| !self.has(*position)) {
            return Err(fault(format!("{{{position}}}"), ArgumentError::Unused));
        }
        let (mut command, mut reader) = (Vec::new(), Reader::new());
        // Where what was not read yet begins: text, and values that are put as they are.
        let mut unread = 0;
        for (n, piece) in self.pieces.iter().enumerate() {
            let value = match piece {
                Piece::Text(text) => {
                    command.extend_from_slice(text);
                    continue;
                }
                Piece::Value(value) => value,
            };
            let fault = |source| fault(value.to_string(), source);
            let bytes = value_of(value, args, listed);
            let bytes = bytes.ok_or(ArgumentError::Missing).map_err(fault)?;
            if bytes.contains(&0) {
                return Err(fault(ArgumentError::NulByte));
            }
            if value.raw || !self.quoted {
                command.extend_from_slice(&bytes);
                continue;
            }
            reader.text(&command[unread..]);
            let put = put(&bytes, reader.value(), self.pieces.get(n + 1));
            command.extend_from_slice(&put.map_err(fault)?);
            unread = command.len();
        }
        Ok(command)
    }

    fn has(&self, position: usize) -> bool {
        let is_it = |piece: &Piece| match piece {
            Piece::Value(value) => value.key == Key::Position(position),
            Piece::Text(_) => false,
        };
        self.pieces.iter().any(is_it)
    }
}

/// Returns a value as it is put in its place, before what follows.
fn put<'v>(
    bytes: &'v [u8],
    place: Place,
    next: Option<&Piece>,
) -> Result<Cow<'v, [u8]>, ArgumentError> {
    let quoted = quote(bytes);
    match place {
        Place::Outside if is_descriptor(bytes, next) => Ok([b"'", bytes, b"'"].concat().into()),
        Place::Outside => Ok(quoted),
        Place::Single => Ok(single(bytes).into()),
        Place::Double => Ok(double(bytes).into()),
        Place::Unknown if matches!(quoted, Cow::Borrowed(_)) => Ok(quoted),
        Place::Unknown => Err(ArgumentError::Place),
    }
}

/// Returns the bytes that a placeholder stands for.
fn value_of<'a>(value: &Value, args: &'a Args, listed: &Listed<'a>) -> Option<Cow<'a, [u8]>> {
    let number = |number: usize| Some(number.to_string().into_bytes().into());
    match &value.key {
        Key::Host => Some(listed.host().name().as_bytes().into()),
        Key::User => Some(listed.user().as_bytes().into()),
        Key::Port => number(listed.port().into()),
        Key::N => number(listed.index()),
        Key::Total => number(listed.total()),
        Key::Position(position) => args.at(*position).map(Cow::from),
        Key::Name(name) => args.of(name).map(Cow::from),
    }
}

/// Returns whether a shell might read digits as the number of a descriptor that is redirected.
fn is_descriptor(bytes: &[u8], next: Option<&Piece>) -> bool {
    let redirects = match next {
        Some(Piece::Text(text)) => {
            let behind = text.iter().find(|byte| !byte.is_ascii_digit());
            matches!(behind, Some(b'<' | b'>'))
        }
        Some(Piece::Value(value)) => value.raw,
        None => false,
    };
    redirects && bytes.iter().all(u8::is_ascii_digit)
}

/// Escapes what ends single quotes.
fn single(bytes: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b'\'' => br"'\''".to_vec(),
        byte => vec![*byte],
    };
    bytes.iter().flat_map(escape).collect()
}

/// Escapes what has a meaning between double quotes.
fn double(bytes: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b'"' | b'$' | b'`' | b'\\' => vec![b'\\', *byte],
        byte => vec![*byte],
    };
    bytes.iter().flat_map(escape).collect()
}
