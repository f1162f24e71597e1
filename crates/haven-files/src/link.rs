//! One server and one person on it: connected, signed in, signed and encrypted.
//!
//! The client's low level is used, because its comfortable one keeps the password for reconnecting. Here the password is
//! borrowed for the sign-in and nothing keeps it; when a link breaks, whoever holds the session makes another. One link
//! carries many operations at once (SMB multiplexes), up to a limit.

use crate::problem::{Attempt, Problem, ProblemKind};
use crate::share::Share;
use crate::transport;
use haven_resolve::Resolver;
use haven_spec::{Failure, Outcome};
use haven_sys::memory::WipingStack;
use smb2::Session;
use smb2::client::{Cipher, Connection, list_shares};
use smb2::transport::TcpTransport;
use smb2::types::Dialect;
use smb2::types::flags::Capabilities;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

const SMB_PORT: u16 = 445;

/// Host and port of a file server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

impl ServerAddress {
    /// `files.example`, `files.example:1445`, `192.0.2.1`, `[2001:db8::1]:445`.
    pub fn parse(text: &str) -> Outcome<Self> {
        let refused = || {
            Failure::invalid(format!("`{text}` names no file server"))
                .hint("write a host, with a port if it isn't 445: `files.example` or `files.example:1445`")
        };
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().ok().filter(|port| *port != 0).ok_or_else(refused)?)
            }
            _ => (text, SMB_PORT),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
        if host.is_empty() || host.len() > 253 || !host.bytes().all(good) {
            return Err(refused());
        }
        Ok(Self { host: host.to_lowercase(), port })
    }

    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.port == SMB_PORT { f.write_str(&self.host) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// Who signs in. Borrowed: nothing of it is kept.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub user: &'a str,
    /// Empty: the server's own.
    pub domain: &'a str,
    pub password: &'a str,
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What every message is protected by. There is no less than signing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protection {
    /// Encrypted, or no link: SMB 3.
    #[default]
    Encrypted,
    /// Signed, and encrypted only where the server asks for it: SMB 2.1, and networks that are trusted.
    Signed,
}

#[derive(Debug, Clone, Copy)]
pub struct LinkOptions {
    pub protection: Protection,
    /// How long connecting, signing in and each answer may take.
    pub patience: Duration,
    /// Most operations at once.
    pub operations: usize,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self { protection: Protection::Encrypted, patience: Duration::from_secs(30), operations: 16 }
    }
}

/// A share as the server's list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareView {
    pub name: String,
    pub comment: String,
}

pub struct Link {
    server: ServerAddress,
    connection: Connection,
    /// For shares that ask for encryption where the rest is only signed.
    encryption: Option<(Vec<u8>, Vec<u8>, Cipher)>,
    patience: Duration,
    operations: Arc<Semaphore>,
    broken: AtomicBool,
}

impl Link {
    /// Connects and signs in.
    pub async fn open(
        resolver: &Resolver,
        server: &ServerAddress,
        login: Login<'_>,
        options: &LinkOptions,
    ) -> Attempt<Arc<Self>> {
        Self::open_unnamed(resolver, server, login, options)
            .await
            .map_err(|problem| problem.about(server.to_string()))
    }

    async fn open_unnamed(
        resolver: &Resolver,
        server: &ServerAddress,
        login: Login<'_>,
        options: &LinkOptions,
    ) -> Attempt<Arc<Self>> {
        if login.user.is_empty() || login.password.is_empty() {
            // Servers take that for an anonymous sign-in.
            return Err(Problem::new(ProblemKind::WrongPassword));
        }
        let tcp = connect(resolver, server, options.patience).await?;
        let (sender, receiver, greeting) = transport::over(tcp);
        let mut connection =
            Connection::from_transport(Box::new(sender), Box::new(receiver), server.host.clone());
        connection.set_compression_requested(false);
        connection.set_response_timeout(Some(options.patience));
        connection.set_send_timeout(Some(options.patience));
        in_time(options.patience, connection.negotiate()).await?;
        if !greeting.rehash(&connection) {
            return Err(Problem::new(ProblemKind::Tampered));
        }
        let params = connection.params().ok_or_else(|| Problem::new(ProblemKind::Tampered))?;
        if params.dialect == Dialect::Smb2_0_2 {
            return Err(Problem::new(ProblemKind::NotProtected).because("the server speaks SMB 2.0 only"));
        }
        // The client's strings are freed unwiped: a program that sets `WipingAllocator` wipes those, this the stack.
        let setup =
            WipingStack::around(Session::setup(&mut connection, login.user, login.password, login.domain));
        let session = in_time(options.patience, setup).await?;
        if !session.should_sign {
            return Err(Problem::new(ProblemKind::NotProtected).because("the server doesn't sign"));
        }
        let params = connection.params().ok_or_else(|| Problem::new(ProblemKind::Tampered))?;
        let cipher = params.cipher.or_else(|| {
            // Before 3.1.1 there is one cipher, and a bit that says it is there.
            let old = matches!(params.dialect, Dialect::Smb3_0 | Dialect::Smb3_0_2);
            (old && params.capabilities.contains(Capabilities::ENCRYPTION)).then_some(Cipher::Aes128Ccm)
        });
        let encryption = match (&session.encryption_key, &session.decryption_key, cipher) {
            (Some(ours), Some(theirs), Some(cipher)) => Some((ours.clone(), theirs.clone(), cipher)),
            _ => None,
        };
        let link = Self {
            server: server.clone(),
            connection,
            encryption,
            patience: options.patience,
            operations: Arc::new(Semaphore::new(options.operations.max(1))),
            broken: AtomicBool::new(false),
        };
        if options.protection == Protection::Encrypted {
            link.encrypt()?;
        }
        Ok(Arc::new(link))
    }

    /// The shares that the server lists, without administrators' own (`C$`); whether the person may use one is seen when it is opened.
    pub async fn shares(&self) -> Attempt<Vec<ShareView>> {
        let _place = self.place().await?;
        let listed = in_time(self.patience, list_shares(&mut self.connection())).await;
        let shares = listed.map_err(|problem| self.noticed(problem).about(self.server.to_string()))?;
        Ok(shares.into_iter().map(|share| ShareView { name: share.name, comment: share.comment }).collect())
    }

    /// Opens a share.
    pub async fn share(self: &Arc<Self>, name: &str) -> Attempt<Share> {
        // MS-SMB2 2.2.9 and the rules of Windows for share names.
        let good = !name.is_empty()
            && name.encode_utf16().count() <= 80
            && !name.chars().any(|letter| letter.is_control() || "\\/[]:|<>+=;,*?\"".contains(letter));
        if !good {
            return Err(Problem::new(ProblemKind::NoSuchShare)
                .about(name.chars().filter(|c| !c.is_control()).take(80).collect::<String>()));
        }
        Share::open(Arc::clone(self), name).await
    }

    pub fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// Whether messages are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.connection.should_encrypt()
    }

    /// Nothing works on it any more.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed) || self.connection.is_disconnected()
    }

    /// Ends it at once, with whatever is under way.
    pub fn close(&self) {
        self.broken.store(true, Ordering::Relaxed);
        self.connection.mark_dead();
    }

    pub(crate) fn connection(&self) -> Connection {
        self.connection.clone()
    }

    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// A place among the operations at once; it is given back when dropped.
    pub(crate) async fn place(&self) -> Attempt<OwnedSemaphorePermit> {
        let place = timeout(self.patience, Arc::clone(&self.operations).acquire_owned()).await;
        match place {
            Ok(Ok(place)) => Ok(place),
            _ => {
                Err(Problem::new(ProblemKind::Busy)
                    .because("too many operations of this person are under way"))
            }
        }
    }

    /// Remembers that the link is of no more use, where a problem shows that.
    pub(crate) fn noticed(&self, problem: Problem) -> Problem {
        if problem.ends_the_link() {
            self.close();
        }
        problem
    }

    /// From now on every message is encrypted.
    pub(crate) fn encrypt(&self) -> Attempt<()> {
        if self.connection.should_encrypt() {
            return Ok(());
        }
        let (ours, theirs, cipher) = self.encryption.clone().ok_or_else(|| {
            Problem::new(ProblemKind::NotProtected)
                .because("the server can't encrypt (SMB 2, or encryption is off)")
        })?;
        self.connection().activate_encryption(ours, theirs, cipher);
        Ok(())
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.mark_dead();
    }
}

/// The first address that answers; each has its share of the time.
async fn connect(resolver: &Resolver, server: &ServerAddress, patience: Duration) -> Attempt<TcpTransport> {
    let sockets = resolver
        .sockets(&server.host, server.port)
        .await
        .map_err(|failure| Problem::new(ProblemKind::ServerGone).because(failure))?;
    let share = patience / u32::try_from(sockets.len().clamp(1, 4)).unwrap_or(4);
    let mut problem = Problem::new(ProblemKind::ServerGone);
    for socket in sockets {
        match TcpTransport::connect(socket, share).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => problem = Problem::new(ProblemKind::ServerGone).because(error),
        }
    }
    Err(problem)
}

/// A step with an end: a server that accepts and then says nothing is too slow.
pub(crate) async fn in_time<T>(
    patience: Duration,
    step: impl Future<Output = smb2::Result<T>>,
) -> Attempt<T> {
    match timeout(patience, step).await {
        Ok(result) => result.map_err(Problem::from),
        Err(_) => Err(Problem::new(ProblemKind::TooSlow)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers_are_read() {
        let shown = |text: &str| ServerAddress::parse(text).expect("an address").to_string();
        assert_eq!(shown("Files.Example"), "files.example");
        assert_eq!(shown("files.example:1445"), "files.example:1445");
        assert_eq!(shown("files.example:445"), "files.example");
        assert_eq!(ServerAddress::parse("[2001:db8::1]:1445").expect("an address").host(), "2001:db8::1");
        assert_eq!(ServerAddress::parse("2001:db8::1").expect("an address").port, 445);
        for bad in ["", "a b", "files/share", "files:0", "files:99999", "\\\\files", "user@files", ":445"] {
            assert!(ServerAddress::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_login_shows_no_password() {
        let login = Login { user: "alice", domain: "", password: "open sesame" };
        assert!(!format!("{login:?}").contains("sesame"));
    }
}
