//! TOML, YAML and JSON as one tree: text, lists and tables, each with the line it begins on.
//!
//! Scalars keep the text that the file has for them: what is a number to one program is a name to
//! another.

mod json;
mod toml;
mod yaml;

pub(crate) use self::json::read as json;
pub(crate) use self::toml::read as toml;
pub(crate) use self::yaml::read as yaml;

/// A value and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Nothing,
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The line of the key.
    pub(crate) line: usize,
    pub(crate) key: String,
    pub(crate) value: Node,
}

/// What is wrong with a file, and on which line.
pub(crate) type Fault = (usize, String);

impl Node {
    /// Returns what a value is called in an error.
    pub(crate) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Nothing => "nothing",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Table(_) => "a table",
        }
    }

    /// Returns the entries of a table; nothing is a table without any.
    pub(crate) fn table(&self, of: &str) -> Result<&[Entry], Fault> {
        match &self.kind {
            Kind::Table(entries) => Ok(entries),
            Kind::Nothing => Ok(&[]),
            _ => Err((
                self.line,
                format!("{of} is {}, and has to be a table", self.what()),
            )),
        }
    }

    /// Returns the text of a scalar.
    pub(crate) fn text(&self, of: &str) -> Result<&str, Fault> {
        match &self.kind {
            Kind::Text(text) => Ok(text),
            _ => Err((
                self.line,
                format!("{of} is {}, and has to be a text", self.what()),
            )),
        }
    }

    /// Returns the texts of a list, each with its line; a text alone is a list of one.
    pub(crate) fn texts(&self, of: &str) -> Result<Vec<(usize, &str)>, Fault> {
        match &self.kind {
            Kind::Nothing => Ok(Vec::new()),
            Kind::Text(text) => Ok(vec![(self.line, text)]),
            Kind::List(items) => {
                let texts = items.iter().map(|node| Ok((node.line, node.text(of)?)));
                texts.collect()
            }
            Kind::Table(_) => Err((
                self.line,
                format!("{of} is a table, and has to be a list of texts"),
            )),
        }
    }
}

/// Values in values, in all three.
const DEPTH_MAX: usize = 64;
