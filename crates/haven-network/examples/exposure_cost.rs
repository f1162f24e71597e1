//! Times questions over 10,000 applications and 100,000 links: `exposure_cost`. Nothing of the kernel is touched.

use haven_network::exposure::{Difference, Exposure, Facts, LinkFact, Place, Policy, PublishFact};
use haven_network::{LinkId, Traffic};
use haven_spec::{Outcome, PortKey};
use std::io::Write as _;
use std::time::Instant;

const APPLICATIONS: u32 = 10_000;
const LINKS: u32 = 100_000;

fn main() -> Outcome<()> {
    let mut facts = Facts::new();
    let mut number = 88_172_645_463_325_252_u64;
    let mut any = || {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        u32::try_from(number % u64::from(APPLICATIONS)).unwrap_or_default()
    };
    let apps: Vec<_> =
        (0..APPLICATIONS).map(|n| facts.application(&format!("stack{}/app{n}", n / 10))).collect();
    let traffic = Traffic::parse("443/tcp")?;
    for id in 1..=LINKS {
        let (from, to) = (Place::Application(apps[any() as usize]), Place::Application(apps[any() as usize]));
        facts.link(LinkId::new(id)?, LinkFact { from, to, traffic });
    }
    for port in 0..50 {
        facts.publish(PublishFact {
            application: apps[any() as usize],
            host: ([0, 0, 0, 0], 8000 + port).into(),
            container: PortKey::parse("80/tcp")?,
            from: Vec::new(),
        });
    }
    let time = |what: &str, work: &mut dyn FnMut() -> String| {
        let mut best = f64::MAX;
        let mut all = 0.0;
        let mut said = String::new();
        for _ in 0..9 {
            let start = Instant::now();
            said = work();
            let ms = start.elapsed().as_secs_f64() * 1000.0;
            best = best.min(ms);
            all += ms;
        }
        drop(writeln!(std::io::stdout(), "{what}: mean {:.1} ms, best {best:.1} ms ({said})", all / 9.0));
    };
    let exposure = Exposure::draw(facts.clone());
    time("draw the picture", &mut || format!("{:?} points and edges", Exposure::draw(facts.clone()).size()));
    time("who reaches one, with every path", &mut || {
        exposure.who_reaches("stack7/app77").map_or_else(|e| e.one_line(), |a| a.beyond.len().to_string())
    });
    time("what is reached from the internet, with every path", &mut || {
        exposure.reached_from("internet").map_or_else(|e| e.one_line(), |a| a.beyond.len().to_string())
    });
    time("a path from the internet to one", &mut || {
        let path = exposure.path("internet", "stack7/app77", haven_network::exposure::Manner::ByAnyPath);
        path.ok().flatten().map_or(0, |path| path.len()).to_string()
    });
    time("what if one link more: picture and difference", &mut || {
        let mut more = facts.clone();
        let link = LinkFact { from: Place::Application(apps[1]), to: Place::Application(apps[2]), traffic };
        LinkId::new(LINKS + 1)
            .map(|id| more.link(id, link))
            .map_or_else(|e| e.one_line(), |()| String::new());
        Difference::between(&exposure, &Exposure::draw(more)).opens.len().to_string()
    });
    time("what if one link less: picture and difference", &mut || {
        let mut less = facts.clone();
        if let Ok(id) = LinkId::new(77) {
            less.remove_link(id);
        }
        Difference::between(&exposure, &Exposure::draw(less)).closes.len().to_string()
    });
    time("choke points", &mut || exposure.choke_points(10).len().to_string());
    let policy = Policy::parse(
        "assert = [\"deny * -> stack7/app77\", \"unreachable internet ~> stack7/app77\", \"only stack1/* -> stack7/*\"]",
    )?;
    time("three assertions", &mut || {
        policy.judge(&exposure).iter().filter(|verdict| verdict.holds).count().to_string()
    });
    Ok(())
}
