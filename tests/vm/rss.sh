# What `check` tells of a real NIC, and whether its packets come in where key and table say.
# shellcheck shell=dash
. /vm/lib.sh

# probe ADDRESS: asks the kernel at the other end; the figures are then in /tmp/check.json.
probe() {
    at A linerate check --interface eth0 --probe "$1" --json >/tmp/check.json 2>/tmp/load.err ||
        fail "check --probe $1"
    probe_line=$(tr -d ' \n' </tmp/check.json | sed 's/.*"probe":{\([^}]*\)}.*/\1/')
    say "probe $1: $probe_line"
}

# A number of the last probe.
probed() { echo "$probe_line" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

all_foreseen() {
    for all_foreseen_at in 10.77.0.2 fd77::2; do
        probe $all_foreseen_at
        [ "$(probed answered)" = 256 ] || fail "answers of $all_foreseen_at were lost"
        [ "$driver" != igb ] || [ "$(probed foreseen)" = 256 ] || fail "answers came in elsewhere"
    done
}

# A hash without ports is seen before anything is opened, and by the packets.
without_ports() {
    at A ethtool -N eth0 rx-flow-hash tcp4 sd 2>/dev/null || { say "$driver hashes ports, always"; return; }
    probe 10.77.0.2
    grep -q 'without the ports of tcp4' /tmp/check.json || fail "the hash of $driver is not told"
    at A ethtool -N eth0 rx-flow-hash tcp4 sdfn || fail "the hash cannot be set back"
}

for queues in 2 4; do
    set_queues $queues
    all_foreseen
done
set_queues 2
at A ethtool -X eth0 weight 1 3 || fail "the table of eth0 cannot be set"
probe 10.77.0.2
[ "$driver" != igb ] || [ "$(probed foreseen)" = 256 ] || fail "another table was not heeded"
at A ethtool -X eth0 default || fail "the table of eth0 cannot be set back"
without_ports
at A linerate check --interface eth0 | sed -n '/^interface/,$p'
