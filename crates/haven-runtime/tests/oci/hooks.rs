//! Hooks: order, namespaces, state, and what a failure stops.

use crate::bundle::{Bundle, eventually};
use serde_json::{Value, json};

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Each hook writes its name, its network namespace and the state it was given.
fn with_hooks(bundle: Bundle) -> Bundle {
    let journal = bundle.top.join("journal");
    std::fs::write(&journal, "").unwrap();
    let journal = journal.to_string_lossy().into_owned();
    bundle.with(|document| {
        for kind in KINDS {
            // The one inside the container knows the container's files only.
            let place = if kind == "startContainer" { "/tmp/journal" } else { journal.as_str() };
            let script = format!("echo {kind} $(readlink /proc/self/ns/net) $(cat) >> {place}");
            document["hooks"][kind] =
                json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"] }]);
        }
        document["root"]["readonly"] = json!(false);
    })
}

struct Entry {
    kind: String,
    network: String,
    state: Value,
}

fn entries(text: &str) -> Vec<Entry> {
    text.lines()
        .map(|line| {
            let mut parts = line.splitn(3, ' ');
            let mut next = || parts.next().unwrap().to_owned();
            let (kind, network) = (next(), next());
            Entry { kind, network, state: serde_json::from_str(&next()).unwrap() }
        })
        .collect()
}

#[test]
fn hooks_run_in_order_in_their_namespaces_with_the_state_of_the_moment() {
    let bundle = with_hooks(Bundle::new("hooks", "exec sleep 100"));
    let journal = || entries(&std::fs::read_to_string(bundle.top.join("journal")).unwrap());
    let kinds = |list: &[Entry]| list.iter().map(|entry| entry.kind.clone()).collect::<Vec<_>>();
    bundle.create();
    let pid = bundle.pid();
    let made = journal();
    assert_eq!(kinds(&made), ["prestart", "createRuntime", "createContainer"]);
    let own = std::fs::read_link("/proc/self/ns/net").unwrap().to_string_lossy().into_owned();
    assert_eq!((&made[0].network, &made[1].network), (&own, &own));
    assert_ne!(made[2].network, own);
    for entry in &made {
        assert_eq!(entry.state["status"], if entry.kind == "prestart" { "created" } else { "creating" });
        assert_eq!(entry.state["pid"], json!(pid));
        assert_eq!(entry.state["id"], json!(bundle.id));
        assert_eq!(entry.state["bundle"], json!(bundle.top.canonicalize().unwrap()));
    }
    bundle.ok(&["start", "{id}"]);
    let inside = entries(&std::fs::read_to_string(bundle.top.join("rootfs/tmp/journal")).unwrap());
    assert_eq!((inside[0].kind.as_str(), &inside[0].network), ("startContainer", &made[2].network));
    assert_eq!(inside[0].state["status"], "created");
    assert_eq!(journal()[3].kind, "poststart");
    assert_eq!(journal()[3].state["status"], "running");
    bundle.ok(&["delete", "-f", "{id}"]);
    let last = journal();
    assert_eq!((last[4].kind.as_str(), &last[4].state["status"]), ("poststop", &json!("stopped")));
    assert_eq!(last[4].network, own);
}

#[test]
fn a_hook_that_fails_before_the_start_undoes_the_container() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let bundle = with_hooks(Bundle::new("hook-fails", "true")).with(|document| {
            document["hooks"][kind]
                .as_array_mut()
                .unwrap()
                .push(json!({ "path": "/bin/sh", "args": ["sh", "-c", "echo no luck >&2; exit 3"] }));
        });
        let said = bundle.fails(&["create", "-b", "{bundle}", "{id}"]);
        assert!(said.contains(&format!("{kind} hook #1")) && said.contains("no luck"), "{said}");
        assert!(bundle.ok(&["list", "-q"]).is_empty());
        let journal = std::fs::read_to_string(bundle.top.join("journal")).unwrap();
        assert!(journal.contains("\npoststop "), "{journal}");
    }
}

#[test]
fn a_hook_that_fails_at_the_start_stops_the_container() {
    for kind in ["startContainer", "poststart"] {
        let bundle = Bundle::new("hook-start", "exec sleep 100").with(|document| {
            document["hooks"][kind] = json!([{ "path": "/bin/false" }]);
        });
        bundle.create();
        let said = bundle.fails(&["start", "{id}"]);
        assert!(said.contains(&format!("{kind} hook #0")), "{said}");
        bundle.wait_for("stopped");
        bundle.ok(&["delete", "{id}"]);
    }
}

#[test]
fn a_hook_that_fails_at_the_end_changes_nothing() {
    let bundle = Bundle::new("hook-stop", "true").with(|document| {
        document["hooks"]["poststop"] = json!([{ "path": "/bin/false" }, { "path": "/nowhere" }]);
    });
    bundle.create();
    bundle.ok(&["start", "{id}"]);
    bundle.wait_for("stopped");
    bundle.ok(&["delete", "{id}"]);
    let log = std::fs::read_to_string(bundle.top.join("log")).unwrap();
    eventually(|| log.matches("poststop hook").count() == 2, || log.clone());
}
