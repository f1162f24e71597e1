//! The configuration file: every key is known, every value becomes a type here, and nothing later reads text.

use haven_files::{Protection, ServerAddress};
use haven_identity::{
    AddressLock, Endpoint, Filter, LdapConfig, LdapServer, Method, Policy, RedisConfig, RedisTls, Secret,
    Security, Topology,
};
use haven_spec::{Failure, Outcome};
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

const HOST_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    listen: SocketAddr,
    key_file: PathBuf,
    title: Option<String>,
    tls: Option<TlsFile>,
    #[serde(default)]
    behind_proxies: Vec<IpAddr>,
    #[serde(default)]
    sessions: SessionsFile,
    sign_in: SignInFile,
    #[serde(default)]
    files: FilesFile,
    #[serde(default, rename = "place")]
    places: Vec<PlaceFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFile {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SessionsFile {
    idle_minutes: u64,
    lifetime_hours: u64,
    lock: String,
    most_per_person: usize,
    file: PathBuf,
    redis: Option<RedisFile>,
}

impl Default for SessionsFile {
    fn default() -> Self {
        Self {
            idle_minutes: 30,
            lifetime_hours: 10,
            lock: "off".into(),
            most_per_person: 20,
            file: "/var/lib/bargate/sessions".into(),
            redis: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedisFile {
    socket: Option<PathBuf>,
    server: Option<String>,
    #[serde(default)]
    sentinels: Vec<String>,
    service: Option<String>,
    #[serde(default)]
    cluster: Vec<String>,
    #[serde(default)]
    tls: bool,
    authorities: Option<PathBuf>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, tag = "method", rename_all = "lowercase")]
enum SignInFile {
    Smb {
        server: String,
        #[serde(default)]
        domain: String,
    },
    Ldap(Box<LdapFile>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LdapFile {
    servers: Vec<String>,
    authorities: Option<PathBuf>,
    account: Option<String>,
    account_password_file: Option<PathBuf>,
    base: Option<String>,
    filter: Option<String>,
    template: Option<String>,
    allowed: Option<String>,
    user_attribute: Option<String>,
    #[serde(default)]
    attributes: Vec<String>,
    #[serde(default)]
    domain: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FilesFile {
    encryption: bool,
    patience_s: u64,
    idle_s: u64,
}

impl Default for FilesFile {
    fn default() -> Self {
        Self { encryption: true, patience_s: 30, idle_s: 60 }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlaceFile {
    name: String,
    server: String,
    share: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    read_only: bool,
}

/// Where people's files are. `{user}` and `{attribute}` in share and path stand for what is known of the person.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) server: ServerAddress,
    pub(crate) share: String,
    pub(crate) path: String,
    pub(crate) read_only: bool,
}

pub(crate) enum SignInMethod {
    Smb { server: ServerAddress },
    Ldap(Box<LdapConfig>),
}

pub(crate) enum StoreChoice {
    File(PathBuf),
    Redis(Box<RedisConfig>),
}

pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) key_file: PathBuf,
    pub(crate) title: String,
    /// Certificate chain and key, PEM.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) behind_proxies: Vec<IpAddr>,
    pub(crate) policy: Policy,
    pub(crate) store: StoreChoice,
    pub(crate) sign_in: SignInMethod,
    pub(crate) domain: String,
    pub(crate) protection: Protection,
    pub(crate) patience: Duration,
    pub(crate) idle: Duration,
    pub(crate) places: Vec<Place>,
}

impl Config {
    pub(crate) fn load(path: &Path) -> Outcome<Self> {
        let cannot = || format!("cannot use the configuration `{}`", path.display());
        let text = std::fs::read_to_string(path).map_err(|error| Failure::host(cannot()).because(error))?;
        Self::parse(&text).map_err(|failure| failure.context(cannot()))
    }

    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let file: File =
            toml::from_str(text).map_err(|error| Failure::invalid("it can't be read").because(error))?;
        if file.tls.is_none() && file.behind_proxies.is_empty() {
            return Err(Failure::invalid("neither `[tls]` nor `behind_proxies` is set")
                .because("passwords would cross the network readable")
                .hint(
                    "give `tls.certificate` and `tls.key`, or name the addresses of the proxies that do TLS",
                ));
        }
        if file.places.is_empty() {
            return Err(
                Failure::invalid("there is no `[[place]]`").hint("name at least one server and share")
            );
        }
        let (sign_in, domain) = sign_in(file.sign_in)?;
        let places = file.places.into_iter().map(place).collect::<Outcome<Vec<_>>>()?;
        let sessions = file.sessions;
        let lock = match sessions.lock.as_str() {
            "off" => AddressLock::Off,
            "network" => AddressLock::Network,
            "address" => AddressLock::Address,
            other => {
                return Err(
                    Failure::invalid(format!("`sessions.lock` is `{other}`")).hint("off, network or address")
                );
            }
        };
        let policy = Policy {
            idle: Duration::from_secs(sessions.idle_minutes.clamp(1, 7 * 24 * 60) * 60),
            lifetime: Duration::from_secs(sessions.lifetime_hours.clamp(1, 30 * 24) * 3600),
            lock,
            most_sessions: sessions.most_per_person.clamp(1, 1000),
            ..Policy::default()
        };
        let store = match sessions.redis {
            Some(redis) => StoreChoice::Redis(Box::new(redis_config(redis)?)),
            None => StoreChoice::File(sessions.file),
        };
        Ok(Self {
            listen: file.listen,
            key_file: file.key_file,
            title: file.title.unwrap_or_else(|| "Files".into()),
            tls: file.tls.map(|tls| (tls.certificate, tls.key)),
            behind_proxies: file.behind_proxies,
            policy,
            store,
            sign_in,
            domain,
            protection: if file.files.encryption { Protection::Encrypted } else { Protection::Signed },
            patience: Duration::from_secs(file.files.patience_s.clamp(1, 600)),
            idle: Duration::from_secs(file.files.idle_s.clamp(5, 3600)),
            places,
        })
    }
}

fn place(file: PlaceFile) -> Outcome<Place> {
    Ok(Place {
        server: ServerAddress::parse(&file.server)?,
        name: file.name,
        share: file.share,
        path: file.path,
        read_only: file.read_only,
    })
}

fn sign_in(file: SignInFile) -> Outcome<(SignInMethod, String)> {
    match file {
        SignInFile::Smb { server, domain } => {
            Ok((SignInMethod::Smb { server: ServerAddress::parse(&server)? }, domain))
        }
        SignInFile::Ldap(ldap) => {
            let domain = ldap.domain.clone();
            Ok((SignInMethod::Ldap(Box::new(ldap_config(*ldap)?)), domain))
        }
    }
}

fn ldap_config(file: LdapFile) -> Outcome<LdapConfig> {
    let filter = file.filter.as_deref().map(Filter::parse).transpose()?;
    let method = match (file.template, filter, file.base) {
        (Some(name), filter, base) => Method::Template { name, entry: base.zip(filter) },
        (None, Some(filter), Some(base)) => {
            let account = match (file.account, file.account_password_file) {
                (Some(account), Some(password)) => Some((account, secret(&password)?)),
                (None, None) => None,
                _ => return Err(Failure::invalid("`account` and `account_password_file` belong together")),
            };
            Method::Search { account, base, filter }
        }
        _ => {
            return Err(Failure::invalid("`sign_in` says neither how to search nor a template")
                .hint("give `base` and `filter`, or `template`"));
        }
    };
    Ok(LdapConfig {
        servers: file.servers.iter().map(|url| ldap_server(url)).collect::<Outcome<_>>()?,
        authorities: read(&file.authorities.unwrap_or_else(|| HOST_AUTHORITIES.into()))?,
        method,
        allowed: file.allowed.as_deref().map(Filter::parse).transpose()?,
        user_attribute: file.user_attribute,
        attributes: file.attributes,
        patience: Duration::from_secs(10),
    })
}

/// `ldaps://host[:port]`, or `ldap://host[:port]` which is StartTLS.
fn ldap_server(url: &str) -> Outcome<LdapServer> {
    let refused = || {
        Failure::invalid(format!("`{url}` is no directory server"))
            .hint("`ldaps://ldap.example` or `ldap://ldap.example` (with StartTLS)")
    };
    let (security, rest) = match url.split_once("://") {
        Some(("ldaps", rest)) => (Security::Ldaps, rest),
        Some(("ldap", rest)) => (Security::StartTls, rest),
        _ => return Err(refused()),
    };
    let default = if security == Security::Ldaps { 636 } else { 389 };
    let (host, port) = host_and_port(rest.trim_end_matches('/'), default).ok_or_else(refused)?;
    Ok(LdapServer { host, port, security })
}

fn redis_config(file: RedisFile) -> Outcome<RedisConfig> {
    let endpoint = |text: &String| {
        let (host, port) = host_and_port(text, 6379)
            .ok_or_else(|| Failure::invalid(format!("`{text}` is no Redis server")))?;
        Ok(Endpoint { host, port })
    };
    let endpoints = |texts: &[String]| texts.iter().map(endpoint).collect::<Outcome<Vec<_>>>();
    let topology = match (
        file.socket,
        &file.server,
        file.service,
        file.sentinels.as_slice(),
        file.cluster.as_slice(),
    ) {
        (Some(socket), None, None, [], []) => Topology::Socket(socket),
        (None, Some(server), None, [], []) => Topology::One(endpoint(server)?),
        (None, None, Some(service), [_, ..], []) => {
            Topology::Sentinel { service, sentinels: endpoints(&file.sentinels)? }
        }
        (None, None, None, [], [_, ..]) => Topology::Cluster(endpoints(&file.cluster)?),
        _ => {
            return Err(Failure::invalid(
                "`sessions.redis` has to name exactly one of: socket, server, service with sentinels, cluster",
            ));
        }
    };
    let authorities = file.authorities.as_deref().map(read).transpose()?;
    Ok(RedisConfig {
        topology,
        tls: file.tls.then_some(RedisTls { authorities, identity: None }),
        user: file.user,
        password: file.password_file.as_deref().map(secret).transpose()?,
        prefix: "bargate".into(),
        patience: Duration::from_secs(5),
    })
}

fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path)
        .map_err(|error| Failure::host(format!("cannot read `{}`", path.display())).because(error))
}

/// The first line of a file.
fn secret(path: &Path) -> Outcome<Secret> {
    let mut bytes = read(path)?;
    while bytes.last().is_some_and(u8::is_ascii_whitespace) {
        bytes.pop();
    }
    Ok(Secret::new(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "listen = \"127.0.0.1:8443\"\nkey_file = \"/etc/bargate/keys\"\nbehind_proxies = [\"127.0.0.1\"]\n\
        [sign_in]\nmethod = \"smb\"\nserver = \"files.example\"\n[[place]]\nname = \"Home\"\nserver = \"files.example\"\nshare = \"home\"\npath = \"{user}\"\n";

    fn refused(text: &str) -> String {
        Config::parse(text).err().expect("is refused").one_line()
    }

    #[test]
    fn a_configuration_is_read_and_unknown_keys_are_refused() {
        let config = Config::parse(GOOD).expect("is good");
        assert_eq!(config.places[0].path, "{user}");
        assert!(matches!(config.sign_in, SignInMethod::Smb { .. }));
        assert!(refused(&format!("passwort = 1\n{GOOD}")).contains("passwort"));
        assert!(refused(&GOOD.replace("[\"127.0.0.1\"]", "[]")).contains("neither `[tls]`"));
        assert!(refused(&GOOD.replace("method = \"smb\"", "method = \"nis\"")).contains("nis"));
        assert!(refused(&format!("{GOOD}[sessions]\nlock = \"country\"\n")).contains("country"));
        assert!(refused(&format!("{GOOD}[sessions.redis]\ntls = true\n")).contains("exactly one"));
    }

    #[test]
    fn the_commented_example_is_good() {
        let config = Config::parse(include_str!("../../../packaging/bargate.toml")).expect("is good");
        assert_eq!(config.places.len(), 1);
    }

    #[test]
    fn servers_are_read_from_urls() {
        let server = ldap_server("ldap://ldap.example").expect("a server");
        assert_eq!((server.port, server.security), (389, Security::StartTls));
        assert_eq!(ldap_server("ldaps://ldap.example:1636/").expect("a server").port, 1636);
        assert!(ldap_server("http://x").is_err() && ldap_server("ldaps://").is_err());
    }
}
