//! Health checks.

use haven_tests::{Archive, House, ImageConfig, Layer, Options, busybox_archive, within};
use std::time::Duration;

fn health(house: &House, name: &str) -> String {
    house.inspect(name, "{{.State.Health.Status}}")
}

#[test]
fn a_check_that_passes_makes_it_healthy_and_one_that_fails_unhealthy() {
    let house = House::open();
    let options = "--health-interval 300ms --health-retries 2 --health-timeout 5s";
    house.detached(&format!("--name checked {options} --health-cmd true"), "sleep 1000");
    house.detached(&format!("--name failing {options} --health-cmd false"), "sleep 1000");
    within(Duration::from_secs(20), "healthy", || health(&house, "checked") == "healthy");
    within(Duration::from_secs(20), "unhealthy", || health(&house, "failing") == "unhealthy");
    let list = house.haven("ps --filter health=healthy --format {{.Names}}").succeeds();
    assert_eq!(list, "checked");
    house.haven("ps --format {{.Status}} --filter name=checked").exits(0).says("(healthy)");
}

#[test]
fn health_changes_with_the_check_and_its_output_is_kept() {
    let house = House::open();
    house
        .haven("run -d --name moody --health-interval 200ms --health-retries 1 --health-cmd")
        .args(["test -e /tmp/ok && echo fine", haven_tests::BUSYBOX, "sh", "-c", "sleep 1000"])
        .succeeds();
    within(Duration::from_secs(20), "unhealthy", || health(&house, "moody") == "unhealthy");
    house.haven("exec moody touch /tmp/ok").succeeds();
    within(Duration::from_secs(20), "healthy", || health(&house, "moody") == "healthy");
    let log = house.inspect("moody", "{{range .State.Health.Log}}{{.ExitCode}}:{{.Output}}{{end}}");
    assert!(log.contains("0:fine"), "{log}");
}

#[test]
fn a_check_that_hangs_counts_as_failed() {
    let house = House::open();
    house.haven("run -d --name hung --health-interval 200ms --health-timeout 300ms --health-retries 1 --health-cmd").args(["sleep 100", haven_tests::BUSYBOX, "sleep", "1000"]).succeeds();
    within(Duration::from_secs(20), "unhealthy", || health(&house, "hung") == "unhealthy");
}

#[test]
fn the_images_check_is_used_and_can_be_turned_off() {
    let check = serde_json::json!({ "Test": ["CMD", "/bin/busybox", "true"], "Interval": 300_000_000 });
    let config = ImageConfig {
        command: vec!["/bin/busybox".into(), "sleep".into(), "1000".into()],
        health: Some(check),
        ..ImageConfig::default()
    };
    let busybox = std::fs::read("/bin/busybox").expect("busybox is installed");
    let image = Archive::new("checked:1", config).layer(Layer::new().directory("bin/", 0o755).file(
        "bin/busybox",
        0o755,
        busybox,
    ));
    let path = std::env::temp_dir().join(format!("haven-checked-{}.tar", std::process::id()));
    image.write(&path);
    let house =
        House::open_with(Options { images: vec![busybox_archive(), path.clone()], ..Options::default() });
    std::fs::remove_file(&path).expect("the archive can be removed");
    house.haven("run -d --name with checked:1").succeeds();
    house.haven("run -d --name without --no-healthcheck checked:1").succeeds();
    within(Duration::from_secs(20), "healthy", || health(&house, "with") == "healthy");
    assert_eq!(house.inspect("without", "{{if .State.Health}}checked{{else}}unchecked{{end}}"), "unchecked");
}
