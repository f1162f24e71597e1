//! A telephone for one-time codes: registered with the password and a code, asked for at each sign-in, forgotten again.

use crate::browser::Browser;
use crate::gate::Gate;
use crate::samba::ALICE;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// An app for codes, RFC 6238.
fn code(secret: &str, step: u64) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String = secret
        .bytes()
        .map(|letter| letters.iter().position(|other| *other == letter).expect("base32"))
        .map(|value| format!("{value:05b}"))
        .collect();
    let key: Vec<u8> = (0..bits.len() / 8)
        .map(|at| u8::from_str_radix(&bits[8 * at..8 * at + 8], 2).expect("bits"))
        .collect();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let tag = ring::hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = usize::from(tag[19] & 15);
    let number = u32::from_be_bytes([tag[at], tag[at + 1], tag[at + 2], tag[at + 3]]) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

fn step() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 30
}

/// Codes of three steps are good at any time; each is good once. This waits when the step is about to change.
fn steady_step() -> u64 {
    while SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() % 30 > 15 {
        std::thread::sleep(Duration::from_millis(200));
    }
    step()
}

fn field(text: &str, name: &str) -> String {
    let rest = text.split_once(&format!("name=\"{name}\" value=\"")).expect("a field").1;
    rest.split_once('"').expect("its end").0.to_owned()
}

fn sign_in(browser: &mut Browser, code: &str) -> (u16, String) {
    let page = browser.post("/sign-in", &[("user", "alice"), ("password", ALICE), ("code", code)]);
    (page.status, page.text())
}

#[test]
fn a_registered_telephone_is_asked_for() {
    let gate = Gate::start();
    let mut browser = gate.browser();
    assert_eq!(sign_in(&mut browser, "").0, 303);
    let page = browser.get("/codes");
    let (secret, token) = (field(&page.text(), "secret"), page.token());
    let now = steady_step();
    let mut register = |code: &str, password: &str| {
        let fields = [("token", token.as_str()), ("secret", &secret), ("code", code), ("password", password)];
        browser.post("/codes/register", &fields)
    };
    assert!(register("000000", ALICE).text().contains("The code is wrong"));
    assert!(
        register(&code(&secret, now), "wrong").text().contains("password is wrong"),
        "a stolen session isn't enough"
    );
    assert_eq!(register(&code(&secret, now - 1), ALICE).status, 303, "{}", gate.log());
    assert!(browser.get("/codes").text().contains("Your telephone is registered"));

    let mut other = gate.browser();
    let (status, text) = sign_in(&mut other, "");
    assert!(status == 200 && text.contains("enter the code"), "{text}");
    assert!(!other.cookies.contains_key("__Host-bargate"));
    assert!(sign_in(&mut other, "000000").1.contains("The code is wrong"));
    assert!(
        sign_in(&mut other, &code(&secret, now - 1)).1.contains("used already"),
        "it registered the telephone"
    );
    assert_eq!(sign_in(&mut other, &code(&secret, now)).0, 303, "{}", gate.log());

    let token = other.get("/codes").token();
    let remove = [("token", token.as_str()), ("code", &code(&secret, now + 1)), ("password", ALICE)];
    assert_eq!(other.post("/codes/remove", &remove).status, 303, "{}", gate.log());
    let mut third = gate.browser();
    assert_eq!(sign_in(&mut third, "").0, 303, "nothing is asked for any more");
}
