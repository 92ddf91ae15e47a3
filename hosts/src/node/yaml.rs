//! YAML, one document, with anchors and `<<`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{DEPTH_MAX, Entry, Fault, Kind, Node};

/// Reads a text. Of several documents only the first may hold something.
pub(crate) fn read(text: &str) -> Result<Node, Fault> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            (
                error.marker().line().max(1),
                format!("no YAML: {}", error.info()),
            )
        })?;
        builder.take(event, span.start.line().max(1))?;
    }
    Ok(builder.root.unwrap_or(Node {
        line: 1,
        kind: Kind::Nothing,
    }))
}

/// The tree so far.
#[derive(Default)]
struct Builder {
    root: Option<Node>,
    /// The lists and tables that are not closed, the innermost one last.
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

struct Open {
    node: Node,
    anchor: usize,
    /// The key of a table whose value comes next.
    key: Option<(usize, String)>,
    /// How many nodes there were before.
    before: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, line)?;
                // Ansible's secrets are a text to nobody else.
                let is_secret = tag.is_some_and(|tag| tag.suffix.contains("vault"));
                let kind = match is_secret {
                    true => Kind::Nothing,
                    false => scalar(text, style),
                };
                self.put((Node { line, kind }, 1), anchor)
            }
            Event::SequenceStart(anchor, _) => self.begin(Kind::List(Vec::new()), anchor, line),
            Event::MappingStart(anchor, _) => self.begin(Kind::Table(Vec::new()), anchor, line),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let size = self.nodes - open.before;
                self.put((open.node, size), open.anchor)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err((line, "an alias of something that holds it".to_owned()));
                };
                self.count(size, line)?;
                self.put((node, size), 0)
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        match self.nodes > NODES_MAX {
            true => Err((
                line,
                format!("more than {NODES_MAX} values, aliases counted"),
            )),
            false => Ok(()),
        }
    }

    fn begin(&mut self, kind: Kind, anchor: usize, line: usize) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err((
                line,
                format!("values in values are deeper than {DEPTH_MAX}"),
            ));
        }
        let before = self.nodes;
        self.count(1, line)?;
        let node = Node { line, kind };
        self.open.push(Open {
            node,
            anchor,
            key: None,
            before,
        });
        Ok(())
    }

    /// Puts a finished value, of `size` nodes, where it belongs.
    fn put(&mut self, (node, size): (Node, usize), anchor: usize) -> Result<(), Fault> {
        if anchor != 0 {
            // Kept besides its own place.
            self.count(size, node.line)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            if let Some(Node { line, .. }) = self
                .root
                .replace(node)
                .filter(|root| root.kind != Kind::Nothing)
            {
                return Err((
                    line,
                    "a second document follows; only one is read".to_owned(),
                ));
            }
            return Ok(());
        };
        match &mut open.node.kind {
            Kind::List(items) => items.push(node),
            Kind::Table(entries) => match open.key.take() {
                None => match node.kind {
                    Kind::Text(key) => open.key = Some((node.line, key)),
                    Kind::Nothing => open.key = Some((node.line, "null".to_owned())),
                    _ => return Err((node.line, "a key has to be a text".to_owned())),
                },
                Some((line, key)) => {
                    let looked_at = insert(
                        entries,
                        Entry {
                            line,
                            key,
                            value: node,
                        },
                    )?;
                    self.count(looked_at, line)?;
                }
            },
            Kind::Nothing | Kind::Text(_) => {}
        }
        Ok(())
    }
}

/// Adds an entry; `<<` gives what its table has and this one has not. Returns how many values were
/// looked at for that.
fn insert(entries: &mut Vec<Entry>, entry: Entry) -> Result<usize, Fault> {
    if entry.key != "<<" {
        entries.push(entry);
        return Ok(0);
    }
    let tables = match entry.value.kind {
        Kind::List(tables) => tables,
        _ => vec![entry.value],
    };
    let mut known: HashSet<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    for table in tables {
        for merged in table.table("what << names")? {
            if known.insert(merged.key.clone()) {
                entries.push(merged.clone());
            }
        }
    }
    Ok(entries.len())
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> Kind {
    match style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
        true => Kind::Nothing,
        false => Kind::Text(text.into_owned()),
    }
}

/// A few for each of a million hosts, and an end to aliases of aliases.
const NODES_MAX: usize = if cfg!(test) { 100_000 } else { 8_000_000 };
