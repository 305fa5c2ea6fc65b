# Changes to a NIC while the stack runs on it: the stack recovers, or ends with a clear message.
# shellcheck shell=dash
. /vm/lib.sh

few=$((connections < 2000 ? connections / 20 : 100))

# still_serves WHEN: the kernel's client can connect to linerate's server.
still_serves() {
    for still_try in 1 2 3; do
        load kernel 1 9 --pattern connect --connections "$few" --concurrency 16
        if no_failures; then
            say "$1: serves (attempt $still_try)"
            return
        fi
    done
    fail "$1: no longer serves"
}

# Succeeds if a service on the kernel's stack answers, on the same NIC and address.
kernel_answers() { at A sh -c 'echo hello | timeout 5 nc 10.77.0.2 2222 | grep -q hello'; }

# Shared mode: the kernel's service works through attach, run, crash and detach. With a program
# attached, virtio-net adds a queue of its own, whose flows would pass to the kernel and be refused,
# as it does not serve these ports: --set-rss keeps flows off that queue.
shared_mode() {
    set_queues 2
    at B nc -ll -p 2222 -e cat &
    shared_cat=$!
    wait_for 10 kernel_answers || fail "the kernel's service does not answer"
    # shellcheck disable=SC2034
    server_at="10.77.0.2 [fd77::2]"
    for shared_end in TERM KILL; do
        /bin/ip netns exec B linerate serve --interface eth1 --mode shared --idle sleep --address 10.77.0.2/24 \
            --address fd77::2/64 --queues 0-1 --set-rss --service echo:7 --service close:9 --max-connections 1024 \
            >/tmp/server.out 2>/tmp/server.err &
        server=$!
        wait_for 30 grep -q ready /tmp/server.out || fail "shared mode is not ready"
        wait_for 20 kernel_answers || fail "the kernel's service does not answer while we run"
        load kernel 1 9 --pattern connect --connections "$few" --concurrency 16
        no_failures || fail "connections failed in shared mode"
        at A ping -c 1 -W 5 10.77.0.2 >/dev/null || fail "the kernel's ping does not answer while we run"
        kill -$shared_end "$server"
        wait "$server"
        wait_for 10 kernel_answers || fail "the kernel's service does not answer after SIG$shared_end"
    done
    server=
    kill $shared_cat
    # A killed process does not restore the table.
    at B ethtool -X eth1 default || fail "the table of eth1 cannot be restored"
    say "shared mode: the kernel's service answered through attach, run, end and crash"
}

link_flap() {
    set_queues 2
    serve zero-copy 2
    still_serves "before the flap"
    for flap_end in A/eth0 B/eth1; do
        ip -n ${flap_end%/*} link set ${flap_end#*/} down
        sleep 1
        ip -n ${flap_end%/*} link set ${flap_end#*/} up
        # The kernel removes its IPv6 addresses when a link goes down.
        ip -n A addr add fd77::1/64 dev eth0 nodad 2>/dev/null
        wait_for 10 sh -c "/bin/ip -n ${flap_end%/*} link show ${flap_end#*/} | grep -q LOWER_UP"
        still_serves "after ${flap_end#*/} went down and up"
    done
}

# The kernel refuses to remove queues that have sockets. Added queues have no worker, and the stack
# reports them.
more_queues() {
    at B ethtool -L eth1 combined 1 2>/dev/null && fail "the kernel removed queues with sockets"
    if [ "$driver" = virtio ]; then
        # Its driver refuses any change while a program is attached (virtnet_set_channels of
        # drivers/net/virtio_net.c).
        at B ethtool -L eth1 combined 4 2>/dev/null && fail "eth1 accepted 4 queues with a program attached"
        still_serves "after ethtool -L was refused"
        return
    fi
    at B ethtool -L eth1 combined 4 || fail "eth1 does not take 4 queues"
    wait_for 10 sh -c "/bin/ip -n B link show eth1 | grep -q LOWER_UP"
    wait_for 5 grep -q 'no worker' /tmp/server.err || fail "queues without a worker were not reported"
    # The kernel keeps the queues that a user-set table names, and linerate has set it.
    at B ethtool -X eth1 default
    at B ethtool -X eth1 equal 2
    at B ethtool -L eth1 combined 2 || fail "eth1 does not go back to 2 queues"
    wait_for 10 sh -c "/bin/ip -n B link show eth1 | grep -q LOWER_UP"
    still_serves "after ethtool -L"
}

other_mtu() {
    ip -n B link set eth1 mtu 1400 || fail "the MTU cannot be changed"
    wait_for 10 sh -c "/bin/ip -n B link show eth1 | grep -q LOWER_UP"
    wait_for 5 grep -q 'MTU' /tmp/server.err || fail "the new MTU was not reported"
    still_serves "after the MTU changed"
    ip -n B link set eth1 mtu 1500
}

# The driver removes its interface. On virtio-net all its queues are in use, so that a native
# program adds none: Linux 7.3.4 does not release an added receive queue of an interface that is
# being unregistered (netif_set_real_num_rx_queues of net/core/dev.c; it does release transmit
# queues), and waits for it for ever.
removal() {
    wait_for 10 sh -c "/bin/ip -n B link show eth1 | grep -q LOWER_UP"
    removal_device=$(at B ethtool -i eth1 | sed -n 's/^bus-info: //p')
    removal_driver=$(readlink -f "/sys/bus/pci/devices/$removal_device/driver")
    echo "$removal_device" >"$removal_driver/unbind"
    removal_left=40
    while [ $removal_left -gt 0 ] && kill -0 "$server" 2>/dev/null; do
        usleep 250000
        removal_left=$((removal_left - 1))
    done
    wait "$server" && fail "the server exited with status 0 though its interface is gone"
    server=
    grep -q 'interface was removed' /tmp/server.err || fail "the removal was not reported"
    say "removal: $(grep 'interface was removed' /tmp/server.err | head -n 1)"
}

shared_mode
link_flap
more_queues
other_mtu
stop_server
removal_queues=$([ "$driver" = virtio ] && echo 4 || echo 2)
set_queues "$removal_queues"
serve zero-copy "$removal_queues"
removal
