//! What is sent: method, target, fields and an optional payload.

use std::io::Read;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
}

impl Method {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A request's body.
pub(crate) enum Payload {
    None,
    /// A JSON document.
    Json(Vec<u8>),
    /// A tar or other stream of unknown length, sent chunked while the answer is already being read.
    Stream(Box<dyn Read + Send>),
}

pub(crate) struct Request {
    pub(crate) method: Method,
    /// Path and query, without the version prefix.
    pub(crate) target: String,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) payload: Payload,
    /// Ask for the connection to become a raw stream.
    pub(crate) upgrade: bool,
}

impl Request {
    pub(crate) fn new(method: Method, target: impl Into<String>) -> Self {
        Self { method, target: target.into(), fields: Vec::new(), payload: Payload::None, upgrade: false }
    }

    pub(crate) fn get(target: impl Into<String>) -> Self {
        Self::new(Method::Get, target)
    }

    pub(crate) fn post(target: impl Into<String>) -> Self {
        Self::new(Method::Post, target)
    }

    pub(crate) fn delete(target: impl Into<String>) -> Self {
        Self::new(Method::Delete, target)
    }

    pub(crate) fn json(mut self, document: &serde_json::Value) -> Self {
        self.payload = Payload::Json(document.to_string().into_bytes());
        self
    }

    pub(crate) fn stream(mut self, source: Box<dyn Read + Send>) -> Self {
        self.payload = Payload::Stream(source);
        self
    }

    pub(crate) fn upgrade(mut self) -> Self {
        self.upgrade = true;
        self
    }
}
