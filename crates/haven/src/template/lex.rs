//! Template text to tokens: text outside `{{ }}`, and words, literals and marks inside.

use super::value::Value;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Text between actions, trims applied.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// `.Name`; `joined` when no space separates it from what is before.
    Field {
        name: String,
        joined: bool,
    },
    /// `.` alone
    Dot,
    /// `$` or `$name`, with the dollar sign
    Variable(String),
    /// a function or keyword
    Word(String),
    Literal(Value),
    Pipe,
    LeftParenthesis,
    RightParenthesis,
    Declare,
    Assign,
    Comma,
}

/// Longest accepted template.
const TEMPLATE_LIMIT_BYTES: usize = 1024 * 1024;

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    if text.len() > TEMPLATE_LIMIT_BYTES {
        return Err(format!("it is longer than {TEMPLATE_LIMIT_BYTES} bytes"));
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut trim_left = false;
    loop {
        let (mut plain, action) = match rest.find("{{") {
            Some(start) => (&rest[..start], Some(&rest[start + 2..])),
            None => (rest, None),
        };
        if trim_left {
            plain = plain.trim_start();
        }
        let Some(mut inside) = action else {
            push_text(&mut tokens, plain);
            return Ok(tokens);
        };
        if let Some(after) = inside.strip_prefix('-').filter(|after| after.starts_with(char::is_whitespace)) {
            plain = plain.trim_end();
            inside = after;
        }
        push_text(&mut tokens, plain);
        if let Some(comment) = inside.trim_start().strip_prefix("/*") {
            let end = comment.find("*/").ok_or("unclosed comment")?;
            let after = comment[end + 2..].trim_start();
            (rest, trim_left) = match after.strip_prefix("-}}") {
                Some(rest) => (rest, true),
                None => (after.strip_prefix("}}").ok_or("a comment must end its action")?, false),
            };
            continue;
        }
        tokens.push(Token::Open);
        (rest, trim_left) = action_tokens(inside, &mut tokens)?;
        tokens.push(Token::Close);
    }
}

fn push_text(tokens: &mut Vec<Token>, text: &str) {
    if !text.is_empty() {
        tokens.push(Token::Text(text.to_owned()));
    }
}

/// Reads one action up to and including its `}}`; returns what follows and whether it wants its left side trimmed.
fn action_tokens<'a>(text: &'a str, tokens: &mut Vec<Token>) -> Result<(&'a str, bool), String> {
    let mut rest = text;
    let mut spaced = true;
    loop {
        let trimmed = rest.trim_start();
        spaced |= trimmed.len() != rest.len();
        rest = trimmed;
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((after, false));
        }
        if let Some(after) = rest.strip_prefix("-}}").filter(|_| spaced) {
            return Ok((after, true));
        }
        let Some(first) = rest.chars().next() else {
            return Err("unclosed action".into());
        };
        let (token, length) = match first {
            '|' => (Token::Pipe, 1),
            '(' => (Token::LeftParenthesis, 1),
            ')' => (Token::RightParenthesis, 1),
            ',' => (Token::Comma, 1),
            ':' if rest.starts_with(":=") => (Token::Declare, 2),
            '=' => (Token::Assign, 1),
            '"' => quoted(rest)?,
            '`' => {
                let end = rest[1..].find('`').ok_or("unterminated raw quoted string")?;
                (Token::Literal(Value::text(&rest[1..=end])), end + 2)
            }
            '\'' => character(rest)?,
            '.' => {
                let length = name_length(&rest[1..]);
                if length > 0 && !rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
                    (Token::Field { name: rest[1..=length].to_owned(), joined: !spaced }, length + 1)
                } else if length > 0 {
                    number(rest)?
                } else {
                    (Token::Dot, 1)
                }
            }
            '$' => {
                let length = name_length(&rest[1..]);
                (Token::Variable(rest[..=length].to_owned()), length + 1)
            }
            '0'..='9' | '+' | '-' => number(rest)?,
            letter if letter.is_alphabetic() || letter == '_' => {
                let length = name_length(rest);
                (Token::Word(rest[..length].to_owned()), length)
            }
            other => return Err(format!("unexpected `{other}` in an action")),
        };
        tokens.push(token);
        rest = &rest[length..];
        spaced = false;
    }
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let length = text
        .char_indices()
        .find(|(index, c)| {
            let sign = matches!(c, '+' | '-')
                && (*index == 0 || text[..*index].ends_with(['e', 'E']) && !text.contains("0x"));
            !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_') || sign)
        })
        .map_or(text.len(), |(index, _)| index);
    let digits = text[..length].replace('_', "");
    let plain = digits.strip_prefix('+').unwrap_or(&digits);
    let (negative, size) = match plain.strip_prefix('-') {
        Some(size) => (true, size),
        None => (false, plain),
    };
    let whole = if let Some(hex) = size.strip_prefix("0x").or_else(|| size.strip_prefix("0X")) {
        i64::from_str_radix(hex, 16).ok()
    } else if let Some(octal) = size.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()
    } else if let Some(binary) = size.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()
    } else if size.bytes().all(|b| b.is_ascii_digit()) {
        size.parse().ok()
    } else {
        None
    };
    let value = match whole {
        Some(number) => Value::Integer(if negative { -number } else { number }),
        None => {
            let number: f64 = plain.parse().map_err(|_| format!("bad number `{}`", &text[..length]))?;
            Value::Float(number)
        }
    };
    Ok((Token::Literal(value), length))
}

fn quoted(text: &str) -> Result<(Token, usize), String> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Ok((Token::Literal(Value::Text(value)), index + 1)),
            '\n' => break,
            '\\' => value.push(escaped(&mut characters)?),
            other => value.push(other),
        }
    }
    Err("unterminated quoted string".into())
}

fn character(text: &str) -> Result<(Token, usize), String> {
    let mut characters = text.char_indices().skip(1);
    let value = match characters.next() {
        Some((_, '\\')) => escaped(&mut characters)?,
        Some((_, other)) if other != '\'' => other,
        _ => return Err("malformed character constant".into()),
    };
    match characters.next() {
        Some((index, '\'')) => Ok((Token::Literal(Value::Integer(i64::from(u32::from(value)))), index + 1)),
        _ => Err("unterminated character constant".into()),
    }
}

fn escaped(characters: &mut impl Iterator<Item = (usize, char)>) -> Result<char, String> {
    let (_, letter) = characters.next().ok_or("unterminated quoted string")?;
    let length = match letter {
        'n' => return Ok('\n'),
        't' => return Ok('\t'),
        'r' => return Ok('\r'),
        'a' => return Ok('\u{7}'),
        'b' => return Ok('\u{8}'),
        'f' => return Ok('\u{c}'),
        'v' => return Ok('\u{b}'),
        '\\' | '"' | '\'' => return Ok(letter),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        other => return Err(format!("unknown escape `\\{other}` in a string")),
    };
    let digits: String = characters.take(length).map(|(_, c)| c).collect();
    u32::from_str_radix(&digits, 16)
        .ok()
        .and_then(char::from_u32)
        .ok_or_else(|| format!("bad escape `\\{letter}{digits}` in a string"))
}
