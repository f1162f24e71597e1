//! One line of comma-separated fields, as `--mount` and `--network` take them. RFC 4180.

/// The fields of `line`; a field in double quotes can contain commas, and quotes doubled.
pub(super) fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let end = rest.find(',').unwrap_or(rest.len());
            if rest[..end].contains('"') {
                return Err(format!("a quote stands inside the field `{}`", &rest[..end]));
            }
            fields.push(rest[..end].to_owned());
            match rest.get(end + 1..) {
                Some(next) => rest = next,
                None => return Ok(fields),
            }
            continue;
        };
        let mut field = String::new();
        let mut inside = quoted;
        loop {
            let end = inside.find('"').ok_or("a quoted field is not closed")?;
            field.push_str(&inside[..end]);
            inside = &inside[end + 1..];
            match inside.strip_prefix('"') {
                Some(next) => {
                    field.push('"');
                    inside = next;
                }
                None => break,
            }
        }
        fields.push(field);
        if inside.is_empty() {
            return Ok(fields);
        }
        rest = inside.strip_prefix(',').ok_or("a comma must follow a quoted field")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_protect_commas() {
        for (line, expected) in [
            ("a,b", vec!["a", "b"]),
            ("a", vec!["a"]),
            ("a,", vec!["a", ""]),
            (r#"x,"o=addr=1,vers=4",y"#, vec!["x", "o=addr=1,vers=4", "y"]),
            (r#""say ""hi""""#, vec![r#"say "hi""#]),
        ] {
            assert_eq!(fields(line).unwrap(), expected, "{line}");
        }
        for bad in [r#"a"b"#, r#""a"#, r#""a"b"#] {
            assert!(fields(bad).is_err(), "{bad}");
        }
    }
}
