//! JSON indented without being understood: order, numbers and unknown fields stay exactly as the daemon wrote them.

/// `raw` with four spaces a level, in the layout of Go's json.Indent.
pub(crate) fn indented(raw: &str) -> String {
    let mut output = String::with_capacity(raw.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut opened = false;
    let newline = |output: &mut String, depth: usize| {
        output.push('\n');
        output.extend(std::iter::repeat_n("    ", depth));
    };
    for character in raw.chars() {
        if in_string {
            output.push(character);
            in_string = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        if character.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(character, '}' | ']');
        if opened && !closes {
            newline(&mut output, depth);
        }
        if closes {
            depth = depth.saturating_sub(1);
            if !opened {
                newline(&mut output, depth);
            }
        }
        opened = false;
        output.push(character);
        match character {
            '{' | '[' => {
                depth += 1;
                opened = true;
            }
            ',' => newline(&mut output, depth),
            ':' => output.push(' '),
            '"' => in_string = true,
            _ => {}
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_white_space_changes() {
        let raw = r#"[{"a":1.50,"b":[],"c":{},"d":[1,{"e":"x\"{,:"}],"f":null}]"#;
        let expected = "[\n    {\n        \"a\": 1.50,\n        \"b\": [],\n        \"c\": {},\n        \"d\": [\n            1,\n            {\n                \"e\": \"x\\\"{,:\"\n            }\n        ],\n        \"f\": null\n    }\n]";
        assert_eq!(indented(raw), expected);
        assert_eq!(indented(expected), expected);
        assert_eq!(indented("[]"), "[]");
    }
}
