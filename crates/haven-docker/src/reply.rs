//! Answers on their way out: whole ones, streams fed from elsewhere, and the taking over of a connection.

use crate::hijack::Hijack;
use crate::refusal::Refusal;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Pieces of a stream under way between its maker and a slow client; with pieces of at most some 100 kB this
/// bounds what a client that doesn't read costs.
pub(crate) const STREAM_PIECES: usize = 8;

/// What a handler answers.
pub(crate) enum Reply {
    Http(Response<ReplyBody>),
    /// The connection stops speaking HTTP.
    Hijack(Hijack),
}

/// Where a streamed body comes from. An error breaks the connection off, so that the client sees the body end early.
pub(crate) type Pieces = mpsc::Receiver<io::Result<Bytes>>;

/// A body: all there, or in pieces as they come.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    Whole(Option<Bytes>),
    Stream(Pieces),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(pieces) => {
                pieces.poll_recv(context).map(|piece| piece.map(|result| result.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) const TAR: HeaderValue = HeaderValue::from_static("application/x-tar");
pub(crate) const RAW_STREAM: HeaderValue = HeaderValue::from_static("application/vnd.docker.raw-stream");
pub(crate) const MULTIPLEXED_STREAM: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.multiplexed-stream");

impl Reply {
    /// A status and nothing else.
    pub(crate) fn empty(status: StatusCode) -> Self {
        let mut response = Response::new(ReplyBody::Whole(None));
        *response.status_mut() = status;
        Self::Http(response)
    }

    /// 204.
    pub(crate) fn done() -> Self {
        Self::empty(StatusCode::NO_CONTENT)
    }

    pub(crate) fn bytes(status: StatusCode, kind: HeaderValue, bytes: impl Into<Bytes>) -> Self {
        let mut response = Response::new(ReplyBody::Whole(Some(bytes.into())));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Self::Http(response)
    }

    /// `value` as JSON with a final newline, as Go's encoder writes it.
    pub(crate) fn json_with(status: StatusCode, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                Self::bytes(status, JSON, bytes)
            }
            Err(error) => Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("cannot write the answer as JSON: {error}"),
            )
            .into(),
        }
    }

    /// 200 and `value`.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        Self::json_with(StatusCode::OK, value)
    }

    /// 201 and `value`.
    pub(crate) fn created(value: &impl Serialize) -> Self {
        Self::json_with(StatusCode::CREATED, value)
    }

    /// 200 now, and the body as `pieces` arrive.
    pub(crate) fn stream(kind: HeaderValue, pieces: Pieces) -> Self {
        let mut response = Response::new(ReplyBody::Stream(pieces));
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Self::Http(response)
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if let Self::Http(response) = &mut self {
            response.headers_mut().insert(name, value);
        }
        self
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        // 304 has no body by its definition; a client would read one as the next answer.
        if refusal.status == StatusCode::NOT_MODIFIED {
            return Self::empty(refusal.status);
        }
        Self::json_with(refusal.status, &ErrorBody { message: &refusal.message })
    }
}
