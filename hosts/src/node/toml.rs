//! TOML; its depth is bounded by the parser.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Entry, Fault, Kind, Node};

/// Reads a text.
pub(crate) fn read(text: &str) -> Result<Node, Fault> {
    let lines = Lines::of(text);
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        (line, format!("no TOML: {}", error.message()))
    })?;
    Ok(Node {
        line: 1,
        kind: self::table(table.get_ref(), &lines),
    })
}

fn table(table: &DeTable<'_>, lines: &Lines) -> Kind {
    let mut entries: Vec<(usize, Entry)> = Vec::with_capacity(table.len());
    for (key, value) in table {
        let begin = key.span().start;
        let entry = Entry {
            line: lines.at(begin),
            key: key.get_ref().to_string(),
            value: node(value, lines),
        };
        entries.push((begin, entry));
    }
    // The parser sorts by key; here the order of the file is that of the hosts.
    entries.sort_by_key(|(begin, _)| *begin);
    Kind::Table(entries.into_iter().map(|(_, entry)| entry).collect())
}

fn node(value: &Spanned<DeValue<'_>>, lines: &Lines) -> Node {
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(number) => Kind::Text(number.to_string()),
        DeValue::Float(number) => Kind::Text(number.to_string()),
        DeValue::Boolean(value) => Kind::Text(value.to_string()),
        DeValue::Datetime(time) => Kind::Text(time.to_string()),
        DeValue::Array(items) => Kind::List(items.iter().map(|item| node(item, lines)).collect()),
        DeValue::Table(entries) => table(entries, lines),
    };
    Node {
        line: lines.at(value.span().start),
        kind,
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// Returns the number of the line that a byte is on, from 1.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|begin| *begin <= byte)
    }
}
