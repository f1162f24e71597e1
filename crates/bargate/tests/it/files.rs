//! Files by forms: see, fetch, bring, change, and what must not happen.

use crate::browser::Browser;
use crate::gate::Gate;
use crate::samba::ALICE;

fn signed_in(gate: &Gate) -> Browser {
    let mut browser = gate.browser();
    assert_eq!(browser.sign_in("alice", ALICE).status, 303, "{}", gate.log());
    browser
}

#[test]
fn files_are_brought_seen_and_fetched() {
    let gate = Gate::start();
    let mut browser = signed_in(&gate);
    let token = browser.get("/p/0").token();
    let big: Vec<u8> = (0..3_000_000_u32).map(|at| u8::try_from(at / 7 % 251).expect("small")).collect();
    let odd = b"a line\r\n--xYzZ almost the mark\r\n--".to_vec();
    let done = browser.upload("/p/0", &token, &[("big.bin", &big), ("odd & 'b'.txt", &odd), ("empty", b"")]);
    assert_eq!(done.status, 303, "{}\n{}", done.text(), gate.log());
    let folder = browser.get("/p/0").text();
    assert!(folder.contains("odd &amp; &#39;b&#39;.txt") && !folder.contains("odd & "), "{folder}");
    assert!(folder.contains("<a href=\"/p/0/odd%20%26%20%27b%27.txt\">"));
    assert!(!folder.contains(".bargate-upload"), "nothing temporary is left");

    let file = browser.get("/p/0/big.bin");
    assert_eq!((file.status, file.header("content-length")), (200, Some("3000000")));
    assert!(file.body == big);
    assert!(
        file.header("content-disposition")
            .expect("a name")
            .starts_with("attachment; filename*=UTF-8''big.bin")
    );
    assert_eq!(file.header("content-security-policy"), Some("sandbox; default-src 'none'"));
    assert_eq!(browser.get("/p/0/odd%20%26%20%27b%27.txt").body, odd);
    assert_eq!(browser.get("/p/0/empty").body, b"");

    let tag = file.header("etag").expect("a tag").to_owned();
    let part =
        browser.ask("GET", "/p/0/big.bin", &[("Range", "bytes=1000000-1999999"), ("If-Range", &tag)], b"");
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 1000000-1999999/3000000")));
    assert!(part.body == big[1_000_000..2_000_000]);
    let changed =
        browser.ask("GET", "/p/0/big.bin", &[("Range", "bytes=1-2"), ("If-Range", "\"other\"")], b"");
    assert_eq!((changed.status, changed.body.len()), (200, big.len()));
    assert_eq!(browser.ask("GET", "/p/0/big.bin", &[("Range", "bytes=9999999-")], b"").status, 416);
    assert_eq!(browser.ask("GET", "/p/0/big.bin", &[("If-None-Match", &tag)], b"").status, 304);
    let head = browser.ask("HEAD", "/p/0/big.bin", &[], b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("3000000"), 0));
}

#[test]
fn folders_are_made_and_things_renamed_and_deleted() {
    let gate = Gate::start();
    let mut browser = signed_in(&gate);
    let token = browser.get("/p/0").token();
    let mut change = |path: &str, fields: &[(&str, &str)]| {
        let fields: Vec<(&str, &str)> = [("token", token.as_str())].iter().chain(fields).copied().collect();
        browser.post(path, &fields).status
    };
    assert_eq!(change("/p/0", &[("do", "folder"), ("name", "plans")]), 303);
    assert_eq!(change("/p/0", &[("do", "folder"), ("name", "plans")]), 409);
    assert_eq!(change("/p/0", &[("do", "folder"), ("name", "../plans")]), 400);
    assert_eq!(change("/p/0", &[("do", "rename"), ("name", "plans"), ("to", "Pläne")]), 303);
    assert_eq!(change("/p/0/Pl%C3%A4ne", &[("do", "folder"), ("name", "inner")]), 303);
    assert_eq!(change("/p/0", &[("do", "delete"), ("name", "Pläne")]), 409, "it isn't empty");
    assert_eq!(change("/p/0/Pl%C3%A4ne", &[("do", "delete"), ("name", "inner")]), 303);
    assert_eq!(change("/p/0", &[("do", "delete"), ("name", "Pläne")]), 303);
    assert_eq!(change("/p/0", &[("do", "delete"), ("name", "none")]), 404);
    assert_eq!(change("/p/0", &[("do", "format")]), 403);
    assert_eq!(change("/p/1", &[("do", "folder"), ("name", "x")]), 403, "the place is read-only");
}

#[test]
fn nobody_gets_where_they_may_not() {
    let gate = Gate::start();
    std::fs::write(gate.samba.path("bob/secret"), "bob's").expect("writes");
    let mut stranger = gate.browser();
    for path in ["/p/0", "/p/0/x", "/sessions"] {
        assert_eq!(stranger.get(path).status, 303);
    }
    let mut browser = signed_in(&gate);
    assert_eq!(
        browser.get("/p/2/secret").status,
        403,
        "the file server decides, as it does for Alice herself"
    );
    assert_eq!(browser.get("/p/9").status, 404);
    for path in
        ["/p/0/..%2f..%2fetc", "/p/0/%2e%2e/bob", "/p/0/..%5c..%5cbob", "/p/0/a%00b", "/p/0/../../bob/secret"]
    {
        let page = browser.get(path);
        assert!(matches!(page.status, 400 | 404), "{path}: {}", page.status);
        assert!(!page.text().contains("bob's"));
    }
}

#[test]
fn an_upload_without_the_pages_token_or_cut_off_writes_nothing() {
    let gate = Gate::start();
    let mut browser = signed_in(&gate);
    let token = browser.get("/p/0").token();
    assert_eq!(browser.upload("/p/0", "A", &[("x.txt", b"x")]).status, 403);
    let cut = format!(
        "--xYzZy\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{token}\r\n--xYzZy\r\nContent-Disposition: form-data; name=\"file\"; filename=\"cut.txt\"\r\n\r\nhalf of it"
    );
    let headers =
        [("Content-Type", "multipart/form-data; boundary=xYzZy"), ("Sec-Fetch-Site", "same-origin")];
    let page = browser.ask("POST", "/p/0", &headers, cut.as_bytes());
    assert!(page.status >= 400, "{}", page.status);
    assert_eq!(browser.upload("/p/0", &token, &[("con.txt", b"x")]).status, 400);
    let left: Vec<_> = std::fs::read_dir(gate.samba.path("alice")).expect("reads").collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(browser.upload("/p/0", &token, &[("C:\\Users\\alice\\plan.txt", b"x")]).status, 303);
    assert_eq!(browser.upload("/p/0", &token, &[("plan.txt", b"y")]).status, 409, "nothing is written over");
    assert_eq!(browser.get("/p/0/plan.txt").body, b"x");
}

#[test]
fn a_file_server_that_is_gone_is_told_and_comes_back() {
    let mut gate = Gate::start();
    std::fs::write(gate.samba.path("alice/plan.txt"), "plan").expect("writes");
    let mut browser = signed_in(&gate);
    assert_eq!(browser.get("/p/0/plan.txt").body, b"plan");
    gate.samba.kill();
    let page = browser.get("/p/0/plan.txt");
    assert_eq!(page.status, 502, "{}", page.text());
    assert!(page.text().contains("not reachable"), "{}", page.text());
    gate.samba.restart();
    assert_eq!(browser.get("/p/0/plan.txt").body, b"plan", "the session went on: {}", gate.log());
}

#[test]
fn a_large_folder_comes_in_pages() {
    let gate = Gate::start();
    for number in 0..1_200 {
        std::fs::write(gate.samba.path(&format!("alice/file {number:04}")), "").expect("writes");
    }
    let mut browser = signed_in(&gate);
    let first = browser.get("/p/0").text();
    assert!(first.contains("1200 entries") && first.contains("file 0499") && !first.contains("file 0500"));
    let last = browser.get("/p/0?page=99").text();
    assert!(last.contains("file 1199") && last.contains("Page 3 of 3"));
}
