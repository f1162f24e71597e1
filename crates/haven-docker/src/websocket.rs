//! `GET /containers/{id}/attach/ws`: attaching over a WebSocket (RFC 6455), as browsers do it.
//!
//! Output goes as binary messages without Docker's framing; text and binary messages become input. No extensions, no
//! subprotocols; frames above [`FRAME_LIMIT_BYTES`] end the connection.

use crate::Api;
use crate::call::Call;
use crate::container::attach::{check, detach_keys};
use crate::hijack::{Hijack, RawConnection, RawReader, RawWriter};
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::stream::DetachKeys;
use base64::Engine as _;
use haven_engine::{AttachContainer, Attached};
use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderMap, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use sha1::{Digest, Sha1};
use std::io;
use tokio::sync::mpsc;

/// The longest message taken from a client; a paste into a terminal is far below.
const FRAME_LIMIT_BYTES: u64 = 1 << 20;
/// What every server appends to the client's key, by the standard.
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

pub(crate) async fn attach(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let accept = handshake(&call.headers)?;
    let keys = detach_keys(&call.query)?;
    let view = api.engine.find(name)?;
    check(&view)?;
    // Before 1.42 everything was attached, whatever the client asked for.
    let wants = |key: &str| !call.at_least(1, 42) || call.query.flag(key);
    let what = AttachContainer { stdin: wants("stdin"), stdout: wants("stdout"), stderr: wants("stderr") };
    let attached = api.engine.attach(&view.id, what).await?;
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    let keys = attached.tty.then_some(keys);
    let end_input = view.spec.stdin_once;
    Ok(Reply::Hijack(Hijack::with_head(head.into_bytes(), async move |connection| {
        talk(connection, attached, keys, end_input).await;
    })))
}

/// The answer to the client's key.
fn handshake(headers: &HeaderMap) -> Answer<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    let has = |name, word: &str| text(name).split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
    if !has(UPGRADE, "websocket") || !has(CONNECTION, "upgrade") {
        return Err(Refusal::invalid("this path is for WebSocket clients: `Upgrade: websocket` is missing"));
    }
    if text(SEC_WEBSOCKET_VERSION) != "13" {
        return Err(Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "only version 13 of the WebSocket protocol is spoken",
        ));
    }
    let key = text(SEC_WEBSOCKET_KEY);
    if key.is_empty() {
        return Err(Refusal::invalid("the header Sec-WebSocket-Key is missing"));
    }
    let hash = Sha1::digest(format!("{key}{KEY_SUFFIX}"));
    Ok(base64::engine::general_purpose::STANDARD.encode(hash))
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
enum Message {
    Data(Vec<u8>),
    Ping(Vec<u8>),
    Close,
}

async fn talk(connection: RawConnection, attached: Attached, keys: Option<Vec<u8>>, end_input: bool) {
    let (mut reader, mut writer) = connection.split();
    let (heard, mut messages) = mpsc::channel(4);
    // Reading a frame must not be cut short by output: it has a task of its own.
    let listening = tokio::spawn(async move {
        while let Ok(message) = read_message(&mut reader).await {
            if heard.send(message).await.is_err() {
                return;
            }
        }
    });
    let Attached { mut output, mut input, .. } = attached;
    let mut keys = keys.map(DetachKeys::new);
    loop {
        let outcome = tokio::select! {
            piece = output.next() => match piece {
                Some((_, bytes)) => write_frame(&mut writer, BINARY, &bytes).await,
                None => break,
            },
            message = messages.recv() => match message {
                Some(Message::Data(bytes)) => {
                    let (passed, detached) = match &mut keys {
                        Some(keys) => keys.filter(&bytes),
                        None => (bytes, false),
                    };
                    // A process that reads no more may still write.
                    if let Some(sink) = &mut input && sink.write(&passed).await.is_err() {
                        input = None;
                    }
                    if detached { break } else { Ok(()) }
                }
                Some(Message::Ping(bytes)) => write_frame(&mut writer, PONG, &bytes).await,
                Some(Message::Close) | None => break,
            },
        };
        if outcome.is_err() {
            break;
        }
    }
    listening.abort();
    if end_input && let Some(sink) = input {
        // A process that is gone needs no end of input.
        drop(sink.close().await);
    }
    // 1000: normal closure. The client may be gone already.
    drop(write_frame(&mut writer, CLOSE, &1000_u16.to_be_bytes()).await);
    writer.finish().await;
}

async fn write_frame(writer: &mut RawWriter, kind: u8, bytes: &[u8]) -> io::Result<()> {
    let mut frame = Vec::with_capacity(bytes.len() + 10);
    frame.push(0x80 | kind);
    match (u8::try_from(bytes.len()), u16::try_from(bytes.len())) {
        (Ok(length @ 0..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(bytes);
    writer.write(&frame).await
}

async fn read_exactly(reader: &mut RawReader, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => filled += count,
        }
    }
    Ok(())
}

/// The next message; fragments come as messages of their own, for to a stream of bytes borders mean nothing.
async fn read_message(reader: &mut RawReader) -> io::Result<Message> {
    loop {
        let mut head = [0; 2];
        read_exactly(reader, &mut head).await?;
        let (kind, masked) = (head[0] & 0x0f, head[1] & 0x80 != 0);
        let length = match head[1] & 0x7f {
            126 => {
                let mut bytes = [0; 2];
                read_exactly(reader, &mut bytes).await?;
                u64::from(u16::from_be_bytes(bytes))
            }
            127 => {
                let mut bytes = [0; 8];
                read_exactly(reader, &mut bytes).await?;
                u64::from_be_bytes(bytes)
            }
            short => u64::from(short),
        };
        // Clients must mask; one that doesn't isn't one.
        if !masked || length > FRAME_LIMIT_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut mask = [0; 4];
        read_exactly(reader, &mut mask).await?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        read_exactly(reader, &mut bytes).await?;
        for (byte, key) in bytes.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
        match kind {
            0 | TEXT | BINARY => return Ok(Message::Data(bytes)),
            PING => return Ok(Message::Ping(bytes)),
            PONG => {}
            CLOSE => return Ok(Message::Close),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::body::Bytes;
    use hyper::header::HeaderValue;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    #[test]
    fn the_handshake_answers_the_standards_own_example() {
        let mut headers = HeaderMap::new();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(handshake(&headers).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        headers.remove(UPGRADE);
        assert!(handshake(&headers).is_err());
    }

    async fn read(bytes: &'static [u8]) -> io::Result<Message> {
        let (here, there) = UnixStream::pair().unwrap();
        drop(there);
        let (mut reader, _writer) = RawConnection::new(here, Bytes::from_static(bytes)).split();
        read_message(&mut reader).await
    }

    #[tokio::test]
    async fn masked_messages_are_read_and_others_end_the_talk() {
        assert_eq!(read(b"\x81\x82\x01\x01\x01\x01ih").await.unwrap(), Message::Data(b"hi".to_vec()));
        assert_eq!(read(b"\x8a\x80....\x89\x80....").await.unwrap(), Message::Ping(Vec::new()));
        assert_eq!(read(b"\x88\x80....").await.unwrap(), Message::Close);
        for bad in
            [&b"\x81\x02hi"[..], b"\x83\x80....", b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff....", b"\x81"]
        {
            assert!(read(bad).await.is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn frames_are_written_with_the_shortest_length() {
        for (size, head) in [
            (5, &[0x82, 5][..]),
            (300, &[0x82, 126, 1, 44]),
            (70_000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 17, 112]),
        ] {
            let (here, mut there) = UnixStream::pair().unwrap();
            let (_reader, mut writer) = RawConnection::new(here, Bytes::new()).split();
            let written = tokio::spawn(async move {
                write_frame(&mut writer, BINARY, &vec![0; size]).await.unwrap();
                writer.finish().await;
            });
            let mut all = Vec::new();
            there.read_to_end(&mut all).await.unwrap();
            written.await.unwrap();
            assert_eq!(&all[..head.len()], head);
            assert_eq!(all.len(), head.len() + size);
        }
    }
}
