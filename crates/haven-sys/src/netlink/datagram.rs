//! Messages from the kernel, as they lie in a datagram.

use super::error::NetlinkError;
use super::{Attributes, HEADER_BYTES, Value, aligned, read_u16, read_u32};
use rustix::io::Errno;

pub(super) const DUMP_INTERRUPTED: u16 = 0x10;
const CAPPED: u16 = 0x100;
const ACK_TLVS: u16 = 0x200;

pub(super) const NLMSG_NOOP: u16 = 1;
pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
pub(super) const NLMSG_OVERRUN: u16 = 4;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// One message from the kernel: its type, and the bytes after the header.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    pub kind: u16,
    /// The socket whose request this answers, or is told of.
    pub port: u32,
    pub payload: &'a [u8],
}

impl<'a> Reply<'a> {
    /// The attributes after a fixed header of `header_bytes`.
    pub fn attributes(&self, header_bytes: usize) -> Attributes<'a> {
        Attributes::new(self.payload.get(aligned(header_bytes)..).unwrap_or(&[]))
    }
}

/// One message in a datagram.
pub(super) struct Part<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) port: u32,
    pub(super) payload: &'a [u8],
}

impl Part<'_> {
    /// What an `NLMSG_ERROR` or `NLMSG_DONE` says: 0 is success. One without its number is a refusal.
    pub(super) fn verdict(&self) -> Result<(), NetlinkError> {
        let code = self
            .payload
            .get(..4)
            .and_then(|b| b.try_into().ok())
            .map(i32::from_ne_bytes)
            .unwrap_or(-libc::EBADMSG);
        if code == 0 || (self.kind == NLMSG_DONE && code > 0) {
            return Ok(());
        }
        let sentence = if self.flags & ACK_TLVS == 0 {
            None
        } else {
            // The refused message follows the number: its header alone when the answer is capped.
            let echoed = match self.kind {
                NLMSG_DONE => 0,
                _ if self.flags & CAPPED != 0 => HEADER_BYTES,
                _ => self
                    .payload
                    .get(4..8)
                    .and_then(|b| b.try_into().ok())
                    .map_or(0, |b| usize::try_from(u32::from_ne_bytes(b)).unwrap_or(usize::MAX)),
            };
            let attributes = self.payload.get(aligned(echoed.saturating_add(4))..).unwrap_or(&[]);
            Attributes::new(attributes).first(NLMSGERR_ATTR_MSG).and_then(Value::text).map(str::to_owned)
        };
        Err(NetlinkError { errno: known_errno(code), sentence, index: None })
    }
}

/// The error number behind a negative code. What is none at all (the kernel has numbers up to 4095) is a message that
/// makes no sense.
fn known_errno(code: i32) -> Errno {
    match code {
        -4095..=-1 => Errno::from_raw_os_error(-code),
        _ => Errno::BADMSG,
    }
}

/// The messages of a datagram. A length that is too small or points past the end ends it.
pub(super) struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    pub(super) fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::try_from(read_u32(self.rest, 0)?).ok()?;
        let part = Part {
            kind: read_u16(self.rest, 4)?,
            flags: read_u16(self.rest, 6)?,
            sequence: read_u32(self.rest, 8)?,
            port: read_u32(self.rest, 12)?,
            payload: self.rest.get(HEADER_BYTES..length)?,
        };
        self.rest = self.rest.get(aligned(length)..).unwrap_or(&[]);
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_with_impossible_lengths_end_early() {
        let mut lie = [0_u8; 16];
        lie[0] = 200;
        assert_eq!(Parts::new(&lie).count(), 0);
        lie[0] = 3;
        assert_eq!(Parts::new(&lie).count(), 0);
        assert_eq!(Parts::new(&[]).count(), 0);
        lie[0] = 16;
        assert_eq!(Parts::new(&lie).count(), 1);
    }

    #[test]
    fn no_bytes_whatever_lead_out_of_bounds() {
        // A fixed sequence (xorshift), so that a failure can be repeated.
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for length in (0..96).cycle().take(20_000) {
            let noise = std::iter::repeat_with(|| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                // Small numbers are lengths that nearly fit.
                if state & 0x100 == 0 { state.to_le_bytes()[0] % 24 } else { state.to_le_bytes()[0] }
            })
            .take(length)
            .collect::<Vec<u8>>();
            for part in Parts::new(&noise) {
                assert!(part.payload.len() <= noise.len());
                part.verdict().ok();
                for (_, value) in Attributes::new(part.payload) {
                    std::hint::black_box((value.u16(), value.u64(), value.be32(), value.text()));
                    assert!(value.attributes().count() <= noise.len());
                }
            }
        }
    }
}
