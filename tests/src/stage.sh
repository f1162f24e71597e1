#!/bin/sh
# Sets a stage: namespaces and cgroups of its own, in which a daemon sees a whole host and touches nothing of the real one.
# Everything on it ends when standard input does, so that nothing outlives the test that set it, however that ends.
#   stage.sh NAME DIRECTORY          make the cgroups, enter them, go into new namespaces
#   stage.sh NAME inside DIRECTORY   put the stage together, say `ready`, wait
set -eu
name=$1

cgroup_mounts() {
    sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\) .* - \(cgroup2*\) [^ ]* \(.*\)$/\1 \2 \3/p' /proc/self/mountinfo
}

if [ "$2" = inside ]; then
    # The same hierarchies again, seen from the new cgroup namespace: its root is the stage's own cgroup.
    mounts=$(cgroup_mounts)
    echo "$mounts" | while read -r point kind options; do
        umount "$point"
        case $kind in
            cgroup2) mount -t cgroup2 none "$point" ;;
            cgroup) mount -t cgroup -o "${options#rw,}" none "$point" ;;
        esac
    done
    # A version 2 group that has processes can't hand controllers on, unless it is the host's root: all live in a leaf.
    cgroup_mounts | while read -r point kind _; do
        if [ "$kind" = cgroup2 ]; then
            mkdir "$point/stage"
            echo $$ >"$point/stage/cgroup.procs"
        fi
    done
    # Addresses of documentation networks (RFC 5737): .1 is the stage's host, .2 a neighbour, 198.51.100.1 the far outside.
    unshare --net sh -c 'ip link set lo up; echo up; exec sleep infinity' >"$3/outside.ready" &
    outside=$!
    until [ -s "$3/outside.ready" ]; do sleep 0.01; done
    ip link set lo up
    ip link add up0 type veth peer name up0 netns "$outside"
    ip address add 192.0.2.1/24 dev up0
    ip link set up0 up
    ip route add default via 192.0.2.2
    nsenter --target "$outside" --net sh -c \
        'ip address add 192.0.2.2/24 dev up0; ip link set up0 up; ip address add 198.51.100.1/32 dev lo'
    echo "$outside" >"$3/outside"
    echo ready
    cat >/dev/null
    exit
fi

cgroup_mounts | while read -r point kind options; do
    mkdir -p "$point/$name"
    for file in cpuset.cpus cpuset.mems; do
        if [ "$kind" = cgroup ] && [ -e "$point/$file" ]; then cat "$point/$file" >"$point/$name/$file"; fi
    done
    echo $$ >"$point/$name/cgroup.procs"
done
exec unshare --cgroup --mount --net --uts --ipc --pid --fork --kill-child --mount-proc sh "$0" "$name" inside "$2"
