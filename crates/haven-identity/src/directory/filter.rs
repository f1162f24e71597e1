//! Search filters as operators write them (RFC 4515), and as servers get them (RFC 4511 section 4.5.1.7).
//!
//! `{user}` stands for the person's name. The text is parsed once, before any name is known, and the name is put in as
//! a value of the parsed filter: whatever stands in it, parentheses and stars too, it can't become part of the filter.

use super::ber::{OCTETS, element};
use haven_spec::{Failure, Outcome};

const PLACEHOLDER: &str = "{user}";

/// Deepest nesting: more is a mistake, and recursion has to end.
const DEEPEST: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Present(String),
    /// Tag, attribute, value: equal, greater, less, about.
    Compare(u8, String, Value),
    /// Pieces between stars; an empty first or last one means a star there.
    Substrings(String, Vec<Value>),
    Extensible {
        rule: Option<String>,
        attribute: Option<String>,
        of_name: bool,
        value: Value,
    },
}

/// Bytes with places for the name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Value(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Bytes(Vec<u8>),
    User,
}

impl Filter {
    pub fn parse(text: &str) -> Outcome<Self> {
        let mut parser = Parser { rest: text.trim(), depth: 0 };
        let node = parser
            .node()
            .and_then(|node| if parser.rest.is_empty() { Ok(node) } else { Err("something follows it") });
        node.map(Self).map_err(|problem| {
            Failure::invalid(format!("`{text}` is no search filter"))
                .because(problem)
                .hint("write it like `(&(objectClass=person)(uid={user}))`, RFC 4515")
        })
    }

    /// Both have to match.
    #[must_use]
    pub(super) fn and(self, other: Option<&Self>) -> Self {
        match other {
            Some(other) => Self(Node::And(vec![self.0, other.0.clone()])),
            None => self,
        }
    }

    /// Anything that exists.
    pub(super) fn anything() -> Self {
        Self(Node::Present("objectClass".into()))
    }

    pub(super) fn mentions_the_user(&self) -> bool {
        self.0.mentions_the_user()
    }

    /// As it goes over the wire, with this name.
    pub(super) fn encode(&self, user: &str) -> Vec<u8> {
        self.0.encode(user)
    }
}

impl Value {
    fn encode(&self, user: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in &self.0 {
            bytes.extend_from_slice(match part {
                Part::Bytes(bytes) => bytes,
                Part::User => user.as_bytes(),
            });
        }
        bytes
    }

    fn mentions_the_user(&self) -> bool {
        self.0.contains(&Part::User)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Node {
    fn mentions_the_user(&self) -> bool {
        match self {
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().any(Self::mentions_the_user),
            Self::Not(node) => node.mentions_the_user(),
            Self::Present(_) => false,
            Self::Compare(_, _, value) | Self::Extensible { value, .. } => value.mentions_the_user(),
            Self::Substrings(_, values) => values.iter().any(Value::mentions_the_user),
        }
    }

    fn encode(&self, user: &str) -> Vec<u8> {
        let all = |nodes: &[Self]| nodes.iter().flat_map(|node| node.encode(user)).collect::<Vec<u8>>();
        match self {
            Self::And(nodes) => element(0xa0, &all(nodes)),
            Self::Or(nodes) => element(0xa1, &all(nodes)),
            Self::Not(node) => element(0xa2, &node.encode(user)),
            Self::Present(attribute) => element(0x87, attribute.as_bytes()),
            Self::Compare(tag, attribute, value) => element(
                *tag,
                &[element(OCTETS, attribute.as_bytes()), element(OCTETS, &value.encode(user))].concat(),
            ),
            Self::Substrings(attribute, values) => {
                let last = values.len().saturating_sub(1);
                let pieces =
                    values.iter().enumerate().filter(|(_, value)| !value.is_empty()).map(|(index, value)| {
                        let tag = if index == 0 {
                            0x80
                        } else if index == last {
                            0x82
                        } else {
                            0x81
                        };
                        element(tag, &value.encode(user))
                    });
                let pieces: Vec<u8> = pieces.flatten().collect();
                element(0xa4, &[element(OCTETS, attribute.as_bytes()), element(0x30, &pieces)].concat())
            }
            Self::Extensible { rule, attribute, of_name, value } => {
                let mut content = Vec::new();
                if let Some(rule) = rule {
                    content.extend(element(0x81, rule.as_bytes()));
                }
                if let Some(attribute) = attribute {
                    content.extend(element(0x82, attribute.as_bytes()));
                }
                content.extend(element(0x83, &value.encode(user)));
                if *of_name {
                    content.extend(element(0x84, &[0xff]));
                }
                element(0xa9, &content)
            }
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

type Parsed<T> = Result<T, &'static str>;

impl Parser<'_> {
    fn eat(&mut self, letter: char) -> bool {
        let found = self.rest.strip_prefix(letter);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn node(&mut self) -> Parsed<Node> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("it is nested too deeply");
        }
        if !self.eat('(') {
            return Err("a `(` is missing");
        }
        let node = match self.rest.chars().next() {
            Some('&') => Node::And(self.nodes()?),
            Some('|') => Node::Or(self.nodes()?),
            Some('!') => {
                self.eat('!');
                Node::Not(Box::new(self.node()?))
            }
            _ => self.item()?,
        };
        if !self.eat(')') {
            return Err("a `)` is missing");
        }
        self.depth -= 1;
        Ok(node)
    }

    fn nodes(&mut self) -> Parsed<Vec<Node>> {
        self.rest = &self.rest[1..];
        let mut nodes = Vec::new();
        while self.rest.starts_with('(') {
            nodes.push(self.node()?);
        }
        if nodes.is_empty() { Err("`&` or `|` of nothing") } else { Ok(nodes) }
    }

    fn item(&mut self) -> Parsed<Node> {
        let end = self.rest.find([')', '(']).ok_or("a `)` is missing")?;
        let (item, rest) = self.rest.split_at(end);
        self.rest = rest;
        let (left, value) = item.split_once('=').ok_or("there is no `=` in a part of it")?;
        if let Some(left) = left.strip_suffix(':') {
            return extensible(left, value);
        }
        let (left, tag) = match left.as_bytes().last() {
            Some(b'>') => (&left[..left.len() - 1], 0xa5),
            Some(b'<') => (&left[..left.len() - 1], 0xa6),
            Some(b'~') => (&left[..left.len() - 1], 0xa8),
            _ => (left, 0xa3),
        };
        let attribute = attribute(left)?;
        if tag != 0xa3 || !value.contains('*') {
            return Ok(Node::Compare(tag, attribute, parse_value(value)?));
        }
        if value == "*" {
            return Ok(Node::Present(attribute));
        }
        Ok(Node::Substrings(attribute, value.split('*').map(parse_value).collect::<Parsed<_>>()?))
    }
}

/// `attribute:dn:rule` of which parts may be missing.
fn extensible(left: &str, value: &str) -> Parsed<Node> {
    let mut parts = left.split(':');
    let name = parts.next().filter(|name| !name.is_empty()).map(attribute).transpose()?;
    let (mut of_name, mut rule) = (false, None);
    for part in parts {
        if part.eq_ignore_ascii_case("dn") && !of_name {
            of_name = true;
        } else if rule.is_none() {
            rule = Some(attribute(part)?);
        } else {
            return Err("a matching rule has too many parts");
        }
    }
    if name.is_none() && rule.is_none() {
        return Err("neither attribute nor matching rule is named");
    }
    Ok(Node::Extensible { rule, attribute: name, of_name, value: parse_value(value)? })
}

fn attribute(text: &str) -> Parsed<String> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-.;_".contains(&byte);
    if text.is_empty() || !text.bytes().all(good) {
        Err("an attribute's name is none")
    } else {
        Ok(text.to_owned())
    }
}

fn parse_value(text: &str) -> Parsed<Value> {
    let mut parts = Vec::new();
    for (index, piece) in text.split(PLACEHOLDER).enumerate() {
        if index > 0 {
            parts.push(Part::User);
        }
        let bytes = unescaped(piece)?;
        if !bytes.is_empty() {
            parts.push(Part::Bytes(bytes));
        }
    }
    Ok(Value(parts))
}

/// `\2a` and its like.
fn unescaped(text: &str) -> Parsed<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = digit().zip(digit()).ok_or("a `\\` is not followed by two hexadecimal digits")?;
        bytes.push(high << 4 | low);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_encoded_as_the_rfc_says() {
        let encoded = |text: &str, user: &str| Filter::parse(text).expect("parses").encode(user);
        assert_eq!(encoded("(uid={user})", "al"), [0xa3, 9, 4, 3, b'u', b'i', b'd', 4, 2, b'a', b'l']);
        assert_eq!(encoded("(a=*)", ""), [0x87, 1, b'a']);
        assert_eq!(encoded("(!(a=b))", ""), [0xa2, 8, 0xa3, 6, 4, 1, b'a', 4, 1, b'b']);
        assert_eq!(encoded("(a>=5)", ""), [0xa5, 6, 4, 1, b'a', 4, 1, b'5']);
        assert_eq!(
            encoded("(a=x*y*z)", ""),
            [0xa4, 14, 4, 1, b'a', 0x30, 9, 0x80, 1, b'x', 0x81, 1, b'y', 0x82, 1, b'z']
        );
        assert_eq!(encoded("(a=*y*)", ""), [0xa4, 8, 4, 1, b'a', 0x30, 3, 0x81, 1, b'y']);
        assert_eq!(encoded("(a=\\2a\\28)", ""), [0xa3, 7, 4, 1, b'a', 4, 2, b'*', b'(']);
        assert_eq!(
            encoded("(a:1.2.3:=b)", ""),
            [0xa9, 13, 0x81, 5, b'1', b'.', b'2', b'.', b'3', 0x82, 1, b'a', 0x83, 1, b'b']
        );
        let nested = Filter::parse("(&(|(a=b)(c=d))(uid={user}))").expect("parses");
        assert!(nested.mentions_the_user());
        assert!(!Filter::parse("(a=user)").expect("parses").mentions_the_user());
    }

    #[test]
    fn a_name_cannot_become_part_of_a_filter() {
        let filter = Filter::parse("(&(objectClass=person)(uid={user}))").expect("parses");
        for name in ["*", "al*)(uid=*", "x)(|(a=*", "\\2a", "\0", "{user}"] {
            let encoded = filter.encode(name);
            let equal = element(0xa3, &[element(OCTETS, b"uid"), element(OCTETS, name.as_bytes())].concat());
            assert!(encoded.ends_with(&equal), "{name:?}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = format!("{}(a=b){}", "(!".repeat(20), ")".repeat(20));
        for bad in [
            "", "a=b", "(a=b", "(a=b))", "(&)", "(a)", "(=b)", "(a b=c)", "(a=\\2)", "(a=\\zz)", "(:=x)",
            "(a=(b))", &deep,
        ] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
    }
}
