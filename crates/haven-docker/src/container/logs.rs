//! `GET /containers/{id}/logs`: kept output, framed unless the container has a terminal, optionally followed.

use crate::Api;
use crate::call::Call;
use crate::frame;
use crate::query::Query;
use crate::refusal::{Answer, Refusal};
use crate::reply::{MULTIPLEXED_STREAM, RAW_STREAM, Reply, STREAM_PIECES};
use crate::time;
use haven_engine::{LogLine, LogQuery, LogReader, OutputKind};
use hyper::body::Bytes;
use tokio::sync::mpsc;

/// How lines are dressed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dress {
    pub(crate) framed: bool,
    pub(crate) timestamps: bool,
    pub(crate) details: bool,
}

/// Reads what a client wants to see. A `tail` that is no number means everything, as it always has.
fn log_query(query: &Query) -> Answer<LogQuery> {
    let moment = |key: &str| -> Answer<Option<i64>> {
        let given = query.given(key).filter(|text| *text != "0");
        given.map(|text| time::moment_ns(key, text)).transpose()
    };
    Ok(LogQuery {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        follow: query.flag("follow"),
        since_ns: moment("since")?,
        until_ns: moment("until")?,
        tail: query.text("tail").parse().ok(),
    })
}

pub(crate) async fn logs(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let query = log_query(&call.query)?;
    let view = api.engine.find(name)?;
    if !query.stdout && !query.stderr {
        return Err(Refusal::invalid("Bad parameters: you must choose at least one stream"));
    }
    let dress = Dress {
        framed: !view.spec.tty,
        timestamps: call.query.flag("timestamps"),
        details: call.query.flag("details"),
    };
    let kind = if dress.framed && call.at_least(1, 42) { MULTIPLEXED_STREAM } else { RAW_STREAM };
    let mut reader = api.engine.logs(&view.id, query).await?;
    let (sender, pieces) = mpsc::channel(STREAM_PIECES);
    drop(tokio::spawn(async move {
        loop {
            let piece = tokio::select! {
                piece = next_piece(&mut reader, dress) => piece,
                () = sender.closed() => return,
            };
            let Some(piece) = piece else { return };
            if sender.send(Ok(piece)).await.is_err() {
                return;
            }
        }
    }));
    Ok(Reply::stream(kind, pieces))
}

/// The next lines as they go out; a failure is told in the stream, for the head is long gone.
pub(crate) async fn next_piece(reader: &mut LogReader, dress: Dress) -> Option<Bytes> {
    let batch = reader.next().await?;
    let mut out = Vec::new();
    match batch {
        Ok(lines) => {
            out.reserve(lines.iter().map(|line| line.text.len() + 48).sum());
            for line in &lines {
                push_line(&mut out, line, dress);
            }
        }
        Err(failure) => {
            let text = format!("Error grabbing logs: {}\n", failure.one_line());
            if dress.framed {
                frame::push(&mut out, frame::Stream::Stderr, text.as_bytes());
            } else {
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
    Some(Bytes::from(out))
}

fn push_line(out: &mut Vec<u8>, line: &LogLine, dress: Dress) {
    let stream = match line.kind {
        OutputKind::Stdout => frame::Stream::Stdout,
        OutputKind::Stderr => frame::Stream::Stderr,
    };
    let mut prefix = String::new();
    if dress.timestamps {
        prefix.push_str(&time::rfc3339_nine(line.time_ns));
        prefix.push(' ');
    }
    if dress.details {
        // Between the blanks would stand labels the log driver was told to keep.
        prefix.push(' ');
    }
    match (dress.framed, prefix.is_empty()) {
        (true, true) => frame::push(out, stream, &line.text),
        (true, false) => {
            let mut whole = prefix.into_bytes();
            whole.extend_from_slice(&line.text);
            frame::push(out, stream, &whole);
        }
        (false, _) => {
            out.extend_from_slice(prefix.as_bytes());
            out.extend_from_slice(&line.text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dressed(dress: Dress) -> Vec<u8> {
        let line =
            LogLine { kind: OutputKind::Stderr, time_ns: 1_795_313_877_500_000_000, text: b"oh\n".to_vec() };
        let mut out = Vec::new();
        push_line(&mut out, &line, dress);
        out
    }

    #[test]
    fn lines_are_framed_with_what_stands_before_them() {
        let plain = Dress { framed: true, timestamps: false, details: false };
        assert_eq!(dressed(plain), b"\x02\0\0\0\0\0\0\x03oh\n");
        let dated = dressed(Dress { timestamps: true, ..plain });
        assert_eq!(dated[7] as usize, dated.len() - 8);
        assert_eq!(&dated[8..], b"2026-11-22T02:17:57.500000000Z oh\n");
        assert_eq!(dressed(Dress { framed: false, details: true, ..plain }), b" oh\n");
    }

    #[test]
    fn zero_means_no_bound_and_rubbish_is_refused() {
        let read = |text: &str| log_query(&Query::parse(text).unwrap());
        let query = read("stdout=1&since=0&tail=all").unwrap();
        assert_eq!((query.since_ns, query.tail), (None, None));
        assert_eq!(read("since=5&tail=10").unwrap().tail, Some(10));
        assert!(read("since=x").is_err());
    }
}
