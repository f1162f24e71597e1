//! YAML as a tree with line numbers, from the parser's events, with limits that a hostile file meets early.
//!
//! Anchors and aliases are followed and merge keys (`<<`) merged, as Compose files use them; every node an alias repeats
//! counts, so that a small file can't become a large tree. Writing is the other half: only what a policy needs.

use haven_spec::{Failure, Outcome};
use saphyr_parser::{Event, Parser, ScalarStyle};
use std::collections::HashMap;
use std::fmt::Write as _;

const TEXT_BYTES: usize = 8 << 20;
const DEPTH: usize = 64;
const NODES: usize = 2_000_000;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Scalar {
        text: String,
        /// Without quotes: `null` and `true` mean something.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// The members of a list; none of what is no list.
    pub(super) fn list(&self) -> &[Node] {
        if let Content::List(list) = &self.content { list } else { &[] }
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.content, Content::List(_))
    }

    pub(super) fn map(&self) -> &[(String, Node)] {
        if let Content::Map(map) = &self.content { map } else { &[] }
    }

    pub(super) fn is_map(&self) -> bool {
        matches!(self.content, Content::Map(_))
    }

    /// The value under a key; the last one counts, and null is as good as nothing.
    pub(super) fn at(&self, key: &str) -> Option<&Node> {
        let found = self.map().iter().rfind(|(own, _)| own == key);
        found.map(|(_, node)| node).filter(|node| !node.is_null())
    }

    pub(super) fn text_at(&self, key: &str) -> Option<&str> {
        self.at(key).and_then(Self::text)
    }

    pub(super) fn flag_at(&self, key: &str) -> bool {
        self.text_at(key)
            .is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on"))
    }
}

/// All documents of a text.
pub(super) fn read(text: &str) -> Outcome<Vec<Node>> {
    let refuse = |why: String| Failure::invalid("cannot read this as YAML").because(why);
    if text.len() > TEXT_BYTES {
        return Err(refuse(format!("it is longer than {TEXT_BYTES} bytes")));
    }
    let mut building = Building::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| refuse(format!("line {}: {}", e.marker().line(), e.info())))?;
        building
            .take(event, span.start.line())
            .map_err(|why| refuse(format!("line {}: {why}", span.start.line())))?;
    }
    Ok(building.documents)
}

/// What is open while the events come.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<String>,
    nodes: usize,
}

#[derive(Default)]
struct Building {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Building {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        let scalar = |text: String, plain| Node { line, content: Content::Scalar { text, plain } };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let node = scalar(text.into_owned(), style == ScalarStyle::Plain);
                self.close(node, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => self.begin(Content::List(Vec::new()), anchor, line),
            Event::MappingStart(anchor, _) => self.begin(Content::Map(Vec::new()), anchor, line),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { mut node, anchor, nodes, .. }) => {
                    merge(&mut node);
                    self.close(node, anchor, nodes)
                }
                None => Err("something ends that has not begun".into()),
            },
            Event::Alias(anchor) => {
                let (node, nodes) = self.anchors.get(&anchor).cloned().ok_or("this alias is of nothing")?;
                self.close(node, 0, nodes)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, content: Content, anchor: usize, line: usize) -> Result<(), String> {
        if self.open.len() >= DEPTH {
            return Err(format!("more than {DEPTH} levels"));
        }
        self.open.push(Open { node: Node { line, content }, anchor, key: None, nodes: 1 });
        Ok(())
    }

    /// A node is complete: it goes to what it stands in.
    fn close(&mut self, node: Node, anchor: usize, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > NODES {
            return Err(format!("more than {NODES} values, repeated ones included"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
            self.nodes += nodes;
        }
        let Some(open) = self.open.last_mut() else {
            self.documents.push(node);
            return Ok(());
        };
        open.nodes += nodes;
        match (&mut open.node.content, open.key.take()) {
            (Content::List(list), _) => list.push(node),
            (Content::Map(map), Some(key)) => map.push((key, node)),
            (Content::Map(_), None) => match node.content {
                Content::Scalar { text, .. } => open.key = Some(text),
                _ => return Err("a key is no plain text".into()),
            },
            (Content::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

/// Takes in what stands under `<<`; a key's own value counts before a merged one.
fn merge(node: &mut Node) {
    let Content::Map(map) = &mut node.content else { return };
    let mut merged = Vec::new();
    map.retain_mut(|(key, value)| {
        if key != "<<" {
            return true;
        }
        match std::mem::replace(&mut value.content, Content::List(Vec::new())) {
            Content::Map(entries) => merged.push(entries),
            Content::List(sources) => {
                merged.extend(sources.into_iter().filter_map(|source| match source.content {
                    Content::Map(entries) => Some(entries),
                    _ => None,
                }))
            }
            Content::Scalar { .. } => {}
        }
        false
    });
    // Earlier sources count before later ones.
    for (key, value) in merged.into_iter().flatten() {
        if !map.iter().any(|(own, _)| *own == key) {
            map.push((key, value));
        }
    }
}

/// Something to be written.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// One document, in block style.
pub(super) fn write(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Map(map) => {
            for (key, value) in map {
                let _ = write!(text, "{indent}{}:", scalar(key));
                nested(value, depth + 1, text);
            }
        }
        Value::List(list) => {
            for value in list {
                let _ = write!(text, "{indent}-");
                match value {
                    Value::Map(map) if !map.is_empty() => {
                        // The first key stands behind the dash.
                        let mut inner = String::new();
                        block(value, depth + 1, &mut inner);
                        let _ = write!(text, " {}", inner.trim_start());
                    }
                    _ => nested(value, depth + 1, text),
                }
            }
        }
        Value::Text(_) | Value::Number(_) => nested(value, depth, text),
    }
}

/// A value behind a colon or a dash.
fn nested(value: &Value, depth: usize, text: &mut String) {
    let _ = match value {
        Value::Text(own) => writeln!(text, " {}", scalar(own)),
        Value::Number(number) => writeln!(text, " {number}"),
        Value::List(list) if list.is_empty() => writeln!(text, " []"),
        Value::Map(map) if map.is_empty() => writeln!(text, " {{}}"),
        Value::List(_) | Value::Map(_) => {
            text.push('\n');
            block(value, depth, text);
            Ok(())
        }
    };
}

/// Without quotes only where every reader takes it for that very text.
fn scalar(text: &str) -> String {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
    );
    if begins && text.chars().all(plain) && !word {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_and_merges_are_followed() {
        let text = "base: &base\n  a: 1\n  b: [x, y]\nother:\n  <<: *base\n  a: 2\nlist: *base\n";
        let node = &read(text).unwrap()[0];
        let other = node.at("other").unwrap();
        assert_eq!(other.text_at("a"), Some("2"));
        assert_eq!(other.at("b").unwrap().list().len(), 2);
        assert_eq!(node.at("list").unwrap().text_at("a"), Some("1"));
        assert_eq!(other.line, 5);
    }

    #[test]
    fn small_files_that_become_large_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..20 {
            let before = format!("*a{}", n - 1);
            let many = vec![before; 10].join(", ");
            bomb.push_str(&format!("a{n}: &a{n} [{many}]\n"));
        }
        assert!(read(&bomb).unwrap_err().one_line().contains("repeated ones included"));
        let deep = "[".repeat(10_000);
        assert!(read(&deep).is_err());
        for text in ["a: *b", "a: [", "a: b: c", "{a: 1, a: 2}: 3", "\t- x", "%"] {
            drop(read(text));
        }
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let value = Value::Map(vec![
            ("kind".into(), "NetworkPolicy".into()),
            ("yes".into(), Value::Text("no".into())),
            ("odd: key".into(), Value::Text("a \"b\"\n#c: \u{1}".into())),
            ("empty".into(), Value::Map(Vec::new())),
            ("none".into(), Value::List(Vec::new())),
            (
                "list".into(),
                Value::List(vec![
                    Value::Map(vec![
                        ("port".into(), Value::Number(80)),
                        ("to".into(), Value::List(vec![Value::Map(vec![("cidr".into(), "::/0".into())])])),
                    ]),
                    Value::Text("12".into()),
                ]),
            ),
        ]);
        let text = write(&value);
        let node = &read(&text).unwrap()[0];
        assert_eq!(node.text_at("yes"), Some("no"), "{text}");
        assert_eq!(node.text_at("odd: key"), Some("a \"b\"\n#c: \u{1}"), "{text}");
        assert!(node.at("empty").unwrap().is_map() && node.at("none").unwrap().is_list());
        let [first, second] = node.at("list").unwrap().list() else { panic!("{text}") };
        assert_eq!(first.text_at("port"), Some("80"));
        assert_eq!(first.at("to").unwrap().list()[0].text_at("cidr"), Some("::/0"));
        assert_eq!(second.text(), Some("12"));
    }
}
