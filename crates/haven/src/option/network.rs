//! `--network NAME` or `--network name=NAME,alias=…,ip=…`.

use super::{address, csv};
use serde_json::{Map, Value as Json, json};

/// One network to join, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) ipv4: String,
    pub(crate) ipv6: String,
    pub(crate) link_local: Vec<String>,
    pub(crate) mac: String,
    pub(crate) driver_options: Vec<(String, String)>,
}

pub(crate) fn parse(text: &str) -> Result<Attachment, String> {
    if !text.contains('=') {
        return Ok(Attachment { name: text.to_owned(), ..Attachment::default() });
    }
    let mut attachment = Attachment::default();
    for field in csv::fields(text)? {
        let (name, value) = field
            .split_once('=')
            .map(|(name, value)| (name.trim().to_lowercase(), value.trim()))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| format!("invalid field {field}"))?;
        match name.as_str() {
            "name" => attachment.name = value.to_owned(),
            "alias" => attachment.aliases.push(value.to_owned()),
            "ip" => attachment.ipv4 = address::ipv4(value)?,
            "ip6" => attachment.ipv6 = address::ipv6(value)?,
            "mac-address" => attachment.mac = address::mac(value)?,
            "link-local-ip" => attachment.link_local.push(address::ip(value)?),
            "driver-opt" => {
                let (name, value) = value
                    .split_once('=')
                    .filter(|(name, _)| !name.is_empty())
                    .ok_or("invalid key value pair format in driver options")?;
                attachment.driver_options.push((name.to_owned(), value.to_owned()));
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    if attachment.name.is_empty() {
        return Err("network name/id is not specified".into());
    }
    Ok(attachment)
}

/// A network that somebody made, as opposed to a mode.
pub(crate) fn is_made(name: &str) -> bool {
    !matches!(name, "" | "default" | "bridge" | "host" | "none") && !name.starts_with("container:")
}

impl Attachment {
    /// The API's endpoint; `None` when nothing beyond the network's name is asked for.
    pub(crate) fn endpoint(&self) -> Option<Json> {
        let mut endpoint = Map::new();
        if !self.aliases.is_empty() {
            endpoint.insert("Aliases".into(), json!(self.aliases));
        }
        let mut addresses = Map::new();
        for (name, address) in [("IPv4Address", &self.ipv4), ("IPv6Address", &self.ipv6)] {
            if !address.is_empty() {
                addresses.insert(name.into(), json!(address));
            }
        }
        if !self.link_local.is_empty() {
            addresses.insert("LinkLocalIPs".into(), json!(self.link_local));
        }
        if !addresses.is_empty() {
            endpoint.insert("IPAMConfig".into(), Json::Object(addresses));
        }
        if !self.mac.is_empty() {
            endpoint.insert("MacAddress".into(), json!(self.mac));
        }
        if !self.driver_options.is_empty() {
            let options: Map<String, Json> =
                self.driver_options.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            endpoint.insert("DriverOpts".into(), Json::Object(options));
        }
        (!endpoint.is_empty()).then_some(Json::Object(endpoint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_a_name_or_named_options() {
        assert_eq!(parse("host").unwrap().name, "host");
        assert_eq!(parse("container:web").unwrap().name, "container:web");
        let long =
            parse("name=front,alias=a,alias=b,ip=10.0.0.2,mac-address=02:00:00:00:00:01,driver-opt=x=y")
                .unwrap();
        assert_eq!(
            long.endpoint(),
            Some(json!({"Aliases":["a","b"],"IPAMConfig":{"IPv4Address":"10.0.0.2"},
                "MacAddress":"02:00:00:00:00:01","DriverOpts":{"x":"y"}}))
        );
        assert_eq!(parse("front").unwrap().endpoint(), None);
        for bad in ["alias=a", "name=x,ip=1.2", "name=x,foo=1", "name=x,bare", "=x", "name=x,driver-opt=y"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(is_made("front") && !is_made("none") && !is_made("container:web"));
    }
}
