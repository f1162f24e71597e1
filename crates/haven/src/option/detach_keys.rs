//! `--detach-keys ctrl-p,ctrl-q`: keys separated by commas, each a letter or `ctrl-` and one of `a-z @ [ ] ^ _ \`.

/// ctrl-p, ctrl-q
pub(crate) const DEFAULT: [u8; 2] = [16, 17];

pub(crate) fn parse(text: &str) -> Result<Vec<u8>, String> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    text.split(',')
        .map(|key| {
            if let [byte] = key.as_bytes() {
                return Ok(*byte);
            }
            let control = key.strip_prefix("ctrl-").map(str::as_bytes);
            match control {
                Some([letter]) if letter.is_ascii_lowercase() => Ok(letter - b'a' + 1),
                Some(b"@") => Ok(0),
                Some(b"[") => Ok(27),
                Some(b"\\") => Ok(28),
                Some(b"]") => Ok(29),
                Some(b"^") => Ok(30),
                Some(b"_") => Ok(31),
                _ => Err(format!("unknown key '{key}'; write keys like a,ctrl-p")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_letters_or_control_letters() {
        for (text, keys) in [
            ("", vec![16, 17]),
            ("ctrl-a", vec![1]),
            ("ctrl-p,ctrl-q", vec![16, 17]),
            ("a,b", vec![97, 98]),
            ("ctrl-@,ctrl-\\", vec![0, 28]),
        ] {
            assert_eq!(parse(text), Ok(keys), "{text}");
        }
        for bad in ["ctrl-", "ctrl-A", "abc", "a,,b", "shift-a"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
