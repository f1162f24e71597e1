//! `/containers/{id}/archive` and `/export`: files in and out as tar archives.

use crate::Api;
use crate::call::{BodyReader, Call};
use crate::refusal::{Answer, Refusal};
use crate::reply::{Reply, TAR};
use crate::{time, transfer};
use base64::Engine as _;
use haven_engine::PathStat;
use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};
use serde::Serialize;

const PATH_STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stat<'a> {
    name: &'a str,
    size: u64,
    mode: u32,
    mtime: String,
    link_target: &'a str,
}

fn stat_header(stat: &PathStat) -> Answer<HeaderValue> {
    let wire = Stat {
        name: &stat.name,
        size: stat.size,
        mode: stat.go_mode,
        mtime: time::rfc3339(stat.modified_at_ns),
        link_target: &stat.link_target,
    };
    let json = serde_json::to_vec(&wire).unwrap_or_default();
    let text = base64::engine::general_purpose::STANDARD.encode(json);
    HeaderValue::try_from(text)
        .map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "cannot describe the path in a header"))
}

fn wanted_path(call: &Call) -> Answer<String> {
    let path =
        call.query.given("path").ok_or_else(|| Refusal::invalid("bad parameter: path cannot be empty"))?;
    if path.contains('\0') {
        return Err(Refusal::invalid("bad parameter: path cannot contain a NUL byte"));
    }
    Ok(path.to_owned())
}

pub(crate) async fn stat(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let path = wanted_path(&call)?;
    let view = api.engine.find(name)?;
    let stat = api.engine.path_stat(&view.id, &path).await?;
    Ok(Reply::empty(StatusCode::OK).with(PATH_STAT, stat_header(&stat)?))
}

pub(crate) async fn get(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let path = wanted_path(&call)?;
    let view = api.engine.find(name)?;
    let header = stat_header(&api.engine.path_stat(&view.id, &path).await?)?;
    let engine = api.engine.clone();
    let pieces =
        transfer::to_client(move |sink| async move { engine.archive_get(&view.id, &path, sink).await })
            .await?;
    Ok(Reply::stream(TAR, pieces).with(PATH_STAT, header))
}

pub(crate) async fn put(api: &Api, call: Call, name: &str) -> Answer<Reply> {
    let path = wanted_path(&call)?;
    let no_overwrite_dir_non_dir = call.query.flag("noOverwriteDirNonDir");
    let copy_uid_gid = call.query.flag("copyUIDGID");
    let view = api.engine.find(name)?;
    let source = Box::new(BodyReader::new(call.body));
    api.engine.archive_put(&view.id, &path, source, no_overwrite_dir_non_dir, copy_uid_gid).await?;
    Ok(Reply::empty(StatusCode::OK))
}

pub(crate) async fn export(api: &Api, name: &str) -> Answer<Reply> {
    let view = api.engine.find(name)?;
    let engine = api.engine.clone();
    let pieces = transfer::to_client(move |sink| async move { engine.export(&view.id, sink).await }).await?;
    Ok(Reply::stream(TAR, pieces))
}
