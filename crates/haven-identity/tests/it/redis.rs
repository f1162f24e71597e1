//! The Redis store against real Redis servers: alone, with TLS and an access list, watched by a Sentinel, as a cluster.

use crate::fixtures::{NOW, Scratch, ip, sign_in, user};
use crate::servers::{Certificates, Redis, Server, free_port, until};
use crate::store::{holds_its_promises, one_of_many_claims};
use haven_identity::{
    Ended, Endpoint, Handle, Keyring, Owner, Policy, RedisConfig, RedisStore, RedisTls, Refusal, Secret,
    Store, Topology, Vault,
};
use haven_resolve::Resolver;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

fn config(topology: Topology) -> RedisConfig {
    RedisConfig {
        topology,
        tls: None,
        user: None,
        password: None,
        prefix: "bargate".into(),
        patience: Duration::from_secs(5),
    }
}

async fn connect(config: RedisConfig) -> haven_spec::Outcome<RedisStore> {
    RedisStore::connect(config, Resolver::of_this_host()).await
}

#[tokio::test]
async fn the_redis_store_holds_its_promises() {
    let redis = Redis::start(&[]);
    let store = connect(config(Topology::Socket(redis.socket.clone()))).await.expect("connects");
    holds_its_promises(&store, "redis").await;
    one_of_many_claims(Arc::new(store), "redis").await;
}

#[tokio::test]
async fn redis_itself_ends_what_is_unused() {
    let redis = Redis::start(&[]);
    let store = connect(config(Topology::Socket(redis.socket.clone()))).await.expect("connects");
    let (handle, owner) = (Handle::from_bytes([1; 32]), Owner::of(&user("alice")));
    store.put(handle, owner, vec![1], Duration::from_millis(150), NOW).await.expect("puts");
    assert!(store.find(handle, NOW).await.expect("asks").is_some());
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(store.find(handle, NOW).await.expect("asks"), None);
    assert!(!store.touch(handle, Duration::from_secs(9), NOW).await.expect("touches"));
    assert!(!store.replace(handle, vec![2], NOW).await.expect("replaces"));
    assert_eq!(store.owned_by(owner, NOW).await.expect("lists"), []);
    // No key is left without an end, whatever was done before.
    store.uncount(haven_identity::Mark::from_bytes([2; 32]), NOW).await.expect("takes nothing back");
    for key in redis.cli(&["--raw", "keys", "*"]).lines().filter(|key| !key.is_empty()) {
        assert_ne!(redis.cli(&["pttl", key]), "-1", "{key}");
    }
}

#[tokio::test]
async fn sessions_in_redis_are_shared_and_hold_no_password() {
    let redis = Redis::start(&[]);
    let keys = Keyring::generate().to_text();
    let instance = || async {
        let store = connect(config(Topology::Socket(redis.socket.clone()))).await.expect("connects");
        Vault::new(Arc::new(store), Keyring::parse(&keys).expect("parses"), Policy::default())
    };
    let (one, other) = (instance().await, instance().await);
    let cookie = one.sign_in(sign_in("alice", "open sesame 12345"), NOW).await.expect("signs in");
    let session = other.open(cookie.as_str(), ip("192.0.2.7"), NOW).await.expect("opens");
    assert_eq!(session.credential().expect("opens").secret.reveal(), b"open sesame 12345");

    // The whole content of Redis, as a thief of its dump has it.
    redis.cli(&["save"]);
    let dump = std::fs::read(redis.scratch.file("dump.rdb")).expect("a dump");
    assert!(dump.windows(7).any(|window| window == b"bargate"), "it is the dump");
    for piece in [&b"open sesame"[..], b"sesame 12345", cookie.as_str().as_bytes()] {
        assert!(!dump.windows(piece.len()).any(|window| window == piece));
    }

    assert_eq!(one.sign_out_everywhere(&user("alice"), NOW).await.expect("ends all"), 1);
    let refusal = other.open(cookie.as_str(), ip("192.0.2.7"), NOW).await.expect_err("is gone");
    assert!(matches!(refusal, Refusal::SignIn(Ended::Gone)));
}

#[tokio::test]
async fn a_redis_that_was_flushed_or_is_down_is_told_apart() {
    let mut redis = Redis::start(&[]);
    let store = Arc::new(connect(config(Topology::Socket(redis.socket.clone()))).await.expect("connects"));
    let vault = Vault::new(store, Keyring::generate(), Policy::default());
    let cookie = vault.sign_in(sign_in("alice", "open sesame"), NOW).await.expect("signs in");
    let open = || vault.open(cookie.as_str(), ip("192.0.2.7"), NOW);
    assert!(open().await.is_ok());
    // Down: the session may still be there, nobody is signed out.
    redis.kill();
    let refusal = open().await.expect_err("can't be asked");
    assert!(matches!(&refusal, Refusal::Store(failure) if failure.advice().is_some()), "{refusal:?}");
    // Back, and empty: sign in again. The connection is made anew by itself.
    redis.restart();
    assert!(matches!(open().await, Err(Refusal::SignIn(Ended::Gone))));
    assert!(vault.sign_in(sign_in("alice", "open sesame"), NOW).await.is_ok());
}

#[tokio::test]
async fn hostile_rows_in_redis_are_refused_and_none_panics() {
    let redis = Redis::start(&[]);
    let store = Arc::new(connect(config(Topology::Socket(redis.socket.clone()))).await.expect("connects"));
    let vault = Vault::new(store, Keyring::generate(), Policy::default());
    let cookie = vault.sign_in(sign_in("alice", "open sesame"), NOW).await.expect("signs in");
    let key = redis.cli(&["--raw", "keys", "bargate:row:*"]);
    for value in ["", "x", "no row at all, but longer than an owner's 32 bytes", &"A".repeat(3_000_000)] {
        std::fs::write(redis.scratch.file("value"), value).expect("writes");
        let path = redis.scratch.file("value");
        let set = format!("redis-cli -s {} -x set {key} < {}", redis.socket.display(), path.display());
        assert!(Command::new("sh").args(["-c", &set]).output().expect("sh").status.success());
        let refusal = vault.open(cookie.as_str(), ip("192.0.2.7"), NOW).await.expect_err("is refused");
        assert!(matches!(refusal, Refusal::SignIn(Ended::Forged)), "{refusal:?}");
        assert_eq!(vault.sessions(&user("alice"), NOW).await.expect("lists"), []);
    }
    // A key of another type is an error of the store's.
    redis.cli(&["del", &key]);
    redis.cli(&["lpush", &key, "x"]);
    let refusal = vault.open(cookie.as_str(), ip("192.0.2.7"), NOW).await.expect_err("is refused");
    assert!(matches!(refusal, Refusal::Store(_)), "{refusal:?}");
    let index = redis.cli(&["--raw", "keys", "bargate:own:*"]);
    redis.cli(&["sadd", &index, "no handle", "\u{fffd}"]);
    redis.cli(&["del", &key]);
    assert_eq!(vault.sessions(&user("alice"), NOW).await.expect("lists"), []);
}

struct Tls {
    redis: Redis,
    port: u16,
    authority: Vec<u8>,
    other_authority: Vec<u8>,
    _scratch: Scratch,
}

fn tls(host: &str) -> Tls {
    let scratch = Scratch::new();
    let certificates = Certificates::make(&scratch, "redis", host);
    let other = Certificates::make(&scratch, "other", host);
    let port = free_port();
    let path = |path: &std::path::Path| path.to_str().expect("text").to_owned();
    let redis = Redis::start(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path(&certificates.certificate),
        "--tls-key-file",
        &path(&certificates.key),
        "--tls-ca-cert-file",
        &path(&certificates.authority),
        "--tls-auth-clients",
        "no",
    ]);
    let rights = "on >right ~bargate:* -@all +get +set +del +exists +pttl +pexpire +incr +decr +getrange +sadd +srem +smembers";
    let mut user = vec!["acl", "setuser", "gate"];
    user.extend(rights.split(' '));
    assert_eq!(redis.cli(&user), "OK");
    until("TLS", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let read = |path: &std::path::Path| std::fs::read(path).expect("reads");
    let (authority, other_authority) = (read(&certificates.authority), read(&other.authority));
    Tls { redis, port, authority, other_authority, _scratch: scratch }
}

fn tls_config(port: u16, authority: &[u8], password: &str) -> RedisConfig {
    RedisConfig {
        tls: Some(RedisTls { authorities: Some(authority.to_vec()), identity: None }),
        user: Some("gate".into()),
        password: Some(Secret::from(password.to_owned())),
        ..config(Topology::One(Endpoint { host: "localhost".into(), port }))
    }
}

#[tokio::test]
async fn tls_and_the_narrowest_access_list_are_enough() {
    let tls = tls("localhost");
    let store = connect(tls_config(tls.port, &tls.authority, "right")).await.expect("connects");
    holds_its_promises(&store, "tls").await;
}

#[tokio::test]
async fn a_redis_that_cannot_prove_who_it_is_gets_no_password() {
    let tls = tls("localhost");
    let refused = |authority: Vec<u8>, password: &'static str| {
        let config = tls_config(tls.port, &authority, password);
        async move { connect(config).await.err().expect("is refused") }
    };
    let foreign = refused(tls.other_authority.clone(), "right").await;
    assert!(foreign.one_line().to_lowercase().contains("certificate"), "{}", foreign.one_line());
    let wrong = refused(tls.authority.clone(), "wrong").await;
    assert!(wrong.advice().expect("a hint").contains("access list"), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("wrong\""), "the password is not in the message");

    let elsewhere = self::tls("redis.example");
    let config = tls_config(elsewhere.port, &elsewhere.authority, "right");
    let failure = connect(config).await.err().expect("its certificate is for another host");
    assert!(failure.one_line().to_lowercase().contains("certificate"), "{}", failure.one_line());
    assert_eq!(elsewhere.redis.cli(&["acl", "log"]), "", "nobody tried to sign in");
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_an_error_in_time() {
    let nobody = config(Topology::One(Endpoint { host: "127.0.0.1".into(), port: free_port() }));
    assert!(connect(nobody).await.err().expect("fails").advice().is_some());
    // One that accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = silent.local_addr().expect("an address").port();
    let patience = Duration::from_millis(300);
    let silent_config =
        RedisConfig { patience, ..config(Topology::One(Endpoint { host: "127.0.0.1".into(), port })) };
    let result = tokio::time::timeout(Duration::from_secs(5), connect(silent_config)).await.expect("in time");
    assert!(result.is_err());
}

#[tokio::test]
async fn a_failover_by_sentinel_is_followed() {
    let scratch = Scratch::new();
    let (main_port, replica_port, sentinel_port) = (free_port(), free_port(), free_port());
    let mut main = Redis::start(&["--port", &main_port.to_string()]);
    let replica = Redis::start(&[
        "--port",
        &replica_port.to_string(),
        "--replicaof",
        &format!("127.0.0.1 {main_port}"),
        "--repl-diskless-sync-delay",
        "0",
    ]);
    until("replication", || replica.cli(&["info", "replication"]).contains("master_link_status:up"));
    let file = scratch.file("sentinel.conf");
    let text = format!(
        "port {sentinel_port}\nbind 127.0.0.1\ndir {}\nsentinel monitor files 127.0.0.1 {main_port} 1\nsentinel down-after-milliseconds files 500\nsentinel failover-timeout files 2000\n",
        scratch.file("").display()
    );
    std::fs::write(&file, text).expect("writes");
    let _sentinel = Server::start(Command::new("redis-server").arg(&file).arg("--sentinel"));
    let sentinel = |question: &[&str]| {
        let port = sentinel_port.to_string();
        let output =
            Command::new("redis-cli").args(["-p", &port]).args(question).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    until("Sentinel", || sentinel(&["sentinel", "replicas", "files"]).contains(&replica_port.to_string()));

    let topology = Topology::Sentinel {
        service: "files".into(),
        sentinels: vec![
            Endpoint { host: "127.0.0.1".into(), port: free_port() },
            Endpoint { host: "127.0.0.1".into(), port: sentinel_port },
        ],
    };
    let store = connect(config(topology)).await.expect("connects by way of the second Sentinel");
    let (handle, owner) = (Handle::from_bytes([1; 32]), Owner::of(&user("alice")));
    store.put(handle, owner, vec![7], Duration::from_secs(600), NOW).await.expect("puts");
    until("the row on the replica", || replica.cli(&["dbsize"]) == "2");
    main.kill();
    until("the failover", || replica.cli(&["role"]).starts_with("master"));
    until("Sentinel's word", || {
        sentinel(&["sentinel", "get-master-addr-by-name", "files"]).contains(&replica_port.to_string())
    });
    let row = store.find(handle, NOW).await.expect("finds").expect("the row was replicated");
    assert_eq!(row.bytes, [7]);
}

#[tokio::test]
async fn a_cluster_works_as_one_server_does() {
    let (one_port, other_port) = (free_port(), free_port());
    // The bus has a port of its own, by default far above.
    let (one_bus, other_bus) = (free_port(), free_port());
    let node = |port: u16, bus: u16| {
        Redis::start(&[
            "--port",
            &port.to_string(),
            "--cluster-enabled",
            "yes",
            "--cluster-port",
            &bus.to_string(),
        ])
    };
    let (one, other) = (node(one_port, one_bus), node(other_port, other_bus));
    assert_eq!(one.cli(&["cluster", "addslotsrange", "0", "8000"]), "OK");
    assert_eq!(other.cli(&["cluster", "addslotsrange", "8001", "16383"]), "OK");
    assert_eq!(
        one.cli(&["cluster", "meet", "127.0.0.1", &other_port.to_string(), &other_bus.to_string()]),
        "OK"
    );
    until("the cluster", || {
        [&one, &other].iter().all(|node| node.cli(&["cluster", "info"]).contains("cluster_state:ok"))
    });
    let store =
        connect(config(Topology::Cluster(vec![Endpoint { host: "127.0.0.1".into(), port: one_port }]))).await;
    holds_its_promises(&store.expect("connects"), "cluster").await;
}

#[tokio::test]
async fn a_prefix_with_a_grammar_is_refused() {
    let odd = RedisConfig { prefix: "a:{b}".into(), ..config(Topology::Socket("/nonexistent".into())) };
    assert!(connect(odd).await.err().expect("is refused").one_line().contains("prefix"));
}
