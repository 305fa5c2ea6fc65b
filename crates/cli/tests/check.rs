//! `linerate check` on an interface: its findings, the RSS probe, and that it leaves no trace.

mod support;

use std::net::TcpListener;

use support::{LEFT, Net, both, linerate, linerate_json, sh, v6};

/// Asserts that no program is left on the interface and that the kernel's TCP still works.
fn is_untouched(net: &Net) {
    let shown = sh(&format!("ip -n {} -d link show veth0", net.right()));
    assert!(!shown.contains("xdp"), "{shown}");
    let listener = net.on_left(|| TcpListener::bind((LEFT, 9)).expect("a free port"));
    net.on_right(|| std::net::TcpStream::connect((LEFT, 9)).expect("the kernel's TCP works"));
    drop(listener);
}

#[test]
fn the_findings_about_an_interface_have_a_hint_for_each_problem() {
    let net = Net::with_queues(2);
    let report = linerate_json(&net.right(), "check --interface veth0 --json");
    assert!(report["probe"].is_null());
    let device = report["device"].as_object().expect("an object");
    for name in ["driver", "queues", "worker_cores", "driver_metadata", "xdp_mode", "zero_copy"] {
        assert!(device.contains_key(name), "no {name} in {device:?}");
    }
    assert!(!device.contains_key("numa_node"), "a veth has no NUMA node");
    let metadata = device["driver_metadata"]["value"].as_str().expect("text");
    assert!(metadata.ends_with("; read: timestamp, hash, VLAN tag"), "{metadata}");
    assert_eq!(device["vlan_stripping"]["grade"], "good", "{device:?}");
    for (name, finding) in device {
        assert_eq!(finding["hint"].is_null(), finding["grade"] == "good", "{name}: {finding}");
    }
    is_untouched(&net);
}

#[test]
fn a_probe_counts_the_replies_per_queue_and_claims_nothing_else() {
    let net = Net::with_queues(2);
    for peer in both(LEFT) {
        let arguments = format!("check --interface veth0 --json --probe {peer}");
        let probe = linerate_json(&net.right(), &arguments)["probe"].take();
        assert_eq!(probe["sent"], 256, "{probe}");
        assert_eq!(probe["answered"], 256, "{probe}");
        assert!(probe["foreseen"].is_null(), "a veth has no RSS: {probe}");
        assert_eq!(probe["hashes"]["told"], 256, "{probe}");
        assert!(probe["hashes"]["computed"].is_null(), "a veth has no RSS key: {probe}");
        let queues = probe["queues"].as_array().expect("a list");
        assert_eq!(queues.len(), 2);
        assert_eq!(queues.iter().filter_map(|count| count.as_u64()).sum::<u64>(), 256);
    }
    is_untouched(&net);
}

#[test]
fn an_open_port_replies_too_and_no_handshake_completes() {
    let net = Net::new();
    let listener = net.on_left(|| TcpListener::bind((v6(LEFT), 7)).expect("a free port"));
    let arguments = format!("check --interface veth0 --json --probe [{}]:7", v6(LEFT));
    let report = linerate_json(&net.right(), &arguments);
    // Once the listener's SYN queue is full, the kernel replies with SYN cookies.
    assert_eq!(report["probe"]["answered"], 256, "{report}");
    listener.set_nonblocking(true).expect("a socket");
    assert!(listener.accept().is_err(), "no handshake completed");
    is_untouched(&net);
}

#[test]
fn a_silent_or_unreachable_peer_is_reported_as_such() {
    let net = Net::new();
    let silent = "check --interface veth0 --json --probe 10.91.0.99";
    let report = linerate_json(&net.right(), silent);
    assert_eq!(report["probe"]["answered"], 0, "{report}");
    assert_eq!(report["device"]["rss_probe"]["grade"], "fair", "{report}");
    let output = linerate(&net.right(), "check --interface veth0 --probe 2001:db8::1")
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("2001:db8::1") && stderr.contains("to do:"), "{stderr}");
}

#[test]
fn the_listed_capabilities_are_sufficient_and_each_is_required() {
    let net = Net::new();
    let needed = ["net_admin", "net_raw", "bpf", "perfmon"];
    let check = |capabilities: &[&str]| {
        let bounds: Vec<_> = capabilities.iter().map(|name| format!("+{name}")).collect();
        let output = sh(&format!(
            "ip netns exec {} setpriv --bounding-set=-all,{} {} check --interface veth0 --json",
            net.right(),
            bounds.join(","),
            env!("CARGO_BIN_EXE_linerate")
        ));
        serde_json::from_str::<serde_json::Value>(&output).expect("JSON")
    };
    let report = check(&needed);
    assert_eq!(report["host"]["privileges"]["grade"], "good", "{report}");
    assert_eq!(report["device"]["xdp_mode"]["value"], "native", "{report}");
    let metadata = report["device"]["driver_metadata"]["value"].as_str().expect("text");
    assert!(metadata.ends_with("; read: timestamp, hash, VLAN tag"), "{metadata}");
    for left_out in needed {
        let others: Vec<_> = needed.into_iter().filter(|name| *name != left_out).collect();
        let report = check(&others);
        let missing = format!("without CAP_{}", left_out.to_uppercase());
        assert_eq!(report["host"]["privileges"]["value"], missing, "{report}");
        assert_eq!(report["ready"], false, "{report}");
        // If the attach fails, its hint names the capability.
        let hint = report["device"]["xdp_mode"]["hint"]
            .as_str()
            .unwrap_or("CAP_NET_RAW is for the socket");
        assert!(hint.contains(&format!("CAP_{}", left_out.to_uppercase())), "{left_out}: {hint}");
    }
}

#[test]
fn without_btf_the_program_attaches_without_metadata() {
    let net = Net::new();
    // `ip netns exec` mounts its own /sys, so this hides the BTF from this process only.
    let output = sh(&format!(
        "ip netns exec {} sh -c 'mount -t tmpfs none /sys/kernel/btf && \
         {} check --interface veth0 --json'",
        net.right(),
        env!("CARGO_BIN_EXE_linerate")
    ));
    let report: serde_json::Value = serde_json::from_str(&output).expect("JSON");
    let device = &report["device"];
    assert_eq!(device["xdp_mode"]["value"], "native", "{device}");
    let metadata = device["driver_metadata"]["value"].as_str().expect("text");
    assert!(metadata.contains("none is read: ") && metadata.contains("vmlinux"), "{metadata}");
    assert_eq!(device["vlan_stripping"]["grade"], "fair", "{device}");
    is_untouched(&net);
}
