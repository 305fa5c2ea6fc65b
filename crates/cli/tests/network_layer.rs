//! The network layer against the kernel over a veth pair: IP fragments.

mod support;

use support::{LEFT_OWN, Net, both, cidr, sh, try_sh, v6};

/// Serves in exclusive mode, on an IPv4 and an IPv6 address.
fn serve(net: &Net, more: &str) -> support::Server {
    let [v4, v6] = both(LEFT_OWN).map(cidr);
    net.serve(&format!("--address {v4} --address {v6} --service echo:7 {more}"))
}

/// RFC 791 §3.2, RFC 8200 §4.5: the kernel fragments to the MTU of the route, linerate reassembles.
#[test]
fn fragmented_pings_are_answered() {
    for queues in [1, 2] {
        let net = Net::with_queues(queues);
        let more = if queues > 1 { "--queues 0-1" } else { "" };
        let _server = serve(&net, more);
        let right = net.right();
        sh(&format!(
            "ip -n {right} route add {LEFT_OWN}/32 dev veth0 mtu lock 600 && \
             ip -n {right} -6 route add {}/128 dev veth0 mtu lock 1280",
            v6(LEFT_OWN)
        ));
        for address in both(LEFT_OWN) {
            let ping = format!("ping -c 5 -i 0.2 -W 2 -s 1400 -M dont {address}");
            let reply = try_sh(&format!("ip netns exec {right} {ping}"));
            let text = String::from_utf8_lossy(&reply.stdout).into_owned();
            assert!(text.contains("5 received"), "{queues} queues: {text}");
        }
        let sent = sh(&format!("ip netns exec {right} nstat -az IpFragCreates Ip6FragCreates"));
        let created = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
        let counts: Vec<u64> =
            sent.lines().filter(|l| l.contains("Frag")).filter_map(created).collect();
        assert!(counts.len() == 2 && counts.iter().all(|n| *n >= 10), "{sent}");
    }
}
