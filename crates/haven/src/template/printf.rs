//! `printf` with the verbs people use in formats: `%s %q %v %d %x %X %o %b %c %t %f %e %g %%`, with width, precision
//! and the flags `-`, `0`, `+` and space. Mistakes show in the output, as Go has it: `%!d(string=x)`.

use super::value::Value;
use std::iter::Peekable;
use std::str::Chars;

/// Widest padding.
const WIDTH_LIMIT: usize = 10_000;

#[derive(Default)]
struct Verb {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

pub(super) fn format(format: &str, arguments: &[Value]) -> String {
    let mut output = String::new();
    let mut arguments = arguments.iter();
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '%' {
            output.push(character);
            continue;
        }
        let mut verb = Verb::default();
        while let Some(flag) = characters.next_if(|c| matches!(c, '-' | '0' | '+' | ' ' | '#')) {
            match flag {
                '-' => verb.left = true,
                '0' => verb.zero = true,
                '+' => verb.plus = true,
                '#' => verb.sharp = true,
                _ => verb.space = true,
            }
        }
        verb.width = digits(&mut characters).unwrap_or(0);
        if characters.next_if_eq(&'.').is_some() {
            verb.precision = Some(digits(&mut characters).unwrap_or(0));
        }
        match characters.next() {
            None => output.push_str("%!(NOVERB)"),
            Some('%') => output.push('%'),
            Some(letter) => match arguments.next() {
                None => output.push_str(&format!("%!{letter}(MISSING)")),
                Some(argument) => output.push_str(&verb.show(letter, argument)),
            },
        }
    }
    let extra: Vec<String> =
        arguments.map(|value| format!("{}={}", type_name(value), value.shown())).collect();
    if !extra.is_empty() {
        output.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    output
}

fn digits(characters: &mut Peekable<Chars<'_>>) -> Option<usize> {
    let mut number = None;
    while let Some(digit) = characters.next_if(char::is_ascii_digit) {
        let digit = digit.to_digit(10).map_or(0, |digit| digit as usize);
        number = Some((number.unwrap_or(0) * 10 + digit).min(WIDTH_LIMIT));
    }
    number
}

impl Verb {
    fn show(&self, letter: char, value: &Value) -> String {
        let wrong = || format!("%!{letter}({}={})", type_name(value), value.shown());
        let whole = match value {
            Value::Integer(number) => Some(i128::from(*number)),
            Value::Unsigned(number) => Some(i128::from(*number)),
            _ => None,
        };
        let body = match (letter, whole) {
            ('v', _) => value.shown(),
            ('s', None) if !matches!(value, Value::Float(_) | Value::Bool(_)) => self.cut(value.shown()),
            ('q', None) => match value {
                Value::Text(text) => format!("{:?}", self.cut(text.clone())),
                Value::List(items) => {
                    let items: Vec<String> = items.iter().map(|item| self.show('q', item)).collect();
                    format!("[{}]", items.join(" "))
                }
                _ => return wrong(),
            },
            ('d', Some(number)) => number.to_string(),
            ('x', Some(number)) => {
                radix(number, |n| if self.sharp { format!("{n:#x}") } else { format!("{n:x}") })
            }
            ('X', Some(number)) => radix(number, |n| format!("{n:X}")),
            ('o', Some(number)) => radix(number, |n| format!("{n:o}")),
            ('b', Some(number)) => radix(number, |n| format!("{n:b}")),
            ('c', Some(number)) => {
                u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}').to_string()
            }
            ('x', None) if matches!(value, Value::Text(_)) => {
                value.as_str().bytes().map(|byte| format!("{byte:02x}")).collect()
            }
            ('t', _) if matches!(value, Value::Bool(_)) => value.shown(),
            ('f' | 'F', _) if matches!(value, Value::Float(_)) => {
                format!("{:.*}", self.precision.unwrap_or(6), value.decimal())
            }
            ('e' | 'g', _) if matches!(value, Value::Float(_)) => value.shown(),
            _ => return wrong(),
        };
        let numeric = whole.is_some() || matches!(value, Value::Float(_));
        self.padded(body, numeric)
    }

    fn cut(&self, text: String) -> String {
        match self.precision {
            Some(most) => text.chars().take(most).collect(),
            None => text,
        }
    }

    fn padded(&self, body: String, numeric: bool) -> String {
        let body = match (numeric && !body.starts_with('-'), self.plus, self.space) {
            (true, true, _) => format!("+{body}"),
            (true, false, true) => format!(" {body}"),
            _ => body,
        };
        let missing = self.width.saturating_sub(body.chars().count());
        if missing == 0 {
            body
        } else if self.left {
            body + &" ".repeat(missing)
        } else if self.zero {
            let (sign, digits) = match body.strip_prefix(['-', '+']) {
                Some(digits) if numeric => (&body[..1], digits),
                _ => ("", body.as_str()),
            };
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            " ".repeat(missing) + &body
        }
    }
}

fn radix(number: i128, show: impl Fn(u128) -> String) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", show(number.unsigned_abs()))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Integer(_) => "int",
        Value::Unsigned(_) => "uint",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        Value::Lookup(_) => "func",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_show_in_the_output() {
        let text = Value::text("x");
        for (template, arguments, expected) in [
            ("%d", vec![text.clone()], "%!d(string=x)"),
            ("%s", vec![], "%!s(MISSING)"),
            ("a", vec![text.clone()], "a%!(EXTRA string=x)"),
            ("%", vec![], "%!(NOVERB)"),
            (
                "%05d|%+d|%-4d|",
                vec![Value::Integer(-7), Value::Integer(7), Value::Integer(7)],
                "-0007|+7|7   |",
            ),
            ("%.1s", vec![Value::text("abc")], "a"),
            ("%99999999s", vec![text], &(" ".repeat(WIDTH_LIMIT - 1) + "x")),
        ] {
            assert_eq!(format(template, &arguments), expected, "{template}");
        }
    }
}
