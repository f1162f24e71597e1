//! Lists: tables, templates, and what is asked for to fill them.

use crate::daemon::{Daemon, json};
use crate::{haven, stderr, stdout};

const CONTAINERS: &str = r#"[
    {"Id":"1111111111111111","Names":["/web"],"Image":"debian:12","ImageID":"sha256:9999","Command":"sh -c 'sleep 1000000'","Created":1,
     "Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],"State":"running","Status":"Up 2 hours (healthy)",
     "Labels":{"com.example.tier":"front"},"Mounts":[{"Type":"volume","Name":"data-of-the-application","Driver":"local"}],
     "NetworkSettings":{"Networks":{"default":{}}}},
    {"Id":"2222222222222222","Names":["/db","/web/alias"],"Image":"sha256:2222222222222222","ImageID":"sha256:2222222222222222","Command":"ü\"",
     "Created":1,"Ports":null,"State":"exited","Status":"Exited (0)","Labels":null,"Mounts":null}
]"#;

#[test]
fn a_table_lines_up_and_survives_missing_fields() {
    let daemon = Daemon::answering(|_| json(200, CONTAINERS));
    let output = haven(
        &daemon,
        &[
            "ps",
            "-a",
            "--format",
            "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.Ports}}\\t{{.Names}}\\t{{.Mounts}}\\t{{.HealthStatus}}\\t{{.Label \"com.example.tier\"}}",
        ],
    );
    assert_eq!(
        stdout(&output),
        "CONTAINER ID   IMAGE          COMMAND                  PORTS                  NAMES     MOUNTS            HEALTH STATUS   tier\n\
         111111111111   debian:12      \"sh -c 'sleep 100000…\"   0.0.0.0:8080->80/tcp   web       data-of-the-ap…   healthy         front\n\
         222222222222   222222222222   \"ü\\\"\"                                           db                                          \n",
        "{}",
        stderr(&output)
    );
}

#[test]
fn sizes_are_asked_for_only_when_shown() {
    let daemon = Daemon::answering(|_| json(200, "[]"));
    haven(&daemon, &["ps", "-q"]);
    haven(&daemon, &["ps", "--format", "{{.Size}}"]);
    haven(&daemon, &["ps", "-s", "--filter", "name=a b", "-n", "3"]);
    let heard: Vec<String> = daemon.heard().into_iter().filter(|line| !line.contains("_ping")).collect();
    assert_eq!(
        heard,
        [
            "GET /containers/json",
            "GET /containers/json?size=1",
            "GET /containers/json?size=1&limit=3&filters=%7B%22name%22%3A%7B%22a%20b%22%3Atrue%7D%7D"
        ]
    );
}

#[test]
fn inspect_tries_each_kind_and_keeps_the_daemons_json() {
    let daemon = Daemon::answering(|heard| {
        if heard.line.contains("/volumes/data") {
            json(200, r#"{"Zebra":1.50,"Apple":null,"Name":"data"}"#)
        } else {
            json(404, r#"{"message":"not here"}"#)
        }
    });
    let output = haven(&daemon, &["inspect", "data", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "[\n    {\n        \"Zebra\": 1.50,\n        \"Apple\": null,\n        \"Name\": \"data\"\n    }\n]\n"
    );
    assert!(stderr(&output).starts_with("error: No such object: nothing\n"));
    let output = haven(&daemon, &["volume", "inspect", "-f", "{{.Name}} {{json .}}", "data"]);
    assert_eq!(stdout(&output), "data {\"Zebra\":1.5,\"Apple\":null,\"Name\":\"data\"}\n");
}

#[test]
fn many_containers_are_told_in_the_order_asked() {
    let daemon = Daemon::answering(|heard| {
        // The first takes longest.
        let slow = if heard.line.contains("/a0/") { 200 } else { 1 };
        std::thread::sleep(std::time::Duration::from_millis(slow));
        if heard.line.contains("/a3/") {
            json(404, r#"{"message":"No such container: a3"}"#)
        } else {
            json(204, "")
        }
    });
    let names: Vec<String> = (0..6).map(|number| format!("a{number}")).collect();
    let mut arguments = vec!["stop"];
    arguments.extend(names.iter().map(String::as_str));
    let output = haven(&daemon, &arguments);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stdout(&output), "a0\na1\na2\na4\na5\n");
    assert!(stderr(&output).starts_with("error: No such container: a3"));
}
