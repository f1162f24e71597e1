//! Who sends a request, by what program, and why: what the audit record is told of it.
//!
//! The user and the process are the kernel's word; the program's name is the program's own. Two headers of Haven's say
//! what Docker's API has no place for: `X-Haven-Reason` (percent-encoded) and `X-Haven-Break-Glass: 1`.

use crate::peer::Peer;
use crate::query::percent_decode;
use haven_engine::Caller;
use hyper::Request;
use hyper::header::USER_AGENT;

/// The most of a program's own name that is kept.
const PROGRAM_CHARS: usize = 80;

pub(crate) fn of<B>(request: &Request<B>, peer: Peer) -> Caller {
    let text = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let program = text(USER_AGENT.as_str()).unwrap_or_default();
    let program: String = program.chars().take(PROGRAM_CHARS).collect();
    let client = match program.as_str() {
        own if own.starts_with("haven/") => "cli".to_owned(),
        "" => "docker api".to_owned(),
        other => format!("docker api ({other})"),
    };
    Caller {
        uid: Some(peer.uid),
        // 0: a process that this namespace does not show.
        pid: peer.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid != 0),
        client,
        reason: text("x-haven-reason").and_then(|reason| percent_decode(reason, false)),
        break_glass: text("x-haven-break-glass").is_some_and(|value| value == "1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_apart() {
        let caller = |fields: &[(&str, &str)]| {
            let request = fields
                .iter()
                .fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
            of(&request.body(()).unwrap(), Peer { uid: 7, pid: Some(9) })
        };
        let own = caller(&[
            ("User-Agent", "haven/0.1.0"),
            ("X-Haven-Reason", "ticket%205"),
            ("X-Haven-Break-Glass", "1"),
        ]);
        assert_eq!(
            (own.client.as_str(), own.reason.as_deref(), own.break_glass),
            ("cli", Some("ticket 5"), true)
        );
        assert_eq!((own.uid, own.pid), (Some(7), Some(9)));
        let docker = caller(&[("User-Agent", "Docker-Client/28.2.2 (linux)")]);
        assert_eq!(docker.client, "docker api (Docker-Client/28.2.2 (linux))");
        assert!(!docker.break_glass && caller(&[]).client == "docker api");
    }
}
