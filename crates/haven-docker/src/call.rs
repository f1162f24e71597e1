//! One request as handlers see it, and the reading of its body: JSON up to a bound, or a stream.

use crate::query::{Query, percent_decode};
use crate::refusal::{Answer, Refusal};
use crate::version::ApiVersion;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request, StatusCode};
use serde::de::DeserializeOwned;
use std::io::{self, Read};
use tokio::sync::mpsc;

/// Longest JSON body. Docker has no bound; a container with thousands of variables and mounts takes some 100 kB.
pub(crate) const JSON_LIMIT_BYTES: usize = 8 * 1024 * 1024;
/// Chunks of an uploaded stream under way between the socket and whoever reads it.
const UPLOAD_CHUNKS: usize = 8;

/// A request, taken apart.
pub(crate) struct Call<B = Incoming> {
    pub(crate) method: Method,
    pub(crate) version: ApiVersion,
    /// Without the version, decoded.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) body: B,
    /// The user id of the process at the other end, as the kernel says.
    pub(crate) caller_uid: Option<u32>,
}

impl<B: Body<Data = Bytes>> Call<B>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Takes a request apart; refuses versions and escapes nobody understands.
    pub(crate) fn read(request: Request<B>) -> Answer<Self> {
        let (head, body) = request.into_parts();
        let path = percent_decode(head.uri.path(), false)
            .ok_or_else(|| Refusal::invalid("invalid URL escape in the path"))?;
        let mut segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
        let mut version = ApiVersion::NEWEST;
        if segments.len() > 1
            && let Some(wanted) = segments[0].strip_prefix('v').and_then(ApiVersion::parse)
        {
            version = wanted;
            segments.remove(0);
        }
        if version > ApiVersion::NEWEST {
            return Err(Refusal::invalid(format!(
                "client version {version} is too new. Maximum supported API version is {}",
                ApiVersion::NEWEST
            )));
        }
        if version < ApiVersion::OLDEST {
            return Err(Refusal::invalid(format!(
                "client version {version} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
                ApiVersion::OLDEST
            )));
        }
        let query = Query::parse(head.uri.query().unwrap_or(""))?;
        Ok(Self {
            method: head.method,
            version,
            segments,
            query,
            headers: head.headers,
            body,
            caller_uid: None,
        })
    }

    /// Whether the client speaks at least this version.
    pub(crate) fn at_least(&self, major: u16, minor: u16) -> bool {
        self.version >= ApiVersion::new(major, minor)
    }

    /// The body as JSON; `None` when there is none.
    pub(crate) async fn json_or_none<T: DeserializeOwned>(&mut self) -> Answer<Option<T>>
    where
        B: Unpin,
    {
        let bytes = collect(&mut self.body, JSON_LIMIT_BYTES).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let kind = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let essence = kind.split(';').next().unwrap_or("").trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::invalid(format!(
                "unsupported Content-Type header ({kind}): must be 'application/json'"
            )));
        }
        parse(&bytes).map(Some)
    }

    /// The body as JSON, which must be there.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Answer<T>
    where
        B: Unpin,
    {
        let absent = || Refusal::invalid("invalid JSON: got EOF while reading request body");
        self.json_or_none().await?.ok_or_else(absent)
    }
}

/// Parses one JSON document, naming the field that is wrong.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Answer<T> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let field = error.path().to_string();
        if error.inner().is_data() && field != "." {
            Refusal::invalid(format!("invalid JSON: field `{field}`: {}", error.inner()))
        } else {
            Refusal::invalid(format!("invalid JSON: {}", error.inner()))
        }
    })?;
    deserializer.end().map_err(|_| Refusal::invalid("unexpected content after JSON"))?;
    Ok(value)
}

/// The whole body, up to `limit` bytes.
async fn collect<B>(body: &mut B, limit: usize) -> Answer<Bytes>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the request body is larger than {limit} bytes, the most this request takes"),
        )
    };
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Refusal::invalid(format!("cannot read the request body: {error}"))),
    }
}

/// A request body as a blocking reader, for work that runs on a blocking thread.
pub(crate) struct BodyReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl BodyReader {
    /// Reads `body` on a task of its own, a few chunks ahead.
    pub(crate) fn new<B>(mut body: B) -> Self
    where
        B: Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (sender, chunks) = mpsc::channel(UPLOAD_CHUNKS);
        drop(tokio::spawn(async move {
            while let Some(frame) = body.frame().await {
                let chunk = match frame {
                    Ok(frame) => match frame.into_data() {
                        Ok(data) => Ok(data),
                        Err(_trailers) => continue,
                    },
                    Err(error) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
                };
                let failed = chunk.is_err();
                if sender.send(chunk).await.is_err() || failed {
                    return;
                }
            }
        }));
        Self { chunks, rest: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(error)) => return Err(error),
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.rest.len());
        buffer[..count].copy_from_slice(&self.rest.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use serde::Deserialize;

    fn call(uri: &str, body: &'static str) -> Answer<Call<Full<Bytes>>> {
        let request = Request::builder()
            .uri(uri)
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Full::new(Bytes::from_static(body.as_bytes())));
        Call::read(request.unwrap())
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        number: u8,
    }

    #[test]
    fn a_path_may_carry_a_version_or_not() {
        let with = call("/v1.30/containers/json?all=1", "").unwrap();
        assert_eq!(with.segments, ["containers", "json"]);
        assert!(with.at_least(1, 30) && !with.at_least(1, 31));
        let without = call("/containers/json", "").unwrap();
        assert_eq!(without.version, ApiVersion::NEWEST);
        // Not a version: a name like any other.
        assert_eq!(call("/vx/y", "").unwrap().segments, ["vx", "y"]);
    }

    #[test]
    fn versions_out_of_range_are_refused_in_dockers_words() {
        assert_eq!(
            call("/v9.99/version", "").err().unwrap().message,
            "client version 9.99 is too new. Maximum supported API version is 1.51"
        );
        assert_eq!(
            call("/v1.1/version", "").err().unwrap().message,
            "client version 1.1 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
    }

    #[tokio::test]
    async fn wrong_json_names_the_field() {
        for (body, words) in [
            (r#"{"inner":{"number":"x"}}"#, "field `inner.number`"),
            (r#"{"inner":{"number":999}}"#, "field `inner.number`"),
            (r#"{"inner":{"num"#, "EOF while parsing"),
            (r#"{"inner":{"number":1}} x"#, "unexpected content after JSON"),
            ("", "got EOF while reading request body"),
        ] {
            let refusal = call("/x", body).unwrap().json::<Outer>().await.unwrap_err();
            assert_eq!(refusal.status, StatusCode::BAD_REQUEST);
            assert!(refusal.message.contains(words), "{}", refusal.message);
        }
        let good = call("/x", r#"{"inner":{"number":7}}"#).unwrap().json::<Outer>().await.unwrap();
        assert_eq!(good.inner.number, 7);
    }

    #[tokio::test]
    async fn deep_nesting_is_refused_not_followed() {
        let deep: &'static str = Box::leak("[".repeat(100_000).into_boxed_str());
        let refusal = call("/x", deep).unwrap().json::<serde_json::Value>().await.unwrap_err();
        assert!(refusal.message.contains("recursion limit"), "{}", refusal.message);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whatever_it_says_about_itself() {
        let big: &'static str = Box::leak(" ".repeat(JSON_LIMIT_BYTES + 1).into_boxed_str());
        let refusal = call("/x", big).unwrap().json::<Outer>().await.unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
