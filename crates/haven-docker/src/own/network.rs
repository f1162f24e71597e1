//! `/haven/v1/networks`: what containers of a network may do without links.

use crate::Api;
use crate::reply::Reply;
use haven_engine::NetworkView;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Openness {
    name: String,
    id: String,
    subnet: Option<String>,
    /// `open`: its containers reach each other; `closed`: over links only.
    inside: &'static str,
    /// `open`, `closed`, or `never` when it is internal.
    outside: &'static str,
    containers: usize,
}

fn describe(view: &NetworkView) -> Openness {
    let word = |open: bool| if open { "open" } else { "closed" };
    Openness {
        name: view.name.clone(),
        id: view.id.clone(),
        subnet: view.subnet.map(|subnet| subnet.to_string()),
        inside: word(view.open_inside),
        outside: if view.internal { "never" } else { word(view.open_outside) },
        containers: view.members.len(),
    }
}

pub(crate) fn list(api: &Api) -> Reply {
    let networks = api.engine.networks();
    Reply::json(&networks.iter().filter(|view| view.subnet.is_some()).map(describe).collect::<Vec<_>>())
}
