//! A browser without script: asks, keeps cookies, finds forms' tokens, sends forms. Written down to the bytes, so that
//! it can also do what browsers don't.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) struct Browser {
    port: u16,
    pub(crate) cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Page {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The token of a form on it.
    pub(crate) fn token(&self) -> String {
        let text = self.text();
        let rest = text.split_once("name=\"token\" value=\"").expect("a token").1;
        rest.split_once('"').expect("its end").0.to_owned()
    }
}

impl Browser {
    pub(crate) fn new(port: u16) -> Self {
        Self { port, cookies: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, path: &str) -> Page {
        self.ask("GET", path, &[], b"")
    }

    /// A form of a page of ours.
    pub(crate) fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let headers =
            [("Content-Type", "application/x-www-form-urlencoded"), ("Sec-Fetch-Site", "same-origin")];
        self.ask("POST", path, &headers, body.join("&").as_bytes())
    }

    /// Files, as a form sends them.
    pub(crate) fn upload(&mut self, path: &str, token: &str, files: &[(&str, &[u8])]) -> Page {
        let mut body =
            format!("--xYzZy\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{token}").into_bytes();
        for (name, content) in files {
            body.extend(format!("\r\n--xYzZy\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/plain\r\n\r\n").bytes());
            body.extend_from_slice(content);
        }
        body.extend(b"\r\n--xYzZy--\r\n");
        let headers =
            [("Content-Type", "multipart/form-data; boundary=xYzZy"), ("Sec-Fetch-Site", "same-origin")];
        self.ask("POST", path, &headers, &body)
    }

    pub(crate) fn sign_in(&mut self, user: &str, password: &str) -> Page {
        self.post("/sign-in", &[("user", user), ("password", password)])
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Page {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: files.example\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        request.push_str("\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connects");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("sets");
        stream.write_all(request.as_bytes()).expect("writes");
        // An answer may come before all was sent.
        drop(stream.write_all(body));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        self.read(&answer)
    }

    fn read(&mut self, answer: &[u8]) -> Page {
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        for line in head.lines() {
            if let Some(cookie) =
                line.to_ascii_lowercase().starts_with("set-cookie:").then(|| line[11..].trim())
            {
                let (name, value) =
                    cookie.split(';').next().and_then(|pair| pair.split_once('=')).expect("a cookie");
                if value.is_empty() {
                    self.cookies.remove(name);
                } else {
                    self.cookies.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        Page { status, head, body: answer[end + 4..].to_vec() }
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
