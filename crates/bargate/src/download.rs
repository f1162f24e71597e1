//! A file to a browser: whole, or a range of it, so that what broke off can be taken up and players can seek.
//!
//! Sent as it comes from the file server, a few megabytes ahead at most. A file server that fails in the middle breaks
//! the connection off, so that half a file is never taken for a whole one.

use crate::answer::{self, Answer};
use crate::html::Part;
use crate::request::Asked;
use haven_files::{Entry, FilePath, FileStream, Problem, Share};
use http_body_util::BodyExt;
use hyper::Method;
use hyper::StatusCode;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::UNIX_EPOCH;
use tokio::sync::mpsc;

/// Pieces that wait for a slow browser.
const WAITING: usize = 2;

pub(crate) async fn file(asked: &Asked, share: &Share, path: &FilePath) -> Result<Answer, Problem> {
    let entry = share.look(path).await?;
    let tag = tag(&entry);
    if asked.header(IF_NONE_MATCH) == Some(tag.as_str()) {
        let mut answer = answer::file(StatusCode::NOT_MODIFIED, answer::body(""));
        answer::set(&mut answer, ETAG, &tag);
        return Ok(answer);
    }
    let size = entry.size_bytes;
    let still_the_same = asked.header(IF_RANGE).is_none_or(|known| known == tag);
    let wanted =
        asked.header(RANGE).filter(|_| still_the_same).map_or(Wanted::All, |text| wanted(text, size));
    let (status, range) = match wanted {
        Wanted::All => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            let mut answer = answer::file(StatusCode::RANGE_NOT_SATISFIABLE, answer::body(""));
            answer::set(&mut answer, CONTENT_RANGE, &format!("bytes */{size}"));
            return Ok(answer);
        }
    };
    let length = range.end - range.start;
    let content = if asked.method == Method::HEAD {
        answer::body("")
    } else {
        let (sender, pieces) = mpsc::channel(WAITING);
        tokio::spawn(send(share.read(path, range.clone()).await?, sender));
        Pieces { pieces, left: length }.boxed()
    };
    let mut answer = answer::file(status, content);
    answer::set(&mut answer, ETAG, &tag);
    answer::set(&mut answer, ACCEPT_RANGES, "bytes");
    answer::set(&mut answer, CONTENT_LENGTH, &length.to_string());
    answer::set(
        &mut answer,
        CONTENT_DISPOSITION,
        &format!("attachment; filename*=UTF-8''{}", Part(&entry.name)),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        answer::set(&mut answer, CONTENT_RANGE, &format!("bytes {}-{}/{size}", range.start, range.end - 1));
    }
    Ok(answer)
}

/// Changes when the file does.
fn tag(entry: &Entry) -> String {
    let modified = entry.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("\"{:x}-{:x}\"", entry.size_bytes, modified.as_nanos())
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// One range; several, or something else, mean all of it (RFC 9110 allows that).
fn wanted(text: &str, size: u64) -> Wanted {
    let Some(spec) = text.strip_prefix("bytes=").filter(|spec| !spec.contains(',')) else {
        return Wanted::All;
    };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::All };
    let range = match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if last >= first => first..last.saturating_add(1).min(size),
        (Ok(first), Err(_)) if last.is_empty() => first..size,
        (Err(_), Ok(count)) if first.is_empty() => size.saturating_sub(count)..size,
        _ => return Wanted::All,
    };
    if range.is_empty() { Wanted::Nothing } else { Wanted::Part(range) }
}

async fn send(mut stream: FileStream, sender: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let piece = match stream.next().await {
            Ok(Some(piece)) => Ok(Bytes::from(piece)),
            Ok(None) => return,
            Err(problem) => Err(io::Error::other(problem.to_string())),
        };
        let failed = piece.is_err();
        if sender.send(piece).await.is_err() || failed {
            return;
        }
    }
}

struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.pieces.poll_recv(context) {
            Poll::Ready(Some(Ok(piece))) => {
                self.left = self.left.saturating_sub(piece.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error))),
            Poll::Ready(None) if self.left > 0 => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        assert_eq!(wanted("bytes=0-0", 10), Wanted::Part(0..1));
        assert_eq!(wanted("bytes=5-", 10), Wanted::Part(5..10));
        assert_eq!(wanted("bytes=-3", 10), Wanted::Part(7..10));
        assert_eq!(wanted("bytes=-30", 10), Wanted::Part(0..10));
        assert_eq!(wanted("bytes=8-99", 10), Wanted::Part(8..10));
        assert_eq!(wanted("bytes=10-", 10), Wanted::Nothing);
        assert_eq!(wanted("bytes=-0", 10), Wanted::Nothing);
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
        for odd in ["bytes=5-2", "bytes=0-1,3-4", "items=0-1", "bytes=x-y", "bytes=", "bytes=-"] {
            assert_eq!(wanted(odd, 10), Wanted::All, "{odd}");
        }
        assert_eq!(wanted(&format!("bytes=0-{}", u64::MAX), 10), Wanted::Part(0..10));
    }
}
