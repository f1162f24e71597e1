//! The configuration file and the daemon's options. Unknown keys are refused; options go before the file, the file
//! before the defaults. The commented file with every key is `packaging/haven.toml`.

use clap::{Arg, Command};
use haven_spec::{Failure, Ipv4Net, Outcome, Ulimit};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

const DEFAULT_FILE: &str = "/etc/haven/haven.toml";
/// A longer file is not a configuration.
const FILE_LIMIT_BYTES: u64 = 1 << 20;

/// What the daemon goes by.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) socket: PathBuf,
    pub(crate) socket_group: String,
    pub(crate) data_root: PathBuf,
    pub(crate) run_root: PathBuf,
    pub(crate) cgroup_parent: String,
    pub(crate) favour_group_moves: bool,
    pub(crate) stop_timeout_s: i64,
    pub(crate) log: LogSettings,
    pub(crate) container_log_max_size_bytes: u64,
    pub(crate) container_log_max_files: u32,
    pub(crate) pids_limit: i64,
    pub(crate) ulimits: Vec<Ulimit>,
    pub(crate) address_pool: Option<Ipv4Net>,
    pub(crate) publish_address: IpAddr,
    /// Networks that Docker clients make are open inside.
    pub(crate) docker_networks_open: bool,
    /// How many segments of the audit record stay, and where older ones go.
    pub(crate) audit_keep_segments: Option<usize>,
    pub(crate) audit_archive: Option<PathBuf>,
    /// Where checkpoints of the audit record are sent.
    pub(crate) checkpoint_syslog: Option<PathBuf>,
    /// Assertions that every change is held against.
    pub(crate) policy: Option<PathBuf>,
    pub(crate) id_base: u32,
}

/// The daemon's own messages.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    pub(crate) level: tracing::Level,
    pub(crate) json: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    socket: Option<PathBuf>,
    socket_group: Option<String>,
    data_root: Option<PathBuf>,
    run_root: Option<PathBuf>,
    cgroup_parent: Option<String>,
    favour_group_moves: Option<bool>,
    stop_timeout_s: Option<i64>,
    log: FileLog,
    container_log: FileContainerLog,
    limits: FileLimits,
    network: FileNetwork,
    audit: FileAudit,
    user_namespaces: FileUserNamespaces,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileLog {
    level: Option<String>,
    format: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileContainerLog {
    max_size: Option<String>,
    max_files: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileLimits {
    pids: Option<i64>,
    ulimits: BTreeMap<String, [i64; 2]>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileNetwork {
    pool: Option<Ipv4Net>,
    publish_address: Option<IpAddr>,
    docker_networks: Option<String>,
    policy: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileAudit {
    keep_segments: Option<usize>,
    archive: Option<PathBuf>,
    syslog: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileUserNamespaces {
    first: Option<u32>,
}

/// The daemon's options.
pub(crate) fn grammar() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).value_parser(clap::value_parser!(OsString)).help(help)
    };
    Command::new("daemon")
        .about("Run the daemon in the foreground")
        .no_binary_name(true)
        .arg(option("config", "file", "Configuration file (default /etc/haven/haven.toml)"))
        .arg(option("socket", "path", "Unix socket to listen on"))
        .arg(option("data-root", "directory", "What must survive a reboot"))
        .arg(option("run-root", "directory", "What need not"))
        .arg(option("cgroup-parent", "name", "Control group for containers' groups"))
        .arg(option("log-level", "level", "error, warn, info, debug or trace"))
        .arg(option("log-format", "format", "text or json"))
}

impl Settings {
    /// From the words after `haven daemon`.
    pub(crate) fn read(arguments: Vec<OsString>) -> Outcome<Self> {
        let matches = grammar().try_get_matches_from(arguments).map_err(|error| {
            Failure::invalid("the daemon's options are wrong")
                .because(error.to_string().trim_end().to_owned())
                .hint("haven daemon --help")
        })?;
        let path = |name: &str| matches.get_one::<OsString>(name).map(PathBuf::from);
        let text =
            |name: &str| matches.get_one::<OsString>(name).map(|value| value.to_string_lossy().into_owned());
        let mut file = read_file(path("config").as_deref())?;
        file.socket = path("socket").or(file.socket);
        file.data_root = path("data-root").or(file.data_root);
        file.run_root = path("run-root").or(file.run_root);
        file.cgroup_parent = text("cgroup-parent").or(file.cgroup_parent);
        file.log.level = text("log-level").or(file.log.level);
        file.log.format = text("log-format").or(file.log.format);
        Self::of(file)
    }

    fn of(file: File) -> Outcome<Self> {
        let absolute = |path: PathBuf, key: &str| {
            if path.is_absolute() && path.to_str().is_some_and(|text| !text.contains([':', ',', '\n'])) {
                Ok(path)
            } else {
                Err(Failure::invalid(format!("`{key}` is `{}`", path.display())).hint(
                    "give an absolute path without colons and commas, which overlay mounts cannot take",
                ))
            }
        };
        let run_root = absolute(file.run_root.unwrap_or_else(|| "/run/haven".into()), "run_root")?;
        let level = file.log.level.as_deref().unwrap_or("info");
        let level = level.parse::<tracing::Level>().map_err(|_| {
            Failure::invalid(format!("log level `{level}` is not known"))
                .hint("use error, warn, info, debug or trace")
        })?;
        let json = match file.log.format.as_deref().unwrap_or("text") {
            "text" => false,
            "json" => true,
            other => {
                return Err(
                    Failure::invalid(format!("log format `{other}` is not known")).hint("use text or json")
                );
            }
        };
        let max_size = file.container_log.max_size.as_deref().unwrap_or("10m");
        let limit = |value: i64| if value < 0 { u64::MAX } else { value.unsigned_abs() };
        let ulimits = file.limits.ulimits.into_iter().map(|(name, [soft, hard])| {
            if limit(soft) > limit(hard) {
                return Err(Failure::invalid(format!(
                    "`limits.ulimits.{name}`: the soft limit is above the hard one"
                )));
            }
            Ok(Ulimit { name, soft: limit(soft), hard: limit(hard) })
        });
        Ok(Self {
            socket: absolute(file.socket.unwrap_or_else(|| run_root.join("haven.sock")), "socket")?,
            socket_group: file.socket_group.unwrap_or_else(|| "haven".into()),
            data_root: absolute(file.data_root.unwrap_or_else(|| "/var/lib/haven".into()), "data_root")?,
            run_root,
            cgroup_parent: file.cgroup_parent.unwrap_or_else(|| "haven".into()),
            favour_group_moves: file.favour_group_moves.unwrap_or(true),
            stop_timeout_s: file.stop_timeout_s.unwrap_or(10),
            log: LogSettings { level, json },
            container_log_max_size_bytes: size_bytes(max_size).ok_or_else(|| {
                Failure::invalid(format!("`container_log.max_size` is `{max_size}`"))
                    .hint("a number with k, m or g, like 10m")
            })?,
            container_log_max_files: file.container_log.max_files.unwrap_or(3).max(1),
            pids_limit: file.limits.pids.unwrap_or(4096),
            ulimits: ulimits.collect::<Outcome<_>>()?,
            address_pool: file.network.pool,
            publish_address: file
                .network
                .publish_address
                .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)),
            audit_keep_segments: match file.audit.keep_segments {
                Some(0) => {
                    return Err(Failure::invalid("`audit.keep_segments` is 0")
                        .hint("at least 1: the one that is appended to"));
                }
                keep => keep,
            },
            audit_archive: file.audit.archive.map(|path| absolute(path, "audit.archive")).transpose()?,
            checkpoint_syslog: file.audit.syslog.map(|path| absolute(path, "audit.syslog")).transpose()?,
            policy: file.network.policy.map(|path| absolute(path, "network.policy")).transpose()?,
            docker_networks_open: match file.network.docker_networks.as_deref() {
                None | Some("open") => true,
                Some("closed") => false,
                Some(other) => {
                    return Err(Failure::invalid(format!("`network.docker_networks` is `{other}`"))
                        .hint("open or closed"));
                }
            },
            id_base: file.user_namespaces.first.unwrap_or(1_000_000_000),
        })
    }
}

/// `10m` as Docker's log options mean it: thousands.
fn size_bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &lower[digits.len()..] {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn read_file(given: Option<&Path>) -> Outcome<File> {
    use std::io::Read;
    let path = given.unwrap_or(Path::new(DEFAULT_FILE));
    let refuse = |why: String| {
        Failure::invalid(format!("cannot use the configuration file `{}`", path.display())).because(why)
    };
    let mut text = String::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(FILE_LIMIT_BYTES).read_to_string(&mut text));
    match read {
        Ok(_) => {}
        Err(error) if given.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(File::default());
        }
        Err(error) => return Err(refuse(error.to_string())),
    }
    toml::from_str(&text).map_err(|error| refuse(error.to_string().trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Outcome<Settings> {
        toml::from_str::<File>(text).map_err(|e| Failure::invalid(e.to_string())).and_then(Settings::of)
    }

    #[test]
    fn the_shipped_file_says_what_the_defaults_are() {
        let shipped = settings(include_str!("../../../../packaging/haven.toml")).unwrap();
        let default = settings("").unwrap();
        assert_eq!(format!("{shipped:?}"), format!("{default:?}"));
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_refused_by_name() {
        for (text, named) in [
            ("colour = 1", "colour"),
            ("[log]\nlevel = \"loud\"", "loud"),
            ("[log]\nformat = \"xml\"", "xml"),
            ("[container_log]\nmax_size = \"big\"", "big"),
            ("[network]\npool = \"10.0.0.0/99\"", "10.0.0.0/99"),
            ("[network]\ndocker_networks = \"ajar\"", "ajar"),
            ("data_root = \"relative\"", "relative"),
            ("data_root = \"/a:b\"", "/a:b"),
            ("[limits]\nulimits = { nofile = [2, 1] }", "nofile"),
        ] {
            let failure = settings(text).unwrap_err();
            assert!(failure.one_line().contains(named), "{text}: {}", failure.one_line());
        }
    }
}
