//! `-v [source:]target[:options]`: a named volume, a directory of the host, or an anonymous volume.

use std::path::Path;

/// What a `-v` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Volume {
    /// `source:target[:options]`, a relative host path made absolute.
    Bind(String),
    /// A target alone.
    Anonymous(String),
}

pub(crate) fn parse(text: &str) -> Result<Volume, String> {
    parse_in(text, &std::env::current_dir().unwrap_or_else(|_| "/".into()))
}

fn parse_in(text: &str, directory: &Path) -> Result<Volume, String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [""] => Err("invalid empty volume spec".into()),
        [target] => Ok(Volume::Anonymous((*target).to_owned())),
        parts if parts.iter().any(|part| part.is_empty()) => {
            Err(format!("invalid spec: {text}: empty section between colons"))
        }
        [source, rest @ ..] if rest.len() <= 2 => {
            // Only what starts with a dot is a path; `data` is a volume's name.
            let source =
                if source.starts_with('.') { absolute(source, directory) } else { (*source).to_owned() };
            Ok(Volume::Bind(format!("{source}:{}", rest.join(":"))))
        }
        _ => Err(format!("invalid volume specification: '{text}': too many colons")),
    }
}

/// `path` below `directory`, without `.` and `..`.
pub(super) fn absolute(path: &str, directory: &Path) -> String {
    let joined = directory.join(path);
    let mut parts: Vec<String> = Vec::new();
    for part in joined.components() {
        match part {
            std::path::Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            std::path::Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_named_or_a_path_or_anonymous() {
        let parse = |text| parse_in(text, Path::new("/home/me"));
        for (text, expected) in [
            ("/data", Volume::Anonymous("/data".into())),
            ("data:/srv", Volume::Bind("data:/srv".into())),
            ("/a:/b:ro", Volume::Bind("/a:/b:ro".into())),
            ("./a:/b", Volume::Bind("/home/me/a:/b".into())),
            ("..:/b:ro,z", Volume::Bind("/home:/b:ro,z".into())),
            (".:/b", Volume::Bind("/home/me:/b".into())),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for bad in ["", ":", ":/b", "a:", "a::ro", "a:/b:ro:x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
