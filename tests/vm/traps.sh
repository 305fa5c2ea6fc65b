# The traps of real drivers: each script function triggers one, and the stack must avoid it, or
# detect and report it.
# shellcheck shell=dash
. /vm/lib.sh

few=$((connections < 2000 ? connections / 10 : 200))

# Drivers that count receive buffers in KiB silently split longer frames in chunks of half a page.
# The stack must count split frames, and its default chunk size must not cause them.
split_frames() {
    set_queues 1
    serve zero-copy 1 --chunk-bytes 2048
    at A timeout 8 linerate load --stack kernel --target 10.77.0.12:7 --pattern request --request-bytes 100k \
        --connections 1 --concurrency 1 --grace 1 >/tmp/load.json 2>/tmp/load.err
    stop_server
    say "2,048-byte chunks: $(counter drop.truncated) frames arrived split"
    [ "$driver" != igb ] || [ "$(counter drop.truncated)" -gt 0 ] || fail "split frames were not counted"
}

# The stack reads the table that is set: answers arrive on the queue that opened. virtio-net's
# RSS stops when a program is attached after a user has set the table; --set-rss sets it again.
other_tables() {
    set_queues 2
    at A ethtool -X eth0 weight 1 3 || fail "the table of eth0 cannot be set"
    serve zero-copy 2
    load zero-copy 2 9 --pattern connect --connections "$few" --concurrency 64
    no_failures || fail "connections failed under another table"
    say "table 1:3: $(sum_over_queues /tmp/load.err strayed) of $few opens answered on another queue than predicted"
    [ "$(sum_over_queues /tmp/load.err strayed)" -le $((few / 100)) ] || fail "the table was not applied"
    stop_server
    at A ethtool -X eth0 default || fail "the table of eth0 cannot be restored"
}

# A queue without a worker: its flows pass to the kernel, so the stack opens none that would return
# there. Only over IPv4: ARP is not hashed and arrives on queue 0. The answer to a neighbour
# solicitation is hashed by its addresses and, depending on the NIC's key, may be lost to the queue
# without a worker.
queues_without_worker() {
    set_queues 2
    serve kernel 2
    # shellcheck disable=SC2034
    server_at=10.77.0.2
    load own-table 1 9 --pattern connect --connections "$few" --concurrency 16
    no_failures || fail "answers arrived on a queue without a worker"
    grep -q 'no worker' /tmp/load.err || fail "the queue without a worker was not reported"
    stop_server
}

# A process frees its queues however it ends: the next one can use them at once.
queues_freed() {
    set_queues 2
    for queues_freed_round in 1 2 3; do
        serve zero-copy 2
        kill -9 "$server"
        wait "$server"
    done
    serve zero-copy 2
    load kernel 1 9 --pattern connect --connections 10 --concurrency 2
    no_failures || fail "the queues do not serve after a crash"
    stop_server
    say "queues are free again after $queues_freed_round crashes"
}

# `ready` means that the link is up: some drivers drop it when a program is attached.
ready_has_carrier() {
    set_queues 1
    serve zero-copy 1
    at B cat /proc/net/dev >/dev/null
    ip -n B link show eth1 | grep -q LOWER_UP || fail "ready without carrier"
    stop_server
    say "ready with carrier"
}

# A hypervisor's tap leaves checksums partial. For a native program the driver turns that off. With
# a generic program such segments arrive, and the stack refuses and counts them.
partial_checksums() {
    [ "$driver" = virtio ] || return 0
    set_queues 1
    serve generic 1
    at A timeout 5 linerate load --stack kernel --target 10.77.0.12:9 --pattern connect --connections 2 \
        --concurrency 2 --grace 1 >/tmp/load.json 2>/tmp/load.err
    kernel_tx_offload off
    load kernel 1 9 --pattern connect --connections 10 --concurrency 2
    no_failures || fail "connections failed without checksum offload"
    stop_server
    kernel_tx_offload on
    say "partial checksums: $(counter drop.partial-checksum) segments refused"
    [ "$(counter drop.partial-checksum)" -gt 0 ] || fail "partial checksums were not counted"
}

split_frames
partial_checksums
other_tables
queues_without_worker
queues_freed
ready_has_carrier
