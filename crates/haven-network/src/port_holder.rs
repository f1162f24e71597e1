//! Which process has a port: for an error that names it.
//!
//! The kernel lists sockets with their inode in `/proc/net/{tcp,udp}`, and every process its descriptors. proc(5).

use haven_spec::PortProtocol;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Processes looked at before giving up on a name.
const PROCESS_LIMIT: usize = 20_000;
/// `TCP_TIME_WAIT` and `TCP_CLOSE` in `/proc/net/tcp`.
const TIME_WAIT: &str = "06";

/// `process nginx (4711) has it`; without a name when it can't be found. `None`: no socket is on the port.
pub(crate) fn find(address: IpAddr, port: u16, protocol: PortProtocol) -> Option<String> {
    let files = match protocol {
        PortProtocol::Tcp => ["tcp", "tcp6"],
        PortProtocol::Udp => ["udp", "udp6"],
        PortProtocol::Sctp => return Some("another socket has it".into()),
    };
    let mut inode = None;
    for file in files {
        // The thread's own namespace; `/proc/net` is the whole process's.
        let text = std::fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        inode = inode.or_else(|| text.lines().skip(1).find_map(|line| holding_inode(line, address, port)));
    }
    let inode = inode?;
    Some(process_with(inode).unwrap_or_else(|| "a process that cannot be named has it".into()))
}

/// The inode of the socket on this line if it stands in the way.
fn holding_inode(line: &str, address: IpAddr, port: u16) -> Option<u64> {
    let mut words = line.split_whitespace();
    let local = words.nth(1)?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?.parse().ok()?;
    let (bound, bound_port) = parse_local(local)?;
    let same = bound == address || bound.is_unspecified() || address.is_unspecified();
    (bound_port == port && same && state != TIME_WAIT && inode != 0).then_some(inode)
}

/// `0100007F:1F90`: the address in words of the machine's byte order, the port as a number.
fn parse_local(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word =
        |at: usize| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, place) in bytes.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(at)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some((address, port))
}

fn process_with(inode: u64) -> Option<String> {
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten().take(PROCESS_LIMIT);
    for process in processes {
        let number = process.file_name().to_string_lossy().parse::<u32>();
        let Ok(number) = number else { continue };
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let has = descriptors
            .flatten()
            .any(|d| std::fs::read_link(d.path()).is_ok_and(|target| target.to_string_lossy() == wanted));
        if has {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("process `{}` ({number}) has it", name.trim()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_of_sockets_is_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 26581 1 0000000000000000 100 0 0 10 0";
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(holding_inode(line, loopback, 8080), Some(26581));
        assert_eq!(holding_inode(line, Ipv4Addr::UNSPECIFIED.into(), 8080), Some(26581));
        assert_eq!(holding_inode(line, Ipv4Addr::new(192, 0, 2, 1).into(), 8080), None);
        assert_eq!(holding_inode(line, loopback, 8081), None);
        for broken in ["", "0:", "0: zz:zz 0 0A", "a b c d e f g h i j"] {
            assert_eq!(holding_inode(broken, loopback, 8080), None);
        }
    }

    #[test]
    fn a_listening_process_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let holder = find(Ipv4Addr::LOCALHOST.into(), port, PortProtocol::Tcp).unwrap();
        assert!(holder.contains(&format!("({})", std::process::id())), "{holder}");
    }
}
