//! An OCI image layout in a tar: `index.json` leads, through manifests and indexes in `blobs/`, to images.
//!
//! Of an image that exists for several machines the one for this machine is taken. Attestations and other artifacts
//! that are no images are passed over. See the OCI image specification, `image-layout.md` and `image-index.md`.

use super::documents::Documents;
use super::{WantedImage, WantedLayer, distinct, wrong_digest};
use crate::limits::Limits;
use crate::platform::Platform;
use haven_spec::{Digest, Failure, Outcome, Reference};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) const INDEX: &str = "index.json";

const NAME: &str = "org.opencontainers.image.ref.name";
/// Names given by containerd and Docker are whole references.
const WHOLE_NAME: &str = "io.containerd.image.name";
/// BuildKit's mark on attestations.
const REFERENCE_TYPE: &str = "vnd.docker.reference.type";

const INDEXES: &[&str] =
    &["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const MANIFESTS: &[&str] =
    &["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
const CONFIGS: &[&str] =
    &["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];
const LAYERS: &[&str] = &[
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

#[derive(Deserialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    platform: Option<WirePlatform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, Clone)]
struct WirePlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

impl Descriptor {
    fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    fn entry(&self) -> String {
        format!("blobs/sha256/{}", self.digest.hex())
    }

    fn platform(&self) -> Option<Platform> {
        let wire = self.platform.as_ref()?;
        let variant = wire.variant.clone().filter(|variant| !variant.is_empty());
        Some(Platform { os: wire.os.clone(), architecture: wire.architecture.clone(), variant })
    }

    fn is_attestation(&self) -> bool {
        self.annotation(REFERENCE_TYPE).is_some()
            || self.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
    }

    /// The name the index gives it.
    fn name(&self) -> Outcome<Option<Reference>> {
        let (key, name) = match (self.annotation(WHOLE_NAME), self.annotation(NAME)) {
            (Some(name), _) => (WHOLE_NAME, name),
            // A tag alone names nothing.
            (None, Some("latest")) | (None, None) => return Ok(None),
            (None, Some(name)) => (NAME, name),
        };
        match Reference::parse(name) {
            Ok(reference) if reference.digest().is_none() => Ok(Some(reference)),
            Ok(_) => Ok(None),
            Err(failure) => {
                Err(failure.context(format!("`{INDEX}` has a name that can't be used (`{key}`)")))
            }
        }
    }
}

pub(super) fn images(
    documents: &Documents,
    platform: &Platform,
    limits: &Limits,
) -> Outcome<Vec<WantedImage>> {
    let index: Index = documents.read(INDEX)?;
    let mut images: Vec<WantedImage> = Vec::new();
    // Entries that differ in their platform only are one image for several machines.
    let mut groups: Vec<(Option<Reference>, bool, Vec<Descriptor>)> = Vec::new();
    for descriptor in index.manifests {
        if descriptor.is_attestation() {
            continue;
        }
        let name = descriptor.name()?;
        let for_machine = descriptor.platform.is_some();
        let group = groups.iter_mut().find(|(known, machines, _)| *known == name && *machines && for_machine);
        match group {
            Some((_, _, members)) => members.push(descriptor),
            None => groups.push((name, for_machine, vec![descriptor])),
        }
        if groups.len() > limits.images {
            return Err(Failure::invalid(format!("it holds more than the {} images allowed", limits.images)));
        }
    }
    for (name, _, members) in groups {
        let Some(chosen) = choose(documents, members, platform, limits, 0)? else { continue };
        let image = image(documents, &chosen, name)?;
        match images.iter_mut().find(|other| other.manifest == image.manifest) {
            Some(other) => other.tags = distinct([other.tags.clone(), image.tags].concat()),
            None => images.push(image),
        }
    }
    Ok(images)
}

/// The manifest among `members`, and in indexes among them, that suits the platform best. `None` when there is no
/// image at all, only attestations.
fn choose(
    documents: &Documents,
    members: Vec<Descriptor>,
    platform: &Platform,
    limits: &Limits,
    depth: usize,
) -> Outcome<Option<Descriptor>> {
    if depth > limits.index_depth {
        return Err(Failure::invalid(format!(
            "its indexes are nested deeper than the {} allowed",
            limits.index_depth
        )));
    }
    let mut best: Option<(u32, Descriptor)> = None;
    let mut refused = Vec::new();
    let alone = members.len() == 1;
    for member in members {
        if member.is_attestation() {
            continue;
        }
        // A single image is judged by its own configuration.
        let rank = match member.platform() {
            Some(its) if !alone => match platform.accepts(&its) {
                Some(rank) => rank,
                None => {
                    refused.push(its.to_string());
                    continue;
                }
            },
            _ => 5,
        };
        let found = if INDEXES.contains(&media_type(documents, &member)?.as_str()) {
            checked(documents, &member)?;
            let index: Index = documents.read(&member.entry())?;
            choose(documents, index.manifests, platform, limits, depth + 1)?
        } else {
            Some(member)
        };
        if let Some(found) = found
            && best.as_ref().is_none_or(|(known, _)| rank < *known)
        {
            best = Some((rank, found));
        }
    }
    match best {
        Some((_, found)) => Ok(Some(found)),
        None if refused.is_empty() => Ok(None),
        None => {
            Err(Failure::invalid(format!("it has no image for {platform}, only for {}", refused.join(", ")))
                .hint("name a platform with --platform"))
        }
    }
}

/// What a descriptor leads to; the document's own word where the descriptor says nothing.
fn media_type(documents: &Documents, descriptor: &Descriptor) -> Outcome<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Any {
        #[serde(default)]
        media_type: String,
        #[serde(default)]
        manifests: Option<serde::de::IgnoredAny>,
    }
    let media_type = if descriptor.media_type.is_empty() {
        let any: Any = documents.read(&descriptor.entry())?;
        match (any.media_type.is_empty(), any.manifests) {
            (false, _) => any.media_type,
            (true, Some(_)) => INDEXES[0].to_owned(),
            (true, None) => MANIFESTS[0].to_owned(),
        }
    } else {
        descriptor.media_type.clone()
    };
    if INDEXES.contains(&media_type.as_str()) || MANIFESTS.contains(&media_type.as_str()) {
        return Ok(media_type);
    }
    Err(unknown_media_type(&descriptor.entry(), &media_type, "a manifest or index"))
}

fn unknown_media_type(entry: &str, media_type: &str, wanted: &str) -> Failure {
    Failure::invalid(format!("entry `{entry}`: its media type `{media_type}` is not that of {wanted}"))
}

/// The document is what its descriptor says.
fn checked(documents: &Documents, descriptor: &Descriptor) -> Outcome<()> {
    let entry = descriptor.entry();
    let digest = documents.digest(&entry)?;
    if digest != descriptor.digest {
        return Err(wrong_digest(&entry, &descriptor.digest, &digest));
    }
    let size = documents.bytes(&entry)?.len() as u64;
    match descriptor.size {
        Some(said) if said != size => Err(Failure::invalid(format!(
            "entry `{entry}`: it has {size} bytes, but its descriptor says {said}"
        ))),
        _ => Ok(()),
    }
}

fn image(documents: &Documents, descriptor: &Descriptor, name: Option<Reference>) -> Outcome<WantedImage> {
    checked(documents, descriptor)?;
    let manifest: Manifest = documents.read(&descriptor.entry())?;
    if !CONFIGS.contains(&manifest.config.media_type.as_str()) {
        return Err(unknown_media_type(
            &manifest.config.entry(),
            &manifest.config.media_type,
            "an image's configuration",
        ));
    }
    checked(documents, &manifest.config)?;
    let layers = manifest.layers.iter().map(|layer| {
        if !LAYERS.contains(&layer.media_type.as_str()) {
            return Err(unknown_media_type(&layer.entry(), &layer.media_type, "a layer"));
        }
        Ok(WantedLayer { entry: layer.entry(), digest: Some(layer.digest.clone()), size: layer.size })
    });
    Ok(WantedImage {
        config: manifest.config.entry(),
        config_digest: Some(manifest.config.digest.clone()),
        layers: layers.collect::<Outcome<_>>()?,
        tags: name.into_iter().collect(),
        manifest: Some(descriptor.digest.clone()),
    })
}
