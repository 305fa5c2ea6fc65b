# Shared by the guest's scripts: servers and loads at both ends, and their figures. Sourced by
# busybox sh.
# shellcheck shell=dash

# busybox prefers its own `ip` applet, which lacks features.
ip() { /bin/ip "$@"; }

# at NAMESPACE COMMAND...: runs a command in a namespace. A has eth0, B has eth1.
at() {
    at_namespace=$1
    shift
    ip netns exec "$at_namespace" "$@"
}

say() {
    read -r say_uptime _ </proc/uptime
    echo "vm [$say_uptime]: $*"
}

# Ends the script. The log gets the output of the programs, with their figures per queue, and the
# drivers' counters.
fail() {
    say "FAILED: $*"
    # Stop the server gracefully first: it prints its counters at exit.
    [ -n "$server" ] && kill -TERM "$server" 2>/dev/null && usleep 4000000
    for fail_log in /tmp/server.out /tmp/server.err /tmp/load.err /tmp/load.json; do
        [ -s $fail_log ] && sed "s,^,    $(basename $fail_log): ," $fail_log
    done
    for fail_end in A/eth0 B/eth1; do
        ip -n ${fail_end%/*} link show ${fail_end#*/}
        at ${fail_end%/*} ethtool -S ${fail_end#*/} | grep -v ': 0$' | sed "s,^,    ${fail_end#*/}: ,"
        # The kernel's own counters: retransmissions and drops.
        at ${fail_end%/*} grep -hE '^(Tcp|TcpExt):' /proc/net/snmp /proc/net/netstat | awk -v end="${fail_end#*/}" '
            $1 == last { for (i = 2; i <= NF; i++) if ($i + 0 > 0) printf "    %s: %s %s\n", end, name[i], $i }
            { last = $1; for (i = 2; i <= NF; i++) name[i] = $i }'
    done
    [ -n "$server" ] && kill -9 "$server" 2>/dev/null
    dmesg | tail -n 10
    exit 1
}

# wait_for SECONDS COMMAND: repeats the command until it succeeds; fails at the deadline.
wait_for() {
    wait_left=$(($1 * 4))
    shift
    while [ $wait_left -gt 0 ]; do
        "$@" >/dev/null 2>&1 && return 0
        usleep 250000
        wait_left=$((wait_left - 1))
    done
    return 1
}

# own_addresses NAMESPACE: options for linerate's interface and addresses. Workers sleep when idle:
# the guest has one core for both ends, and a spinning worker would keep the other end from
# answering.
own_addresses() {
    case $1 in
        A) echo "--idle sleep --interface eth0 --address 10.77.0.11/24 --address fd77::11/64" ;;
        B) echo "--idle sleep --interface eth1 --address 10.77.0.12/24 --address fd77::12/64" ;;
    esac
}

# stack_options NAMESPACE STACK QUEUES: options of `serve` and `load`. STACK is kernel or one of
# linerate's modes.
stack_options() {
    case $2 in
        kernel) echo "--stack kernel" ;;
        zero-copy) echo "$(own_addresses "$1") --queues 0-$(($3 - 1)) --set-rss --xdp-mode native --zero-copy on" ;;
        copy) echo "$(own_addresses "$1") --queues 0-$(($3 - 1)) --set-rss --xdp-mode native --zero-copy off" ;;
        generic) echo "$(own_addresses "$1") --queues 0-$(($3 - 1)) --set-rss --xdp-mode generic" ;;
        # As zero-copy, with the NIC's own indirection table.
        own-table) echo "$(own_addresses "$1") --queues 0-$(($3 - 1)) --xdp-mode native --zero-copy on" ;;
        auto) echo "$(own_addresses "$1") --queues 0-$(($3 - 1))" ;;
    esac
}

server=
server_at=

# serve STACK QUEUES [OPTION...]: starts a server in B and waits until it is ready. It serves echo
# on port 7 and close on port 9.
serve() {
    serve_stack=$1 serve_queues=$2
    shift 2
    server_at="10.77.0.12 [fd77::12]"
    [ "$serve_stack" = kernel ] && server_at="10.77.0.2 [fd77::2]"
    : >/tmp/server.out
    # shellcheck disable=SC2046
    /bin/ip netns exec B linerate serve $(stack_options B "$serve_stack" "$serve_queues") --service echo:7 --service close:9 \
        --max-connections 1024 "$@" >/tmp/server.out 2>/tmp/server.err &
    server=$!
    wait_for 30 grep -q ready /tmp/server.out || fail "the server ($serve_stack, $serve_queues queues) is not ready"
}

# Stops the server, which must exit with status 0. Its report is in /tmp/server.err.
stop_server() {
    kill -TERM "$server"
    wait "$server" || fail "the server exited with an error"
    server=
}

# Waits until both links are up: a kernel that sends into a link during its reset retries only a
# second later.
links_up() {
    for links_up_end in A/eth0 B/eth1; do
        wait_for 10 sh -c "/bin/ip -n ${links_up_end%/*} link show ${links_up_end#*/} | grep -q LOWER_UP" ||
            fail "${links_up_end#*/} has no carrier"
    done
}

# load STACK QUEUES PORT OPTION...: runs a load from A to both addresses of the server, IPv4 and
# IPv6 in turn. A load that stalls fails after five minutes.
load() {
    load_stack=$1 load_queues=$2 load_port=$3
    shift 3
    links_up
    load_targets=
    for load_address in $server_at; do load_targets="$load_targets --target $load_address:$load_port"; done
    # shellcheck disable=SC2046,SC2086
    at A timeout 300 linerate load $(stack_options A "$load_stack" "$load_queues") $load_targets --json \
        --max-connections 1024 --grace 30 "$@" >/tmp/load.json 2>/tmp/load.err ||
        fail "load ($load_stack, $load_queues queues, $*)"
}

# sum_over_queues FILE NAME: the sum of a figure over all queues, from the lines that a program
# wrote on its standard error.
sum_over_queues() {
    sed -n "s/^queue [0-9]*:.* $2 \([0-9]*\).*/\1/p" "$1" | awk '{ sum += $1 } END { print sum + 0 }'
}

# carries FILE NAME QUEUES LEAST: succeeds if each of the QUEUES queues has at least LEAST of a
# figure.
carries() {
    carries_queues=$(sed -n "s/^queue [0-9]*:.* $2 \([0-9]*\).*/\1/p" "$1" | awk -v least="$4" '$1 >= least' | wc -l)
    [ "$carries_queues" = "$3" ]
}

# counter NAME: a counter of the server's report; 0 if the report does not list it.
counter() { sed -n "s/^$1: \([0-9]*\)$/\1/p" /tmp/server.err | grep . || echo 0; }

# figure NAME: a number of the last load's JSON.
figure() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" /tmp/load.json | head -n 1; }

# Succeeds if the last load's JSON reports no failures.
no_failures() { tr -d ' \n' </tmp/load.json | grep -q '"failed":{}'; }

# kernel_tx_offload on|off: sets whether the kernel leaves TCP checksums to the NIC. virtio-net
# passes them on partial: its driver prevents that for a native program, but nothing does for a
# generic one.
kernel_tx_offload() {
    [ "$driver" = virtio ] || return 0
    at A ethtool -K eth0 tx "$1" >/dev/null
    at B ethtool -K eth1 tx "$1" >/dev/null
}

# set_queues N: gives both NICs N queues, and waits for their links.
set_queues() {
    for set_end in A/eth0 B/eth1; do
        set_namespace=${set_end%/*} set_interface=${set_end#*/}
        set_now=$(at "$set_namespace" ethtool -l "$set_interface" | sed -n 's/^Combined:[[:space:]]*//p' | tail -n 1)
        [ "$set_now" = "$1" ] || at "$set_namespace" ethtool -L "$set_interface" combined "$1" ||
            fail "$set_interface does not take $1 queues"
    done
    links_up
}

# batches on|off: with `on` a running process is not preempted at once when another wakes, so that
# frames are processed in batches. Each context switch empties the emulator's TLB, which costs more
# than processing one frame: with batches the kernel's client to linerate's server takes a quarter
# of the time. `off` is Linux's default, and exposes races.
batches() {
    case $1 in
        on) echo NO_WAKEUP_PREEMPTION && echo 6000000 >/sys/kernel/debug/sched/base_slice_ns ;;
        off) echo WAKEUP_PREEMPTION && echo 700000 >/sys/kernel/debug/sched/base_slice_ns ;;
    esac >/sys/kernel/debug/sched/features
}
