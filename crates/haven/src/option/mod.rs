//! What the values of flags mean: one file per notion, each from text to what the API wants, refusing with a reason.
//!
//! Parsers that a flag needs one of return `Result<_, String>`: the reason alone, the parser of the command line adds
//! the flag and the value.

pub(crate) mod address;
pub(crate) mod ago;
pub(crate) mod bytes;
pub(crate) mod container;
pub(crate) mod cpus;
mod csv;
pub(crate) mod detach_keys;
pub(crate) mod device;
pub(crate) mod duration;
pub(crate) mod environment;
pub(crate) mod expiry;
pub(crate) mod extra_host;
pub(crate) mod filter;
pub(crate) mod health;
pub(crate) mod instant;
pub(crate) mod label;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod port;
pub(crate) mod rate;
pub(crate) mod restart;
pub(crate) mod security;
pub(crate) mod sysctl;
pub(crate) mod ulimit;
pub(crate) mod volume;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_makes_a_parser_panic() {
        const PIECES: [&str; 36] = [
            "",
            ":",
            "::",
            "/",
            "//",
            "=",
            ",",
            "\"",
            "-",
            "--",
            "+",
            ".",
            "..",
            "[",
            "]",
            "0",
            "1",
            "65535",
            "65536",
            "99999999999999999999",
            "m",
            "kb",
            "ns",
            "h",
            "a",
            "tcp",
            "udp",
            "type=bind",
            "src=",
            "target=/x",
            "ro",
            "name=",
            "ip=",
            "ü",
            " ",
            "\u{7f}",
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).unwrap()
        };
        for _ in 0..50_000 {
            let text: String = (0..next(8)).map(|_| PIECES[next(PIECES.len())]).collect();
            drop(bytes::parse(&text));
            drop(cpus::parse(&text));
            drop(csv::fields(&text));
            drop(detach_keys::parse(&text));
            drop(device::parse(&text));
            drop(device::rule(&text));
            drop(duration::parse(&text));
            drop(expiry::parse(&text, jiff::Timestamp::UNIX_EPOCH));
            drop(extra_host::check(&text));
            drop(filter::check(&text));
            drop(instant::parse(&text, jiff::Timestamp::UNIX_EPOCH));
            drop(label::check(&text));
            drop(mount::parse(&text));
            drop(network::parse(&text));
            drop(port::parse(&text));
            drop(port::exposed(&text));
            drop(rate::bytes_per_second(&format!("/dev/{text}")));
            drop(rate::weight(&format!("/dev/{text}")));
            drop(restart::parse(&text));
            drop(ulimit::parse(&format!("nofile={text}")));
            drop(volume::parse(&text));
            drop(address::mac(&text));
            drop(address::search_domain(&text));
        }
    }
}
