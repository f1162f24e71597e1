//! Which request goes to which handler.

use crate::Api;
use crate::call::Call;
use crate::container::{archive, attach, create, inspect, lifecycle, list, logs, observe, stats, wait};
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::{build, doctor, event, exec, image, network, own, swarm, system, volume, websocket};
use hyper::Method;

/// Paths that change nothing, for the log.
pub(crate) fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Answers one request.
pub(crate) async fn answer(api: &Api, call: Call) -> Answer<Reply> {
    let owned = call.segments.clone();
    let path: Vec<&str> = owned.iter().map(String::as_str).collect();
    let method = call.method.clone();
    let (get, post, put) = (method == Method::GET, method == Method::POST, method == Method::PUT);
    let (head, delete) = (method == Method::HEAD, method == Method::DELETE);
    match path.as_slice() {
        // A path with an empty part names nothing.
        parts if parts.iter().any(|part| part.is_empty()) => Err(Refusal::page_not_found()),
        _ if method == Method::OPTIONS => Ok(Reply::empty(hyper::StatusCode::OK)),

        ["_ping"] if get || head => Ok(system::ping::ping()),
        ["version"] if get => Ok(system::version::version(api)),
        ["info"] if get => Ok(system::info::info(api)),
        ["system", "df"] if get => system::df::df(api, call).await,
        ["events"] if get => event::events(api, &call),
        ["auth"] if post => system::auth(&call),
        ["haven", "doctor"] if get => doctor::doctor(api).await,

        ["containers", "json"] if get => list::list(api, call).await,
        ["containers", "create"] if post => create::create(api, call).await,
        ["containers", "prune"] if post => lifecycle::prune(api, call).await,
        ["containers", name, "json"] if get => inspect::inspect(api, call, name).await,
        ["containers", name, "start"] if post => lifecycle::start(api, call, name).await,
        ["containers", name, "stop"] if post => lifecycle::stop(api, call, name).await,
        ["containers", name, "restart"] if post => lifecycle::restart(api, call, name).await,
        ["containers", name, "kill"] if post => lifecycle::kill(api, call, name).await,
        ["containers", name, "pause"] if post => lifecycle::pause(api, name).await,
        ["containers", name, "unpause"] if post => lifecycle::unpause(api, name).await,
        ["containers", name, "rename"] if post => lifecycle::rename(api, call, name).await,
        ["containers", name, "resize"] if post => lifecycle::resize(api, call, name).await,
        ["containers", name, "update"] if post => lifecycle::update(api, call, name).await,
        ["containers", name, "wait"] if post => wait::wait(api, call, name).await,
        ["containers", name, "attach"] if post => attach::attach(api, call, name).await,
        ["containers", name, "attach", "ws"] if get => websocket::attach(api, call, name).await,
        ["containers", name, "logs"] if get => logs::logs(api, call, name).await,
        ["containers", name, "stats"] if get => stats::stats(api, call, name).await,
        ["containers", name, "top"] if get => observe::top(api, call, name).await,
        ["containers", name, "changes"] if get => observe::changes(api, name).await,
        ["containers", name, "export"] if get => archive::export(api, name).await,
        ["containers", name, "archive"] if head => archive::stat(api, call, name).await,
        ["containers", name, "archive"] if get => archive::get(api, call, name).await,
        ["containers", name, "archive"] if put => archive::put(api, call, name).await,
        ["containers", name, "exec"] if post => exec::create(api, call, name).await,
        ["containers", name] if delete => lifecycle::remove(api, call, name).await,
        ["exec", id, "json"] if get => exec::inspect(api, id),
        ["exec", id, "start"] if post => exec::start(api, call, id).await,
        ["exec", id, "resize"] if post => exec::resize(api, call, id).await,
        ["commit"] if post => image::commit::commit(api, call).await,

        ["images", "json"] if get => image::list::list(api, &call),
        ["images", "create"] if post => image::transfer::create(api, call).await,
        ["images", "load"] if post => Ok(image::transfer::load(api, call)),
        ["images", "get"] if get => image::transfer::get_many(api, call).await,
        ["images", "prune"] if post => image::remove::prune(api, call).await,
        ["images", "search"] if get => Err(image::transfer::registry_unavailable("searching registries")),
        ["images", name @ .., "json"] if get && !name.is_empty() => {
            image::inspect::inspect(api, &call, &name.join("/"))
        }
        ["images", name @ .., "history"] if get && !name.is_empty() => {
            image::inspect::history(api, &name.join("/"))
        }
        ["images", name @ .., "get"] if get && !name.is_empty() => {
            image::transfer::get(api, &name.join("/")).await
        }
        ["images", name @ .., "tag"] if post && !name.is_empty() => {
            image::remove::tag(api, call, &name.join("/")).await
        }
        ["images", name @ .., "push"] if post && !name.is_empty() => {
            Err(image::transfer::registry_unavailable("pushing images"))
        }
        ["images", name @ ..] if delete && !name.is_empty() => {
            image::remove::remove(api, call, &name.join("/")).await
        }
        ["distribution", .., "json"] if get => {
            Err(image::transfer::registry_unavailable("asking registries"))
        }

        ["volumes"] if get => volume::list(api, &call),
        ["volumes", "create"] if post => volume::create(api, call).await,
        ["volumes", "prune"] if post => volume::prune(api, call).await,
        ["volumes", name] if get => volume::inspect(api, name),
        ["volumes", name] if delete => volume::remove(api, call, name).await,

        ["networks"] if get => network::list(api, &call),
        ["networks", "create"] if post => network::change::create(api, call).await,
        ["networks", "prune"] if post => network::change::prune(api, call).await,
        ["networks", name] if get => network::inspect(api, name),
        ["networks", name] if delete => network::change::remove(api, name).await,
        ["networks", name, "connect"] if post => network::change::connect(api, call, name).await,
        ["networks", name, "disconnect"] if post => network::change::disconnect(api, call, name).await,

        ["haven", "v1", "containers", name, "publish"] if post => {
            own::publish::publish(api, call, name).await
        }
        ["haven", "v1", "containers", name, "unpublish"] if post => {
            own::publish::unpublish(api, call, name).await
        }
        ["haven", "v1", "networks"] if get => Ok(own::network::list(api)),
        ["haven", "v1", "links"] if get => own::link::list(api, &call).await,
        ["haven", "v1", "links"] if post => own::link::add(api, call).await,
        ["haven", "v1", "links", "batch"] if post => own::link::add_batch(api, call).await,
        ["haven", "v1", "links", "import"] if post => own::exchange::import(api, call).await,
        ["haven", "v1", "links", "export"] if get => own::exchange::export(api, &call).await,
        ["haven", "v1", "links", "test"] if get => own::link::test(api, &call).await,
        ["haven", "v1", "links", id] if get => own::link::show(api, id).await,
        ["haven", "v1", "links", id] if delete => own::link::remove(api, id).await,
        ["haven", "v1", "audit"] if get => own::audit::list(api, &call).await,
        ["haven", "v1", "audit", "export"] if get => own::audit::export(api, &call).await,
        ["haven", "v1", "audit", "checkpoint"] if get => Ok(own::audit::checkpoint(api)),
        ["haven", "v1", "audit", "verify"] if post => own::audit::verify(api, call).await,
        ["haven", "v1", "exposure"] if get => own::exposure::ask(api, &call).await,
        ["haven", "v1", "exposure", "chokes"] if get => own::exposure::chokes(api, &call).await,
        ["haven", "v1", "exposure", "diff"] if post => own::exposure::difference(api, call).await,
        ["haven", "v1", "policy", "test"] if post => own::policy::test(api, call).await,
        ["haven", "v1", "observations"] if get => Ok(own::observation::list(api)),
        ["haven", "v1", "observations"] if post => own::observation::begin(api, call).await,
        ["haven", "v1", "observations", who @ ..] if delete && !who.is_empty() => {
            own::observation::end(api, who).await
        }
        ["haven", "v1", "denied"] if get => own::denied::list(api).await,

        path => {
            let elsewhere = build::answer(&method, path).or_else(|| swarm::answer(&method, path));
            elsewhere.unwrap_or_else(|| Err(Refusal::page_not_found()))
        }
    }
}
