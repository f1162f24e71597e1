//! The bytes of a connection, with one thing put right: the client we use doesn't say in its first message that it can
//! encrypt, and asks for signing without requiring it. Servers that require encryption then refuse it.
//!
//! This layer sets both bits in the first message that goes out (MS-SMB2 2.2.3) and keeps the first message each way as it
//! was on the wire; [`Greeting::rehash`] then lets the client's hash of the greeting, from which 3.1.1 derives its keys,
//! begin with what was really said. Names of hosts are resolved by our own code, so addresses come in here.

use smb2::client::Connection;
use smb2::crypto::kdf::PreauthHasher;
use smb2::transport::{ReceiveProgress, TcpTransport, TransportReceive, TransportSend};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Where in the message: 64 bytes of header, then size, number of dialects, mode, reserved, capabilities.
const SECURITY_MODE: usize = 64 + 4;
const CAPABILITIES: usize = 64 + 8;
const SIGNING_REQUIRED: u8 = 0x02;
const CAN_ENCRYPT: u8 = 0x40;

type Sending<'a> = Pin<Box<dyn Future<Output = smb2::Result<()>> + Send + 'a>>;
type Receiving<'a> = Pin<Box<dyn Future<Output = smb2::Result<Vec<u8>>> + Send + 'a>>;

/// The first message each way.
#[derive(Debug, Default)]
pub(crate) struct Greeting {
    sent: Mutex<Option<Vec<u8>>>,
    received: Mutex<Option<Vec<u8>>>,
}

impl Greeting {
    /// Lets the connection's hash begin with these two messages; `false` when there haven't been two.
    pub(crate) fn rehash(&self, connection: &Connection) -> bool {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(sent), Some(received)) = (&*sent, &*received) else { return false };
        connection.with_preauth_hasher_mut(|hasher| {
            *hasher = PreauthHasher::new();
            hasher.update(sent);
            hasher.update(received);
        });
        true
    }
}

/// Makes the parts of a connection that go over `tcp`.
pub(crate) fn over(tcp: TcpTransport) -> (Sender, Receiver, Arc<Greeting>) {
    let (tcp, greeting) = (Arc::new(tcp), Arc::new(Greeting::default()));
    let sender = Sender { tcp: Arc::clone(&tcp), greeting: Arc::clone(&greeting) };
    (sender, Receiver { tcp, greeting: Arc::clone(&greeting) }, greeting)
}

pub(crate) struct Sender {
    tcp: Arc<TcpTransport>,
    greeting: Arc<Greeting>,
}

pub(crate) struct Receiver {
    tcp: Arc<TcpTransport>,
    greeting: Arc<Greeting>,
}

impl TransportSend for Sender {
    fn send<'a, 'b, 'c>(&'a self, message: &'b [u8]) -> Sending<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            let first = {
                let mut sent = self.greeting.sent.lock().unwrap_or_else(PoisonError::into_inner);
                if sent.is_none() {
                    *sent = Some(put_right(message));
                    sent.clone()
                } else {
                    None
                }
            };
            self.tcp.send(first.as_deref().unwrap_or(message)).await
        })
    }
}

impl TransportReceive for Receiver {
    fn receive<'a, 'c>(&'a self) -> Receiving<'c>
    where
        'a: 'c,
        Self: 'c,
    {
        Box::pin(async move {
            let message = self.tcp.receive().await?;
            let mut received = self.greeting.received.lock().unwrap_or_else(PoisonError::into_inner);
            if received.is_none() {
                *received = Some(message.clone());
            }
            drop(received);
            Ok(message)
        })
    }

    fn receive_progress(&self) -> Option<Arc<ReceiveProgress>> {
        self.tcp.receive_progress()
    }
}

fn put_right(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    if message.len() > CAPABILITIES {
        message[SECURITY_MODE] |= SIGNING_REQUIRED;
        message[CAPABILITIES] |= CAN_ENCRYPT;
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_bits_are_set_and_nothing_else() {
        let message = vec![0; 100];
        let right = put_right(&message);
        let changed: Vec<usize> = (0..100).filter(|at| right[*at] != 0).collect();
        assert_eq!(changed, [SECURITY_MODE, CAPABILITIES]);
        assert_eq!(put_right(&[1, 2]), [1, 2]);
    }
}
