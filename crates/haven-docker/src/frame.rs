//! Multiplexed output: `[stream, 0, 0, 0, length (4 bytes, big endian)]` and the bytes, as Docker clients expect
//! without a terminal.

/// Which stream a frame belongs to. Docker knows a third, for errors of the daemon's; ours are told as error output,
/// which every client shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout = 1,
    Stderr = 2,
}

pub(crate) const HEADER_BYTES: usize = 8;

/// Appends one frame. A piece above 4 GiB would need several; callers send far less at once.
pub(crate) fn push(buffer: &mut Vec<u8>, stream: Stream, piece: &[u8]) {
    for part in piece.chunks(usize::try_from(u32::MAX).unwrap_or(usize::MAX)) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        buffer.extend_from_slice(&[stream as u8, 0, 0, 0]);
        buffer.extend_from_slice(&length.to_be_bytes());
        buffer.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_eight_bytes_of_header_and_the_piece() {
        let mut buffer = Vec::new();
        push(&mut buffer, Stream::Stderr, b"err\n");
        assert_eq!(buffer, [2, 0, 0, 0, 0, 0, 0, 4, b'e', b'r', b'r', b'\n']);
        assert_eq!(buffer.len(), HEADER_BYTES + 4);
    }
}
