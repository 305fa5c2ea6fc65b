# The stack on a real driver: zero-copy, copy and generic, on 1, 2 and 4 queues, with itself and with the kernel on
# the other NIC, both ways, IPv4 and IPv6. Every connection must close by a full exchange of FINs, every byte come
# back, every queue have its share.
# shellcheck shell=dash
. /vm/lib.sh

opened=0
echoed=0

# What all figures are asked of: nothing failed, and everything was done.
check_load() {
    no_failures || fail "$1: connections failed"
    [ "$(figure connections_completed)" = "$2" ] || fail "$1: $(figure connections_completed) of $2 closed in full"
}

# try NAME CLIENT QUEUES: against the server that is up, half of it over IPv4, half over IPv6.
try() {
    try_name=$1 try_client=$2 try_queues=$3
    batches on
    load "$try_client" "$try_queues" 9 --pattern connect --connections "$connections" --concurrency 128
    batches off
    check_load "$try_name" "$connections"
    try_again=$(figure retransmissions)
    [ "$try_client" = kernel ] || check_client "$try_name" "$try_client" "$try_queues"

    # 10 MB over each version of IP, on one connection for each queue that there is.
    try_flows=2
    [ "$try_client" = kernel ] || [ "$try_queues" -le 2 ] || try_flows=$try_queues
    load "$try_client" "$try_queues" 7 --pattern request --request-bytes "$((20 / try_flows))M" \
        --connections "$try_flows" --concurrency "$try_flows"
    check_load "$try_name, echo" "$try_flows"
    opened=$((opened + connections)) echoed=$((echoed + 20))
    say "$try_name: $connections opened and closed, $try_again segments again; 10 MB echoed over IPv4 and over IPv6"
}

# The mode that the kernel really bound, which it tells when asked, is the one that was wanted: a socket on a
# generic program may be said to be zero-copy by a bind that chooses for itself.
check_bound() {
    case $2 in
        generic) check_bound_want="XDP program generic, queue 0 copy" ;;
        *) check_bound_want="XDP program native, queue 0 $2" ;;
    esac
    grep -q "$check_bound_want" "$1" || fail "not bound as wanted: $(head -n 1 "$1")"
    grep -E '^(eth|queue)' "$1" | sed 's/^/    /'
}

# Each queue opens its share, and answers come back to the queue that asked.
check_client() {
    check_bound /tmp/load.err "$2"
    carries /tmp/load.err active-opens "$3" $((connections / $3 - 1)) || fail "$1: a queue of the client has no share"
    check_client_strayed=$(over_queues /tmp/load.err strayed)
    [ "$check_client_strayed" -le $((connections / 100)) ] ||
        fail "$1: $check_client_strayed of $connections opens were answered on another queue than foreseen"
}

# Each queue of the server is given its share: at least half of what it would have if all had as much.
check_server() {
    check_bound /tmp/server.err "$2"
    carries /tmp/server.err passive-opens "$3" $((2 * connections / $3 / 2)) ||
        fail "$1: a queue of the server has no share"
    [ "$(counter drop.truncated)" = 0 ] || fail "$1: frames were split"
}

at A ethtool -i eth0 | head -n 3
at A linerate check --interface eth0 || fail "check"

for queues in 1 2 4; do
    set_queues $queues
    of="on $queues queues"
    serve kernel $queues
    for mode in zero-copy copy generic; do
        [ $mode != generic ] || kernels_sums off
        try "$mode $of to the kernel's server" $mode $queues
    done
    stop_server
    kernels_sums on
    for mode in zero-copy copy generic; do
        [ $mode != generic ] || kernels_sums off
        serve $mode $queues
        try "$mode $of to itself" $mode $queues
        try "the kernel's client to $mode $of" kernel $queues
        stop_server
        check_server "$mode $of" $mode $queues
    done
    kernels_sums on
done
say "every way done: $opened connections opened and closed, $echoed MB echoed, nothing failed"
