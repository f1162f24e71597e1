//! What an interface of a container has carried.

use crate::device::Statistics;

/// Totals since the interface was made, seen from the container: received is what came to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Its name in the container.
    pub interface: String,
    pub received_bytes: u64,
    pub received_packets: u64,
    pub received_errors: u64,
    pub received_dropped: u64,
    pub sent_bytes: u64,
    pub sent_packets: u64,
    pub sent_errors: u64,
    pub sent_dropped: u64,
}

impl InterfaceCounters {
    /// From the host's end, which sees everything the other way round.
    pub(crate) fn of(interface: String, host: Statistics) -> Self {
        Self {
            interface,
            received_bytes: host.sent_bytes,
            received_packets: host.sent_packets,
            received_errors: host.sent_errors,
            received_dropped: host.sent_dropped,
            sent_bytes: host.received_bytes,
            sent_packets: host.received_packets,
            sent_errors: host.received_errors,
            sent_dropped: host.received_dropped,
        }
    }
}
