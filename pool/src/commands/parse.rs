//! Reading a template into its text and its placeholders.

use super::place::Reader;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Vec<u8>),
    Value(Value),
}

/// A placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) key: Key,
    /// Put as it is, whatever the template says.
    pub(super) raw: bool,
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    Host,
    User,
    Port,
    N,
    Total,
    Position(usize),
    Name(String),
}

/// Why a template cannot be read. Places are byte positions in it, from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A `{` that no `}` closes.
    #[error("the brace at byte {at} is not closed; a brace that is meant is written {{{{")]
    Open {
        /// Where the brace is.
        at: usize,
    },
    /// A `}` that closes nothing.
    #[error("the brace at byte {at} closes nothing; a brace that is meant is written }}}}")]
    Close {
        /// Where the brace is.
        at: usize,
    },
    /// Neither a position nor a name stands between the braces.
    #[error(
        "{text} at byte {at} is no placeholder, which is {{NAME}}, {{0}} or {{NAME:raw}}; \
         braces that are meant are written {{{{ and }}}}"
    )]
    Placeholder {
        /// Where the brace is.
        at: usize,
        /// What stands there, with what is not printable escaped.
        text: String,
    },
    /// A placeholder follows a `$`, so that its value would be a variable's name or be quoted in
    /// another way.
    #[error("{text} at byte {at} follows a $; a variable of the shell is written ${{{{NAME}}}}")]
    Dollar {
        /// Where the brace is.
        at: usize,
        /// The placeholder.
        text: String,
    },
}

/// Reads a template. With `quoted`, values will be quoted for a shell.
pub(super) fn parse(template: &[u8], quoted: bool) -> Result<Vec<Piece>, TemplateError> {
    let (mut pieces, mut text) = (Vec::new(), Vec::new());
    let mut reader = Reader::new();
    let mut at = 0;
    while let Some(&byte) = template.get(at) {
        let doubled = template.get(at + 1) == Some(&byte);
        match byte {
            b'{' | b'}' if doubled => {
                text.push(byte);
                at += 2;
            }
            b'}' => return Err(TemplateError::Close { at }),
            b'{' => {
                let (value, len) = placeholder(template, at)?;
                reader.text(&text);
                if quoted && !value.raw && reader.after_dollar() {
                    let text = value.to_string();
                    return Err(TemplateError::Dollar { at, text });
                }
                reader.value();
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                pieces.push(Piece::Value(value));
                at += len;
            }
            byte => {
                text.push(byte);
                at += 1;
            }
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// Reads the placeholder that begins at a byte; returns it with its length.
fn placeholder(template: &[u8], at: usize) -> Result<(Value, usize), TemplateError> {
    let rest = &template[at + 1..];
    let len = rest.iter().position(|byte| matches!(byte, b'{' | b'}'));
    let Some(len) = len.filter(|len| rest[*len] == b'}') else {
        return Err(TemplateError::Open { at });
    };
    let (key, raw) = match rest[..len].strip_suffix(b":raw") {
        Some(key) => (key, true),
        None => (&rest[..len], false),
    };
    let key = std::str::from_utf8(key).ok().and_then(Key::read);
    let Some(key) = key else {
        let text = format!("{{{}}}", rest[..len].escape_ascii());
        return Err(TemplateError::Placeholder { at, text });
    };
    Ok((Value { key, raw }, len + 2))
}

impl Key {
    /// Reads what stands between the braces.
    fn read(text: &str) -> Option<Self> {
        Some(match text {
            "host" => Self::Host,
            "user" => Self::User,
            "port" => Self::Port,
            "n" => Self::N,
            "total" => Self::Total,
            text if text.starts_with(|c: char| c.is_ascii_digit()) => {
                Self::Position(text.parse().ok()?)
            }
            text if is_name(text) => Self::Name(text.to_owned()),
            _ => return None,
        })
    }

    /// Returns whether a caller's argument may have this name.
    pub(super) fn is_free(name: &str) -> bool {
        matches!(Self::read(name), Some(Self::Name(_)))
    }
}

/// Letters, digits and `_`, no digit first.
fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let raw = if self.raw { ":raw" } else { "" };
        match &self.key {
            Key::Host => write!(f, "{{host{raw}}}"),
            Key::User => write!(f, "{{user{raw}}}"),
            Key::Port => write!(f, "{{port{raw}}}"),
            Key::N => write!(f, "{{n{raw}}}"),
            Key::Total => write!(f, "{{total{raw}}}"),
            Key::Position(position) => write!(f, "{{{position}{raw}}}"),
            Key::Name(name) => write!(f, "{{{name}{raw}}}"),
        }
    }
}
