//! Archives on their way to a client: a blocking writer on one side, a streamed body on the other.

use crate::refusal::Answer;
use crate::reply::{Pieces, STREAM_PIECES};
use haven_spec::Outcome;
use hyper::body::Bytes;
use std::io::{self, Write};
use tokio::sync::mpsc;

/// What is gathered before it is sent on.
const PIECE_BYTES: usize = 64 * 1024;

/// Gathers small writes into pieces. Waits while the client doesn't read; fails once it is gone.
pub(crate) struct PieceWriter {
    gathered: Vec<u8>,
    sender: mpsc::Sender<io::Result<Bytes>>,
}

impl PieceWriter {
    fn send(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE_BYTES)));
        self.sender.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gathered.len() + bytes.len() > PIECE_BYTES {
            self.send()?;
        }
        let count = bytes.len().min(PIECE_BYTES);
        self.gathered.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

impl Drop for PieceWriter {
    /// Sends what is left when the work lets go of it.
    fn drop(&mut self) {
        let piece = Bytes::from(std::mem::take(&mut self.gathered));
        if piece.is_empty() {
            return;
        }
        // Where this is dropped may be no place to wait; when there is something to wait for, a thread does.
        if let Err(mpsc::error::TrySendError::Full(piece)) = self.sender.try_send(Ok(piece)) {
            let sender = self.sender.clone();
            drop(std::thread::spawn(move || drop(sender.blocking_send(piece))));
        }
    }
}

/// Runs `work`, which writes to the sink it is given, and answers what it writes. A failure before the first piece
/// is the answer; a later one breaks the body off, so that the client cannot take it for whole.
pub(crate) async fn to_client<W, F, T>(work: W) -> Answer<Pieces>
where
    W: FnOnce(Box<dyn Write + Send>) -> F,
    F: Future<Output = Outcome<T>> + Send + 'static,
    T: Send + 'static,
{
    let (sender, mut made) = mpsc::channel(STREAM_PIECES);
    let (forward, pieces) = mpsc::channel(1);
    let sink = PieceWriter { gathered: Vec::with_capacity(PIECE_BYTES), sender };
    let mut working = tokio::spawn(work(Box::new(sink)));
    let gone_wrong = |error: tokio::task::JoinError| {
        haven_spec::Failure::internal("the work behind this answer broke off").because(error)
    };
    let mut succeeded = false;
    let first = tokio::select! {
        biased;
        first = made.recv() => first,
        outcome = &mut working => {
            outcome.map_err(gone_wrong)??;
            succeeded = true;
            // Done before its first piece was looked at: what it wrote is all in the channel.
            made.recv().await
        }
    };
    let Some(first) = first else {
        // Nothing was written; why, its outcome says.
        if !succeeded {
            working.await.map_err(gone_wrong)??;
        }
        return Ok(pieces);
    };
    drop(tokio::spawn(async move {
        let mut next = Some(first);
        while let Some(piece) = next {
            if forward.send(piece).await.is_err() {
                return;
            }
            next = made.recv().await;
        }
        if succeeded {
            return;
        }
        let error = match working.await {
            Ok(Ok(_)) => return,
            Ok(Err(failure)) => failure.one_line(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(error, "an answer broke off");
        // The client may be what broke it off.
        drop(forward.send(Err(io::Error::other(error))).await);
    }));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use haven_spec::Failure;

    async fn collect(mut pieces: Pieces) -> Result<Vec<u8>, io::Error> {
        let mut all = Vec::new();
        while let Some(piece) = pieces.recv().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    async fn work(sink: Box<dyn Write + Send>, bytes: usize, outcome: Outcome<()>) -> Outcome<()> {
        let written = tokio::task::spawn_blocking(move || {
            let mut sink = sink;
            for _ in 0..bytes / 1000 {
                sink.write_all(&[7; 1000])?;
            }
            io::Result::Ok(())
        });
        written.await.unwrap().map_err(|e| Failure::host("cannot write").because(e))?;
        outcome
    }

    #[tokio::test]
    async fn everything_written_arrives() {
        for bytes in [0, 1000, 64_000, 65_000, 3_000_000] {
            let pieces = to_client(|sink| work(sink, bytes, Ok(()))).await.unwrap();
            assert_eq!(collect(pieces).await.unwrap().len(), bytes);
        }
    }

    #[tokio::test]
    async fn a_failure_before_the_first_byte_is_the_answer_and_a_later_one_breaks_off() {
        let failed = to_client(|sink| work(sink, 0, Err(Failure::not_found("no such path")))).await;
        assert_eq!(failed.unwrap_err().status.as_u16(), 404);
        let pieces = to_client(|sink| work(sink, 1_000_000, Err(Failure::host("disk gone")))).await.unwrap();
        assert!(collect(pieces).await.is_err());
    }

    #[tokio::test]
    async fn work_for_a_client_that_went_stops() {
        let (told, hear) = tokio::sync::oneshot::channel();
        let pieces = to_client(|sink| async move {
            let outcome = work(sink, 100_000_000, Ok(())).await;
            told.send(outcome.is_err()).unwrap();
            outcome
        });
        drop(pieces.await.unwrap());
        assert!(hear.await.unwrap());
    }
}
