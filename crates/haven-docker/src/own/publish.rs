//! `/haven/v1/containers/…/publish` and `/unpublish`: ports of a container that exists already.

use crate::Api;
use crate::call::Call;
use crate::container::attachment;
use crate::container::config::PortBinding;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::wire::wire;
use haven_spec::{Ipv4Net, PortMapping};
use std::collections::BTreeMap;

wire! {
    PublishBody {
        ports: BTreeMap<String, Option<Vec<PortBinding>>> = "Ports",
        from: Vec<String> = "From",
        reason: String = "Reason",
    }
}

fn mappings(body: PublishBody) -> Answer<Vec<PortMapping>> {
    let from = body.from.iter().map(|text| range(text)).collect::<Answer<Vec<_>>>()?;
    let mut mappings = attachment::ports(&body.ports)?;
    if mappings.is_empty() {
        return Err(Refusal::invalid("`Ports` names no port"));
    }
    for mapping in &mut mappings {
        mapping.from.clone_from(&from);
        mapping.reason.clone_from(&body.reason);
    }
    Ok(mappings)
}

/// A range, or one address.
fn range(text: &str) -> Answer<Ipv4Net> {
    match text.parse() {
        Ok(address) => Ok(Ipv4Net::new(address, 32)?),
        Err(_) => Ok(Ipv4Net::parse(text)?),
    }
}

pub(crate) async fn publish(api: &Api, mut call: Call, name: &str) -> Answer<Reply> {
    let ports = mappings(call.json().await?)?;
    let view = api.engine.find(name)?;
    api.engine.publish(&view.id, ports).await?;
    Ok(Reply::done())
}

pub(crate) async fn unpublish(api: &Api, mut call: Call, name: &str) -> Answer<Reply> {
    let ports = mappings(call.json().await?)?;
    let view = api.engine.find(name)?;
    api.engine.unpublish(&view.id, ports).await?;
    Ok(Reply::done())
}
