//! The store for several instances behind a balancer: Redis, alone, watched by Sentinels, or as a cluster.
//!
//! Only commands on one key at a time, so that a cluster works as one server does. Lifetimes are Redis' own (`PX`):
//! what has ended is gone there whatever becomes of us. TLS is verified against the given certificates, host name
//! included. Redis needs no persistence: what it loses are sessions, and people sign in again; but what is *kept*
//! (registered telephones) is lost with it too, so an operator who uses one-time codes gives it persistence.
//!
//! | key | value |
//! |---|---|
//! | `PREFIX:row:HANDLE` | owner ‖ row, with its lifetime |
//! | `PREFIX:own:OWNER` | set of handles; those whose row is gone are weeded out when it is read |
//! | `PREFIX:cnt:MARK` | a counter with its window, or a claim |
//! | `PREFIX:kept:OWNER:NAME` | what is kept |

use super::{Count, Handle, Mark, Owner, ROW_LIMIT, Row, Store, Task, check_length};
use crate::moment::{Moment, ms};
use crate::secret::Secret;
use haven_resolve::Resolver;
use haven_spec::{Failure, Outcome};
use redis::aio::MultiplexedConnection;
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ErrorKind, FromRedisValue,
    IntoConnectionInfo, Pipeline, RedisConnectionInfo, RedisError, ServerErrorKind, TlsCertificates, cmd,
    pipe,
};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long an index of a person's sessions outlives her last sign-in: longer than any session.
const INDEX_LIFETIME: Duration = Duration::from_secs(32 * 24 * 3600);

/// Most sessions of one person that are looked at.
const MOST_HANDLES: usize = 10_000;

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

/// How the servers stand to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topology {
    /// One server on this host.
    Socket(PathBuf),
    One(Endpoint),
    /// The main server is asked for by name; after a failover it is another one.
    Sentinel {
        service: String,
        sentinels: Vec<Endpoint>,
    },
    /// Some nodes; they tell about the others.
    Cluster(Vec<Endpoint>),
}

/// Verified, always: there is no switch to turn that off.
#[derive(Clone, Default)]
pub struct RedisTls {
    /// Certificates of the authorities to believe, PEM; the host's own when there are none.
    pub authorities: Option<Vec<u8>>,
    /// Certificate and key that show who we are, PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

pub struct RedisConfig {
    pub topology: Topology,
    pub tls: Option<RedisTls>,
    /// For an access list; the default user otherwise.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long an answer may take.
    pub patience: Duration,
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("topology", &self.topology)
            .field("tls", &self.tls.is_some())
            .field("user", &self.user)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

pub struct RedisStore {
    config: RedisConfig,
    resolver: Resolver,
    /// Made at first use, and again after it broke.
    link: Mutex<Option<Link>>,
}

#[derive(Clone)]
enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl RedisStore {
    /// Connects, so that a wrong password or certificate is found at start.
    pub async fn connect(config: RedisConfig, resolver: Resolver) -> Outcome<Self> {
        if config.prefix.is_empty()
            || !config.prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            return Err(Failure::invalid(format!(
                "the key prefix `{}` is not letters, digits and hyphens",
                config.prefix
            )));
        }
        let store = Self { config, resolver, link: Mutex::new(None) };
        let mut ping = pipe();
        ping.cmd("EXISTS").arg(store.key("row", &"start"));
        store.run::<(u64,)>(&ping).await?;
        Ok(store)
    }

    /// Runs commands, all on one key; a second time on a new connection when the first turned out to be broken.
    async fn run<T: FromRedisValue>(&self, commands: &Pipeline) -> Outcome<T> {
        let mut again = true;
        loop {
            let mut link = self.link().await?;
            let result = match &mut link {
                Link::One(connection) => commands.query_async(connection).await,
                Link::Cluster(connection) => commands.query_async(connection).await,
            };
            match result {
                Err(error) if again && is_broken_link(&error) => {
                    again = false;
                    *self.link.lock().await = None;
                }
                other => return other.map_err(|error| self.failure(error)),
            }
        }
    }

    async fn link(&self) -> Outcome<Link> {
        let mut held = self.link.lock().await;
        if let Some(link) = &*held {
            return Ok(link.clone());
        }
        let link = match &self.config.topology {
            Topology::Socket(path) => Link::One(self.open(ConnectionAddr::Unix(path.clone())).await?),
            Topology::One(endpoint) => Link::One(self.open(self.address(endpoint)).await?),
            Topology::Sentinel { service, sentinels } => {
                Link::One(self.main_server(service, sentinels).await?)
            }
            Topology::Cluster(nodes) => Link::Cluster(self.cluster(nodes).await?),
        };
        *held = Some(link.clone());
        Ok(link)
    }

    fn address(&self, endpoint: &Endpoint) -> ConnectionAddr {
        let (host, port) = (endpoint.host.clone(), endpoint.port);
        if self.config.tls.is_some() {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        }
    }

    fn login(&self) -> RedisConnectionInfo {
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(user) = &self.config.user {
            login = login.set_username(user);
        }
        if let Some(password) = self.config.password.as_ref().and_then(Secret::reveal_text) {
            login = login.set_password(password);
        }
        login
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        self.config.tls.as_ref().map(|tls| TlsCertificates {
            client_tls: tls
                .identity
                .clone()
                .map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key }),
            root_cert: tls.authorities.clone(),
        })
    }

    async fn open(&self, address: ConnectionAddr) -> Outcome<MultiplexedConnection> {
        let make = || {
            let info = address.into_connection_info()?.set_redis_settings(self.login());
            match (info.addr(), self.certificates()) {
                (ConnectionAddr::TcpTls { .. }, Some(certificates)) => {
                    Client::build_with_tls(info, certificates)
                }
                _ => Client::open(info),
            }
        };
        let client = make().map_err(|error| self.failure(error))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.patience))
            .set_response_timeout(Some(self.config.patience))
            .set_dns_resolver(Names(self.resolver.clone()));
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| self.failure(error))
    }

    /// Asks the Sentinels in turn and believes a server only when it says itself that it is the main one.
    async fn main_server(&self, service: &str, sentinels: &[Endpoint]) -> Outcome<MultiplexedConnection> {
        let mut problem = Failure::host(format!("no Sentinel knows a main server for `{service}`"));
        for sentinel in sentinels {
            let found = async {
                let mut connection = self.open(self.address(sentinel)).await?;
                let mut question = cmd("SENTINEL");
                question.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
                let (host, port): (String, u16) =
                    question.query_async(&mut connection).await.map_err(|error| self.failure(error))?;
                let mut main = self.open(self.address(&Endpoint { host, port })).await?;
                let role: Vec<redis::Value> =
                    cmd("ROLE").query_async(&mut main).await.map_err(|error| self.failure(error))?;
                match role.first() {
                    Some(redis::Value::BulkString(role)) if role == b"master" => Ok(main),
                    _ => Err(Failure::host("the server that Sentinel named is not the main one yet")
                        .hint("a failover is under way; it takes some seconds")),
                }
            };
            match found.await {
                Ok(connection) => return Ok(connection),
                Err(failure) => problem = failure,
            }
        }
        Err(problem)
    }

    async fn cluster(&self, nodes: &[Endpoint]) -> Outcome<ClusterConnection> {
        let make = || {
            let login = self.login();
            let infos: Result<Vec<_>, RedisError> = nodes
                .iter()
                .map(|node| Ok(self.address(node).into_connection_info()?.set_redis_settings(login.clone())))
                .collect();
            let mut builder: ClusterClientBuilder = ClusterClient::builder(infos?)
                .connection_timeout(self.config.patience)
                .response_timeout(self.config.patience)
                .async_dns_resolver(Names(self.resolver.clone()));
            if let Some(certificates) = self.certificates() {
                builder = builder.certs(certificates);
            }
            builder.build()
        };
        let client = make().map_err(|error| self.failure(error))?;
        client.get_async_connection().await.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: RedisError) -> Failure {
        let failure = Failure::host("the Redis store of sessions cannot be used");
        let hint = match error.kind() {
            ErrorKind::AuthenticationFailed => {
                "see that user and password in the configuration are those of Redis' access list"
            }
            ErrorKind::Server(ServerErrorKind::NoPerm) => {
                "the access list has to allow the keys with our prefix and the commands get, set, del, exists, pttl, pexpire, incr, decr, getrange, sadd, srem, smembers"
            }
            _ if error.is_timeout() => "Redis doesn't answer in time; see that it runs and isn't swapping",
            _ if self.config.tls.is_some() => {
                "see that Redis runs, speaks TLS on this port, and that its certificate is for this host and from an authority in the configuration"
            }
            _ => "see that Redis runs and listens there",
        };
        failure.because(error).hint(hint)
    }

    fn key(&self, kind: &str, name: &dyn fmt::Display) -> String {
        format!("{}:{kind}:{name}", self.config.prefix)
    }

    fn row_key(&self, handle: Handle) -> String {
        self.key("row", &handle)
    }

    fn index_key(&self, owner: Owner) -> String {
        self.key("own", &Handle::from_bytes(*owner.as_bytes()))
    }

    fn count_key(&self, mark: Mark) -> String {
        self.key("cnt", &Handle::from_bytes(*mark.as_bytes()))
    }

    fn kept_key(&self, owner: Owner, name: &str) -> String {
        self.key("kept", &format_args!("{}:{name}", Handle::from_bytes(*owner.as_bytes())))
    }

    /// The owner in front of a row and the row; a value that nobody here wrote is an empty row.
    async fn row(&self, handle: Handle) -> Outcome<Option<([u8; 32], Row)>> {
        let key = self.row_key(handle);
        let mut commands = pipe();
        commands.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        let (value, left_ms): (Option<Vec<u8>>, i64) = self.run(&commands).await?;
        let Some(mut value) = value else { return Ok(None) };
        // Somebody took the lifetime off (-1): then it is over as soon as nobody touches it.
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        let owner = match value.first_chunk::<32>() {
            Some(owner) if value.len() <= ROW_LIMIT + 32 => *owner,
            _ => return Ok(Some(([0; 32], Row { bytes: Vec::new(), left }))),
        };
        value.drain(..32);
        Ok(Some((owner, Row { bytes: value, left })))
    }

    /// The handles of one person, also of rows that have ended.
    async fn handles(&self, owner: Owner) -> Outcome<Vec<Handle>> {
        let mut commands = pipe();
        commands.cmd("SMEMBERS").arg(self.index_key(owner));
        let (members,): (Vec<Vec<u8>>,) = self.run(&commands).await?;
        let handles =
            members.iter().filter_map(|member| Handle::parse(std::str::from_utf8(member).ok()?).ok());
        Ok(handles.take(MOST_HANDLES).collect())
    }

    async fn forget(&self, handle: Handle, owner: Owner) -> Outcome<bool> {
        let mut row = pipe();
        row.cmd("DEL").arg(self.row_key(handle));
        let (removed,): (u64,) = self.run(&row).await?;
        let mut index = pipe();
        index.cmd("SREM").arg(self.index_key(owner)).arg(handle.to_string());
        let (_,): (u64,) = self.run(&index).await?;
        Ok(removed > 0)
    }
}

/// Whether another connection may do better: this one is gone, or leads to what was the main server before.
fn is_broken_link(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}

/// At least a millisecond: Redis takes no other.
fn lifetime_ms(lifetime: Duration) -> u64 {
    ms(lifetime).max(1)
}

/// Host names are found by our own resolver, see `haven-resolve`.
struct Names(Resolver);

impl redis::io::AsyncDNSResolver for Names {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        host: &'b str,
        port: u16,
    ) -> redis::RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let sockets = self
                .0
                .sockets(host, port)
                .await
                .map_err(|failure| RedisError::from(std::io::Error::other(failure.one_line())))?;
            let sockets: Box<dyn Iterator<Item = SocketAddr> + Send + 'a> = Box::new(sockets.into_iter());
            Ok(sockets)
        })
    }
}

impl Store for RedisStore {
    fn put<'a>(
        &'a self,
        handle: Handle,
        owner: Owner,
        bytes: Vec<u8>,
        lifetime: Duration,
        _: Moment,
    ) -> Task<'a, ()> {
        Box::pin(async move {
            check_length(&bytes)?;
            // The index first: a row that no index knows could not be revoked.
            let mut index = pipe();
            let index_key = self.index_key(owner);
            index.cmd("SADD").arg(&index_key).arg(handle.to_string()).ignore();
            index.cmd("PEXPIRE").arg(&index_key).arg(lifetime_ms(INDEX_LIFETIME)).ignore();
            self.run::<()>(&index).await?;
            let mut row = pipe();
            let value = [&owner.as_bytes()[..], &bytes].concat();
            row.cmd("SET").arg(self.row_key(handle)).arg(value).arg("PX").arg(lifetime_ms(lifetime)).ignore();
            self.run(&row).await
        })
    }

    fn find(&self, handle: Handle, _: Moment) -> Task<'_, Option<Row>> {
        Box::pin(async move { Ok(self.row(handle).await?.map(|(_, row)| row)) })
    }

    fn touch(&self, handle: Handle, lifetime: Duration, _: Moment) -> Task<'_, bool> {
        Box::pin(async move {
            let mut commands = pipe();
            commands.cmd("PEXPIRE").arg(self.row_key(handle)).arg(lifetime_ms(lifetime));
            let (touched,): (u64,) = self.run(&commands).await?;
            Ok(touched > 0)
        })
    }

    fn replace<'a>(&'a self, handle: Handle, bytes: Vec<u8>, _: Moment) -> Task<'a, bool> {
        Box::pin(async move {
            check_length(&bytes)?;
            let key = self.row_key(handle);
            let mut owner = pipe();
            owner.cmd("GETRANGE").arg(&key).arg(0).arg(31);
            let (owner,): (Vec<u8>,) = self.run(&owner).await?;
            let mut commands = pipe();
            commands.cmd("SET").arg(&key).arg([owner, bytes].concat()).arg("XX").arg("KEEPTTL");
            let (answer,): (Option<String>,) = self.run(&commands).await?;
            Ok(answer.is_some())
        })
    }

    fn remove(&self, handle: Handle, owner: Owner, _: Moment) -> Task<'_, bool> {
        Box::pin(async move {
            match self.row(handle).await? {
                Some((found, _)) if found == *owner.as_bytes() => self.forget(handle, owner).await,
                _ => Ok(false),
            }
        })
    }

    fn owned_by(&self, owner: Owner, _: Moment) -> Task<'_, Vec<(Handle, Row)>> {
        Box::pin(async move {
            let mut found = Vec::new();
            for handle in self.handles(owner).await? {
                match self.row(handle).await? {
                    Some((of, row)) if of == *owner.as_bytes() => found.push((handle, row)),
                    // A row under another's index is none of hers; one that is gone is weeded out.
                    Some(_) => {}
                    None => drop(self.forget(handle, owner).await?),
                }
            }
            Ok(found)
        })
    }

    fn remove_owned_by(&self, owner: Owner, _: Moment) -> Task<'_, usize> {
        Box::pin(async move {
            let mut removed = 0;
            for handle in self.handles(owner).await? {
                removed += usize::from(self.forget(handle, owner).await?);
            }
            Ok(removed)
        })
    }

    fn count(&self, mark: Mark, window: Duration, _: Moment) -> Task<'_, Count> {
        Box::pin(async move {
            let key = self.count_key(mark);
            let mut commands = pipe();
            commands.cmd("SET").arg(&key).arg(0).arg("PX").arg(lifetime_ms(window)).arg("NX").ignore();
            commands.cmd("INCR").arg(&key).cmd("PTTL").arg(&key);
            let (so_far, left_ms): (u64, i64) = self.run(&commands).await?;
            if left_ms < 0 {
                // It ended between two of the commands, which made one without an end.
                let mut expire = pipe();
                expire.cmd("PEXPIRE").arg(&key).arg(lifetime_ms(window)).ignore();
                self.run::<()>(&expire).await?;
                return Ok(Count { so_far, left: window });
            }
            Ok(Count { so_far, left: Duration::from_millis(u64::try_from(left_ms).unwrap_or(0)) })
        })
    }

    fn uncount(&self, mark: Mark, _: Moment) -> Task<'_, ()> {
        Box::pin(async move {
            let key = self.count_key(mark);
            let mut commands = pipe();
            // One that isn't there is made for a moment, so that taking one back leaves none without an end.
            commands.cmd("SET").arg(&key).arg(1).arg("PX").arg(1000).arg("NX").ignore();
            commands.cmd("DECR").arg(&key).ignore();
            self.run(&commands).await
        })
    }

    fn clear(&self, mark: Mark) -> Task<'_, ()> {
        Box::pin(async move {
            let mut commands = pipe();
            commands.cmd("DEL").arg(self.count_key(mark)).ignore();
            self.run(&commands).await
        })
    }

    fn claim(&self, mark: Mark, lifetime: Duration, _: Moment) -> Task<'_, bool> {
        Box::pin(async move {
            let mut commands = pipe();
            commands
                .cmd("SET")
                .arg(self.count_key(mark))
                .arg(1)
                .arg("NX")
                .arg("PX")
                .arg(lifetime_ms(lifetime));
            let (answer,): (Option<String>,) = self.run(&commands).await?;
            Ok(answer.is_some())
        })
    }

    fn keep<'a>(&'a self, owner: Owner, name: &'static str, bytes: Vec<u8>) -> Task<'a, ()> {
        Box::pin(async move {
            check_length(&bytes)?;
            let mut commands = pipe();
            commands.cmd("SET").arg(self.kept_key(owner, name)).arg(bytes).ignore();
            self.run(&commands).await
        })
    }

    fn kept(&self, owner: Owner, name: &'static str) -> Task<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let mut commands = pipe();
            commands.cmd("GET").arg(self.kept_key(owner, name));
            let (value,): (Option<Vec<u8>>,) = self.run(&commands).await?;
            Ok(value)
        })
    }

    fn discard(&self, owner: Owner, name: &'static str) -> Task<'_, bool> {
        Box::pin(async move {
            let mut commands = pipe();
            commands.cmd("DEL").arg(self.kept_key(owner, name));
            let (removed,): (u64,) = self.run(&commands).await?;
            Ok(removed > 0)
        })
    }
}
