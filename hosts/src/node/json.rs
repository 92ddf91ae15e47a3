//! JSON, which says no lines: all is on the first.

use serde_json::Value;

use super::{Entry, Fault, Kind, Node};

/// Reads a text; its depth is bounded by the parser.
pub(crate) fn read(text: &str) -> Result<Node, Fault> {
    let value = serde_json::from_str(text);
    let value = value.map_err(|error| (error.line().max(1), format!("no JSON: {error}")))?;
    Ok(node(value))
}

fn node(value: Value) -> Node {
    let kind = match value {
        Value::Null => Kind::Nothing,
        Value::Bool(value) => Kind::Text(value.to_string()),
        Value::Number(number) => Kind::Text(number.to_string()),
        Value::String(text) => Kind::Text(text),
        Value::Array(items) => Kind::List(items.into_iter().map(node).collect()),
        Value::Object(entries) => {
            let entry = |(key, value)| Entry {
                line: 1,
                key,
                value: node(value),
            };
            Kind::Table(entries.into_iter().map(entry).collect())
        }
    };
    Node { line: 1, kind }
}
