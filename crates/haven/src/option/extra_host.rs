//! `--add-host name:address` or `name=address`; the address can be `host-gateway`.

use super::address;

pub(crate) fn check(text: &str) -> Result<String, String> {
    let bad = || format!("bad format for add-host: \"{text}\"");
    let (name, value) = text.split_once('=').or_else(|| text.split_once(':')).ok_or_else(bad)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(bad());
    }
    if value == "host-gateway" {
        return Ok(format!("{name}:{value}"));
    }
    let bare = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value);
    address::ip(bare).map_err(|_| format!("invalid IP address in add-host: \"{value}\""))?;
    Ok(format!("{name}:{bare}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_a_name_and_an_address() {
        for (text, expected) in [
            ("db:10.0.0.1", "db:10.0.0.1"),
            ("db=10.0.0.1", "db:10.0.0.1"),
            ("db:::1", "db:::1"),
            ("db=[::1]", "db:::1"),
            ("db:host-gateway", "db:host-gateway"),
        ] {
            assert_eq!(check(text).as_deref(), Ok(expected));
        }
        for bad in ["db", ":1.2.3.4", "db:", "db:1.2.3", "db:nonsense"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
