# The stack on a real driver: zero-copy, copy and generic, on 1, 2 and 4 queues, against itself and
# against the kernel on the other NIC, as client and as server, over IPv4 and IPv6. Every connection
# must close cleanly, every byte must come back, every queue must carry its share.
# shellcheck shell=dash
. /vm/lib.sh

opened=0
echoed=0

# check_load NAME CONNECTIONS: the last load had no failures and closed every connection cleanly.
check_load() {
    no_failures || fail "$1: connections failed"
    [ "$(figure connections_completed)" = "$2" ] || fail "$1: $(figure connections_completed) of $2 closed cleanly"
}

# try NAME CLIENT QUEUES: loads the running server, half over IPv4, half over IPv6.
try() {
    try_name=$1 try_client=$2 try_queues=$3
    batches on
    load "$try_client" "$try_queues" 9 --pattern connect --connections "$connections" --concurrency 128
    batches off
    check_load "$try_name" "$connections"
    try_retransmitted=$(figure retransmissions)
    [ "$try_client" = kernel ] || check_client "$try_name" "$try_client" "$try_queues"

    # 10 MB over each IP version, on one connection per queue.
    try_flows=2
    [ "$try_client" = kernel ] || [ "$try_queues" -le 2 ] || try_flows=$try_queues
    load "$try_client" "$try_queues" 7 --pattern request --request-bytes "$((20 / try_flows))M" \
        --connections "$try_flows" --concurrency "$try_flows"
    check_load "$try_name, echo" "$try_flows"
    opened=$((opened + connections)) echoed=$((echoed + 20))
    say "$try_name: $connections opened and closed, $try_retransmitted segments retransmitted; 10 MB echoed over IPv4 and over IPv6"
}

# check_bound FILE MODE: the kernel reports the mode that was requested. A bind that chooses the
# mode may report zero-copy for a socket on a generic program.
check_bound() {
    case $2 in
        generic) check_bound_want="XDP program generic, queue 0 copy" ;;
        *) check_bound_want="XDP program native, queue 0 $2" ;;
    esac
    grep -q "$check_bound_want" "$1" || fail "not bound as requested: $(head -n 1 "$1")"
    grep -E '^(eth|queue)' "$1" | sed 's/^/    /'
}

# check_client NAME MODE QUEUES: each queue opened its share, and answers arrived on the queue that
# opened.
check_client() {
    check_bound /tmp/load.err "$2"
    carries /tmp/load.err active-opens "$3" $((connections / $3 - 1)) || fail "$1: a queue of the client did not open its share"
    check_client_strayed=$(sum_over_queues /tmp/load.err strayed)
    [ "$check_client_strayed" -le $((connections / 100)) ] ||
        fail "$1: $check_client_strayed of $connections opens were answered on another queue than predicted"
}

# check_server NAME MODE QUEUES: each queue of the server got its share, at least half of an even
# one.
check_server() {
    check_bound /tmp/server.err "$2"
    carries /tmp/server.err passive-opens "$3" $((2 * connections / $3 / 2)) ||
        fail "$1: a queue of the server did not get its share"
    [ "$(counter drop.truncated)" = 0 ] || fail "$1: frames were split"
}

at A ethtool -i eth0 | head -n 3
at A linerate check --interface eth0 || fail "check"

for queues in 1 2 4; do
    set_queues $queues
    of="on $queues queues"
    serve kernel $queues
    for mode in zero-copy copy generic; do
        [ $mode != generic ] || kernel_tx_offload off
        try "$mode $of to the kernel's server" $mode $queues
    done
    stop_server
    kernel_tx_offload on
    for mode in zero-copy copy generic; do
        [ $mode != generic ] || kernel_tx_offload off
        serve $mode $queues
        try "$mode $of to itself" $mode $queues
        try "the kernel's client to $mode $of" kernel $queues
        stop_server
        check_server "$mode $of" $mode $queues
    done
    kernel_tx_offload on
done
say "all combinations done: $opened connections opened and closed, $echoed MB echoed, nothing failed"
