//! The table, compared with what `nft` makes of the same rules as text.

use crate::lab::{Lab, endpoint, publish};
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn our_table_is_the_one_nft_makes_of_the_text() {
    let Some(lab) = Lab::new() else { return };
    let place = lab.place();
    let loaded = place.inside(|| {
        let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        nft.stdin.take().unwrap().write_all(include_bytes!("haven.nft")).unwrap();
        nft.wait().unwrap()
    });
    assert!(loaded.success());
    // ip_forward was off in the new namespace, which our table remembers.
    let theirs =
        place.run("nft list ruleset").replace("haven table 2", "haven table 2; turned ip_forward on");
    let ours = lab.host.run("nft list ruleset");
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
}

#[test]
fn elements_read_as_they_are_meant() {
    let Some(lab) = Lab::new() else { return };
    let mut web = endpoint(5);
    web.published = vec![publish("0.0.0.0", 8080, "80"), publish("127.0.0.1", 5353, "53/udp")];
    let _web = lab.attach(&web);
    let has = |set: &str, text: &str| {
        let listed = lab.elements(set);
        assert!(listed.contains(text), "{listed}");
    };
    has("bind4", "\"hv0505050505050\" . 10.210.0.6");
    has("src_id", "\"hv0505050505050\" : 0x00000005");
    has("dst_id", "\"hv0505050505050\" : 0x00000005");
    has("egress_any", "0x00000005 : 0xc0000005");
    has("live", "0xc0000005 counter");
    has("live", "0xd0000005 counter");
    has("links", "0x00fffff0 . 0x00000005 . tcp . 80 : 0xd0000005");
    has("publish4_any", "tcp . 8080 : 10.210.0.6 . 80");
    has("publish4", "127.0.0.1 . udp . 5353 : 10.210.0.6 . 53");
    assert!(!lab.elements("links").contains("udp"), "a port on loopback is not open to the outside");
}
