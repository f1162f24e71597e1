//! `/haven/v1/exposure`: who can reach what, by which path, and what a change would open.

use super::link::{self, AddBody};
use super::spelling::dockers;
use crate::Api;
use crate::call::Call;
use crate::refusal::{Answer, Refusal};
use crate::reply::Reply;
use crate::wire::wire;
use haven_engine::exposure::{Answer as Reachable, Found, Manner};

/// Choke points that are told when nobody says how many.
const CHOKES: i64 = 20;

wire! {
    ChangeBody {
        add: Vec<AddBody> = "Add",
        /// Numbers of links.
        remove: Vec<String> = "Remove",
    }
}

/// `Of`: who reaches it. `From`: what it reaches. Both: the path.
pub(crate) async fn ask(api: &Api, call: &Call) -> Answer<Reply> {
    let exposure = api.engine.exposure().await?;
    match (call.query.given("Of"), call.query.given("From")) {
        (Some(of), None) => Ok(Reply::json(&dockers(&exposure.who_reaches(of)?))),
        (None, Some(from)) => Ok(Reply::json(&dockers(&exposure.reached_from(from)?))),
        (Some(of), Some(from)) => {
            let found = |manner| -> Answer<Vec<Found>> {
                let path = exposure.path(from, of, manner)?;
                Ok(path.into_iter().map(|path| Found { name: of.into(), path }).collect())
            };
            let direct = found(Manner::Directly)?;
            let beyond = if direct.is_empty() { found(Manner::ByAnyPath)? } else { Vec::new() };
            Ok(Reply::json(&dockers(&Reachable { direct, beyond })))
        }
        (None, None) => Err(Refusal::invalid("neither `Of` nor `From` says whose exposure is asked for")),
    }
}

/// What stands between the outside and the most applications.
pub(crate) async fn chokes(api: &Api, call: &Call) -> Answer<Reply> {
    let limit = usize::try_from(call.query.number("Limit")?.unwrap_or(CHOKES))
        .map_err(|_| Refusal::invalid("`Limit` is below 0"))?;
    let exposure = api.engine.exposure().await?;
    Ok(Reply::json(&dockers(&exposure.choke_points(limit))))
}

/// What links more and links less would open and close. Nothing is changed.
pub(crate) async fn difference(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: ChangeBody = call.json().await?;
    let by = call.caller_uid;
    let added = body.add.into_iter().map(|body| link::wish(body, by)).collect::<Answer<Vec<_>>>()?;
    Ok(Reply::json(&dockers(&api.engine.exposure_difference(added, body.remove).await?)))
}
