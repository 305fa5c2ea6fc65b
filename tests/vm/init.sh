#!/bin/busybox sh
# shellcheck shell=dash
# Init of the guest of scripts/vm: loads the drivers, puts two NICs into two namespaces, runs the
# scripts.
#
#   namespace A: eth0, 10.77.0.1/24 and fd77::1/64
#   namespace B: eth1, 10.77.0.2/24 and fd77::2/64
#
# These are the kernel's addresses. linerate uses .11 and ::11 in A, .12 and ::12 in B.
export PATH=/bin:/sbin HOME=/tmp
/bin/busybox mkdir -p /sbin /proc /sys /dev /run /tmp
/bin/busybox --install -s /sbin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mkdir -p /run/netns
mount -t debugfs debug /sys/kernel/debug

for module in dca i2c-algo-bit igb failover net_failover virtio_net; do
    insmod "/modules/$module.ko"
done
tries=0
while [ $tries -lt 100 ] && [ ! -e /sys/class/net/eth1 ]; do
    usleep 100000
    tries=$((tries + 1))
done

# busybox prefers its own `ip` applet, which lacks features.
ip() { /bin/ip "$@"; }
for end in A:eth0:1 B:eth1:2; do
    IFS=: read -r namespace interface host <<END
$end
END
    ip netns add "$namespace"
    ip link set "$interface" netns "$namespace"
    ip -n "$namespace" link set lo up
    ip -n "$namespace" addr add "10.77.0.$host/24" dev "$interface"
    ip -n "$namespace" addr add "fd77::$host/64" dev "$interface" nodad
    ip -n "$namespace" link set "$interface" up
done
ulimit -l unlimited
ulimit -n 65536

driver=$(sed 's/.*vm.driver=\([a-z]*\).*/\1/' /proc/cmdline)
connections=$(sed 's/.*vm.connections=\([0-9]*\).*/\1/' /proc/cmdline)
export driver connections
read -r uptime _ </proc/uptime
echo "vm: Linux $(uname -r), $driver, $(nproc) CPUs, up after $uptime s"
echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range
cd /vm || exit 1
sh /vm/run.sh
echo "vm: status $?"
poweroff -f
