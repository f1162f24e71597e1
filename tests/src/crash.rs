//! A campaign against the daemon: it is killed again and again, at random moments, while containers come and go.
//!
//! What must hold however it falls: a container whose start was acknowledged exists and ends with its own code; one whose
//! removal was acknowledged is gone; those that ran go on, with the same process and without a gap in their log; and after
//! the last start the kernel's own lists hold nothing of a container that isn't there any more.

use crate::{BUSYBOX, Client, House, eventually, look, within};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a campaign did, for the report.
#[derive(Debug, Default, Clone)]
pub struct Toll {
    pub kills: usize,
    pub started: usize,
    pub removed: usize,
    pub refused: usize,
}

/// One short-lived container of the churn.
struct Expected {
    name: String,
    code: i32,
    /// `None`: its removal was asked for and never answered, so both is right.
    exists: Option<bool>,
}

/// Kills the daemon `kills` times; panics at the first thing that doesn't hold. `seed` 0 takes one from the clock.
pub fn campaign(kills: usize, seed: u64) -> Toll {
    let seed = if seed == 0 { from_clock() } else { seed };
    crate::say(&format!("crash campaign: {kills} kills, seed {seed}"));
    let mut random = Random(seed | 1);
    let mut house = House::open();
    let steady = steady_ones(&house);

    let stop = Arc::new(AtomicBool::new(false));
    let churns: Vec<_> = (0..3)
        .map(|number| {
            let (client, stop) = (house.client(), Arc::clone(&stop));
            let random = Random(random.next() | 1);
            spawn(move || churn(number, &client, &stop, random))
        })
        .collect();

    for number in 0..kills {
        sleep(Duration::from_millis(random.next() % 400));
        house.kill_daemon();
        // Sometimes it is away for a while, sometimes not at all.
        if random.next().is_multiple_of(3) {
            sleep(Duration::from_millis(random.next() % 600));
        }
        house.start_daemon();
        if number % 20 == 19 {
            crate::say(&format!("crash campaign: {} kills", number + 1));
        }
    }

    stop.store(true, Ordering::Relaxed);
    let mut toll = Toll { kills, ..Toll::default() };
    let mut expected = Vec::new();
    for churn in churns {
        let (own, refused) = churn.join().expect("a churn ends");
        toll.refused += refused;
        expected.extend(own);
    }
    toll.started = expected.len();
    toll.removed = expected.iter().filter(|one| one.exists == Some(false)).count();
    check_churn(&house, &expected);
    check_steady(&house, &steady);
    check_leftovers(&house);
    toll
}

/// Containers that run all the time: name, process, and what they write.
fn steady_ones(house: &House) -> Vec<(String, String)> {
    let names = ["steady-one", "steady-two"];
    for name in names {
        house.detached(
            &format!("--name {name} --log-opt max-size=50m"),
            "i=0; while :; do i=$((i+1)); echo tick $i; sleep 0.05; done",
        );
    }
    let pid = |name: &str| house.inspect(name, "{{.State.Pid}}");
    names.iter().map(|name| ((*name).to_owned(), pid(name))).collect()
}

/// Starts and removes containers until told to stop; what is to be expected of them, and how often nobody answered.
fn churn(number: usize, client: &Client, stop: &AtomicBool, mut random: Random) -> (Vec<Expected>, usize) {
    let mut all = Vec::new();
    let mut refused = 0;
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let name = format!("churn-{number}-{count}");
        let code = i32::try_from(random.next() % 100).unwrap_or(0);
        let script = format!("sleep 0.{}; exit {code}", random.next() % 5);
        let start = client.haven(&format!("run -d --name {name}")).args([BUSYBOX, "sh", "-c", &script]).run();
        if start.code != 0 {
            refused += 1;
            sleep(Duration::from_millis(20));
            continue;
        }
        let mut one = Expected { name, code, exists: Some(true) };
        if random.next().is_multiple_of(2) {
            sleep(Duration::from_millis(random.next() % 200));
            let removal = client.haven("rm --force").arg(&one.name).run();
            one.exists = (removal.code == 0).then_some(false);
        }
        all.push(one);
    }
    (all, refused)
}

fn check_churn(house: &House, expected: &[Expected]) {
    let lost = Mutex::new(Vec::new());
    for one in expected {
        let found = house.haven("inspect --format").args(["{{.State.Status}}", &one.name]).run();
        match (found.code == 0, one.exists) {
            (false, Some(true)) => lost.lock().expect("one thread").push(format!("{} is lost", one.name)),
            (true, Some(false)) => {
                lost.lock().expect("one thread").push(format!("{} was removed and is there", one.name))
            }
            (true, Some(true)) => {
                within(Duration::from_secs(20), &format!("{} ends", one.name), || {
                    house.inspect(&one.name, "{{.State.Status}}") == "exited"
                });
                let code = house.inspect(&one.name, "{{.State.ExitCode}}");
                if code != one.code.to_string() {
                    lost.lock()
                        .expect("one thread")
                        .push(format!("{} ended with {code}, not {}", one.name, one.code));
                }
            }
            (_, None) | (false, Some(false)) => {}
        }
    }
    let lost = lost.into_inner().expect("one thread");
    assert!(lost.is_empty(), "{}\n{}", lost.join("\n"), house.daemon_log());
}

fn check_steady(house: &House, steady: &[(String, String)]) {
    for (name, pid) in steady {
        assert_eq!(
            house.inspect(name, "{{.State.Status}} {{.State.Pid}}"),
            format!("running {pid}"),
            "{name}"
        );
        let logged = house.haven("logs").arg(name).exits(0).stdout;
        let numbers: Vec<u32> =
            logged.lines().filter_map(|line| line.strip_prefix("tick ")?.parse().ok()).collect();
        let gap = numbers.windows(2).find(|pair| pair[1] != pair[0] + 1);
        assert!(gap.is_none() && numbers.first() == Some(&1), "{name}: {gap:?} of {} lines", numbers.len());
        let last = *numbers.last().expect("lines");
        eventually("it goes on", || {
            let tail = house.haven("logs --tail 1").arg(name).run().stdout;
            tail.trim().strip_prefix("tick ").and_then(|number| number.parse::<u32>().ok()) > Some(last)
        });
    }
}

fn check_leftovers(house: &House) {
    let list = house.haven("ps --all --quiet --no-trunc").succeeds();
    let alive: Vec<String> = list.lines().map(str::to_owned).collect();
    let left = look(house.stage(), &alive, &house.data_root(), &house.run_root());
    assert!(left.is_empty(), "left behind:\n{left}\n{}", house.daemon_log());
}

/// xorshift64: reproducible from its seed, which is all that is asked of it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn from_clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs() << 20
}
