//! Measures the vault with its embedded store: sign-ins, and requests of signed-in people. Argument: a directory on the
//! disk that counts.

use haven_identity::{
    Authentication, Credential, EmbeddedStore, Keyring, Moment, Policy, SecondFactor, Secret, SignIn, User,
    Vault,
};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const PEOPLE: u32 = 1_000;
const REQUESTS: u32 = 20_000;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::main]
async fn main() {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        say("argument: DIRECTORY");
        return;
    };
    let path = directory.join("measure-sessions");
    let store = Arc::new(EmbeddedStore::open(&path).expect("the directory can be written"));
    let vault = Vault::new(store, Keyring::generate(), Policy::default());
    let now = Moment::from(SystemTime::now());

    let mut cookies = Vec::new();
    let start = Instant::now();
    for number in 0..PEOPLE {
        let sign_in = SignIn {
            user: User::parse(&format!("person{number}")).expect("a name"),
            authentication: Authentication::Ldap,
            second_factor: SecondFactor::None,
            credential: Credential::new(Secret::from(String::from("open sesame")), Vec::new())
                .expect("a credential"),
            address: HERE,
            client: "Firefox".into(),
            proof_key: None,
        };
        cookies.push(vault.sign_in(sign_in, now).await.expect("signs in"));
    }
    say(&format!("sign-in, synced to disk: {:?} each", start.elapsed() / PEOPLE));

    let measure = async |what: &str, now: Moment, opens: bool| {
        let start = Instant::now();
        for cookie in cookies.iter().cycle().take(REQUESTS as usize) {
            let session = vault.open(cookie.as_str(), HERE, now).await.expect("opens");
            if opens {
                session.credential().expect("opens");
            }
        }
        say(&format!("{what}: {:?} each", start.elapsed() / REQUESTS));
    };
    measure("request, recognised", now, false).await;
    measure("request, with the password opened", now, true).await;
    let later = now.plus(Duration::from_secs(600));
    measure("request ten minutes later (the first of each person writes)", later, true).await;
    let size = std::fs::metadata(&path).map(|about| about.len()).unwrap_or_default();
    say(&format!("file: {size} bytes for {PEOPLE} people"));
    drop(vault);
    drop(std::fs::remove_file(&path));
}

#[allow(clippy::print_stdout, reason = "a measuring program's output")]
fn say(line: &str) {
    println!("{line}");
}
