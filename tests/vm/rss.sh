# What `check` tells of a real NIC, and whether its packets come in where key and table say.
# shellcheck shell=dash
. /vm/lib.sh

# probe ADDRESS: asks the kernel at the other end; the figures are then in /tmp/check.json.
probe() {
    at A linerate check --interface eth0 --probe "$1" --json >/tmp/check.json 2>/tmp/load.err ||
        fail "check --probe $1"
    probe_line=$(tr -d ' \n' </tmp/check.json | sed 's/.*"probe":{\([^}]*\)}.*/\1/')
    say "probe $1: $probe_line"
    sed -n '/"rss_probe"/,/}/s/^ *"hint": "\(.*\)",*$/    -> \1/p' /tmp/check.json
}

# A number of the last probe.
probed() { echo "$probe_line" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

# All came, and came in where it should.
all_foreseen() {
    for all_foreseen_at in 10.77.0.2 fd77::2; do
        probe $all_foreseen_at
        [ "$(probed foreseen)" = "$(probed answered)" ] || fail "answers came in elsewhere"
        [ "$(probed answered)" = 256 ] || fail "answers of $all_foreseen_at were lost"
    done
}

# A hash without ports is seen before anything is opened, and by the packets.
without_ports() {
    at A ethtool -N eth0 rx-flow-hash tcp4 sd
    # What a driver refuses, ethtool complains of and ends well.
    if at A ethtool -n eth0 rx-flow-hash tcp4 | grep -q 'L4 bytes'; then
        say "$driver hashes ports, always"
        return
    fi
    probe 10.77.0.2
    grep -q 'without the ports of tcp4' /tmp/check.json || fail "the hash of $driver is not told"
    [ "$(probed answered)" = 0 ] || grep -q 'hashes addresses without ports' /tmp/check.json ||
        fail "the packets do not show it"
    at A ethtool -N eth0 rx-flow-hash tcp4 sdfn || fail "the hash cannot be set back"
}

for queues in 2 4; do
    set_queues $queues
    all_foreseen
done
set_queues 2
without_ports
at A ethtool -X eth0 weight 1 3 || fail "the table of eth0 cannot be set"
probe 10.77.0.2
[ "$driver" != igb ] || [ "$(probed foreseen)" = 256 ] || fail "another table was not heeded"
at A ethtool -X eth0 default || fail "the table of eth0 cannot be set back"
at A linerate check --interface eth0 | sed -n '/^interface/,$p'
