//! The framing that carries standard output and standard error on one connection: eight bytes of header (stream, three
//! zeros, big-endian length), then the payload.

use std::io::{self, Read, Write};

const HEADER_BYTES: usize = 8;
const COPY_BYTES: usize = 64 * 1024;
/// Longest message of the daemon in the stream that is kept.
const MESSAGE_LIMIT_BYTES: u64 = 64 * 1024;

/// Why copying a stream ended early.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// The daemon's side failed.
    Source(io::Error),
    /// Our own output failed.
    Sink(io::Error),
    /// The daemon reports a failure in the stream.
    Reported(String),
}

/// Copies frames until the source ends: standard output to `out`, standard error to `err`. A frame that is cut short
/// is passed on as far as it came, and is an error.
pub(crate) fn copy_frames(
    source: &mut impl Read,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<(), CopyError> {
    let mut space = vec![0; COPY_BYTES];
    loop {
        let mut header = [0; HEADER_BYTES];
        if !read_header(source, &mut header).map_err(CopyError::Source)? {
            return Ok(());
        }
        let mut left = u64::from(u32::from_be_bytes([header[4], header[5], header[6], header[7]]));
        if header[0] == 3 {
            let mut message = Vec::new();
            source
                .take(left.min(MESSAGE_LIMIT_BYTES))
                .read_to_end(&mut message)
                .map_err(CopyError::Source)?;
            return Err(CopyError::Reported(String::from_utf8_lossy(&message).trim().to_owned()));
        }
        if header[0] > 2 || header[1..4] != [0, 0, 0] {
            return Err(CopyError::Source(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the stream is not framed (header {header:02x?})"),
            )));
        }
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(space.len());
            let count = read_some(source, &mut space[..most]).map_err(CopyError::Source)?;
            if count == 0 {
                return Err(CopyError::Source(cut_short()));
            }
            let written =
                if header[0] == 2 { err.write_all(&space[..count]) } else { out.write_all(&space[..count]) };
            written.map_err(CopyError::Sink)?;
            left -= count as u64;
        }
    }
}

/// Copies everything until the source ends: a terminal's stream.
pub(crate) fn copy_raw(source: &mut impl Read, out: &mut impl Write) -> Result<(), CopyError> {
    let mut space = vec![0; COPY_BYTES];
    loop {
        let count = match read_some(source, &mut space) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) => return Err(CopyError::Source(error)),
        };
        out.write_all(&space[..count]).map_err(CopyError::Sink)?;
    }
}

fn read_some(source: &mut impl Read, space: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(space) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Fills the header; `false` when the source ended before its first byte.
fn read_header(source: &mut impl Read, header: &mut [u8; HEADER_BYTES]) -> io::Result<bool> {
    let mut filled = 0;
    while filled < HEADER_BYTES {
        let count = read_some(source, &mut header[filled..])?;
        if count == 0 {
            return if filled == 0 { Ok(false) } else { Err(cut_short()) };
        }
        filled += count;
    }
    Ok(true)
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended in the middle of a frame")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![stream, 0, 0, 0];
        frame.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn output_and_errors_are_kept_apart() {
        let bytes = [frame(1, b"out"), frame(2, b"err"), frame(1, b""), frame(1, b" more")].concat();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        copy_frames(&mut bytes.as_slice(), &mut out, &mut err).unwrap();
        assert_eq!((out.as_slice(), err.as_slice()), (&b"out more"[..], &b"err"[..]));
    }

    #[test]
    fn what_came_of_a_broken_frame_is_shown() {
        let whole = frame(1, b"hello");
        let mut out = Vec::new();
        let ended = copy_frames(&mut &whole[..10], &mut out, &mut Vec::new());
        assert!(matches!(ended, Err(CopyError::Source(_))));
        assert_eq!(out, b"he");
        for bad in [&whole[..5], b"HTTP/1.1 200 OK"] {
            let ended = copy_frames(&mut &bad[..], &mut Vec::new(), &mut Vec::new());
            assert!(matches!(ended, Err(CopyError::Source(_))));
        }
        let reported = copy_frames(&mut frame(3, b"no space").as_slice(), &mut Vec::new(), &mut Vec::new());
        assert!(matches!(reported, Err(CopyError::Reported(message)) if message == "no space"));
    }
}
