//! Talking with a process over a connection that has been taken over: output framed or raw towards the client, what
//! the client sends towards the process, half-close, and the keys that detach.

use crate::container::logs::{Dress, next_piece};
use crate::frame;
use crate::hijack::{RawConnection, RawReader, RawWriter};
use haven_engine::{InputSink, LogReader, OutputKind, OutputStream};

/// What is read from a client at once.
const INPUT_BYTES: usize = 32 * 1024;

/// How the talk goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manner {
    /// Frames tell output from errors; without, bytes go as they are.
    pub(crate) framed: bool,
    /// What ends the talk when the client types it, with a terminal.
    pub(crate) detach_keys: Option<Vec<u8>>,
    /// When the client sends no more, the process's input ends.
    pub(crate) end_input: bool,
}

/// Kept output that is told before what comes now.
pub(crate) type Past = (LogReader, Dress);

/// Why a talk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The process has no more to say.
    Finished,
    /// The client typed the keys.
    Detached,
    /// The client went.
    Gone,
}

/// Talks until the process ends its output, the client detaches or it goes.
pub(crate) async fn talk(
    connection: RawConnection,
    output: OutputStream,
    input: Option<InputSink>,
    manner: Manner,
    past: Option<Past>,
) -> End {
    talk_until(connection, output, input, manner, past, std::future::ready(())).await
}

/// As [`talk`]; when the output has ended the client is told so only once `settled` resolves.
pub(crate) async fn talk_until(
    connection: RawConnection,
    mut output: OutputStream,
    input: Option<InputSink>,
    manner: Manner,
    past: Option<Past>,
    settled: impl Future<Output = ()>,
) -> End {
    let (reader, mut writer) = connection.split();
    if let Some(past) = past
        && tell_past(&mut writer, past).await.is_err()
    {
        return End::Gone;
    }
    let keys = manner.detach_keys.clone();
    let listening = listen(reader, input, keys, manner.end_input);
    tokio::pin!(listening);
    let mut listened = false;
    loop {
        let piece = tokio::select! {
            piece = output.next() => piece,
            heard = &mut listening, if !listened => match heard {
                Heard::Detach => {
                    writer.finish().await;
                    return End::Detached;
                }
                Heard::NoMore => {
                    listened = true;
                    continue;
                }
            },
            () = writer.gone(), if listened => return End::Gone,
        };
        let Some((kind, bytes)) = piece else {
            settled.await;
            writer.finish().await;
            return End::Finished;
        };
        if send(&mut writer, kind, &bytes, manner.framed).await.is_err() {
            return End::Gone;
        }
    }
}

/// Writes kept output.
pub(crate) async fn tell_past(writer: &mut RawWriter, (mut reader, dress): Past) -> std::io::Result<()> {
    while let Some(piece) = next_piece(&mut reader, dress).await {
        writer.write(&piece).await?;
    }
    Ok(())
}

async fn send(writer: &mut RawWriter, kind: OutputKind, bytes: &[u8], framed: bool) -> std::io::Result<()> {
    if !framed {
        return writer.write(bytes).await;
    }
    let stream = match kind {
        OutputKind::Stdout => frame::Stream::Stdout,
        OutputKind::Stderr => frame::Stream::Stderr,
    };
    let mut out = Vec::with_capacity(bytes.len() + frame::HEADER_BYTES);
    frame::push(&mut out, stream, bytes);
    writer.write(&out).await
}

enum Heard {
    Detach,
    NoMore,
}

/// Passes on what the client sends.
async fn listen(
    mut reader: RawReader,
    mut input: Option<InputSink>,
    detach_keys: Option<Vec<u8>>,
    end_input: bool,
) -> Heard {
    let mut buffer = vec![0; INPUT_BYTES];
    let mut detach = detach_keys.map(DetachKeys::new);
    loop {
        let count = match reader.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        // Without an input what the client sends is read and dropped, so that its going is seen.
        let Some(sink) = &mut input else { continue };
        let outcome = match &mut detach {
            None => sink.write(&buffer[..count]).await,
            Some(keys) => {
                let (passed, detached) = keys.filter(&buffer[..count]);
                let outcome = if passed.is_empty() { Ok(()) } else { sink.write(&passed).await };
                if detached {
                    return Heard::Detach;
                }
                outcome
            }
        };
        if outcome.is_err() {
            // The process reads no more; its output may go on.
            input = None;
        }
    }
    if end_input && let Some(sink) = input {
        // A process that is gone needs no end of input.
        drop(sink.close().await);
    }
    Heard::NoMore
}

/// Looks for a sequence of keys in what is typed, holding back what may be its beginning.
#[derive(Debug)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    matched: usize,
}

impl DetachKeys {
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// What is to be passed on, and whether the whole sequence was typed.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len() + self.matched);
        for &byte in typed {
            if self.keys.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (passed, true);
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(self.keys.first() == Some(&byte) && self.keys.len() > 1);
            if self.matched == 0 {
                passed.push(byte);
            }
        }
        (passed, false)
    }
}

/// `ctrl-p,ctrl-q`, `a,ctrl-@`: Docker's way to write keys.
pub(crate) fn parse_keys(text: &str) -> Option<Vec<u8>> {
    let one = |word: &str| -> Option<u8> {
        if let [byte] = word.as_bytes() {
            return Some(*byte);
        }
        match word.strip_prefix("ctrl-")?.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            [b'@'] => Some(0),
            [b'['] => Some(27),
            [b'\\'] => Some(28),
            [b']'] => Some(29),
            [b'^'] => Some(30),
            [b'_'] => Some(31),
            _ => None,
        }
    };
    text.split(',').map(one).collect()
}

/// What detaches when nobody says otherwise: ctrl-p, ctrl-q.
pub(crate) const DEFAULT_DETACH_KEYS: [u8; 2] = [16, 17];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_written_as_docker_writes_them() {
        assert_eq!(parse_keys("ctrl-p,ctrl-q").unwrap(), DEFAULT_DETACH_KEYS);
        assert_eq!(parse_keys("a,ctrl-@,ctrl-[").unwrap(), [b'a', 0, 27]);
        for bad in ["", "ctrl-", "ctrl-1", "shift-a", "ctrl-p,", "ab"] {
            assert!(parse_keys(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_only_begins_like_the_keys_is_passed_on() {
        let mut keys = DetachKeys::new(DEFAULT_DETACH_KEYS.to_vec());
        assert_eq!(keys.filter(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.filter(b"\x11rest"), (Vec::new(), true));
    }
}
