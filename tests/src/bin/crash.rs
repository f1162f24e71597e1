//! `make crash`: the daemon is killed two hundred times at random moments while containers come and go.
//! `haven-crash [KILLS [SEED]]`; the seed of a campaign is printed, so that it can be repeated.

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|word| word.parse::<u64>().unwrap_or_else(|_| panic!("`{word}` is no number")));
    let kills = numbers.next().unwrap_or(200);
    let toll =
        haven_tests::campaign(usize::try_from(kills).unwrap_or(usize::MAX), numbers.next().unwrap_or(0));
    haven_tests::say(&format!(
        "crash campaign: passed; {} kills, {} containers started, {} removed, {} requests met no daemon",
        toll.kills, toll.started, toll.removed, toll.refused
    ));
}
