//! What every answer has: a policy under which nothing but our own style sheet loads and no script runs, no guessing of
//! types, nothing kept by caches, no frame around us.

use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use hyper::body::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

pub(crate) type Answer = Response<BoxBody<Bytes, std::io::Error>>;

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// People's files: whatever is in them, it is nobody's page.
const FILE_POLICY: &str = "sandbox; default-src 'none'";

pub(crate) fn body(bytes: impl Into<Bytes>) -> BoxBody<Bytes, std::io::Error> {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub(crate) fn page(status: StatusCode, html: String) -> Answer {
    with(status, "text/html; charset=utf-8", POLICY, body(html))
}

pub(crate) fn plain(status: StatusCode, text: &'static str) -> Answer {
    with(status, "text/plain; charset=utf-8", POLICY, body(text))
}

pub(crate) fn style(text: &'static str) -> Answer {
    let mut answer = with(StatusCode::OK, "text/css; charset=utf-8", POLICY, body(text));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    answer
}

/// A person's file; always to be saved, never shown on our origin.
pub(crate) fn file(status: StatusCode, content: BoxBody<Bytes, std::io::Error>) -> Answer {
    with(status, "application/octet-stream", FILE_POLICY, content)
}

pub(crate) fn see(place: &str) -> Answer {
    let mut answer = plain(StatusCode::SEE_OTHER, "");
    set(&mut answer, header::LOCATION, place);
    answer
}

/// A header whose value comes from data; one that can't be a header is left out.
pub(crate) fn set(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

pub(crate) fn add_cookie(answer: &mut Answer, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn with(
    status: StatusCode,
    kind: &'static str,
    policy: &'static str,
    content: BoxBody<Bytes, std::io::Error>,
) -> Answer {
    let mut answer = Response::new(content);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let fixed: [(HeaderName, &'static str); 8] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
