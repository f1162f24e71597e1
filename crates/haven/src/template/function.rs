//! The functions a template can call: Go's own, and the ones Docker's command line adds.

use super::printf;
use super::value::Value;
use std::cmp::Ordering;

pub(super) const NAMES: &[&str] = &[
    "and", "eq", "ge", "gt", "html", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not", "or",
    "pad", "print", "printf", "println", "slice", "split", "title", "truncate", "upper", "urlquery",
];

pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Functions that leave a table's heading as it is.
pub(super) fn keeps_headings(name: &str) -> bool {
    matches!(name, "json" | "title" | "lower" | "upper" | "truncate")
}

/// What a value is called in a message.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing (null)",
        Value::Bool(_) => "a truth value",
        Value::Integer(_) | Value::Unsigned(_) | Value::Float(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
        Value::Lookup(_) => "a function",
    }
}

/// Go's notion of truth: not the zero value, not empty.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Integer(number) => *number != 0,
        Value::Unsigned(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::List(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        Value::Lookup(_) => true,
    }
}

pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let count = |expected: usize| {
        if arguments.len() == expected {
            Ok(())
        } else {
            Err(format!("`{name}` takes {expected} arguments and got {}", arguments.len()))
        }
    };
    match name {
        "not" => {
            count(1)?;
            Ok(Value::Bool(!truth(&arguments[0])))
        }
        "len" => {
            count(1)?;
            length(&arguments[0])
        }
        "index" => index(arguments),
        "slice" => slice(arguments),
        "print" => Ok(Value::Text(print(arguments))),
        "println" => {
            let words: Vec<String> = arguments.iter().map(Value::shown).collect();
            Ok(Value::Text(words.join(" ") + "\n"))
        }
        "printf" => {
            let (format, rest) = arguments.split_first().ok_or("`printf` needs a format")?;
            Ok(Value::Text(printf::format(text(name, format)?, rest)))
        }
        "json" => {
            count(1)?;
            Ok(Value::Text(arguments[0].json()))
        }
        "join" => {
            count(2)?;
            let words: Vec<String> = match &arguments[0] {
                Value::List(items) => items.iter().map(Value::shown).collect(),
                Value::Null => Vec::new(),
                other => return Err(format!("`join` needs a list and got {}", kind(other))),
            };
            Ok(Value::Text(words.join(text(name, &arguments[1])?)))
        }
        "split" => {
            count(2)?;
            let (whole, separator) = (text(name, &arguments[0])?, text(name, &arguments[1])?);
            let parts: Vec<Value> = if separator.is_empty() {
                whole.chars().map(|c| Value::Text(c.to_string())).collect()
            } else {
                whole.split(separator).map(Value::from).collect()
            };
            Ok(Value::List(parts))
        }
        "lower" | "upper" | "title" | "html" | "urlquery" => {
            count(1)?;
            let plain = if name == "html" || name == "urlquery" {
                arguments[0].shown()
            } else {
                text(name, &arguments[0])?.to_owned()
            };
            Ok(Value::Text(match name {
                "lower" => plain.to_lowercase(),
                "upper" => plain.to_uppercase(),
                "title" => titled(&plain),
                "html" => plain
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;")
                    .replace('"', "&#34;")
                    .replace('\'', "&#39;"),
                _ => crate::wire::escape(&plain),
            }))
        }
        "pad" => {
            count(3)?;
            let padding =
                |value: &Value| " ".repeat(usize::try_from(value.number()).unwrap_or(0).min(10_000));
            let inner = text(name, &arguments[0])?;
            if inner.is_empty() {
                return Ok(Value::text(""));
            }
            Ok(Value::Text(format!("{}{inner}{}", padding(&arguments[1]), padding(&arguments[2]))))
        }
        "truncate" => {
            count(2)?;
            let length = usize::try_from(arguments[1].number()).unwrap_or(0);
            Ok(Value::Text(text(name, &arguments[0])?.chars().take(length).collect()))
        }
        "eq" | "ne" => equality(name, arguments),
        "lt" | "le" | "gt" | "ge" => {
            count(2)?;
            let order = compare(&arguments[0], &arguments[1])?;
            Ok(Value::Bool(match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }))
        }
        other => Err(format!("function `{other}` is not defined")),
    }
}

fn text<'v>(function: &str, value: &'v Value) -> Result<&'v str, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("`{function}` needs a text and got {}", kind(other))),
    }
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(entries) => entries.len(),
        Value::Null => 0,
        other => return Err(format!("`len` of {}", kind(other))),
    };
    Ok(Value::Integer(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn position(value: &Value, length: usize) -> Result<usize, String> {
    match value {
        Value::Integer(number) => usize::try_from(*number)
            .ok()
            .filter(|index| *index <= length)
            .ok_or_else(|| format!("index out of range: {number}")),
        other => Err(format!("cannot index a list with {}", kind(other))),
    }
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let (value, keys) = arguments.split_first().ok_or("`index` needs a value")?;
    let mut value = value;
    static NOTHING: Value = Value::Null;
    for key in keys {
        value = match value {
            Value::List(items) => {
                let at = position(key, items.len())?;
                items.get(at).ok_or_else(|| format!("index out of range: {at}"))?
            }
            Value::Map(_) => match key {
                Value::Text(name) => value.entry(name).unwrap_or(&NOTHING),
                other => return Err(format!("cannot index a map with {}", kind(other))),
            },
            Value::Text(text) => {
                let at = position(key, text.len())?;
                let byte = text.as_bytes().get(at).ok_or_else(|| format!("index out of range: {at}"))?;
                return Ok(Value::Integer(i64::from(*byte)));
            }
            other => return Err(format!("cannot index {}", kind(other))),
        };
    }
    Ok(value.clone())
}

fn slice(arguments: &[Value]) -> Result<Value, String> {
    let (value, bounds) = arguments.split_first().ok_or("`slice` needs a value")?;
    let whole = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        other => return Err(format!("cannot slice {}", kind(other))),
    };
    let from = bounds.first().map_or(Ok(0), |bound| position(bound, whole))?;
    let to = bounds.get(1).map_or(Ok(whole), |bound| position(bound, whole))?;
    if from > to {
        return Err(format!("invalid slice: {from} > {to}"));
    }
    match value {
        Value::Text(text) => {
            text.get(from..to).map(Value::from).ok_or_else(|| "a slice would cut a character in two".into())
        }
        other => Ok(Value::List(other.items()[from..to].to_vec())),
    }
}

/// A space between two operands when neither is a text.
fn print(arguments: &[Value]) -> String {
    let mut printed = String::new();
    for (index, argument) in arguments.iter().enumerate() {
        let spaced = index > 0
            && !matches!(argument, Value::Text(_))
            && !matches!(arguments[index - 1], Value::Text(_));
        if spaced {
            printed.push(' ');
        }
        printed.push_str(&argument.shown());
    }
    printed
}

fn titled(text: &str) -> String {
    let mut before = ' ';
    text.chars()
        .map(|character| {
            let first = !(before.is_alphanumeric() || before == '_' || before == '\'');
            before = character;
            if first { character.to_uppercase().to_string() } else { character.to_string() }
        })
        .collect()
}

fn equality(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let (first, others) = arguments.split_first().ok_or_else(|| format!("`{name}` needs arguments"))?;
    if others.is_empty() || (name == "ne" && others.len() > 1) {
        return Err(format!("`{name}` got {} arguments", arguments.len()));
    }
    let mut equal = false;
    for other in others {
        equal |= match (first, other) {
            (Value::Null, other) | (other, Value::Null) => other.is_null(),
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => {
                return Err("cannot compare lists or maps".into());
            }
            (a, b) => compare(a, b)? == Ordering::Equal,
        };
    }
    Ok(Value::Bool(equal == (name == "eq")))
}

fn compare(a: &Value, b: &Value) -> Result<Ordering, String> {
    let numeric = |value: &Value| matches!(value, Value::Integer(_) | Value::Unsigned(_) | Value::Float(_));
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(a.cmp(b)),
        (Value::Integer(a), Value::Integer(b)) => Ok(a.cmp(b)),
        (Value::Unsigned(a), Value::Unsigned(b)) => Ok(a.cmp(b)),
        (a, b) if numeric(a) && numeric(b) => {
            a.decimal().partial_cmp(&b.decimal()).ok_or_else(|| "cannot compare NaN".into())
        }
        (a, b) => Err(format!("incompatible types for comparison: {} and {}", kind(a), kind(b))),
    }
}
