# The report of `check` on a real NIC, and a test that packets arrive on the queues that key and
# table predict.
# shellcheck shell=dash
. /vm/lib.sh

# probe ADDRESS: probes the kernel at the other end, and writes the figures to /tmp/check.json.
probe() {
    at A linerate check --interface eth0 --probe "$1" --json >/tmp/check.json 2>/tmp/load.err ||
        fail "check --probe $1"
    probe_line=$(tr -d ' \n' </tmp/check.json | sed 's/.*"probe":{\([^}]*\)}.*/\1/')
    say "probe $1: $probe_line"
    sed -n '/"rss_probe"/,/}/s/^ *"hint": "\(.*\)",*$/    -> \1/p' /tmp/check.json
}

# probed NAME: a number of the last probe.
probed() { echo "$probe_line" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"; }

# Every answer arrived, on the predicted queue.
all_predicted() {
    for all_predicted_at in 10.77.0.2 fd77::2; do
        probe $all_predicted_at
        [ "$(probed foreseen)" = "$(probed answered)" ] || fail "answers arrived on other queues than predicted"
        [ "$(probed answered)" = 256 ] || fail "answers of $all_predicted_at were lost"
    done
}

# A hash without ports is detected from the driver's settings, and from the packets.
without_ports() {
    at A ethtool -N eth0 rx-flow-hash tcp4 sd
    # ethtool exits with status 0 even when the driver refuses.
    if at A ethtool -n eth0 rx-flow-hash tcp4 | grep -q 'L4 bytes'; then
        say "$driver always hashes ports"
        return
    fi
    probe 10.77.0.2
    grep -q 'without the ports of tcp4' /tmp/check.json || fail "the hash of $driver is not reported"
    [ "$(probed answered)" = 0 ] || grep -q 'hashes addresses without ports' /tmp/check.json ||
        fail "the packets do not show it"
    at A ethtool -N eth0 rx-flow-hash tcp4 sdfn || fail "the hash cannot be restored"
}

for queues in 2 4; do
    set_queues $queues
    all_predicted
done
set_queues 2
without_ports
at A ethtool -X eth0 weight 1 3 || fail "the table of eth0 cannot be set"
probe 10.77.0.2
[ "$driver" != igb ] || [ "$(probed foreseen)" = 256 ] || fail "the changed table was not applied"
at A ethtool -X eth0 default || fail "the table of eth0 cannot be restored"
at A linerate check --interface eth0 | sed -n '/^interface/,$p'
