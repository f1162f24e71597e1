#!/bin/bash
# Runs the command line through its cases and prints a transcript: each command, its standard output and exit status.
#
#   transcript.sh CLI...        for example: transcript.sh docker -H unix:///tmp/d.sock
#                               or:          transcript.sh haven -H unix:///run/haven/haven.sock
#
# What differs from run to run (ids, times, sizes of running things) is replaced by words, so that transcripts of two
# programs, or of one program with two daemons, can be compared; see compare.sh. Everything made is called sbs-…, and
# removed before and after. Needs a static busybox (BUSYBOX, default /bin/busybox) and script(1) for terminals.
set -u
export LC_ALL=C TZ=UTC COLUMNS=80
CLI=("$@")
[ $# -gt 0 ] || { echo "usage: $0 CLI..." >&2; exit 2; }
BUSYBOX=${BUSYBOX:-/bin/busybox}
WORK=$(mktemp -d) || exit 1
ERRORS=${ERRORS:-/dev/null}

normalised() {
    sed -E \
        -e 's/sha256:[0-9a-f]{64}/sha256:ID/g' \
        -e 's/\b[0-9a-f]{64}\b/ID64/g' \
        -e 's/\b[0-9a-f]{12}\b/ID12ID12ID12/g' \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z?/TIME/g' \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2} \+0000 UTC/TIME/g' \
        -e 's/(Less than a second|About a minute|1 second|[0-9]+ seconds|[0-9]+ minutes|About an hour)( ago)?/AGE/g' \
        -e 's/AGE +/AGE /g' \
        -e 's/\b[0-9]{2}:[0-9]{2}(:[0-9]{2})?\b/CLOCK/g' \
        -e "s#$WORK#WORK#g"
}

count=0
# Runs the CLI with the arguments; shows standard output and status.
t() {
    count=$((count + 1))
    echo "\$ $*" | sed "s#$WORK#WORK#g"
    echo "\$ $*" >>"$ERRORS"
    "${CLI[@]}" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
    local status=$?
    normalised <"$WORK/out"
    cat "$WORK/err" >>"$ERRORS"
    echo "=> $status"
}
# As t, with the first argument on standard input.
i() {
    count=$((count + 1))
    local input=$1
    shift
    echo "\$ $* <<< '$input'" | sed "s#$WORK#WORK#g"
    printf '%s' "$input" | "${CLI[@]}" "$@" 2>"$WORK/err" >"$WORK/out"
    local status=$?
    normalised <"$WORK/out"
    cat "$WORK/err" >>"$ERRORS"
    echo "=> $status"
}
# As t, with columns squeezed: for tables whose widths follow ages and ports.
w() {
    count=$((count + 1))
    echo "\$ $* (squeezed)"
    "${CLI[@]}" "$@" 2>/dev/null </dev/null >"$WORK/out"
    local status=$?
    normalised <"$WORK/out" | sed -E -e 's/ +/ /g' -e 's/:[0-9]{5}->/:PORT->/g'
    echo "=> $status"
}
# As t, sorted: for lists without an order.
s() {
    count=$((count + 1))
    echo "\$ $* | sort"
    "${CLI[@]}" "$@" 2>/dev/null </dev/null >"$WORK/out"
    local status=$?
    normalised <"$WORK/out" | sort
    echo "=> $status"
}
# As t, but only whether something was printed and the status.
q() {
    count=$((count + 1))
    echo "\$ $* (quietly)" | sed "s#$WORK#WORK#g"
    "${CLI[@]}" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
    local status=$?
    [ -s "$WORK/out" ] && echo "(output)" || echo "(no output)"
    [ $status -ne 0 ] && [ ! -s "$WORK/err" ] && echo "(nothing on standard error)"
    echo "=> $status"
}
# As t, standard error too, which the container wrote.
e() {
    count=$((count + 1))
    echo "\$ $* (both)"
    "${CLI[@]}" "$@" >"$WORK/out" 2>"$WORK/err" </dev/null
    local status=$?
    normalised <"$WORK/out"
    echo "-- standard error"
    normalised <"$WORK/err"
    echo "=> $status"
}
# As t, on a terminal.
tty() {
    count=$((count + 1))
    echo "\$ $* (terminal)"
    local line
    printf -v line '%q ' "${CLI[@]}" "$@"
    script -qec "stty cols 80 rows 24; $line" /dev/null </dev/null 2>&1 | tr -d '\r' | normalised
    echo "=> ${PIPESTATUS[0]}"
}
cleanup() {
    "${CLI[@]}" ps -aq --filter name=sbs- 2>/dev/null | xargs -r "${CLI[@]}" rm -fv >/dev/null 2>&1
    "${CLI[@]}" volume ls -q --filter name=sbs- 2>/dev/null | xargs -r "${CLI[@]}" volume rm -f >/dev/null 2>&1
    "${CLI[@]}" images -q --filter 'reference=sbs-*' 2>/dev/null | sort -u | xargs -r "${CLI[@]}" rmi -f >/dev/null 2>&1
}
trap 'cleanup; rm -rf "$WORK"' EXIT
cleanup

# --- images
mkdir -p "$WORK"/root/{bin,etc,tmp,root,proc,sys,dev,srv}
cp "$BUSYBOX" "$WORK/root/bin/busybox"
for name in sh cat echo ls sleep true false env id stat touch mkdir rm head seq dd wc hostname pwd test find tty stty kill sync grep tr printf date mount ps nproc ulimit; do
    ln -s busybox "$WORK/root/bin/$name"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$WORK/root/etc/passwd"
echo 'me:x:1000:1000:me:/srv:/bin/sh' >>"$WORK/root/etc/passwd"
printf 'root:x:0:\nme:x:1000:\n' >"$WORK/root/etc/group"
printf '#!/bin/sh\necho script\n' >"$WORK/root/bin/script"
chmod 755 "$WORK/root/bin/script"
echo data >"$WORK/root/bin/plain"
tar -C "$WORK/root" -cf "$WORK/root.tar" --sort=name --numeric-owner --owner=0 --group=0 .

t import "$WORK/root.tar" sbs-base
t import -c 'CMD ["echo","from the image"]' -c 'ENV COLOUR=blue' -c 'WORKDIR /srv' -c 'LABEL kind=test' -m note "$WORK/root.tar" sbs-image:v1
i '' import - sbs-empty
t import /nonexistent.tar sbs-none
t import "$WORK/root.tar" UPPER
s images --filter 'reference=sbs-*' --format '{{.Repository}} {{.Tag}} {{.Size}}'
w images sbs-image
t images -q sbs-image
t images --no-trunc -q sbs-image
w images --digests sbs-image
t images --format json sbs-nothing
t images --format 'table {{.Repository}}\t{{.Tag}}' sbs-image
t images -f foo
t images --filter nosuch=1
w image ls sbs-image:v1
t tag sbs-image:v1 sbs-image:v2
t tag sbs-image:v1 sbs-other/deep:x
t tag sbs-nothing x
t tag sbs-image:v1 'Bad Name'
s images --format '{{.Repository}}:{{.Tag}}' sbs-image
w history sbs-image:v1
t history -q sbs-image:v1
t history --format '{{.Comment}}' sbs-image:v1
t history sbs-nothing
t inspect --type image -f '{{.Config.Cmd}} {{.Config.WorkingDir}} {{index .Config.Labels "kind"}}' sbs-image:v1
t image inspect -f '{{json .Config.Env}}' sbs-image:v1
t image inspect -f '{{len .RootFS.Layers}} {{.Os}} {{.Architecture}}' sbs-image:v1
t image inspect sbs-nothing
t save -o "$WORK/saved.tar" sbs-image:v1
t save -o "$WORK" sbs-image:v1
q save sbs-image:v1
t save sbs-nothing
t rmi sbs-other/deep:x
t rmi sbs-image:v2
t rmi sbs-nothing
t rmi -f sbs-nothing
t load -i "$WORK/saved.tar"
t load -q -i "$WORK/saved.tar"
t load -i /nonexistent.tar
head -c 1000 "$WORK/saved.tar" >"$WORK/cut.tar"
q load -i "$WORK/cut.tar"

# --- run and its exit statuses
t run --rm --name sbs-a sbs-image:v1
t run --rm sbs-base echo hello world
e run --rm sbs-base sh -c 'echo out; echo err >&2; exit 3'
t run --rm sbs-base true
t run --rm sbs-base false
t run --rm sbs-base nosuchcommand
t run --rm sbs-base /etc
t run --rm sbs-base /bin/plain
t run --rm sbs-base /bin/script
t run --rm sbs-base sh -c 'kill -9 $$'
t run --rm sbs-base sh -c 'exit 300'
t run sbs-nothing
t run
t run --nosuchflag sbs-base
t run --memory lots sbs-base
t run --cpus many sbs-base
t run -p 99999:80 sbs-base
t run -v : sbs-base true
t run --rm --restart always sbs-base
t run -d -a stdout sbs-base
t run --name 'bad name' sbs-base true
t run --name
t run --network sbs-nonet --rm sbs-base true
t run --pid nonsense sbs-base
t run --env-file /nonexistent sbs-base
t run -it --rm sbs-base true
i 'some input' run -i --rm sbs-base cat
i 'some input' run --rm sbs-base cat
i 'abc' run -i --rm sbs-base wc -c
t run --rm --entrypoint echo sbs-base over ridden
t run --rm --entrypoint '' sbs-base echo x
t run --rm -w /tmp sbs-base pwd
t run --rm -u 1000:1000 sbs-base id -u
t run --rm -u me sbs-base id -g
t run --rm -u nobodythere sbs-base id
t run --rm -h box sbs-base hostname
t run --rm -e A=1 -e B= sbs-base sh -c 'echo $A,$B'
A_FROM_HERE=yes t run --rm -e A_FROM_HERE sbs-base sh -c 'echo $A_FROM_HERE'
printf '# c\nX=1\n\nY=two words\nPATH_NOT\n' >"$WORK/env"
t run --rm --env-file "$WORK/env" sbs-base sh -c 'echo $X $Y'
t run --rm --read-only sbs-base touch /x
t run --rm --tmpfs /run:size=1m sbs-base sh -c 'touch /run/x && echo ok'
t run --rm -v "$WORK/root/etc:/mnt:ro" sbs-base ls /mnt
t run --rm -v "$WORK/root/etc:/mnt:ro" sbs-base touch /mnt/x
t run --rm --mount type=bind,source="$WORK/root/etc",target=/mnt,readonly sbs-base ls /mnt
t run --rm --mount type=bind,source=/nonexistent-sbs,target=/mnt sbs-base ls /mnt
t run --rm --mount type=nonsense,target=/mnt sbs-base true
t run --rm --network none sbs-base ls /sys/class/net
t run --rm --privileged=false sbs-base echo fine
t run --rm --init sbs-base echo init
t run --rm --ulimit nofile=100:100 sbs-base sh -c 'ulimit -n'
t run --rm --ulimit nonsense=1 sbs-base true
t run --rm --shm-size 1m --oom-score-adj 100 sbs-base echo ok
t run --rm --stop-signal NONSENSE sbs-base true
t run --rm --security-opt nonsense sbs-base true
t run --rm --sysctl vm.nonsense=1 sbs-base true
t run --rm --add-host db:10.1.2.3 sbs-base grep db /etc/hosts
t run --rm --dns 1.2.3 sbs-base true
t run --rm --log-driver none --log-opt a=b sbs-base true
t run --rm --pull never sbs-nothing
t run --rm --pull sometimes sbs-base
t run --rm -- sbs-base echo --rm
rm -f "$WORK/cid"
t run --rm --cidfile "$WORK/cid" sbs-base true
t run --rm --cidfile "$WORK/cid" sbs-base true
q run --rm sbs-base seq 1 100000
tty run --rm -t sbs-base sh -c 'tty >/dev/null && echo terminal; stty size'

# --- a container's life
t create --name sbs-c -l tier=web -e A=1 sbs-image:v1 echo created
t ps -a --filter name=sbs-c --format '{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Status}}'
t start -a sbs-c
t start sbs-c
t wait sbs-c
sleep 1
t logs sbs-c
t logs --tail 1 sbs-c
t logs -t sbs-c
t logs --since 1h --until 0s sbs-c
t logs --since nonsense sbs-c
t logs sbs-nothing
t run -d --name sbs-r -p 127.0.0.1::80 --label tier=db --memory 64m sbs-base sleep 1000
t run -d --name sbs-r sbs-base true
w ps --filter name=sbs-r
t ps --filter name=sbs-r --format '{{.Names}} {{.State}}'
t ps --filter name=sbs-r --format json --no-trunc -q
t ps --filter label=tier=db --format '{{.Label "tier"}}'
t ps --filter label=tier=db --format 'table {{.Names}}\t{{.Label "tier"}}\t{{.Labels}}'
t ps -q --filter name=sbs-r
t ps --no-trunc -q --filter name=sbs-r
t ps -l --format '{{.Names}}'
t ps -n 2 --format '{{.Names}}'
t ps -a --filter name=sbs- --filter status=exited --format '{{.Names}} {{.Status}}'
t ps --format '{{.Nonsense}}'
t ps --format '{{'
t ps extra
t ps --filter nonsense
t ps -s --filter name=sbs-r --format '{{.Names}}'
t container ls --filter name=sbs-r --format '{{.Names}}'
t container list --filter name=sbs-r --format '{{upper .Names}} {{len .ID}}'
t exec sbs-r echo inside
t exec sbs-r sh -c 'exit 9'
t exec sbs-r nosuchcommand
t exec -w /tmp sbs-r pwd
t exec -e Z=26 sbs-r sh -c 'echo $Z'
t exec -u me sbs-r id -u
t exec -d sbs-r touch /tmp/detached
i 'typed' exec -i sbs-r cat
t exec sbs-r
t exec sbs-nothing true
t exec sbs-c true
e exec sbs-r sh -c 'echo o; echo e >&2'
tty exec -t sbs-r sh -c 'tty >/dev/null && echo terminal'
t top sbs-r -o user,cmd
t top sbs-c
t port sbs-nothing
t port sbs-r 81
q port sbs-r
t diff sbs-c
t exec sbs-r sh -c 'echo new > /srv/new; rm /etc/group'
s diff sbs-r
t stats --no-stream --format '{{.Name}} {{.PIDs}}' sbs-r
t stats --no-stream sbs-nothing
t pause sbs-r
t ps --filter name=sbs-r --format '{{.State}}'
t exec sbs-r true
t pause sbs-r
t unpause sbs-r
t unpause sbs-r
t update --memory 128m --memory-swap -1 sbs-r
t inspect -f '{{.HostConfig.Memory}}' sbs-r
t update sbs-r
t update --restart nonsense sbs-r
t rename sbs-r sbs-renamed
t rename sbs-nothing x
t rename sbs-renamed sbs-c
t rename sbs-renamed sbs-r
t kill -s NONSENSE sbs-r
t kill -s 0 sbs-nothing
t rm sbs-r
t restart -t 0 sbs-r
t stop -t 0 sbs-r
t stop sbs-r
t stop sbs-nothing sbs-c
t kill sbs-r
t wait sbs-r
t inspect -f '{{.State.Status}} {{.State.Running}} {{.Name}}' sbs-r
t inspect -f '{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{end}}' sbs-r
t inspect -f '{{json .Config.Cmd}} {{.HostConfig.NetworkMode}}' sbs-r
t inspect -f '{{.Nonsense}}' sbs-r
t inspect -f '{{if eq .State.Status "exited"}}over{{else}}on{{end}}' sbs-r
t inspect -f '{{printf "%-10s|%5d" .Name .State.ExitCode}}' sbs-c
t inspect --type volume sbs-r
t inspect --type nonsense sbs-r
t inspect sbs-nothing
t inspect -s -f '{{.SizeRw}}' sbs-c
q inspect sbs-r sbs-c
t start sbs-r sbs-nothing
t kill -s KILL sbs-r
t wait sbs-r

# --- files
mkdir -p "$WORK/d/sub"
echo one >"$WORK/d/one"
echo two >"$WORK/d/sub/two"
ln -s one "$WORK/d/link"
t start sbs-r
t cp "$WORK/d" sbs-r:/srv
t cp "$WORK/d" sbs-r:/srv/named
t cp "$WORK/d/." sbs-r:/srv/content
t cp "$WORK/d/one" sbs-r:/srv/file
t cp "$WORK/d/one" sbs-r:/srv/nodir/
t cp "$WORK/d/one" sbs-r:/nodir/file
t cp "$WORK/d" sbs-r:/etc/passwd
t cp "$WORK/nonexistent" sbs-r:/srv
s exec sbs-r find /srv
t cp sbs-r:/srv/d "$WORK/back"
t cp sbs-r:/srv/d/one "$WORK/one"
t cp sbs-r:/srv/d/link "$WORK/link"
t cp -L sbs-r:/srv/d/link "$WORK/followed"
t cp sbs-r:/srv/d/. "$WORK/back/content"
t cp sbs-r:/srv/d "$WORK/one"
t cp sbs-r:/srv/d/one "$WORK/nodir/"
t cp sbs-r:/srv/d/one "$WORK/nodir/x"
t cp sbs-r:/nonexistent "$WORK"
(cd "$WORK" && find back one link followed 2>/dev/null | sort | xargs ls -ld | awk '{print $1, $NF}')
q cp sbs-r:/srv/d -
t cp sbs-nothing:/x "$WORK"
t cp a b
t cp sbs-r:/a sbs-c:/b
tar -C "$WORK" -cf "$WORK/d.tar" d
count=$((count + 1))
"${CLI[@]}" cp - sbs-r:/tmp <"$WORK/d.tar" 2>/dev/null
echo "cp from a stream => $?"
"${CLI[@]}" cp - sbs-r:/etc/passwd <"$WORK/d.tar" 2>/dev/null
echo "cp from a stream to a file => $?"
s exec sbs-r find /tmp/d
t stop -t 0 sbs-r
t cp sbs-r:/srv/d/sub/two "$WORK/two"
t cp "$WORK/two" sbs-r:/srv/stopped
q export sbs-r
t export -o "$WORK/export.tar" sbs-r
tar tf "$WORK/export.tar" | sed 's#^\./##' | grep -c '^srv/'
t commit -m message -a me -c 'CMD ["echo","committed"]' sbs-r sbs-committed:v1
t run --rm sbs-committed:v1
t run --rm sbs-committed:v1 cat /srv/stopped
t commit sbs-nothing
t image inspect -f '{{.Comment}} {{.Author}}' sbs-committed:v1

# --- volumes and networks
t volume create sbs-v
t volume create --label a=b sbs-w
t volume create sbs-v
t volume create 'bad name'
t volume ls --filter name=sbs- 
t volume ls -q --filter name=sbs-
t volume ls --filter name=sbs- --format '{{.Name}} {{.Driver}} {{.Label "a"}}'
t volume inspect -f '{{.Name}} {{.Labels}}' sbs-w
t volume inspect sbs-nothing
t run --rm -v sbs-v:/data sbs-base sh -c 'echo kept > /data/f'
t run --rm -v sbs-v:/data:ro sbs-base cat /data/f
t run --name sbs-vol -v sbs-v:/data -v /anonymous sbs-base true
t inspect -f '{{range .Mounts}}{{.Type}} {{.RW}};{{end}}{{len .Mounts}}' sbs-vol
t run --rm --volumes-from sbs-vol sbs-base cat /data/f
t volume rm sbs-v
t rm -v sbs-vol
t volume rm sbs-v sbs-w
t volume rm sbs-v
t volume rm -f sbs-v
t network ls --filter driver=null
t network ls --filter name=host --format '{{.Name}} {{.Driver}}'
t network inspect -f '{{.Name}}' host
t network inspect sbs-nothing

# --- the whole
t system df --format '{{.Type}}'
q system df
q system df -v
q info
t info --format '{{.OSType}}'
q version
t version --format '{{.Server.Os}}'
t events --since 0s --until 0s --filter container=sbs-r
t events --since 1h --until 0s --filter container=sbs-vol --filter event=create --format '{{.Type}} {{.Action}}'
q events --since 1h --until 0s --filter container=sbs-r --format json
t events --since nonsense
i 'n' container prune
i 'n' system prune
t rm sbs-c sbs-r
t rm sbs-c
t rm -f sbs-c
t rmi sbs-committed:v1
t nosuchcommand
q container ls --help
t container nosuchcommand
t --nosuchflag
t -H tcp://127.0.0.1:1 ps
t -H unix:///nonexistent/socket ps

echo "$count commands" >&2
