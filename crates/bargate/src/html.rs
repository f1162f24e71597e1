//! Text into pages: everything that comes from a person, a server or a file name goes through [`Text`], which can't be
//! markup. Pages are built with `format!`, and what is put in is either a constant or `Text`.

use std::fmt;

/// Shown as it is, in text and in quoted attributes.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // What turns the direction of writing fakes file endings; what is invisible hides.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_str("\u{fffd}")?,
                letter if letter.is_control() => f.write_str("\u{fffd}")?,
                letter => write!(f, "{letter}")?,
            }
        }
        Ok(())
    }
}

/// One part of a path in a link, RFC 3986: everything but letters, digits and four signs as `%XX`.
pub(crate) struct Part<'a>(pub(crate) &'a str);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// `%XX` back to text; none when it is no UTF-8 or cut short.
pub(crate) fn decoded(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit =
                    || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                let (high, low) = (digit()?, digit()?);
                bytes.push(high << 4 | low);
            }
            b'+' if plus_is_space => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        let evil = "<script>alert('1')</script>\" onload=\"x&\u{202e}\n";
        let shown = Text(evil).to_string();
        assert!(!shown.contains(['<', '>', '"', '\'', '\n', '\u{202e}']), "{shown}");
    }

    #[test]
    fn parts_of_links_come_back() {
        for text in ["plain.txt", "a b/c?d#e%f", "ü😀", "\"'<>&"] {
            assert_eq!(decoded(&Part(text).to_string(), false).as_deref(), Some(text));
        }
        assert_eq!(decoded("a+b", true).as_deref(), Some("a b"));
        assert_eq!(decoded("%zz", false), None);
        assert_eq!(decoded("%f", false), None);
        assert_eq!(decoded("%ff", false), None);
    }
}
