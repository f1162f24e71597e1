//! Haven on the kernel that Debian ships, with cgroup v2 alone: a virtual machine in software emulation, so that
//! it runs anywhere. The script `tests/v2/check.sh` runs inside, on an ext4 disk; it must say `V2-PASS`.
//!
//! The kernel is Debian's package, unpacked below `target/vm`, never installed. Half a minute in all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What of Debian's modular kernel Haven needs; dependencies come along.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_blk",
    "crc32c_generic",
    "ext4",
    "overlay",
    "veth",
    "nf_tables",
    "nft_ct",
    "nft_reject_inet",
    "nft_log",
    "nft_nat",
    "nft_masq",
    "nft_chain_nat",
    "nft_fib_inet",
    "nft_limit",
    "nft_objref",
    "nft_counter",
    "nft_redir",
    "nf_conntrack_netlink",
    "nfnetlink_log",
];

const APPLETS: &[&str] = &[
    "sh",
    "mount",
    "umount",
    "insmod",
    "ls",
    "cat",
    "mkdir",
    "rmdir",
    "rm",
    "cp",
    "poweroff",
    "sleep",
    "ip",
    "echo",
    "grep",
    "ps",
    "date",
    "head",
    "tail",
    "wc",
    "cut",
    "sed",
    "find",
    "kill",
    "test",
    "nc",
    "wget",
    "dd",
    "sort",
    "tr",
    "timeout",
    "true",
    "id",
    "switch_root",
    "sync",
];

/// The initial file system cannot be left by pivot_root(2), so the machine moves to another one first, as every host does.
const INIT: &str = r#"#!/bin/sh
mkdir /host
mount -t tmpfs host /host
cp -a /bin /dev /proc /sys /run /tmp /etc /mnt /lib /root /var /modules /start /host
exec switch_root /host /start
"#;

const START: &str = r#"#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs run /run
while read -r module; do insmod "$module" 2>/dev/null; done < /modules
mount -t cgroup2 none /sys/fs/cgroup
mount /dev/vda /mnt
ip link set lo up
sh /mnt/check.sh
sync
poweroff -f
"#;

/// Longest run: booting takes seconds, the checks a minute.
const LIMIT: &str = "300";

pub(crate) fn run(root: &Path) -> Result<(), String> {
    let root = &fs::canonicalize(root).map_err(|error| format!("vm: {error}"))?;
    let binary = root.join("target/haven");
    if !binary.is_file() {
        return Err("vm: `target/haven` is missing; run `make build` first".into());
    }
    let work = root.join("target/vm");
    fs::create_dir_all(&work).map_err(|error| format!("vm: cannot make `{}`: {error}", work.display()))?;
    let kernel = kernel(&work)?;
    let initrd = initrd(&work, &kernel)?;
    let disk = disk(root, &work, &binary)?;
    crate::say("vm: booting");
    let output = Command::new("timeout")
        .arg(LIMIT)
        .arg("qemu-system-x86_64")
        .args(["-M", "pc", "-m", "1024", "-smp", "2", "-nographic", "-no-reboot", "-net", "none", "-kernel"])
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", "console=ttyS0 no_timer_check panic=1 quiet", "-drive"])
        .arg(format!("file={},if=virtio,format=raw", disk.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("vm: cannot run qemu-system-x86_64: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let said = said.split_once("V2-BEGIN").map_or(&*said, |(_, rest)| rest);
    crate::say(said.trim());
    if said.contains("V2-PASS") { Ok(()) } else { Err("vm: the checks did not pass".into()) }
}

struct Kernel {
    image: PathBuf,
    modules_root: PathBuf,
    version: String,
}

fn command(program: &str, directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .map_err(|error| format!("vm: cannot run {program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("vm: {program} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

/// Debian's kernel, fetched and unpacked once.
fn kernel(work: &Path) -> Result<Kernel, String> {
    let modules_root = work.join("kernel");
    if !modules_root.join("boot").is_dir() {
        let depends = command("apt-cache", work, &["depends", "linux-image-amd64"])?;
        let package = depends.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).map(str::trim);
        let package = package.ok_or("vm: apt knows no kernel; run `apt-get update`")?;
        crate::say(&format!("vm: apt-get download {package}"));
        command("apt-get", work, &["download", package])?;
        let found =
            fs::read_dir(work).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
        let archive = found.filter(|path| path.extension().is_some_and(|e| e == "deb")).max();
        let archive = archive.ok_or("vm: the downloaded kernel is not there")?;
        let (from, to) = (archive.display().to_string(), modules_root.display().to_string());
        command("dpkg-deb", work, &["-x", &from, &to])?;
    }
    let versions = fs::read_dir(modules_root.join("lib/modules")).map_err(|error| error.to_string())?;
    let version = versions.flatten().next().ok_or("vm: the kernel has no modules")?.file_name();
    let version = version.to_string_lossy().into_owned();
    let base = modules_root.display().to_string();
    command("depmod", work, &["-b", &base, &version])?;
    Ok(Kernel { image: modules_root.join(format!("boot/vmlinuz-{version}")), modules_root, version })
}

/// Busybox, the modules in the order they load, and the first process.
fn initrd(work: &Path, kernel: &Kernel) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("vm: cannot make the initial file system: {error}");
    let tree = work.join("initrd");
    drop(fs::remove_dir_all(&tree));
    for directory in ["bin", "dev", "proc", "sys", "run", "tmp", "etc", "mnt", "lib", "root", "var"] {
        fs::create_dir_all(tree.join(directory)).map_err(failed)?;
    }
    fs::copy("/bin/busybox", tree.join("bin/busybox")).map_err(failed)?;
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", tree.join("bin").join(applet)).map_err(failed)?;
    }
    let base = kernel.modules_root.display().to_string();
    let mut order: Vec<String> = Vec::new();
    for module in MODULES {
        // One that is built in has no file and needs none.
        let Ok(lines) =
            command("modprobe", work, &["-d", &base, "-S", &kernel.version, "--show-depends", module])
        else {
            continue;
        };
        for line in lines.lines() {
            let Some(path) = line.split_whitespace().nth(1).filter(|_| line.starts_with("insmod")) else {
                continue;
            };
            let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !order.contains(&name) {
                fs::copy(path, tree.join("lib").join(&name)).map_err(failed)?;
                order.push(name);
            }
        }
    }
    let list: String = order.iter().map(|name| format!("/lib/{name}\n")).collect();
    fs::write(tree.join("modules"), list).map_err(failed)?;
    fs::write(tree.join("etc/resolv.conf"), "nameserver 192.0.2.53\n").map_err(failed)?;
    for (name, script) in [("init", INIT), ("start", START)] {
        fs::write(tree.join(name), script).map_err(failed)?;
        fs::set_permissions(tree.join(name), fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    let packed = work.join("initrd.gz");
    command(
        "sh",
        &tree,
        &["-c", &format!("find . | cpio -o -H newc --quiet | gzip -1 > '{}'", packed.display())],
    )?;
    Ok(packed)
}

/// An ext4 disk with the binary, the script and an image of busybox alone.
fn disk(root: &Path, work: &Path, binary: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("vm: cannot make the disk: {error}");
    let (tree, image) = (work.join("disk"), work.join("image"));
    drop(fs::remove_dir_all(&tree));
    drop(fs::remove_dir_all(&image));
    fs::create_dir_all(&tree).map_err(failed)?;
    fs::create_dir_all(image.join("bin")).map_err(failed)?;
    fs::copy(binary, tree.join("haven")).map_err(failed)?;
    fs::copy(root.join("tests/v2/check.sh"), tree.join("check.sh")).map_err(failed)?;
    fs::copy("/bin/busybox", image.join("bin/busybox")).map_err(failed)?;
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", image.join("bin").join(applet)).map_err(failed)?;
    }
    command("tar", &image, &["-cf", &tree.join("busybox.tar").display().to_string(), "bin"])?;
    let disk = work.join("disk.img");
    drop(fs::remove_file(&disk));
    let (from, to) = (tree.display().to_string(), disk.display().to_string());
    command("truncate", work, &["-s", "1G", &to])?;
    command("mke2fs", work, &["-q", "-t", "ext4", "-d", &from, "-F", &to])?;
    Ok(disk)
}
