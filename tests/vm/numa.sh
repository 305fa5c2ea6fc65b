# Workers and their memory on the NIC's NUMA node, in a guest with two nodes: VM_NUMA=1 scripts/vm
# igb tests/vm/numa.sh
# shellcheck shell=dash
. /vm/lib.sh

[ -e /sys/devices/system/node/node1 ] || fail "the guest has only one node: set VM_NUMA=1"

# pages_on NODE: pages of the server's larger mappings on a node. They include its frames, but not
# the page cache of its program.
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

reports() { grep -q "$1" /tmp/server.err || fail "not reported: $1"; }

set_queues 1
serve auto 1
reports 'queue 0 [a-z-]* on core 2'
grep -q 'remote NUMA node' /tmp/server.err && fail "a core on the NIC's node is reported as remote"
say "pages of the server: $(pages_on 0) on node 0, $(pages_on 1) on node 1"
[ "$(pages_on 1)" -gt $((9 * $(pages_on 0))) ] || fail "its memory is on the wrong node"
stop_server

serve auto 1 --cores 0
# shellcheck disable=SC2016
reports 'workers on cores 0 fetch each frame from a remote NUMA node: `eth1` is on NUMA node 1, with cores 2-3'
stop_server

# The node has one physical core: its two hardware threads are still closer than the other node's.
set_queues 2
serve auto 2
reports 'queue 0 [a-z-]* on core 2, queue 1 [a-z-]* on core 3'
reports 'workers on cores 2-3 share physical cores'
grep -E '^(eth|note: the interrupts)' /tmp/server.err
stop_server
at A linerate check --interface eth0 --no-attempt | grep -A 1 -E 'numa|cores|interrupts'
