# Runs inside the virtual machine (see xtask/src/vm.rs): Haven on cgroup v2 alone, on the kernel Debian ships.
# Every check prints `ok` or `FAILED`; the last line is V2-PASS only when none failed.
echo V2-BEGIN
cd /mnt
failed=0
check() { # name, expected, command...
    name=$1 expected=$2
    shift 2
    got=$(timeout 60 "$@" 2>&1)
    status=$?
    case "$got;$status" in
    $expected) echo "ok      $name" ;;
    *) echo "FAILED  $name: got [$got;$status], wanted [$expected]"; failed=1 ;;
    esac
}
export PATH="/mnt:$PATH"
./haven daemon --data-root /mnt/data > /mnt/daemon.log 2>&1 &
daemon=$!
n=0
while [ ! -S /run/haven/haven.sock ] && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done

check "an image is imported" "sha256:*;0" haven import /mnt/busybox.tar bb
check "a container runs to its exit" "hello;0" haven run --rm bb echo hello
check "its exit status is passed on" ";7" haven run --rm bb sh -c 'exit 7'
check "it has ids of its own" "*1000000000*;0" haven run --rm bb cat /proc/self/uid_map
check "it sees its own control group only" "0::/;0" haven run --rm bb cat /proc/self/cgroup
check "its control groups are read-only" "*ead-only*;1" haven run --rm bb sh -c 'mkdir /sys/fs/cgroup/x'
check "a memory limit is set" "67108864;0" haven run --rm --memory 64m bb cat /sys/fs/cgroup/memory.max
check "a processor limit is set" "50000 100000;0" haven run --rm --cpus 0.5 bb cat /sys/fs/cgroup/cpu.max
check "a process limit is set" "64;0" haven run --rm --pids-limit 64 bb cat /sys/fs/cgroup/pids.max
check "who exceeds memory is killed" "*;137" haven run --name oom --memory 16m bb sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=60; tail /dev/zero'
check "and that is reported" "true;0" haven inspect --format '{{.State.OOMKilled}}' oom
check "a device that isn't allowed can't be opened" "*;1" haven run --rm --cap-add MKNOD --userns host bb sh -c 'busybox mknod /d b 254 0 && head -c1 /d'
check "a device that is allowed can" "ok;0" haven run --rm --userns host --device /dev/vda bb sh -c 'head -c1 /dev/vda > /dev/null && echo ok'
check "a container runs in the background" "*;0" haven run -d --name bg bb sleep 1000
check "a process is added to it, with its ids" "*1000065536*;0" haven exec bg cat /proc/self/uid_map
check "it is paused" "bg;0" haven pause bg
check "and shown so" "paused;0" haven inspect --format '{{.State.Status}}' bg
check "and goes on" "bg;0" haven unpause bg
check "its limits are changed" "bg;0" haven update --memory 32m --memory-swap 64m bg
check "and hold" "33554432;0" haven exec bg cat /sys/fs/cgroup/memory.max
check "its counters are read" "bg;0" haven stats --no-stream --format '{{.Name}}' bg
kill -9 $daemon
sleep 0.3
./haven daemon --data-root /mnt/data >> /mnt/daemon.log 2>&1 &
daemon=$!
sleep 2
check "it outlives the daemon" "running;0" haven inspect --format '{{.State.Status}}' bg
check "it is stopped" "bg;0" haven stop -t 1 bg
check "everything is removed" "*;0" haven rm -f bg oom
check "no control group is left" "0;0" sh -c 'find /sys/fs/cgroup/haven -mindepth 1 -type d 2>/dev/null | wc -l'
check "nothing is mounted" "0;0" sh -c 'grep -c overlay /proc/self/mountinfo; true'
kill $daemon; wait
[ $failed = 0 ] && echo V2-PASS || { tail -20 /mnt/daemon.log; echo V2-FAIL; }
