//! Signing in and out, sessions, and what a page without a session gives away.

use crate::gate::Gate;
use crate::samba::{ALICE, BOB};

const COOKIE: &str = "__Host-bargate";

#[test]
fn a_person_signs_in_and_out() {
    let gate = Gate::start();
    let mut browser = gate.browser();
    let first = browser.get("/");
    assert_eq!((first.status, first.header("location")), (303, Some("/sign-in")));
    let form = browser.get("/sign-in");
    assert!(form.text().contains("Our &lt;files&gt; here"), "the title is text");

    let wrong = browser.sign_in("alice", "wrong <b>");
    assert!(wrong.text().contains("User name or password is wrong") && !wrong.text().contains("wrong <b>"));
    assert!(browser.cookies.is_empty());

    let right = browser.sign_in("alice", ALICE);
    assert_eq!((right.status, right.header("location")), (303, Some("/")), "{}", gate.log());
    let cookie = right.head.lines().find(|line| line.contains("__Host-bargate=")).expect("a cookie");
    for word in ["Secure", "HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    assert!(!right.head.contains("sesame"));
    let places = browser.get("/");
    assert!(places.text().contains("<a href=\"/p/0\">Own</a>") && places.text().contains("alice"));

    let kept = browser.cookies.clone();
    let out = browser.post("/sign-out", &[("token", &places.token())]);
    assert_eq!(out.status, 303);
    assert!(!browser.cookies.contains_key(COOKIE));
    browser.cookies = kept;
    assert_eq!(browser.get("/").status, 303, "a copied cookie is dead as well");
    assert!(!gate.log().contains("sesame"));
}

#[test]
fn every_page_has_the_policy_under_which_no_script_runs() {
    let gate = Gate::start();
    let mut browser = gate.browser();
    for path in ["/", "/sign-in", "/style.css", "/healthz", "/%zz"] {
        let page = browser.get(path);
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    }
    browser.sign_in("alice", ALICE);
    let page = browser.get("/");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(
        !page.text().contains("<script") && !page.text().contains(" style=") && !page.text().contains(" on")
    );
}

#[test]
fn what_other_sites_send_is_refused() {
    let gate = Gate::start();
    let mut browser = gate.browser();
    browser.sign_in("alice", ALICE);
    let token = browser.get("/").token();
    let body = format!("token={token}");
    let kind = ("Content-Type", "application/x-www-form-urlencoded");
    for said in [
        vec![kind],
        vec![kind, ("Sec-Fetch-Site", "cross-site")],
        vec![kind, ("Sec-Fetch-Site", "same-site")],
        vec![kind, ("Origin", "https://evil.example")],
        vec![kind, ("Origin", "null")],
    ] {
        assert_eq!(browser.ask("POST", "/sign-out", &said, body.as_bytes()).status, 403, "{said:?}");
    }
    assert_eq!(browser.post("/sign-out", &[("token", "A")]).status, 403, "from us, without the page's token");
    assert_eq!(browser.get("/").status, 200, "still signed in");
    let ours = [kind, ("Origin", "https://files.example")];
    assert_eq!(browser.ask("POST", "/sign-out", &ours, body.as_bytes()).status, 303);
}

#[test]
fn sessions_are_listed_and_ended_from_another_browser() {
    let gate = Gate::start();
    let (mut here, mut there) = (gate.browser(), gate.browser());
    here.sign_in("alice", ALICE);
    there.sign_in("Alice", ALICE);
    let list = here.get("/sessions");
    assert_eq!(list.text().matches("<tr><td>").count(), 2);
    assert_eq!(list.text().matches("(this one)").count(), 1);
    assert_eq!(here.post("/sessions/end-all", &[("token", &list.token())]).status, 303);
    assert_eq!(there.get("/").status, 303);
    assert_eq!(here.get("/").status, 303);
}

#[test]
fn guessing_is_slowed_down() {
    let gate = Gate::start();
    let mut browser = gate.browser();
    for _ in 0..5 {
        browser.sign_in("bob", "wrong");
    }
    assert!(browser.sign_in("bob", BOB).text().contains("Too many attempts"));
    assert_eq!(browser.sign_in("alice", ALICE).status, 303, "others are not held up");
}

#[test]
fn sessions_outlive_a_restart_and_a_new_key() {
    let mut gate = Gate::start();
    let mut browser = gate.browser();
    browser.sign_in("alice", ALICE);
    let before = browser.cookies[COOKIE].clone();
    let (good, said) = gate.run(&["rotate-key"]);
    assert!(good && said.contains("key 2"), "{said}");
    gate.restart();
    assert_eq!(browser.get("/p/0").status, 200, "{}", gate.log());
    assert_ne!(browser.cookies[COOKIE], before, "wrapped anew");
    assert!(gate.run(&["rotate-key", "--keep", "0"]).0);
    gate.restart();
    assert_eq!(browser.get("/").status, 303, "its key was taken out");
}

#[test]
fn a_configuration_is_checked() {
    let gate = Gate::start();
    std::fs::write(gate.directory.join("bargate.toml"), "listen = \"x\"\n").expect("writes");
    let (good, said) = gate.run(&["check-config"]);
    assert!(!good && said.starts_with("error: cannot use the configuration"), "{said}");
}
