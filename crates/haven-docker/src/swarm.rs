//! Swarm, its services, secrets and configurations, and plugins: the answers of a daemon that is no swarm manager
//! and has no plugins.

use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use hyper::{Method, StatusCode};

/// `None` when the path is none of theirs.
pub(crate) fn answer(method: &Method, path: &[&str]) -> Option<Answer<Reply>> {
    let unavailable = |message: &str| Some(Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message)));
    match path {
        ["swarm", "init" | "join"] if *method == Method::POST => {
            Some(Err(Refusal::unavailable("Haven is no swarm node and cannot become one")))
        }
        ["swarm", "leave"] if *method == Method::POST => unavailable("This node is not part of a swarm"),
        ["swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs", ..] => unavailable(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
        ),
        ["plugins"] if *method == Method::GET => Some(Ok(Reply::json(&[(); 0]))),
        ["plugins", "privileges" | "pull" | "create"] => Some(Err(Refusal::unavailable(
            "plugins aren't available: what they do is built in or not offered",
        ))),
        ["plugins", name @ .., _] | ["plugins", name @ ..] => {
            let name = name.join("/");
            Some(Err(Refusal::new(StatusCode::NOT_FOUND, format!("plugin \"{name}\" not found"))))
        }
        _ => None,
    }
}
