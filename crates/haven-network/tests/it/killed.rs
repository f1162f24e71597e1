//! A daemon killed at any moment leaves nothing that its successor does not find.

use crate::lab::{Lab, endpoint, publish, same};
use haven_network::{Network, NetworkConfig};
use haven_sys::network_namespace;
use rustix::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Tells a copy of this program that it is the one to be killed.
const VICTIM: &str = "HAVEN_NETWORK_TEST_VICTIM";
const MOMENTS: u64 = 40;

/// Connects and disconnects containers until it is killed. Not a test of its own.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let network = Network::open(NetworkConfig::default()).unwrap();
    let mut places = std::collections::VecDeque::new();
    for round in 0.. {
        let n = u8::try_from(round % 20).unwrap() + 1;
        let mut one = endpoint(n);
        one.published = vec![publish("0.0.0.0", 8000 + u16::from(n), "80")];
        let place = network_namespace::create().unwrap();
        network.attach(place.as_fd(), &one).unwrap();
        places.push_back((place, one.container));
        if places.len() > 5 {
            let (place, container) = places.pop_front().unwrap();
            assert!(network.detach(&container).is_empty());
            drop(place);
        }
    }
}

#[test]
fn a_daemon_killed_at_any_moment_leaves_nothing() {
    let Some(lab) = Lab::new() else { return };
    let empty = lab.kernel_state();
    // A container of the record, which has to come through unharmed.
    let mut web = endpoint(100);
    web.published = vec![publish("0.0.0.0", 8080, "80")];
    let place = lab.attach(&web);
    let whole = lab.kernel_state();
    let listener = place.listen("0.0.0.0:80");
    for moment in 0..MOMENTS {
        let mut victim = lab.host.inside(|| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "killed::victim"])
                .env(VICTIM, "1")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        });
        // From before the first message to far into the churn.
        std::thread::sleep(Duration::from_micros(3_000 + moment * 2_311));
        assert!(victim.try_wait().unwrap().is_none(), "the victim ended by itself");
        victim.kill().unwrap();
        victim.wait().unwrap();
        let repairs = lab.host.inside(|| lab.network.reconcile(std::slice::from_ref(&web))).unwrap();
        assert!(repairs.failures.is_empty(), "{repairs:?}");
        assert!(repairs.detached.is_empty(), "{repairs:?}");
        // Interfaces may have gone with their namespaces while they were being listed.
        let deadline = Instant::now() + Duration::from_secs(10);
        while lab.kernel_state() != whole && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        same(&lab.kernel_state(), &whole);
        assert!(lab.outside.reaches(crate::lab::HOST, 8080, &listener));
    }
    assert!(lab.host.inside(|| lab.network.detach(&web.container)).is_empty());
    drop(place);
    let deadline = Instant::now() + Duration::from_secs(10);
    while lab.kernel_state() != empty && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    same(&lab.kernel_state(), &empty);
}
