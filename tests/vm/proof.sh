# The stack on a real driver: zero-copy, copy and generic, on 1, 2 and 4 queues, with itself and with the kernel on
# the other NIC, IPv4 and IPv6. Every connection must close by a full exchange of FINs, every byte come back.
# shellcheck shell=dash
. /vm/lib.sh

# What all figures are asked of: nothing failed, and everything was done.
check_connects() {
    no_failures || fail "$1: connections failed"
    [ "$(figure connections_completed)" = "$2" ] || fail "$1: $(figure connections_completed) of $2 closed in full"
}

# cell NAME SERVER CLIENT QUEUES CONNECTIONS
cell() {
    cell_name=$1 cell_server=$2 cell_client=$3 cell_queues=$4 cell_count=$5
    serve "$cell_server" "$cell_queues"
    load "$cell_client" "$cell_queues" 9 --pattern connect --connections "$cell_count" --concurrency 64
    check_connects "$cell_name" "$cell_count"
    cell_rate=$(figure connections_per_second)
    cp /tmp/load.err /tmp/connect.err
    load "$cell_client" "$cell_queues" 7 --pattern request --request-bytes 10M \
        --connections $((cell_queues > 2 ? cell_queues : 2)) --concurrency $((cell_queues > 2 ? cell_queues : 2))
    check_connects "$cell_name, echo of 10 MB" $((cell_queues > 2 ? cell_queues : 2))
    stop_server
    say "$cell_name: $cell_count opened and closed (${cell_rate%.*}/s), 10 MB echoed over IPv4 and IPv6"
    if [ "$cell_client" != kernel ]; then
        check_bound /tmp/connect.err "$cell_client"
        check_client "$cell_name" "$cell_queues" "$cell_count"
    fi
    if [ "$cell_server" != kernel ]; then
        check_bound /tmp/server.err "$cell_server"
        check_server "$cell_name" "$cell_queues" "$cell_count"
    fi
}

# The mode that the kernel really bound, which it tells when asked, is the one that was wanted: a socket on a
# generic program may be said to be zero-copy by a bind that chooses for itself.
check_bound() {
    case $2 in
        generic) check_bound_want="XDP program generic, queue 0 copy" ;;
        *) check_bound_want="XDP program native, queue 0 $2" ;;
    esac
    grep -q "$check_bound_want" "$1" || fail "not bound as wanted: $(head -n 1 "$1")"
    grep -E '^(eth|queue)' "$1"
}

# Each queue opens its share, and what igb is asked comes back to the queue that asked.
check_client() {
    carries /tmp/connect.err active-opens "$2" $(($3 / $2 / 2)) || fail "$1: a queue of the client has no share"
    check_client_strayed=$(over_queues /tmp/connect.err strayed)
    if [ "$driver" = igb ] && [ "$check_client_strayed" -gt $(($3 / 100)) ]; then
        fail "$1: $check_client_strayed of $3 opens were answered on another queue than foreseen"
    fi
}

# Where the NIC spreads flows, each queue of the server is given some.
check_server() {
    carries /tmp/server.err passive-opens "$2" $(($3 / $2 / 8)) || fail "$1: a queue of the server has no share"
    [ "$(counter drop.truncated)" = 0 ] || fail "$1: frames were split"
}

at A linerate check --interface eth0 || fail "check"

for queues in 1 2 4; do
    set_queues $queues
    for mode in zero-copy copy generic; do
        cell "$mode, $queues queues, with itself" $mode $mode $queues "$connections"
        # The kernel's half is what takes the time under emulation.
        cell "$mode, $queues queues, kernel's server" kernel $mode $queues $((connections / 10))
        cell "$mode, $queues queues, kernel's client" $mode kernel $queues $((connections / 10))
    done
done

set_queues 2
cell "zero-copy, 2 queues, kernel's server" kernel zero-copy 2 "$connections"
cell "zero-copy, 2 queues, kernel's client" zero-copy kernel 2 "$connections"
say "every way done"
