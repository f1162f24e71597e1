//! The files the engine makes for a container: `/etc/hosts`, `/etc/hostname`, `/etc/resolv.conf`.
//!
//! They lie in the run directory and are made anew at each start, owned by the container's own root.

use haven_network::{GATEWAY, hosts, resolver};
use haven_spec::{ContainerSpec, Failure, Outcome};
use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) hosts: PathBuf,
    pub(crate) hostname: PathBuf,
    pub(crate) resolv_conf: PathBuf,
}

impl Files {
    pub(crate) fn at(run_directory: &Path) -> Self {
        let directory = run_directory.join("etc");
        Self {
            hosts: directory.join("hosts"),
            hostname: directory.join("hostname"),
            resolv_conf: directory.join("resolv.conf"),
        }
    }

    /// Writes all three. `owner`: the host's id of the container's root. `host_network`: take the host's own.
    /// `asks_us`: names are looked up with the resolver at the gateway.
    pub(crate) fn write(
        &self,
        spec: &ContainerSpec,
        hostname: &str,
        addresses: Vec<IpAddr>,
        host_network: bool,
        asks_us: bool,
        owner: u32,
    ) -> Outcome<()> {
        let mut wishes = resolver::Wishes {
            servers: spec.dns.clone(),
            search: spec.dns_search.clone(),
            options: spec.dns_options.clone(),
            ipv6: host_network,
        };
        if asks_us {
            wishes.servers = vec![GATEWAY.into()];
            if wishes.options.is_empty() {
                // A name is tried as it is first: with a domain after it, it would be somebody else's.
                wishes.options = vec!["ndots:0".into()];
            }
        }
        let resolv =
            if host_network && wishes == (resolver::Wishes { ipv6: true, ..resolver::Wishes::default() }) {
                fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
            } else {
                resolver::render(&resolver::host_text(), &wishes)
            };
        let hosts = if host_network {
            let mut hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
            for extra in &spec.extra_hosts {
                let (name, address) = hosts::parse_extra(extra)?;
                writeln!(hosts, "{address}\t{name}").ok();
            }
            hosts
        } else {
            hosts::render(&hosts::Hosts {
                hostname: hostname.to_owned(),
                domainname: spec.domainname.clone(),
                addresses,
                extra: spec.extra_hosts.clone(),
            })?
        };
        let write = || -> std::io::Result<()> {
            if let Some(directory) = self.hosts.parent() {
                fs::create_dir_all(directory)?;
            }
            for (path, text) in
                [(&self.hosts, hosts), (&self.hostname, format!("{hostname}\n")), (&self.resolv_conf, resolv)]
            {
                fs::write(path, text)?;
                std::os::unix::fs::chown(path, Some(owner), Some(owner))?;
            }
            Ok(())
        };
        write().map_err(|e| {
            Failure::host("cannot write the container's hosts, hostname and resolv.conf").because(e)
        })
    }
}
