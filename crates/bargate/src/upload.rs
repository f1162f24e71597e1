//! Files from a form without script: `multipart/form-data` (RFC 7578), taken apart as it comes and written as it comes.
//!
//! The form's token stands before the files, as the page has it; files that come before it are refused, nothing written.
//! A file is written under a name of its own beside its place and renamed when it is whole: an upload that breaks off
//! leaves nothing under the name it was to have.

use haven_files::{FileName, FilePath, FileSink, Problem, ProblemKind, Share, WriteMode};
use haven_identity::Session;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::time::Duration;
use tokio::time::timeout;

/// Longest head of a part, and longest field that is no file.
const HEAD_LIMIT: usize = 8 << 10;
const FIELD_LIMIT: usize = 4 << 10;

/// How long the next bytes of an upload may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Most files of one form.
const MOST_FILES: usize = 1_000;

/// The boundary a content type names, RFC 2046: up to 70 characters.
pub(crate) fn boundary(kind: &str) -> Option<String> {
    let parameter = kind.split(';').skip(1).find_map(|part| part.trim().strip_prefix("boundary="))?;
    let boundary = parameter.trim_matches('"');
    let good = !boundary.is_empty()
        && boundary.len() <= 70
        && boundary.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    good.then(|| boundary.to_owned())
}

/// Writes the form's files into `folder`; `false` when the form has no token of this session.
pub(crate) async fn receive(
    body: Incoming,
    boundary: &str,
    session: &Session,
    share: &Share,
    folder: &FilePath,
) -> Result<bool, Problem> {
    let mut parts = Parts::new(body, boundary);
    let mut trusted = false;
    let mut files = 0;
    while let Some(head) = parts.next_head().await? {
        match (head.name.as_str(), head.file_name) {
            ("token", None) => {
                let field = parts.field().await?;
                trusted = std::str::from_utf8(&field).is_ok_and(|token| session.accepts_form(token));
                if !trusted {
                    return Ok(false);
                }
            }
            (_, None) => drop(parts.field().await?),
            // A file field that was left empty.
            (_, Some(name)) if name.is_empty() => drop(parts.field().await?),
            (_, Some(name)) => {
                files += 1;
                if !trusted || files > MOST_FILES {
                    return Ok(false);
                }
                one(&mut parts, share, folder, &name).await?;
            }
        }
    }
    Ok(trusted)
}

async fn one(parts: &mut Parts, share: &Share, folder: &FilePath, name: &str) -> Result<(), Problem> {
    // Some browsers send the path it had on the person's own machine.
    let name = FileName::parse(name.rsplit(['/', '\\']).next().unwrap_or_default())?;
    let target = folder.join(&name)?;
    if share.look(&target).await.is_ok() {
        return Err(Problem::of(ProblemKind::Exists, "a file of this name is there").on(name.as_str()));
    }
    let (temporary, sink) = begin(share, folder).await?;
    match fill(parts, sink).await {
        Ok(()) => match share.move_to(&temporary, &target, false).await {
            Ok(()) => Ok(()),
            Err(problem) => {
                drop(share.delete_file(&temporary).await);
                Err(problem)
            }
        },
        Err(problem) => {
            drop(share.delete_file(&temporary).await);
            Err(problem)
        }
    }
}

/// A new file whose name nobody else uses.
async fn begin(share: &Share, folder: &FilePath) -> Result<(FilePath, FileSink), Problem> {
    for number in 0..100 {
        let name = FileName::parse(&format!(".bargate-upload-{}-{number}", std::process::id()))?;
        let path = folder.join(&name)?;
        match share.write(&path, WriteMode::New).await {
            Ok(sink) => return Ok((path, sink)),
            Err(problem) if problem.kind() == ProblemKind::Exists => {}
            Err(problem) => return Err(problem),
        }
    }
    Err(Problem::of(ProblemKind::Busy, "a hundred uploads into this folder are under way"))
}

async fn fill(parts: &mut Parts, mut sink: FileSink) -> Result<(), Problem> {
    while let Some(piece) = parts.piece().await? {
        sink.write(&piece).await?;
    }
    sink.finish().await.map(|_| ())
}

struct Head {
    name: String,
    file_name: Option<String>,
}

/// The parts of a body, read piece by piece.
struct Parts {
    body: Incoming,
    buffer: Vec<u8>,
    /// `\r\n--boundary`: what ends a part.
    mark: Vec<u8>,
    ended: bool,
}

fn broken(why: &'static str) -> Problem {
    Problem::of(ProblemKind::Cancelled, why)
}

impl Parts {
    fn new(body: Incoming, boundary: &str) -> Self {
        // The first mark has no line before it: with one in front it is like the others.
        Self { body, buffer: b"\r\n".to_vec(), mark: format!("\r\n--{boundary}").into_bytes(), ended: false }
    }

    async fn more(&mut self) -> Result<(), Problem> {
        loop {
            let frame =
                timeout(PATIENCE, self.body.frame()).await.map_err(|_| broken("the upload stopped"))?;
            let frame = frame.ok_or_else(|| broken("the upload broke off"))?;
            let frame = frame.map_err(|error| Problem::of(ProblemKind::Cancelled, error))?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
                return Ok(());
            }
        }
    }

    /// The head of the next part; none at the end.
    async fn next_head(&mut self) -> Result<Option<Head>, Problem> {
        while !self.ended && self.piece().await?.is_some() {}
        loop {
            if self.buffer.len() >= 2 {
                match &self.buffer[..2] {
                    b"--" => return Ok(None),
                    b"\r\n" => break,
                    _ => return Err(broken("the form can't be read")),
                }
            }
            self.more().await?;
        }
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            if self.buffer.len() > HEAD_LIMIT {
                return Err(broken("a part of the form has too long a head"));
            }
            self.more().await?;
        };
        let head = head(&self.buffer[..end]).ok_or_else(|| broken("a part of the form has no name"))?;
        self.buffer.drain(..end + 4);
        // An empty part's mark follows at once, without a line of its own before it.
        self.ended = false;
        Ok(Some(head))
    }

    /// The next piece of this part; none at its end.
    async fn piece(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        if self.ended {
            return Ok(None);
        }
        loop {
            if let Some(at) = find(&self.buffer, &self.mark) {
                let piece = self.buffer.drain(..at).collect::<Vec<u8>>();
                self.buffer.drain(..self.mark.len());
                self.ended = true;
                return Ok((!piece.is_empty()).then_some(piece));
            }
            // What could be the beginning of a mark stays.
            let safe = self.buffer.len().saturating_sub(self.mark.len() - 1);
            if safe >= 64 << 10 {
                return Ok(Some(self.buffer.drain(..safe).collect()));
            }
            self.more().await?;
        }
    }

    async fn field(&mut self) -> Result<Vec<u8>, Problem> {
        let mut field = Vec::new();
        while let Some(piece) = self.piece().await? {
            field.extend(piece);
            if field.len() > FIELD_LIMIT {
                return Err(broken("a field of the form is too long"));
            }
        }
        Ok(field)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    let first = *what.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| *byte == first) {
        let at = from + at;
        if bytes[at..].starts_with(what) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// The names in `Content-Disposition`.
fn head(bytes: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(bytes).ok()?;
    let line = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let name = quoted(line, " name=")?;
    Some(Head { name, file_name: quoted(line, " filename=") })
}

/// Browsers write a quotation mark in a name as `%22` and line ends as `%0D%0A` (WHATWG), and nothing else.
fn quoted(line: &str, key: &str) -> Option<String> {
    let rest = line.split_once(key)?.1.strip_prefix('"')?;
    let (value, _) = rest.split_once('"')?;
    Some(value.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_read() {
        assert_eq!(boundary("multipart/form-data; boundary=----x1").as_deref(), Some("----x1"));
        assert_eq!(boundary("multipart/form-data; charset=utf-8; boundary=\"a b\"").as_deref(), Some("a b"));
        for bad in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            &format!("x; boundary={}", "a".repeat(71)),
        ] {
            assert_eq!(boundary(bad), None);
        }
    }

    #[test]
    fn names_of_fields_and_files_are_read() {
        let read = head(
            b"\r\nContent-Disposition: form-data; name=\"file\"; filename=\"pl%22an.txt\"\r\nContent-Type: x",
        )
        .expect("a head");
        assert_eq!((read.name.as_str(), read.file_name.as_deref()), ("file", Some("pl\"an.txt")));
        let field = head(b"content-disposition: form-data; name=\"token\"").expect("a head");
        assert_eq!((field.name.as_str(), field.file_name), ("token", None));
        assert!(head(b"Content-Type: text/plain").is_none());
        assert_eq!(find(b"aab\r\n\r\n--x", b"\r\n--x"), Some(5));
    }
}
