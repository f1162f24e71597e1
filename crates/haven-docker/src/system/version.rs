//! `GET /version`.

use super::host::{Host, go_architecture};
use crate::Api;
use crate::reply::Reply;
use crate::version::ApiVersion;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Version<'a> {
    platform: Platform,
    components: [Component<'a>; 1],
    version: &'static str,
    api_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: String,
    git_commit: &'static str,
    go_version: &'static str,
    os: &'static str,
    arch: &'static str,
    kernel_version: &'a str,
    build_time: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Platform {
    name: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Component<'a> {
    name: &'static str,
    version: &'static str,
    details: Details<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Details<'a> {
    api_version: String,
    arch: &'static str,
    build_time: &'static str,
    experimental: &'static str,
    git_commit: &'static str,
    go_version: &'static str,
    kernel_version: &'a str,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: String,
    os: &'static str,
}

/// This program's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) fn version(api: &Api) -> Reply {
    Reply::json(&describe(&api.host))
}

pub(crate) fn describe(host: &Host) -> Version<'_> {
    let (api_version, min_api_version) = (ApiVersion::NEWEST.to_string(), ApiVersion::OLDEST.to_string());
    Version {
        platform: Platform { name: "Haven" },
        components: [Component {
            // Clients look for a component of this name.
            name: "Engine",
            version: VERSION,
            details: Details {
                api_version: api_version.clone(),
                arch: go_architecture(),
                build_time: "",
                experimental: "false",
                git_commit: "",
                go_version: "",
                kernel_version: &host.kernel,
                min_api_version: min_api_version.clone(),
                os: "linux",
            },
        }],
        version: VERSION,
        api_version,
        min_api_version,
        git_commit: "",
        go_version: "",
        os: "linux",
        arch: go_architecture(),
        kernel_version: &host.kernel,
        build_time: "",
    }
}
