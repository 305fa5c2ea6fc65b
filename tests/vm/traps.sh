# The traps of real drivers: each is walked into here, and must be avoided, or seen and told.
# shellcheck shell=dash
. /vm/lib.sh

few=$((connections < 2000 ? connections / 10 : 200))

# Drivers that count receive buffers in KiB split longer frames in half a page without a word: it must be counted,
# and the size chosen by default must not do it.
split_frames() {
    set_queues 1
    serve zero-copy 1 --chunk-bytes 2048
    at A timeout 8 linerate load --stack kernel --target 10.77.0.12:7 --pattern request --request-bytes 100k \
        --connections 1 --concurrency 1 --grace 1 >/tmp/load.json 2>/tmp/load.err
    stop_server
    say "2,048-byte chunks: $(counter drop.truncated) frames arrived split"
    [ "$driver" != igb ] || [ "$(counter drop.truncated)" -gt 0 ] || fail "split frames were not counted"
}

# Whatever the table is, it is read: answers come back to the queue that asked. virtio-net ends its RSS when a program
# is attached after a table was set by hand: here --set-rss sets it again.
other_tables() {
    set_queues 2
    at A ethtool -X eth0 weight 1 3 || fail "the table of eth0 cannot be set"
    serve zero-copy 2
    load zero-copy 2 9 --pattern connect --connections "$few" --concurrency 64
    no_failures || fail "connections failed under another table"
    say "table 1:3: $(over_queues /tmp/load.err strayed) of $few opens answered elsewhere than foreseen"
    [ "$(over_queues /tmp/load.err strayed)" -le $((few / 100)) ] || fail "the table was not heeded"
    stop_server
    at A ethtool -X eth0 default || fail "the table of eth0 cannot be set back"
}

# A queue without a worker: its flows pass to the kernel, so none is opened that would come back there. Over IPv4:
# ARP has no hash and comes in on queue 0, but the answer to a neighbour solicitation has one, of its addresses, and may
# be lost to the queue without a worker, by the NIC's key of that day.
queues_left_out() {
    set_queues 2
    serve kernel 2
    # shellcheck disable=SC2034
    server_at=10.77.0.2
    load foreseen 1 9 --pattern connect --connections "$few" --concurrency 16
    no_failures || fail "opens came back to a queue without a worker"
    grep -q 'no worker' /tmp/load.err || fail "the queue without a worker is not told of"
    stop_server
}

# The end of a process, however it ends, frees its queues: the next one has them at once.
queues_freed() {
    set_queues 2
    for queues_freed_round in 1 2 3; do
        serve zero-copy 2
        kill -9 "$server"
        wait "$server"
    done
    serve zero-copy 2
    load kernel 1 9 --pattern connect --connections 10 --concurrency 2
    no_failures || fail "after a crash the queues do not serve"
    stop_server
    say "queues are free again after $queues_freed_round crashes"
}

# `ready` means that frames can come: some drivers drop the link when a program is attached.
ready_has_carrier() {
    set_queues 1
    serve zero-copy 1
    at B cat /proc/net/dev >/dev/null
    ip -n B link show eth1 | grep -q LOWER_UP || fail "ready without carrier"
    stop_server
    say "ready with carrier"
}

# A hypervisor's tap leaves checksums undone. Native programs have the driver turn that off; with a generic one such
# segments arrive, and are refused and counted.
undone_sums() {
    [ "$driver" = virtio ] || return 0
    set_queues 1
    serve generic 1
    at A timeout 5 linerate load --stack kernel --target 10.77.0.12:9 --pattern connect --connections 2 \
        --concurrency 2 --grace 1 >/tmp/load.json 2>/tmp/load.err
    kernels_sums off
    load kernel 1 9 --pattern connect --connections 10 --concurrency 2
    no_failures || fail "connections failed without checksum offload"
    stop_server
    kernels_sums on
    say "undone checksums: $(counter drop.partial-checksum) segments refused"
    [ "$(counter drop.partial-checksum)" -gt 0 ] || fail "undone checksums were not counted"
}

split_frames
undone_sums
other_tables
queues_left_out
queues_freed
ready_has_carrier
