//! A client Haven didn't write: docker's command line against Haven's socket.

use haven_tests::{BUSYBOX, House, busybox_archive, eventually};

#[test]
fn the_docker_command_line_runs_containers() {
    let house = House::open();
    house.docker("load -i").arg(busybox_archive().display().to_string()).exits(0).says(BUSYBOX);
    let answer =
        house.docker("run --rm").args([BUSYBOX, "sh", "-c", "echo out; echo err >&2; exit 7"]).exits(7);
    assert_eq!((answer.stdout.as_str(), answer.stderr.as_str()), ("out\n", "err\n"));
    house.docker("run --rm -i").args([BUSYBOX, "wc", "-c"]).input("12345").exits(0).says("5");
    let mut shell = house.docker("run --rm -it").args([BUSYBOX, "sh"]).on_a_terminal().start();
    shell.wait_for("/ # ");
    shell.say(b"echo $((6*7)); exit 3\n");
    shell.wait_for("42");
    assert_eq!(shell.finish().code, 3);
}

#[test]
fn the_docker_command_line_looks_after_a_container() {
    let house = House::open();
    let id = house
        .docker("run -d --name web --memory 64m --cpus 0.5 --pids-limit 64 -v data:/srv -p 8080:80")
        .args([BUSYBOX, "/probe", "serve", "80"])
        .succeeds();
    assert_eq!(id.len(), 64);
    house.docker("ps").exits(0).says("0.0.0.0:8080->80/tcp").says("web");
    house.docker("exec web sh -c").arg("echo kept > /srv/file; exit 9").exits(9);
    house
        .docker("inspect --format")
        .args(["{{.State.Status}} {{.HostConfig.Memory}}", "web"])
        .exits(0)
        .says("running 67108864");
    house.docker("top web").exits(0).says("serve");
    house.docker("stats --no-stream web").exits(0).says("64MiB");
    house.docker("diff web").exits(0);
    house.docker("pause web").succeeds();
    house.docker("unpause web").succeeds();
    house.docker("rename web site").succeeds();
    house.docker("restart -t 0 site").succeeds();
    house.docker("logs site").exits(0);
    let to = house.stage().path("copied").display().to_string();
    house.docker("cp site:/srv/file").arg(&to).succeeds();
    assert_eq!(std::fs::read_to_string(&to).expect("it was copied"), "kept\n");
    house.docker("commit site site:copy").succeeds();
    house.docker("stop -t 0 site").succeeds();
    house.docker("rm site").succeeds();
    house.docker("volume ls").exits(0).says("data");
    house.docker("volume rm data").succeeds();
    house.docker("rmi site:copy").succeeds();
}

#[test]
fn the_docker_command_line_tells_about_the_whole() {
    let house = House::open();
    house.docker("version").exits(0).says("Server");
    house.docker("info").exits(0).says("Server Version");
    house.docker("images").exits(0).says("busybox");
    house.docker("system df").exits(0).says("Images");
    house.docker("network ls").exits(0).says("none").says("host");
    let mut events = house.docker("events").start();
    std::thread::sleep(std::time::Duration::from_millis(300));
    house.docker("run --rm").args([BUSYBOX, "true"]).succeeds();
    events.wait_for("destroy");
    events.kill();
    house.docker("run -d --rm --name brief").args([BUSYBOX, "sleep", "0.2"]).succeeds();
    eventually("it is gone", || house.docker("ps -aq").succeeds().is_empty());
    house.docker("system prune --force").succeeds();
}
