//! Rust text with everything that isn't code blanked out, so that a search for a word finds only code.
//!
//! A small scanner and no parser: it knows comments (nested), strings (raw, byte and C ones too), characters and
//! lifetimes, which is all one needs to tell code from prose. Lines and columns stay as they are.

/// `text` with comments and the contents of strings and character literals replaced by spaces.
pub(crate) fn code_only(text: &str) -> String {
    let source: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < source.len() {
        let end = prose_end(&source, at);
        if end > at {
            out.extend(source[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else if is_word(source[at]) {
            let end = word_end(&source, at);
            out.extend(&source[at..end]);
            at = end;
        } else {
            out.push(source[at]);
            at += 1;
        }
    }
    out
}

/// Whether `word` stands in `line` by itself, not as a part of a longer name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Each function of `code` (as [`code_only`] gives it): name, first line counted from 1, number of lines.
pub(crate) fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    let mut offset = 0;
    for (index, line) in code.lines().enumerate() {
        if let Some((name, column)) = function_name(line)
            && let Some(length) = body_length(&code[offset + column..])
        {
            found.push((name, index + 1, length));
        }
        offset += line.len() + 1;
    }
    found
}

/// The name in `fn name` and the column after it, when the line declares a function.
pub(crate) fn function_name(line: &str) -> Option<(String, usize)> {
    let column = line.find("fn ")?;
    if line[..column].chars().next_back().is_some_and(is_word) {
        return None;
    }
    let name: String = line[column + 3..].chars().take_while(|c| is_word(*c)).collect();
    let after = column + 3 + name.len();
    (!name.is_empty()).then_some((name, after))
}

/// Lines from a declaration, given from its name on, to its closing brace; `None` when it has no body.
fn body_length(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut opened = false;
    let mut lines = 1;
    for c in code.chars() {
        match c {
            '\n' => lines += 1,
            // Array types in the signature have semicolons too.
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '{' => {
                opened |= depth == 0;
                depth += 1;
            }
            '}' => {
                depth = depth.saturating_sub(1);
                if opened && depth == 0 {
                    return Some(lines);
                }
            }
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word_end(source: &[char], from: usize) -> usize {
    source[from..].iter().position(|c| !is_word(*c)).map_or(source.len(), |length| from + length)
}

/// Where the comment or literal that begins at `at` ends; `at` itself when none begins there.
fn prose_end(source: &[char], at: usize) -> usize {
    let rest = &source[at..];
    match rest {
        ['/', '/', ..] => rest.iter().position(|c| *c == '\n').map_or(source.len(), |length| at + length),
        ['/', '*', ..] => block_comment_end(source, at),
        ['"', ..] => string_end(source, at + 1),
        ['b' | 'c', '"', ..] => string_end(source, at + 2),
        ['b', '\'', ..] => character_end(source, at + 1).unwrap_or(at),
        ['r', '"' | '#', ..] => raw_string_end(source, at + 1).unwrap_or(at),
        ['b' | 'c', 'r', '"' | '#', ..] => raw_string_end(source, at + 2).unwrap_or(at),
        ['\'', ..] => character_end(source, at).unwrap_or(at),
        _ => at,
    }
}

fn block_comment_end(source: &[char], from: usize) -> usize {
    let mut depth = 0;
    let mut at = from;
    while at < source.len() {
        match &source[at..] {
            ['/', '*', ..] => {
                depth += 1;
                at += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    source.len()
}

/// After the opening quote.
fn string_end(source: &[char], from: usize) -> usize {
    let mut at = from;
    while at < source.len() {
        match source[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    source.len()
}

/// At the hashes or the quote after `r`; `None` when it is a raw identifier.
fn raw_string_end(source: &[char], from: usize) -> Option<usize> {
    let hashes = source[from..].iter().take_while(|c| **c == '#').count();
    if source.get(from + hashes) != Some(&'"') {
        return None;
    }
    let mut at = from + hashes + 1;
    while at < source.len() {
        let closes = source[at] == '"'
            && source[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        if closes {
            return Some(at + 1 + hashes);
        }
        at += 1;
    }
    Some(source.len())
}

/// At the opening quote; `None` when it is a lifetime.
fn character_end(source: &[char], from: usize) -> Option<usize> {
    match &source[from..] {
        ['\'', '\\', ..] => {
            let close = source.get(from + 3..)?.iter().position(|c| *c == '\'')?;
            Some(from + 3 + close + 1)
        }
        ['\'', _, '\'', ..] => Some(from + 3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_blanked_and_code_stays_where_it_was() {
        let text = "let a = \"unsafe\"; // unsafe\n/* unsafe /* nested */ unsafe */ b();\n";
        let code = code_only(text);
        assert!(!has_word(&code, "unsafe"), "{code}");
        assert_eq!(code.find("b();"), text.find("b();"));
        assert_eq!(code.lines().count(), 2);
    }

    #[test]
    fn literals_of_every_kind_are_prose() {
        for literal in [
            r##"r#"unsafe " unsafe"#"##,
            r#"b"unsafe""#,
            r#"br"unsafe""#,
            r#"c"unsafe""#,
            r#""\" unsafe""#,
            r#"'"'; "unsafe""#,
            r#"'\''; "unsafe""#,
            r#"b'"'; "unsafe""#,
            r#"'\u{1F600}'; "unsafe""#,
        ] {
            assert!(!has_word(&code_only(literal), "unsafe"), "{literal}");
        }
    }

    #[test]
    fn lifetimes_and_raw_identifiers_do_not_hide_the_code_after_them() {
        for code in ["fn f<'a>(x: &'a str) { unsafe {} }", "r#type(); unsafe {}", "let car = 'c'; unsafe {}"]
        {
            assert!(has_word(&code_only(code), "unsafe"), "{code}");
        }
        assert!(!has_word("unsafe_code", "unsafe"));
    }

    #[test]
    fn functions_are_measured_from_declaration_to_closing_brace() {
        let code = "trait T { fn none(&self); }\npub fn two() -> i32 {\n 1 }\nfn one() {}\n";
        assert_eq!(functions(code), [("two".into(), 2, 2), ("one".into(), 4, 1)]);
    }
}
