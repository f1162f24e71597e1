//! What a thief gets of the whole program: its memory, its files and its log between requests, and all that a browser has.

use crate::gate::Gate;
use crate::memory::{Masked, process_has};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn set_password(gate: &Gate, password: &Masked) {
    let mut child = gate.samba.password_command("games").stdin(Stdio::piped()).spawn().expect("smbpasswd");
    let line = [password.reveal(), b"\n".to_vec()].concat();
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(&line).expect("writes");
    input.write_all(&line).expect("writes");
    drop(input);
    assert!(child.wait().expect("ends").success());
}

/// The program's threads come to rest some moments after an answer.
fn is_gone(gate: &Gate, secret: &Masked) -> bool {
    let start = Instant::now();
    while process_has(&gate.process(), secret) {
        if start.elapsed() > Duration::from_secs(5) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

#[test]
fn no_password_is_in_the_programs_memory_files_or_log_between_requests() {
    let gate = Gate::start();
    let password = Masked::random_password();
    set_password(&gate, &password);
    let wide = Masked::of(&password.reveal().iter().flat_map(|byte| [*byte, 0]).collect::<Vec<u8>>());
    let text = String::from_utf8(password.reveal()).expect("text");

    let mut browser = gate.browser();
    assert_eq!(browser.sign_in("alice", &text).status, 303, "{}", gate.log());
    let token = browser.get("/p/0").token();
    assert_eq!(browser.upload("/p/0", &token, &[("plan.txt", b"plan")]).status, 303);
    assert_eq!(browser.get("/p/0/plan.txt").body, b"plan");
    let wrong = format!("{text}x");
    browser.sign_in("alice", &wrong);

    assert!(process_has(&gate.process(), &Masked::of(b"Our <files> here")), "the search works");
    assert!(is_gone(&gate, &password), "the password in memory");
    assert!(is_gone(&gate, &wide), "the password in UTF-16 in memory");
    let cookie = Masked::of(browser.cookies["__Host-bargate"].as_bytes());
    assert!(is_gone(&gate, &cookie), "the cookie in memory");

    for file in ["sessions", "keys", "log", "bargate.toml"] {
        let content = std::fs::read(gate.directory.join(file)).expect("reads");
        assert!(!password.is_in(&content) && !wide.is_in(&content) && !cookie.is_in(&content), "in `{file}`");
    }
    let everything: String = browser.cookies.values().cloned().collect();
    assert!(!password.is_in(everything.as_bytes()), "in the browser");
}
