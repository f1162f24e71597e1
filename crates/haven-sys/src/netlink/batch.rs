//! Messages to the kernel, built in place, several in one system call.

use super::{ACK, HEADER_BYTES, NESTED, aligned, read_u16};

/// `NLM_F_REQUEST`, which every message to the kernel has.
const REQUEST: u16 = 0x01;

/// Messages to send in one system call.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Where each message begins.
    pub(super) starts: Vec<usize>,
    /// Something did not fit its length field; the batch is never sent.
    pub(super) oversized: bool,
}

impl Batch {
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a message of type `kind`; `flags` as in `ACK`, `CREATE`. `build` adds header and attributes.
    pub fn message(&mut self, kind: u16, flags: u16, build: impl FnOnce(&mut Message<'_>)) {
        let start = self.bytes.len();
        self.starts.push(start);
        self.bytes.extend_from_slice(&[0; HEADER_BYTES]);
        build(&mut Message { batch: self });
        match u32::try_from(self.bytes.len() - start) {
            Ok(length) => self.put(start, &length.to_ne_bytes()),
            Err(_) => self.oversized = true,
        }
        self.put(start + 4, &kind.to_ne_bytes());
        self.put(start + 6, &(flags | REQUEST).to_ne_bytes());
        self.pad();
    }

    /// Asks for an acknowledgement of the message appended last.
    pub fn acknowledge_last(&mut self) {
        if let Some(start) = self.starts.last().copied() {
            let flags = self.flags(start) | ACK;
            self.put(start + 6, &flags.to_ne_bytes());
        }
    }

    /// How many messages.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// What follows the first message's header, for comparing encodings.
    pub fn payload(&self) -> &[u8] {
        let end = self.starts.get(1).copied().unwrap_or(self.bytes.len());
        self.bytes.get(HEADER_BYTES..end).unwrap_or(&[])
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(aligned(self.bytes.len()), 0);
    }

    pub(super) fn flags(&self, start: usize) -> u16 {
        read_u16(&self.bytes, start + 6).unwrap_or(0)
    }

    /// Numbers the messages from `first` on.
    pub(super) fn number(&mut self, first: u32) {
        let mut sequence = first;
        for at in self.starts.clone() {
            self.put(at + 8, &sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
        }
    }
}

/// One message being built.
#[derive(Debug)]
pub struct Message<'a> {
    batch: &'a mut Batch,
}

impl Message<'_> {
    /// Bytes of a fixed header, as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.batch.bytes.extend_from_slice(bytes);
        self.batch.pad();
    }

    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        let start = self.open(kind);
        self.batch.bytes.extend_from_slice(value);
        self.close(start);
    }

    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// In the machine's byte order, as rtnetlink has it.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Most significant byte first, as nfnetlink has it.
    pub fn be16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Most significant byte first, as nfnetlink has it.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Most significant byte first, as nfnetlink has it.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Text with its terminating NUL. Text that contains a NUL would mean something else to the kernel: the batch
    /// is then never sent.
    pub fn text(&mut self, kind: u16, value: &str) {
        self.batch.oversized |= value.contains('\0');
        let start = self.open(kind);
        self.batch.bytes.extend_from_slice(value.as_bytes());
        self.batch.bytes.push(0);
        self.close(start);
    }

    /// An attribute of attributes.
    pub fn nest(&mut self, kind: u16, build: impl FnOnce(&mut Message<'_>)) {
        let start = self.open(kind | NESTED);
        build(self);
        self.close(start);
    }

    /// Bytes so far: a list is to stay below the 64 KiB an attribute can hold.
    pub fn size_bytes(&self) -> usize {
        self.batch.starts.last().map_or(0, |start| self.batch.bytes.len() - start)
    }

    fn open(&mut self, kind: u16) -> usize {
        let start = self.batch.bytes.len();
        self.batch.bytes.extend_from_slice(&[0; 2]);
        self.batch.bytes.extend_from_slice(&kind.to_ne_bytes());
        start
    }

    fn close(&mut self, start: usize) {
        match u16::try_from(self.batch.bytes.len() - start) {
            Ok(length) => self.batch.put(start, &length.to_ne_bytes()),
            Err(_) => self.batch.oversized = true,
        }
        self.batch.pad();
    }
}
