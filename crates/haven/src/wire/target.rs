//! Request targets: percent-encoding of path segments and query strings. RFC 3986.

/// Percent-encodes everything but the unreserved characters, so that a name can never end its path segment.
pub(crate) fn escape(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.push(char::from(DIGITS[usize::from(byte >> 4)]));
            escaped.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    escaped
}

/// A query string under construction.
#[derive(Debug, Default, Clone)]
pub(crate) struct Query {
    text: String,
}

impl Query {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.text.is_empty() { '?' } else { '&' });
        self.text.push_str(name);
        self.text.push('=');
        self.text.push_str(&escape(value));
        self
    }

    /// `name=1` when `on`, else nothing: Docker's way of writing truth in a query.
    pub(crate) fn flag(self, name: &str, on: bool) -> Self {
        if on { self.set(name, "1") } else { self }
    }

    pub(crate) fn optional(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// With its leading question mark, or nothing.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(escape("../a b?c#d"), "..%2Fa%20b%3Fc%23d");
        assert_eq!(escape("web_1.x-y~"), "web_1.x-y~");
        assert_eq!(escape("ü"), "%C3%BC");
    }

    #[test]
    fn a_query_joins_its_parts() {
        let query =
            Query::new().set("all", "1").flag("size", false).flag("x", true).optional("y", Some("a&b"));
        assert_eq!(query.as_str(), "?all=1&x=1&y=a%26b");
        assert_eq!(Query::new().as_str(), "");
    }
}
