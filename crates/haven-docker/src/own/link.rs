//! `/haven/v1/links`.

use crate::Api;
use crate::call::Call;
use crate::filter::Filters;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::time;
use crate::wire::wire;
use haven_engine::{AddLink, LinkView};
use serde::Serialize;

wire! {
    AddBody {
        from: String = "From",
        to: String = "To",
        traffic: String = "Traffic",
        owner: String = "Owner",
        reason: String = "Reason",
        expires: String = "Expires",
    }
}

wire! {
    BatchBody {
        links: Vec<AddBody> = "Links",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Link {
    /// `null` for one that makes a network open.
    id: Option<u32>,
    from: String,
    from_kind: &'static str,
    to: String,
    to_kind: &'static str,
    traffic: String,
    owner: String,
    reason: String,
    created: String,
    created_by: Option<u32>,
    expires: Option<String>,
    packets: u64,
    bytes: u64,
    /// `live`, or `waiting` for somebody of an end's name.
    state: &'static str,
}

pub(crate) fn describe(view: &LinkView) -> Link {
    Link {
        id: view.id,
        from: view.from.to_string(),
        from_kind: view.from.kind(),
        to: view.to.to_string(),
        to_kind: view.to.kind(),
        traffic: view.traffic.to_string(),
        owner: view.owner.clone(),
        reason: view.reason.clone(),
        created: time::rfc3339(view.created_at_ns),
        created_by: view.created_by,
        expires: view.expires_at_ns.map(time::rfc3339),
        packets: view.packets,
        bytes: view.bytes,
        state: if view.waits { "waiting" } else { "live" },
    }
}

pub(super) fn wish(body: AddBody, by: Option<u32>) -> Answer<AddLink> {
    for (member, text) in [("From", &body.from), ("To", &body.to), ("Traffic", &body.traffic)] {
        if text.is_empty() {
            return Err(Refusal::invalid(format!("the link's `{member}` is missing")));
        }
    }
    let expires_at_ns =
        if body.expires.is_empty() { None } else { Some(time::moment_ns("Expires", &body.expires)?) };
    Ok(AddLink {
        from: body.from,
        to: body.to,
        traffic: body.traffic,
        owner: body.owner,
        reason: body.reason,
        expires_at_ns,
        by,
    })
}

pub(crate) async fn add(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: AddBody = call.json().await?;
    let added = api.engine.add_links(vec![wish(body, call.caller_uid)?]).await?;
    added.first().map(|link| Reply::created(&describe(link))).ok_or_else(Refusal::page_not_found)
}

/// All of them or none.
pub(crate) async fn add_batch(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: BatchBody = call.json().await?;
    let by = call.caller_uid;
    let wishes = body.links.into_iter().map(|body| wish(body, by)).collect::<Answer<Vec<_>>>()?;
    let added = api.engine.add_links(wishes).await?;
    Ok(Reply::created(&added.iter().map(describe).collect::<Vec<_>>()))
}

pub(crate) async fn list(api: &Api, call: &Call) -> Answer<Reply> {
    let filters = Filters::read(&call.query, &["from", "to", "name", "kind", "owner", "state", "traffic"])?;
    let links = api.engine.links().await?;
    let passes = |link: &Link| {
        filters.any("from", |wanted| named(&link.from, wanted))
            && filters.any("to", |wanted| named(&link.to, wanted))
            && filters.any("name", |wanted| named(&link.from, wanted) || named(&link.to, wanted))
            && filters.any("kind", |wanted| link.from_kind == wanted || link.to_kind == wanted)
            && filters.any("owner", |wanted| link.owner == wanted)
            && filters.any("state", |wanted| link.state == wanted)
            && filters.any("traffic", |wanted| link.traffic == wanted)
    };
    Ok(Reply::json(&links.iter().map(describe).filter(passes).collect::<Vec<_>>()))
}

/// With its kind before it or without.
fn named(shown: &str, wanted: &str) -> bool {
    shown == wanted || shown.split_once(':').is_some_and(|(_, name)| name == wanted)
}

pub(crate) async fn show(api: &Api, wanted: &str) -> Answer<Reply> {
    Ok(Reply::json(&describe(&api.engine.link(wanted).await?)))
}

pub(crate) async fn remove(api: &Api, wanted: &str) -> Answer<Reply> {
    api.engine.remove_link(wanted).await?;
    Ok(Reply::done())
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Verdict {
    permitted: bool,
    /// The link that permits it.
    link: Option<Link>,
}

/// Whether `from` may connect to `to`.
pub(crate) async fn test(api: &Api, call: &Call) -> Answer<Reply> {
    let [from, to, traffic] = ["From", "To", "Traffic"].map(|key| call.query.text(key).to_owned());
    let link = api.engine.permitting(&from, &to, &traffic).await?;
    Ok(Reply::json(&Verdict { permitted: link.is_some(), link: link.as_ref().map(describe) }))
}
