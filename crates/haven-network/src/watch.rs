//! Notices when others change our table: a flush, a reload of the host's firewall, a hand at work.
//!
//! The kernel tells of every transaction what it touched, and at its end which process it was of. Only transactions
//! that touch `inet haven` and are not ours are reported. What to do then is [`crate::Network::reconcile`].

use crate::network::refused;
use crate::table;
use haven_spec::Outcome;
use haven_sys::netlink::{NetlinkSocket, Reply, Value};
use rustix::io::Errno;

/// `NFNLGRP_NFTABLES`
const GROUP: u32 = 7;
/// `NFT_MSG_NEWGEN` of nftables: the end of a transaction.
const GENERATION: u16 = (10 << 8) | 15;
const GENERIC_HEADER_BYTES: usize = 4;

/// Somebody else has changed our table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignChange {
    /// The thread and the name of the process. `None`: so much happened that the kernel did not say.
    pub process: Option<(u32, String)>,
}

/// Waits for changes; see [`crate::Network::watch`].
#[derive(Debug)]
pub struct Watch {
    socket: NetlinkSocket,
    /// Our own socket, whose changes are not foreign.
    own: u32,
    /// A transaction that is not at its end has touched our table.
    touched: bool,
}

impl Watch {
    pub(crate) fn new(mut socket: NetlinkSocket, own: u32) -> Outcome<Self> {
        socket.subscribe(GROUP).map_err(|e| refused("cannot watch the firewall", e))?;
        Ok(Self { socket, own, touched: false })
    }

    /// Waits for the next foreign change; `None` when there was none within half a minute.
    pub fn wait(&mut self) -> Outcome<Option<ForeignChange>> {
        let Self { socket, own, touched } = self;
        let mut change = None;
        loop {
            let heard = socket.notified(|event| {
                if event.port == *own {
                    return;
                }
                if event.kind == GENERATION {
                    if std::mem::take(touched) {
                        change = Some(ForeignChange { process: process(event) });
                    }
                } else {
                    *touched |= is_ours(event);
                }
            });
            match heard {
                Ok(true) if change.is_none() => {}
                Ok(_) => return Ok(change),
                Err(error) if error.errno() == Errno::NOBUFS => {
                    return Ok(Some(ForeignChange { process: None }));
                }
                Err(error) => return Err(refused("cannot watch the firewall", error)),
            }
        }
    }
}

fn is_ours(event: Reply<'_>) -> bool {
    let table = event.attributes(GENERIC_HEADER_BYTES).first(1).and_then(Value::text);
    event.kind >> 8 == GENERATION >> 8 && table == Some(table::TABLE)
}

fn process(event: Reply<'_>) -> Option<(u32, String)> {
    let attributes = event.attributes(GENERIC_HEADER_BYTES);
    Some((attributes.first(2)?.be32()?, attributes.first(3)?.text()?.to_owned()))
}
