//! Policy files: what they may say, and what is answered.

use crate::shop::{link, shop};
use haven_network::exposure::{Exposure, Policy, Verdict};

fn judge(policy: &str) -> Vec<Verdict> {
    Policy::parse(policy).unwrap().judge(&Exposure::draw(shop()))
}

#[test]
fn a_policy_tells_how_each_assertion_is_broken() {
    let verdicts = judge(
        r#"
        assert = [
          "deny * -> vault",
          "allow web -> api tcp/8000",
          { rule = "unreachable internet ~> db", because = "customers' data" },
          "only {api,admin} reach db",
          "only group:front -> api",
          "deny api -> db 22/tcp",
          "allow web -> db",
          "deny * -> missing",
          "allow web -> missing",
          "only 10.0.0.0/8 -> admin",
        ]
        [groups]
        front = ["web", "shop/*"]
        "#,
    );
    let holds: Vec<bool> = verdicts.iter().map(|verdict| verdict.holds).collect();
    assert_eq!(holds, [true, true, false, true, true, true, false, true, false, true]);
    assert_eq!(verdicts[2].because.as_deref(), Some("customers' data"));
    assert_eq!(
        verdicts[2].broken_by,
        [
            "@outside → web by published 0.0.0.0:8080->80/tcp, web → api by link 1 (8000/tcp), api → db by link 2 (5432/tcp)"
        ]
    );
    assert_eq!(verdicts[4].nobody, ["shop/*"]);
    assert_eq!(verdicts[6].broken_by, ["web does not reach db"]);
    assert_eq!(
        (verdicts[7].nobody.len(), verdicts[7].holds),
        (1, true),
        "it says that there was nothing to hold"
    );
    assert_eq!(verdicts[8].broken_by[0], "nobody is called `missing`");
}

#[test]
fn what_breaks_an_assertion_often_is_told_in_part_and_counted() {
    let mut facts = shop();
    for n in 0..30 {
        link(&mut facts, 100 + n, &format!("app{n}"), "vault", "1/tcp");
    }
    let policy = Policy::parse("assert = [\"deny * -> vault\"]").unwrap();
    let verdict = &policy.judge(&Exposure::draw(facts))[0];
    assert_eq!((verdict.broken_by.len(), verdict.and_more), (10, 20));
}

#[test]
fn what_is_no_policy_is_refused_with_the_place() {
    for (text, why) in [
        ("asert = []", "unknown field `asert`"),
        ("assert = [5]", "an assertion is a text"),
        ("assert = [\"deny\"]", "it does not say from whom"),
        ("assert = [\"deny group:x -> y\"]", "names the group `x`"),
        ("assert = [{ rule = \"deny a -> b\", why = \"x\" }]", "an assertion is a text"),
        ("assert = [", "line 1"),
    ] {
        let failure = Policy::parse(text).unwrap_err().one_line();
        assert!(failure.contains(why), "{text}: {failure}");
    }
    assert!(Policy::parse(&"#".repeat(2 << 20)).is_err());
    assert!(Policy::parse("").unwrap().is_empty());
}
