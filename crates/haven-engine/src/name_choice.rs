//! Names for containers whose user gave none: an adjective and a harbour word, as in `calm_lighthouse`.

const ADJECTIVES: &[&str] = &[
    "able", "agile", "amber", "ample", "apt", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid",
    "clear", "clever", "coral", "cosy", "crisp", "daring", "deft", "eager", "early", "exact", "fair",
    "fleet", "fond", "frank", "free", "fresh", "gentle", "glad", "golden", "grand", "happy", "hardy",
    "honest", "humble", "ideal", "jolly", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow",
    "merry", "mild", "modest", "neat", "nimble", "noble", "patient", "placid", "plain", "proud", "quick",
    "quiet", "ready", "robust", "serene", "sharp", "silver", "sleek", "smooth", "snug", "sound", "stable",
    "steady", "still", "sturdy", "sunny", "sure", "swift", "tidy", "trim", "true", "trusty", "upbeat",
    "vivid", "warm", "wise", "witty",
];

const NOUNS: &[&str] = &[
    "anchor",
    "anchorage",
    "atoll",
    "ballast",
    "barge",
    "bay",
    "beacon",
    "berth",
    "boathouse",
    "bollard",
    "bow",
    "breakwater",
    "bridge",
    "buoy",
    "cabin",
    "canal",
    "canoe",
    "cape",
    "captain",
    "cargo",
    "channel",
    "chart",
    "clipper",
    "coast",
    "compass",
    "coracle",
    "cove",
    "crane",
    "current",
    "cutter",
    "deck",
    "delta",
    "dinghy",
    "dock",
    "dory",
    "estuary",
    "ferry",
    "fjord",
    "frigate",
    "galleon",
    "gangway",
    "harbour",
    "haven",
    "headland",
    "helm",
    "horizon",
    "hull",
    "inlet",
    "island",
    "jetty",
    "kayak",
    "keel",
    "ketch",
    "lagoon",
    "landing",
    "lantern",
    "lighthouse",
    "lock",
    "mainsail",
    "marina",
    "mariner",
    "mast",
    "moorings",
    "oar",
    "packet",
    "pier",
    "pilot",
    "pinnace",
    "port",
    "porthole",
    "quay",
    "raft",
    "reef",
    "rigging",
    "river",
    "rudder",
    "sail",
    "schooner",
    "sextant",
    "shallop",
    "shore",
    "skiff",
    "sloop",
    "spar",
    "spinnaker",
    "strait",
    "tender",
    "tide",
    "tiller",
    "trawler",
    "tug",
    "voyage",
    "wharf",
    "whaler",
    "yawl",
];

/// A name from `random`; with `attempt` above zero a number is added, so that a crowded host still finds one.
pub(crate) fn choose(random: u64, attempt: u32) -> String {
    let pick =
        |list: &[&'static str], seed: u64| list[usize::try_from(seed % list.len() as u64).unwrap_or(0)];
    let name = format!("{}_{}", pick(ADJECTIVES, random), pick(NOUNS, random >> 32));
    if attempt == 0 { name } else { format!("{name}{}", random % (10_u64.pow(attempt.min(9)))) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn chosen_names_are_valid_container_names() {
        for seed in 0..10_000_u64 {
            let name = super::choose(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), (seed % 4) as u32);
            assert!(haven_spec::ContainerName::parse(&name).is_ok(), "{name}");
        }
    }
}
