//! Signing in against a real OpenLDAP server with TLS, and against servers that misbehave.

use crate::fixtures::Scratch;
use crate::memory::{Masked, memory_has};
use crate::servers::{Certificates, Server, free_port, run, until};
use haven_identity::{Filter, Ldap, LdapConfig, LdapServer, Method, NotSignedIn, Person, Secret, Security};
use haven_resolve::Resolver;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

const PEOPLE: &str = "\
dn: dc=example
objectClass: dcObject
objectClass: organization
dc: example
o: Example

dn: ou=people,dc=example
objectClass: organizationalUnit
ou: people

dn: cn=gate,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gate
userPassword: gate's own

dn: cn=policy,dc=example
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3

dn: uid=alice,ou=people,dc=example
objectClass: inetOrgPerson
objectClass: posixAccount
uid: alice
cn: Alice
sn: A
uidNumber: 5001
gidNumber: 5001
homeDirectory: \\\\files.example\\home\\alice
employeeType: staff
userPassword: open sesame

dn: uid=bob,ou=people,dc=example
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: B
mail: twin@example
employeeType: guest
userPassword: bob's own

dn: uid=o\\,brien (x*),ou=people,dc=example
objectClass: inetOrgPerson
uid: o,brien (x*)
cn: O Brien
sn: O
mail: twin@example
employeeType: staff
userPassword: with signs
";

struct Directory {
    scratch: Scratch,
    _server: Server,
    plain: u16,
    secure: u16,
    authority: Vec<u8>,
    other_authority: Vec<u8>,
}

fn directory(host: &str) -> Directory {
    let scratch = Scratch::new();
    let certificates = Certificates::make(&scratch, "ldap", host);
    let other = Certificates::make(&scratch, "other", host);
    let (plain, secure) = (free_port(), free_port());
    let at = |name: &str| scratch.file(name).to_str().expect("text").to_owned();
    std::fs::create_dir(scratch.file("data")).expect("a directory");
    let configuration = format!(
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\ninclude /etc/ldap/schema/nis.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\nmoduleload ppolicy\n\
         pidfile {}\nTLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\nsecurity simple_bind=64\n\
         database mdb\nsuffix dc=example\nrootdn cn=admin,dc=example\nrootpw operator\ndirectory {}\nmaxsize 10485760\n\
         access to attrs=userPassword by anonymous auth\naccess to * by dn=cn=gate,dc=example read by self read by anonymous auth\n\
         overlay ppolicy\nppolicy_default cn=policy,dc=example\nppolicy_use_lockout\n",
        at("slapd.pid"),
        certificates.authority.display(),
        certificates.certificate.display(),
        certificates.key.display(),
        at("data")
    );
    std::fs::write(scratch.file("slapd.conf"), configuration).expect("writes");
    std::fs::write(scratch.file("people.ldif"), PEOPLE).expect("writes");
    run("/usr/sbin/slapadd", &["-f", &at("slapd.conf"), "-l", &at("people.ldif")]);
    let urls = format!("ldap://127.0.0.1:{plain} ldaps://127.0.0.1:{secure}");
    let server = Server::start(Command::new("/usr/sbin/slapd").args([
        "-h",
        &urls,
        "-f",
        &at("slapd.conf"),
        "-d",
        "0",
    ]));
    until("slapd's start", || TcpStream::connect(("127.0.0.1", secure)).is_ok());
    let read = |path: &std::path::Path| std::fs::read(path).expect("reads");
    let (authority, other_authority) = (read(&certificates.authority), read(&other.authority));
    Directory { scratch, _server: server, plain, secure, authority, other_authority }
}

fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

fn server(port: u16, security: Security) -> LdapServer {
    LdapServer { host: "localhost".into(), port, security }
}

fn by_search(filter: &str) -> Method {
    Method::Search {
        account: Some(("cn=gate,dc=example".into(), secret("gate's own"))),
        base: "ou=people,dc=example".into(),
        filter: Filter::parse(filter).expect("a filter"),
    }
}

impl Directory {
    fn config(&self) -> LdapConfig {
        LdapConfig {
            servers: vec![server(self.secure, Security::Ldaps)],
            authorities: self.authority.clone(),
            method: by_search("(&(objectClass=inetOrgPerson)(uid={user}))"),
            allowed: None,
            user_attribute: Some("uid".into()),
            attributes: vec!["homeDirectory".into(), "employeeType".into()],
            patience: Duration::from_secs(5),
        }
    }
}

fn ldap(config: LdapConfig) -> Ldap {
    Ldap::new(config, Resolver::of_this_host()).expect("a configuration")
}

async fn alice(config: LdapConfig) -> Result<Person, NotSignedIn> {
    ldap(config).sign_in("ALICE", &secret("open sesame")).await
}

#[tokio::test]
async fn a_person_is_found_and_the_password_tried_by_ldaps_and_by_starttls() {
    let directory = directory("localhost");
    for server in [server(directory.secure, Security::Ldaps), server(directory.plain, Security::StartTls)] {
        let config = LdapConfig { servers: vec![server], ..directory.config() };
        let person = alice(config).await.expect("signs in");
        assert_eq!(person.user.as_str(), "alice", "as the directory writes it");
        assert_eq!(person.entry, "uid=alice,ou=people,dc=example");
        assert_eq!(person.value("homedirectory"), Some("\\\\files.example\\home\\alice"));
    }
    ldap(directory.config()).check().await.expect("the service account works");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_are_told_alike() {
    let directory = directory("localhost");
    let ldap = ldap(directory.config());
    for (name, password) in
        [("alice", "wrong"), ("nobody", "open sesame"), ("", "x"), ("a\0b", "x"), ("alice", "a\0b")]
    {
        let reason = ldap.sign_in(name, &secret(password)).await.expect_err("is refused");
        assert!(matches!(reason, NotSignedIn::Wrong), "{name}: {reason:?}");
    }
}

#[tokio::test]
async fn an_empty_password_signs_nobody_in() {
    let directory = directory("localhost");
    let template = Method::Template { name: "uid={user},ou=people,dc=example".into(), entry: None };
    for method in [by_search("(uid={user})"), template] {
        let ldap = ldap(LdapConfig { method, ..directory.config() });
        let reason = ldap.sign_in("alice", &secret("")).await.expect_err("is refused");
        assert!(matches!(reason, NotSignedIn::Wrong));
    }
}

#[tokio::test]
async fn names_are_values_whatever_signs_are_in_them() {
    let directory = directory("localhost");
    let search = ldap(directory.config());
    for name in ["*", "al*", "alice)(uid=*", "*)(|(uid=*"] {
        let reason = search.sign_in(name, &secret("open sesame")).await.expect_err("is refused");
        assert!(matches!(reason, NotSignedIn::Wrong), "{name}: {reason:?}");
    }
    let odd = search.sign_in("o,brien (x*)", &secret("with signs")).await.expect("signs in");
    assert_eq!(odd.user.as_str(), "o,brien (x*)");

    let method = Method::Template { name: "uid={user},ou=people,dc=example".into(), entry: None };
    let template = ldap(LdapConfig { method, ..directory.config() });
    assert_eq!(
        template.sign_in("alice", &secret("open sesame")).await.expect("signs in").user.as_str(),
        "alice"
    );
    let odd = template.sign_in("o,brien (x*)", &secret("with signs")).await.expect("signs in");
    assert_eq!(odd.user.as_str(), "o,brien (x*)");
    let reason = template.sign_in("gate,dc=example", &secret("gate's own")).await.expect_err("is refused");
    assert!(matches!(reason, NotSignedIn::Wrong));
}

#[tokio::test]
async fn only_those_who_are_allowed_sign_in() {
    let directory = directory("localhost");
    let allowed = || Some(Filter::parse("(employeeType=staff)").expect("a filter"));
    let template = Method::Template { name: "uid={user},ou=people,dc=example".into(), entry: None };
    for method in [by_search("(uid={user})"), template] {
        let ldap = ldap(LdapConfig { allowed: allowed(), method, ..directory.config() });
        assert!(ldap.sign_in("alice", &secret("open sesame")).await.is_ok());
        let reason = ldap.sign_in("bob", &secret("bob's own")).await.expect_err("is refused");
        assert!(matches!(reason, NotSignedIn::NotAllowed), "{reason:?}");
        let reason = ldap.sign_in("bob", &secret("wrong")).await.expect_err("is refused");
        assert!(
            matches!(reason, NotSignedIn::Wrong),
            "who is allowed is told to who has the password: {reason:?}"
        );
    }
}

#[tokio::test]
async fn a_name_with_two_entries_is_nobodys() {
    let directory = directory("localhost");
    let ldap = ldap(LdapConfig { method: by_search("(mail={user})"), ..directory.config() });
    let reason = ldap.sign_in("twin@example", &secret("bob's own")).await.expect_err("is refused");
    assert!(
        matches!(&reason, NotSignedIn::Unavailable(failure) if failure.one_line().contains("several entries"))
    );
}

#[tokio::test]
async fn a_locked_account_is_told() {
    let directory = directory("localhost");
    let ldap = ldap(directory.config());
    for _ in 0..3 {
        assert!(matches!(ldap.sign_in("alice", &secret("wrong")).await, Err(NotSignedIn::Wrong)));
    }
    let reason = ldap.sign_in("alice", &secret("open sesame")).await.expect_err("is locked");
    assert!(matches!(reason, NotSignedIn::Locked), "{reason:?}");
}

#[tokio::test]
async fn a_directory_that_cannot_prove_who_it_is_gets_no_password() {
    let right = directory("localhost");
    let elsewhere = directory("ldap.example");
    let foreign = LdapConfig { authorities: right.other_authority.clone(), ..right.config() };
    for config in [foreign, elsewhere.config()] {
        for security in [Security::Ldaps, Security::StartTls] {
            let port =
                |secure: &LdapServer| if security == Security::Ldaps { secure.port } else { right.plain };
            let servers = vec![server(port(&config.servers[0]), security)];
            let config = LdapConfig {
                servers,
                method: by_search("(uid={user})"),
                authorities: config.authorities.clone(),
                ..right.config()
            };
            match alice(config).await {
                Err(NotSignedIn::Unavailable(failure)) => {
                    assert!(failure.one_line().contains("certificate"), "{}", failure.one_line());
                    assert!(failure.advice().expect("a hint").contains("never skipped"));
                }
                other => panic!("expected no TLS, not {other:?}"),
            }
        }
    }
    let none = LdapConfig { authorities: Vec::new(), ..right.config() };
    assert!(Ldap::new(none, Resolver::of_this_host()).is_err(), "nobody to believe is no configuration");
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_is_down_and_never_for_a_wrong_password() {
    let directory = directory("localhost");
    let servers = vec![server(free_port(), Security::Ldaps), server(directory.secure, Security::Ldaps)];
    let ldap = ldap(LdapConfig { servers, ..directory.config() });
    assert!(ldap.sign_in("alice", &secret("open sesame")).await.is_ok());
    // One attempt is one attempt on the account: the third wrong one locks it, not the second.
    for _ in 0..2 {
        assert!(matches!(ldap.sign_in("alice", &secret("wrong")).await, Err(NotSignedIn::Wrong)));
    }
    assert!(ldap.sign_in("alice", &secret("open sesame")).await.is_ok());
}

#[tokio::test]
async fn a_service_account_that_is_refused_is_the_operators_matter() {
    let directory = directory("localhost");
    let account = Some(("cn=gate,dc=example".into(), secret("wrong")));
    let filter = Filter::parse("(uid={user})").expect("a filter");
    let method = Method::Search { account, base: "dc=example".into(), filter };
    match alice(LdapConfig { method, ..directory.config() }).await {
        Err(NotSignedIn::Unavailable(failure)) => {
            assert!(failure.advice().expect("a hint").contains("name and password"), "{failure:?}");
        }
        other => panic!("expected a failure, not {other:?}"),
    }
}

#[tokio::test]
async fn no_password_stays_in_memory_after_a_directory_was_asked() {
    let password = Masked::random_password();
    let directory = directory("localhost");
    // Set by the directory's own tool, which reads it from a file.
    let file = directory.scratch.file("password");
    std::fs::write(&file, Secret::new(password.reveal()).reveal()).expect("writes");
    let url = format!("ldap://127.0.0.1:{}", directory.plain);
    let path = file.to_str().expect("text");
    let admin = ["-x", "-ZZ", "-H", &url, "-D", "cn=admin,dc=example", "-w", "operator", "-T", path];
    let mut command = Command::new("ldappasswd");
    command.env("LDAPTLS_REQCERT", "never").args(admin).arg("uid=alice,ou=people,dc=example");
    let output = command.output().expect("ldappasswd");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    drop((command, output));

    let ldap = ldap(directory.config());
    {
        let secret = Secret::new(password.reveal());
        assert!(memory_has(&password), "the search works");
        ldap.sign_in("alice", &secret).await.expect("signs in");
    }
    assert!(!memory_has(&password), "after a sign-in");
}

/// A server that sends these bytes to whoever connects, and reads what comes.
fn rogue(bytes: Vec<u8>) -> (u16, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let port = listener.local_addr().expect("an address").port();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            drop(stream.write_all(&bytes));
            drop(stream.set_read_timeout(Some(Duration::from_millis(300))));
            let mut heard = Vec::new();
            drop(stream.read_to_end(&mut heard));
            drop(sender.send(heard));
        }
    });
    (port, receiver)
}

#[tokio::test]
async fn rogue_servers_are_errors_in_time_and_get_no_password() {
    let directory = directory("localhost");
    // Silence; noise; no TLS, please; a message of 4 GiB; a yes before TLS with more behind it.
    let refusal = vec![0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, 2, 4, 0, 4, 0];
    let mut yes = vec![0x30, 12, 2, 1, 1, 0x78, 7, 10, 1, 0, 4, 0, 4, 0];
    yes.extend([0x30, 12, 2, 1, 2, 0x61, 7, 10, 1, 0, 4, 0, 4, 0]);
    for bytes in [Vec::new(), vec![0x55; 5000], refusal, vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 1], yes] {
        let (port, heard) = rogue(bytes.clone());
        let servers = vec![server(port, Security::StartTls)];
        let config = LdapConfig { servers, patience: Duration::from_millis(500), ..directory.config() };
        let result = tokio::time::timeout(Duration::from_secs(10), alice(config)).await.expect("in time");
        assert!(matches!(result, Err(NotSignedIn::Unavailable(_))), "{bytes:?}: {result:?}");
        let heard = heard.recv_timeout(Duration::from_secs(5)).expect("somebody came");
        for word in [&b"gate's own"[..], b"open sesame"] {
            assert!(!heard.windows(word.len()).any(|window| window == word));
        }
    }
}

#[test]
fn configurations_that_sign_everybody_in_as_one_are_refused() {
    let scratch = Scratch::new();
    let certificates = Certificates::make(&scratch, "ldap", "localhost");
    let authority = std::fs::read(&certificates.authority).expect("reads");
    let config = |method| LdapConfig {
        servers: vec![server(636, Security::Ldaps)],
        authorities: authority.clone(),
        method,
        allowed: None,
        user_attribute: None,
        attributes: Vec::new(),
        patience: Duration::from_secs(5),
    };
    let anybody = Method::Template { name: "cn=admin".into(), entry: None };
    for method in [by_search("(uid=alice)"), anybody] {
        let failure = Ldap::new(config(method), Resolver::of_this_host()).expect_err("is refused");
        assert!(failure.advice().expect("a hint").contains("{user}"));
    }
}
