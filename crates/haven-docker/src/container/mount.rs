//! Mounts as clients write them: `--volume` texts, `--tmpfs` options and `--mount` objects become [`MountSpec`]s.

use super::config::{Mount, TmpfsOptions};
use crate::refusal::{Answer, Refusal};
use haven_spec::{BindPropagation, MountSource, MountSpec, VolumeName};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// What a `/tmp`-like file system is made with unless its user says otherwise.
pub(crate) const TMPFS_MODE: u32 = 0o1777;

/// A volume to be made before the container, because its user gave it labels or options or no name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct VolumeWish {
    pub(crate) name: Option<VolumeName>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) target: PathBuf,
    pub(crate) populate: bool,
    pub(crate) readonly: bool,
    pub(crate) subpath: Option<PathBuf>,
}

/// One wish: most are ready, some need a volume first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MountWish {
    Ready(MountSpec),
    Volume(VolumeWish),
}

fn propagation(word: &str) -> Option<BindPropagation> {
    Some(match word {
        "rprivate" => BindPropagation::Rprivate,
        "private" => BindPropagation::Private,
        "rshared" => BindPropagation::Rshared,
        "shared" => BindPropagation::Shared,
        "rslave" => BindPropagation::Rslave,
        "slave" => BindPropagation::Slave,
        _ => return None,
    })
}

/// What stands after the second colon of a `--volume`.
#[derive(Debug, Default)]
struct Mode {
    readonly: bool,
    propagation: Option<BindPropagation>,
    nocopy: bool,
}

impl Mode {
    /// Each sort of word at most once, as Docker has it. `z` and `Z` (relabelling) and the consistency words ask for
    /// nothing here.
    fn parse(text: &str) -> Option<Self> {
        let mut mode = Self::default();
        let mut seen = [false; 5];
        for word in text.split(',').filter(|_| !text.is_empty()) {
            let sort = match word {
                "ro" | "rw" => {
                    mode.readonly = word == "ro";
                    0
                }
                "z" | "Z" => 1,
                "nocopy" => {
                    mode.nocopy = true;
                    2
                }
                "consistent" | "cached" | "delegated" => 3,
                other => {
                    mode.propagation = Some(propagation(other)?);
                    4
                }
            };
            if std::mem::replace(&mut seen[sort], true) {
                return None;
            }
        }
        Some(mode)
    }
}

/// An absolute path without `.`, `..` and doubled slashes, other than `/`.
fn clean_target(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("field Target must not be empty".into());
    }
    if text.contains('\0') {
        return Err("invalid mount path: a NUL byte is not allowed".into());
    }
    if !text.starts_with('/') {
        return Err(format!("invalid mount path: '{text}' mount path must be absolute"));
    }
    let clean = clean(Path::new(text));
    if clean == Path::new("/") {
        return Err("invalid specification: destination can't be '/'".into());
    }
    Ok(clean)
}

fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// A `--volume`: `source:target[:mode]`, or only a target for an anonymous volume.
pub(crate) fn from_bind(text: &str) -> Answer<MountWish> {
    let invalid = || Refusal::invalid(format!("invalid volume specification: '{text}'"));
    let because = |why: String| Refusal::invalid(format!("invalid volume specification: '{text}': {why}"));
    let parts: Vec<&str> = text.splitn(4, ':').collect();
    let (source, target, mode) = match parts[..] {
        [target] if !target.is_empty() => {
            let wish = VolumeWish {
                target: clean_target(target).map_err(because)?,
                populate: true,
                ..VolumeWish::default()
            };
            return Ok(MountWish::Volume(wish));
        }
        // A target with a mode is no volume.
        [source, target] if !source.is_empty() && Mode::parse(target).is_none() => (source, target, ""),
        [source, target, mode] if !source.is_empty() => (source, target, mode),
        _ => return Err(invalid()),
    };
    let Some(mode) = Mode::parse(mode) else {
        return Err(Refusal::invalid(format!("invalid mode: {mode}")));
    };
    let target = clean_target(target).map_err(because)?;
    let source = if source.starts_with('/') {
        if mode.nocopy {
            return Err(because("`nocopy` is for volumes, not for host directories".into()));
        }
        MountSource::Bind {
            path: clean(Path::new(source)),
            propagation: mode.propagation.unwrap_or_default(),
            create: true,
            recursive: true,
        }
    } else {
        if mode.propagation.is_some() {
            return Err(because("propagation is for host directories, not for volumes".into()));
        }
        let name = volume_name(source)?;
        MountSource::Volume { name, anonymous: false, populate: !mode.nocopy, subpath: None }
    };
    Ok(MountWish::Ready(MountSpec { source, target, readonly: mode.readonly }))
}

/// Docker's words for a name that looks like a path gone wrong.
pub(crate) fn volume_name(text: &str) -> Answer<VolumeName> {
    VolumeName::parse(text).map_err(|_| {
        Refusal::invalid(format!(
            "create {text}: \"{text}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        ))
    })
}

/// A `--tmpfs`: options like `size=64m,mode=1770,noexec` for a path.
pub(crate) fn from_tmpfs(target: &str, options: &str) -> Answer<MountSpec> {
    let refuse = |why: String| Refusal::invalid(format!("invalid tmpfs `{target}`: {why}"));
    let target = clean_target(target).map_err(refuse)?;
    let mut source = (0, TMPFS_MODE, Vec::new());
    let mut readonly = false;
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some(("size", size)) => {
                source.0 = bytes(size).ok_or_else(|| refuse(format!("invalid size: `{size}`")))?;
            }
            Some(("mode", mode)) => {
                let parsed = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
                source.1 = parsed.ok_or_else(|| refuse(format!("invalid mode: `{mode}`")))?;
            }
            Some(("uid" | "gid" | "nr_inodes" | "nr_blocks", number)) => {
                if bytes(number).is_none() {
                    return Err(refuse(format!("invalid number in `{option}`")));
                }
                source.2.push(option.to_owned());
            }
            None if matches!(option, "ro" | "rw") => readonly = option == "ro",
            None if is_mount_flag(option) => source.2.push(option.to_owned()),
            _ => return Err(refuse(format!("invalid tmpfs option \"{option}\""))),
        }
    }
    let source = MountSource::Tmpfs { size_bytes: source.0, mode: source.1, options: source.2 };
    Ok(MountSpec { source, target, readonly })
}

fn is_mount_flag(word: &str) -> bool {
    matches!(
        word,
        "exec"
            | "noexec"
            | "suid"
            | "nosuid"
            | "dev"
            | "nodev"
            | "async"
            | "sync"
            | "dirsync"
            | "atime"
            | "noatime"
            | "diratime"
            | "nodiratime"
            | "relatime"
            | "norelatime"
            | "strictatime"
            | "nostrictatime"
            | "defaults"
    )
}

/// `64m`, `1g`, `4096`: a number with an optional unit.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, scale) = match lower.as_bytes().last()? {
        b'k' => (&lower[..lower.len() - 1], 1 << 10),
        b'm' => (&lower[..lower.len() - 1], 1 << 20),
        b'g' => (&lower[..lower.len() - 1], 1 << 30),
        _ => (lower, 1_u64),
    };
    digits.parse::<u64>().ok()?.checked_mul(scale)
}

/// A `--mount`.
pub(crate) fn from_mount(mount: &Mount) -> Answer<MountWish> {
    let refuse =
        |why: String| Refusal::invalid(format!("invalid mount config for type \"{}\": {why}", mount.kind));
    let extra = |field: &str| refuse(format!("field {field} must not be specified"));
    let target = clean_target(&mount.target).map_err(refuse)?;
    let stray = |bind: bool, volume: bool, tmpfs: bool| match () {
        () if bind && mount.bind.is_some() => Some("BindOptions"),
        () if volume && mount.volume.is_some() => Some("VolumeOptions"),
        () if tmpfs && mount.tmpfs.is_some() => Some("TmpfsOptions"),
        () if mount.image.is_some() => Some("ImageOptions"),
        () => None,
    };
    match mount.kind.as_str() {
        "bind" => {
            if let Some(field) = stray(false, true, true) {
                return Err(extra(field));
            }
            if mount.source.is_empty() {
                return Err(refuse("field Source must not be empty".into()));
            }
            if !mount.source.starts_with('/') {
                return Err(refuse(format!(
                    "invalid mount path: '{}' mount path must be absolute",
                    mount.source
                )));
            }
            let options = mount.bind.clone().unwrap_or_default();
            let propagation = match options.propagation.as_str() {
                "" => BindPropagation::default(),
                word => {
                    propagation(word).ok_or_else(|| refuse(format!("invalid propagation mode: {word}")))?
                }
            };
            let source = MountSource::Bind {
                path: clean(Path::new(&mount.source)),
                propagation,
                create: options.create_mountpoint,
                recursive: !options.non_recursive,
            };
            Ok(MountWish::Ready(MountSpec { source, target, readonly: mount.readonly }))
        }
        "volume" => {
            if let Some(field) = stray(true, false, true) {
                return Err(extra(field));
            }
            from_volume_mount(mount, target)
        }
        "tmpfs" => {
            if let Some(field) = stray(true, true, false) {
                return Err(extra(field));
            }
            if !mount.source.is_empty() {
                return Err(extra("Source"));
            }
            let options = mount.tmpfs.clone().unwrap_or_default();
            let source = tmpfs_source(&options).map_err(refuse)?;
            Ok(MountWish::Ready(MountSpec { source, target, readonly: mount.readonly }))
        }
        "image" => Err(Refusal::unavailable(
            "mounts of type \"image\" aren't available: copy what you need with `docker cp`, or use a volume",
        )),
        _ => Err(refuse("mount type unknown".into())),
    }
}

fn from_volume_mount(mount: &Mount, target: PathBuf) -> Answer<MountWish> {
    let refuse = |why: &str| Refusal::invalid(format!("invalid mount config for type \"volume\": {why}"));
    let options = mount.volume.clone().unwrap_or_default();
    let driver = options.driver.unwrap_or_default();
    check_driver(&driver.name)?;
    let subpath = Some(PathBuf::from(&options.subpath)).filter(|path| !path.as_os_str().is_empty());
    if let Some(path) = &subpath {
        let local = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if mount.source.is_empty() {
            return Err(refuse("must not set Subpath when using anonymous volumes"));
        }
        if !local {
            return Err(refuse("subpath must be a relative path within the volume"));
        }
    }
    if mount.source.is_empty() && mount.readonly {
        return Err(refuse("must not set ReadOnly mode when using anonymous volumes"));
    }
    let name = if mount.source.is_empty() { None } else { Some(volume_name(&mount.source)?) };
    let labels = super::config::labels(options.labels);
    let populate = !options.no_copy;
    match name {
        Some(name) if labels.is_empty() && driver.options.is_empty() => {
            let source = MountSource::Volume { name, anonymous: false, populate, subpath };
            Ok(MountWish::Ready(MountSpec { source, target, readonly: mount.readonly }))
        }
        name => Ok(MountWish::Volume(VolumeWish {
            name,
            labels,
            options: driver.options,
            target,
            populate,
            readonly: mount.readonly,
            subpath,
        })),
    }
}

/// Only the built-in driver exists.
pub(crate) fn check_driver(name: &str) -> Answer<()> {
    if matches!(name, "" | "local") {
        return Ok(());
    }
    Err(Refusal::new(hyper::StatusCode::NOT_FOUND, format!("plugin \"{name}\" not found")))
}

fn tmpfs_source(options: &TmpfsOptions) -> Result<MountSource, String> {
    let size_bytes = u64::try_from(options.size_bytes)
        .map_err(|_| format!("invalid SizeBytes: {}", options.size_bytes))?;
    let mut words = Vec::new();
    for option in &options.options {
        match option.as_slice() {
            [word] if matches!(word.as_str(), "exec" | "noexec") => words.push(word.clone()),
            [word] | [word, _] => return Err(format!("invalid option: {word}")),
            _ => return Err("invalid option array length".into()),
        }
    }
    let mode = match options.mode {
        0 => TMPFS_MODE,
        mode if mode <= 0o7777 => mode,
        mode => return Err(format!("invalid Mode: {mode:o}")),
    };
    Ok(MountSource::Tmpfs { size_bytes, mode, options: words })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(wish: MountWish) -> MountSpec {
        match wish {
            MountWish::Ready(spec) => spec,
            MountWish::Volume(wish) => panic!("needs a volume first: {wish:?}"),
        }
    }

    #[test]
    fn a_volume_text_is_a_bind_when_it_begins_with_a_slash() {
        let spec = ready(from_bind("/host/../h:/in/:ro,rslave").unwrap());
        assert!(spec.readonly);
        assert_eq!(spec.target, Path::new("/in"));
        let MountSource::Bind { path, propagation, create, recursive } = spec.source else { panic!() };
        assert_eq!(
            (path.as_path(), propagation, create, recursive),
            (Path::new("/h"), BindPropagation::Rslave, true, true)
        );
        let spec = ready(from_bind("data:/srv:nocopy").unwrap());
        assert!(matches!(spec.source, MountSource::Volume { populate: false, anonymous: false, .. }));
        assert!(matches!(from_bind("/only").unwrap(), MountWish::Volume(VolumeWish { name: None, .. })));
    }

    #[test]
    fn malformed_volume_texts_are_refused() {
        for bad in [
            "",
            ":",
            ":/x",
            "a:",
            "/a:ro",
            "a:b",
            "a:/",
            "a:/x:ro,rw",
            "a:/x:nope",
            "a:/x:ro:z",
            "a:/x:rslave",
            "../a:/x",
            "/a:/x:nocopy",
            "a/b:/x",
            "a:/..",
        ] {
            assert!(from_bind(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tmpfs_options_are_read_and_strange_ones_refused() {
        let spec = from_tmpfs("/run", "size=1m,mode=1770,noexec,ro,uid=5").unwrap();
        let MountSource::Tmpfs { size_bytes, mode, options } = spec.source else { panic!() };
        assert_eq!(
            (size_bytes, mode, options),
            (1 << 20, 0o1770, vec!["noexec".to_owned(), "uid=5".to_owned()])
        );
        assert!(spec.readonly);
        for bad in ["size=x", "mode=9", "lowerdir=/etc", "exec=1", "size"] {
            assert!(from_tmpfs("/run", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mount_refuses_what_belongs_to_another_type() {
        for (json, words) in [
            (r#"{"Type":"bind","Target":"/x"}"#, "field Source must not be empty"),
            (r#"{"Type":"bind","Source":"a","Target":"/x"}"#, "mount path must be absolute"),
            (r#"{"Type":"tmpfs","Source":"a","Target":"/x"}"#, "field Source must not be specified"),
            (r#"{"Type":"volume","Source":"a","Target":"x"}"#, "mount path must be absolute"),
            (r#"{"Type":"volume","Source":"a","Target":""}"#, "field Target must not be empty"),
            (r#"{"Type":"npipe","Source":"a","Target":"/x"}"#, "mount type unknown"),
            (r#"{"Type":"volume","Target":"/x","ReadOnly":true}"#, "must not set ReadOnly"),
            (
                r#"{"Type":"volume","Source":"a","Target":"/x","VolumeOptions":{"Subpath":"../x"}}"#,
                "subpath must be",
            ),
            (r#"{"Type":"volume","Source":"a","Target":"/x","BindOptions":{}}"#, "field BindOptions"),
            (
                r#"{"Type":"volume","Source":"a","Target":"/x","VolumeOptions":{"DriverConfig":{"Name":"nfs"}}}"#,
                "plugin \"nfs\" not found",
            ),
        ] {
            let mount: Mount = serde_json::from_str(json).unwrap();
            let message = from_mount(&mount).unwrap_err().message;
            assert!(message.contains(words), "{json}: {message}");
        }
    }
}
