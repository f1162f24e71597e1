//! One assertion about who may reach whom, as people write it.
//!
//! ```text
//!   deny * -> vault                          nobody may connect
//!   allow web -> redis 6379/tcp              it must be possible (tcp/6379 says the same)
//!   unreachable internet ~> db               not even by way of others
//!   only {web,worker} -> redis 6379/tcp      nobody else (`reach` says the same as `->`)
//! ```
//!
//! A side is a name (`db`, `shop/db`, `network:shop`, `internet`, `@outside`, `@host`, a range of addresses), a pattern
//! (`shop/*`, `*`), a group of the policy (`group:frontends`), or several in braces. `*` is every application and the
//! outside. The host is never meant unless it is named: its root reaches everything.

use crate::Traffic;
use haven_spec::{Failure, Outcome};
use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    Deny,
    Allow,
    Unreachable,
    Only,
}

/// A parsed assertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    text: String,
    pub(super) demand: Demand,
    pub(super) from: Vec<String>,
    pub(super) to: Vec<String>,
    pub(super) traffic: Option<Traffic>,
}

/// The longest rule, and the most names on one side of it.
const RULE_BYTES: usize = 4096;

impl Rule {
    pub fn parse(text: &str) -> Outcome<Self> {
        let refuse = |why: &str| {
            let shown: String = text.chars().take(200).collect();
            Failure::invalid(format!("`{}` is not an assertion", shown.escape_debug()))
                .because(why.to_owned())
                .hint("like `deny * -> vault`, `allow web -> redis 6379/tcp`, `unreachable internet ~> db` or `only {web,worker} -> redis`")
        };
        if text.len() > RULE_BYTES {
            return Err(refuse("it is too long"));
        }
        let mut words = words(text).ok_or_else(|| refuse("a brace is not closed"))?.into_iter().peekable();
        words.next_if(|word| word == "assert");
        let demand = match words.next().as_deref() {
            Some("deny") => Demand::Deny,
            Some("allow") => Demand::Allow,
            Some("unreachable") => Demand::Unreachable,
            Some("only") => Demand::Only,
            _ => return Err(refuse("it begins with none of deny, allow, unreachable and only")),
        };
        let from = side(words.next()).ok_or_else(|| refuse("it does not say from whom"))?;
        let arrow = words.next().unwrap_or_default();
        let by_any_path = match arrow.as_str() {
            "->" | "→" => false,
            "~>" => true,
            "reach" | "reaches" if demand == Demand::Only => false,
            _ => return Err(refuse("between the two sides stands neither `->` nor `~>`")),
        };
        let demand = match (demand, by_any_path) {
            (Demand::Unreachable | Demand::Deny, true) => Demand::Unreachable,
            (Demand::Unreachable, false) => {
                return Err(refuse("`unreachable` is about every path: write `~>`, or `deny` with `->`"));
            }
            (Demand::Allow | Demand::Only, true) => {
                return Err(refuse(
                    "`~>` goes with `unreachable`: what can be promised of a path is only its absence",
                ));
            }
            (demand, false) => demand,
        };
        let to = side(words.next()).ok_or_else(|| refuse("it does not say to whom"))?;
        let traffic = words.next().map(|word| traffic(&word)).transpose()?;
        if demand == Demand::Unreachable && traffic.is_some() {
            return Err(refuse("a path has no port: leave it out"));
        }
        if let Some(more) = words.next() {
            return Err(refuse(&format!("`{}` is one word too many", more.escape_debug())));
        }
        Ok(Self { text: text.trim().to_owned(), demand, from, to, traffic })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Words apart by blanks; what stands in braces is one.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_braces = false;
    for c in text.chars() {
        match c {
            '{' if !in_braces && word.is_empty() => in_braces = true,
            '}' if in_braces => in_braces = false,
            '{' | '}' => return None,
            c if c.is_whitespace() && in_braces => continue,
            c if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    (!in_braces).then_some(words)
}

fn side(word: Option<String>) -> Option<Vec<String>> {
    let word = word?;
    let names = match word.strip_prefix('{') {
        Some(inner) => inner.strip_suffix('}')?.split(',').map(str::to_owned).collect(),
        None => vec![word],
    };
    let fine = |name: &String| !name.is_empty() && !name.contains(['{', '}', ',']);
    names.iter().all(fine).then_some(names)
}

/// `6379/tcp` and `tcp/6379`.
fn traffic(word: &str) -> Outcome<Traffic> {
    match word.split_once('/') {
        Some((protocol @ ("tcp" | "udp" | "sctp"), ports)) => Traffic::parse(&format!("{ports}/{protocol}")),
        _ => Traffic::parse(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written_about() {
        let rule = Rule::parse("assert allow web -> redis tcp/6379").unwrap();
        assert_eq!((rule.demand, &rule.from[..]), (Demand::Allow, &["web".to_owned()][..]));
        assert_eq!(rule.traffic.unwrap().to_string(), "6379/tcp");
        let rule = Rule::parse("only { web, shop/* } reach redis").unwrap();
        assert_eq!((rule.demand, rule.from.join(" ").as_str()), (Demand::Only, "web shop/*"));
        assert_eq!(Rule::parse("deny internet ~> db").unwrap().demand, Demand::Unreachable);
        assert_eq!(Rule::parse("deny * → vault 22").unwrap().traffic.unwrap().to_string(), "22/tcp");
    }

    #[test]
    fn what_is_no_rule_is_refused_with_the_reason() {
        for (text, why) in [
            ("", "begins with none"),
            ("permit a -> b", "begins with none"),
            ("deny", "from whom"),
            ("deny a b", "neither"),
            ("deny a ->", "to whom"),
            ("deny {a -> b", "brace"),
            ("deny {} -> b", "from whom"),
            ("deny {a,,b} -> b", "from whom"),
            ("deny a} -> b", "brace"),
            ("allow a ~> b", "its absence"),
            ("unreachable a -> b", "every path"),
            ("unreachable a ~> b 80", "no port"),
            ("deny a -> b 80 now", "too many"),
            ("deny a -> b 70000", "ports are numbers"),
            ("deny a reach b", "neither"),
        ] {
            let failure = Rule::parse(text).unwrap_err().one_line();
            assert!(failure.contains(why), "{text}: {failure}");
        }
        assert!(Rule::parse(&"x".repeat(RULE_BYTES + 1)).is_err());
    }
}
