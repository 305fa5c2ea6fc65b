# Workers and their memory on the NIC's NUMA node, in a guest with two of them: VM_NUMA=1 scripts/vm igb tests/vm/numa.sh
# shellcheck shell=dash
. /vm/lib.sh

[ -e /sys/devices/system/node/node1 ] || fail "there is one node only (VM_NUMA=1)"

# Pages of the server's larger areas on a node: its frames are among them, the kernel's copy of its program is not.
pages_on() {
    awk -v "node=N$1=" '{
        here = all = 0
        for (i = 3; i <= NF; i++) {
            if ($i ~ /^N[0-9]+=/) { split($i, of, "="); all += of[2] }
            if (index($i, node) == 1) here = substr($i, length(node) + 1)
        }
        if (all > 500) sum += here
    } END { print sum + 0 }' /proc/"$server"/numa_maps
}

told() { grep -q "$1" /tmp/server.err || fail "not told: $1"; }

set_queues 1
serve auto 1
told 'queue 0 [a-z-]* on core 2'
grep -q 'remote NUMA node' /tmp/server.err && fail "a near core is said to be far"
say "pages of the server: $(pages_on 0) on node 0, $(pages_on 1) on node 1"
[ "$(pages_on 1)" -gt $((9 * $(pages_on 0))) ] || fail "its memory is elsewhere"
stop_server

serve auto 1 --cores 0
# shellcheck disable=SC2016
told 'workers on cores 0 fetch each frame from a remote NUMA node: `eth1` is on NUMA node 1, with cores 2-3'
stop_server

# The node has one physical core: its two threads are still nearer than the other node's.
set_queues 2
serve auto 2
told 'queue 0 [a-z-]* on core 2, queue 1 [a-z-]* on core 3'
told 'workers on cores 2-3 share physical cores'
grep -E '^(eth|note: the interrupts)' /tmp/server.err
stop_server
at A linerate check --interface eth0 --no-attempt | grep -A 1 -E 'numa|cores|interrupts'
