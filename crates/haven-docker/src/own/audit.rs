//! `/haven/v1/audit`: who changed what, and the proof that the record is whole.

use super::spelling::dockers;
use crate::Api;
use crate::call::Call;
use crate::refusal::{Answer, Refusal};
use crate::reply::{Reply, TEXT};
use crate::time;
use crate::wire::wire;
use haven_engine::{AuditChange, AuditExport, AuditQuery};
use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

/// Answered when nobody says how many.
const DEFAULT_LIMIT: i64 = 100;

wire! {
    VerifyBody {
        /// Signed checkpoints that were kept elsewhere.
        kept: Vec<String> = "Kept",
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    sequence: u64,
    time: String,
    /// `applied`, `failed`, `unknown`, `noted`, or `begun`.
    state: &'static str,
    action: String,
    client: String,
    actor: Value,
    objects: Value,
    affected: Value,
    before: Option<Value>,
    after: Option<Value>,
    reason: Option<String>,
    exposure: Option<Value>,
    broke_glass: bool,
    error: Option<String>,
}

fn describe(change: AuditChange) -> Record {
    let state = change.state();
    let entry = change.entry;
    Record {
        sequence: change.sequence,
        time: change.at.wall.to_string(),
        state,
        action: entry.action,
        client: entry.client,
        actor: dockers(&entry.actor),
        objects: dockers(&entry.objects),
        affected: dockers(&entry.affected),
        before: entry.before,
        after: entry.after,
        reason: entry.reason,
        exposure: entry.exposure.as_ref().map(dockers),
        broke_glass: entry.broke_glass,
        error: change.ending.and_then(|ending| ending.detail),
    }
}

fn query(call: &Call, default_limit: i64) -> Answer<AuditQuery> {
    let text = |key: &str| call.query.given(key).map(str::to_owned);
    let moment = |key: &str| {
        let given = call.query.given(key).map(|text| time::moment_ns(key, text)).transpose()?;
        Ok::<_, Refusal>(given.and_then(|ns| jiff::Timestamp::from_nanosecond(ns.into()).ok()))
    };
    let limit = call.query.number("Limit")?.unwrap_or(default_limit);
    Ok(AuditQuery {
        object: text("Object"),
        exposed: text("Exposed"),
        actor: text("Actor"),
        action: text("Action"),
        since: moment("Since")?,
        until: moment("Until")?,
        limit: usize::try_from(limit).map_err(|_| Refusal::invalid("`Limit` is below 0"))?,
    })
}

/// The newest first.
pub(crate) async fn list(api: &Api, call: &Call) -> Answer<Reply> {
    let (changes, unreadable) = api.engine.audit(query(call, DEFAULT_LIMIT)?).await?;
    let records: Vec<Record> = changes.into_iter().map(describe).collect();
    Ok(Reply::json(&json!({ "Records": records, "Unreadable": unreadable })))
}

/// One line each, the oldest first.
pub(crate) async fn export(api: &Api, call: &Call) -> Answer<Reply> {
    let format = AuditExport::parse(call.query.given("Format").unwrap_or("json"))?;
    let text = api.engine.export_audit(query(call, 0)?, format).await?;
    Ok(Reply::bytes(StatusCode::OK, TEXT, text))
}

/// What to keep elsewhere.
pub(crate) fn checkpoint(api: &Api) -> Reply {
    let (checkpoint, key) = api.engine.audit_checkpoint();
    Reply::json(&json!({ "Checkpoint": checkpoint.to_string(), "Size": checkpoint.size(), "PublicKey": key }))
}

pub(crate) async fn verify(api: &Api, mut call: Call) -> Answer<Reply> {
    let body: VerifyBody = call.json_or_none().await?.unwrap_or_default();
    let verification = api.engine.verify_audit(body.kept).await?;
    Ok(Reply::json(&json!({
        "Intact": verification.is_intact(),
        "Origin": verification.origin,
        "Records": verification.records,
        "Archived": verification.archived,
        "Findings": verification.findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "Caveats": verification.caveats(),
        "Checkpoint": verification.checkpoint.as_ref().map(ToString::to_string),
    })))
}
