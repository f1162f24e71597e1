//! What a request says, read with limits: path, query, cookies, forms, who sent it.

use crate::html::decoded;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Request};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The name says to browsers: only over TLS, only from this host, for all of it.
pub(crate) const SESSION_COOKIE: &str = "__Host-bargate";
pub(crate) const DEVICE_COOKIE: &str = "__Host-bargate-device";

/// Longest form that isn't an upload.
const FORM_LIMIT: usize = 64 << 10;

/// A form that trickles in is somebody holding a connection.
const FORM_PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Asked {
    pub(crate) method: Method,
    /// Decoded parts, without empty ones.
    pub(crate) parts: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) address: IpAddr,
    pub(crate) body: Incoming,
}

impl Asked {
    /// `None` for a path or query that is no text.
    pub(crate) fn new(request: Request<Incoming>, peer: IpAddr, proxies: &[IpAddr]) -> Option<Self> {
        let (head, body) = request.into_parts();
        let parts = head.uri.path().split('/').filter(|part| !part.is_empty());
        let parts = parts.map(|part| decoded(part, false)).collect::<Option<Vec<_>>>()?;
        let query = pairs(head.uri.query().unwrap_or_default())?;
        let address = address(&head.headers, peer, proxies);
        Some(Self { method: head.method, parts, query, headers: head.headers, address, body })
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        value(&self.query, name)
    }

    pub(crate) fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.get_all(header::COOKIE).iter();
        let mut found = all
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(other, _)| *other == name)
            .map(|(_, value)| value);
        let first = found.next();
        // Two of one name: somebody planted one.
        if found.next().is_some() { None } else { first }
    }

    /// Whether a request that changes something comes from a page of ours: browsers say so in one of two headers, and one
    /// that says neither is refused.
    pub(crate) fn is_from_us(&self) -> bool {
        if let Some(site) = self.headers.get("sec-fetch-site") {
            return site == "same-origin";
        }
        let origin = self.header(header::ORIGIN).and_then(|origin| origin.split_once("://"));
        let host = self.header(header::HOST);
        matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
    }

    /// The fields of a form; `None` when it is none, or too long.
    pub(crate) async fn form(self) -> Option<Form> {
        let kind = self.header(header::CONTENT_TYPE)?.split(';').next()?.trim().to_owned();
        if kind != "application/x-www-form-urlencoded" {
            return None;
        }
        let body = Limited::new(self.body, FORM_LIMIT).collect();
        let bytes = timeout(FORM_PATIENCE, body).await.ok()?.ok()?.to_bytes();
        let text = Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned());
        Some(Form(pairs(&text)?))
    }
}

/// The fields of a form, wiped when dropped.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        value(&self.0, name)
    }

    /// Takes a field out, so that no copy stays.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.iter_mut().find(|(other, _)| other == name).map(|(_, value)| std::mem::take(value))
    }
}

impl Drop for Form {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, value)| zeroize::Zeroize::zeroize(value));
    }
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
}

fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(name, true)?, decoded(value, true)?))
        })
        .collect()
}

/// Where a request comes from: the peer, or what the nearest proxy of ours says of the one before it.
fn address(headers: &HeaderMap, peer: IpAddr, proxies: &[IpAddr]) -> IpAddr {
    let peer = peer.to_canonical();
    if !proxies.contains(&peer) {
        return peer;
    }
    let said: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    // From the right: what stands further left was written by whoever sent the request.
    for text in said.iter().rev() {
        match text.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Ok(address) if proxies.contains(&address) => {}
            Ok(address) => return address,
            Err(_) => break,
        }
    }
    peer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_our_own_proxies_are_believed() {
        let proxies = [ip("10.0.0.1"), ip("10.0.0.2")];
        let headers = |said: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", said.parse().expect("a value"));
            headers
        };
        let from = |peer: &str, said: &str| address(&headers(said), ip(peer), &proxies).to_string();
        assert_eq!(from("203.0.113.9", "192.0.2.1"), "203.0.113.9", "not from a proxy");
        assert_eq!(from("10.0.0.1", "6.6.6.6, 192.0.2.1"), "192.0.2.1", "the left is the sender's own word");
        assert_eq!(from("10.0.0.1", "192.0.2.1, 10.0.0.2"), "192.0.2.1");
        assert_eq!(from("10.0.0.1", "nonsense"), "10.0.0.1");
        assert_eq!(from("::ffff:203.0.113.9", ""), "203.0.113.9");
    }

    #[test]
    fn forms_are_read() {
        let pairs = pairs("user=a%26b&password=x+y%3D&empty=&flag").expect("reads");
        assert_eq!(value(&pairs, "user"), Some("a&b"));
        assert_eq!(value(&pairs, "password"), Some("x y="));
        assert_eq!(value(&pairs, "flag"), Some(""));
        assert_eq!(super::pairs("a=%zz"), None);
    }
}
