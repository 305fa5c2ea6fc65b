//! `linerate check` on an interface: it finds, asks when told to, and leaves everything as it was.

mod support;

use std::net::TcpListener;

use support::{LEFT, Net, both, linerate, linerate_json, sh, v6};

/// Nothing of ours is left on the interface, and the kernel's own TCP goes on.
fn is_untouched(net: &Net) {
    let shown = sh(&format!("ip -n {} -d link show veth0", net.right()));
    assert!(!shown.contains("xdp"), "{shown}");
    let listener = net.on_left(|| TcpListener::bind((LEFT, 9)).expect("a free port"));
    net.on_right(|| std::net::TcpStream::connect((LEFT, 9)).expect("the kernel's own"));
    drop(listener);
}

#[test]
fn the_interface_is_told_of_with_a_hint_beside_each_shortcoming() {
    let net = Net::with_queues(2);
    let told = linerate_json(&net.right(), "check --interface veth0 --json");
    assert!(told["probe"].is_null());
    let device = told["device"].as_object().expect("an object");
    for name in ["driver", "queues", "worker_cores", "driver_metadata", "xdp_mode", "zero_copy"] {
        assert!(device.contains_key(name), "no {name} in {device:?}");
    }
    assert!(!device.contains_key("numa_node"), "a veth is on no node");
    let metadata = device["driver_metadata"]["value"].as_str().expect("text");
    assert!(metadata.ends_with("; read: timestamp, hash, VLAN tag"), "{metadata}");
    assert_eq!(device["vlan_stripping"]["grade"], "good", "{device:?}");
    for (name, finding) in device {
        assert_eq!(finding["hint"].is_null(), finding["grade"] == "good", "{name}: {finding}");
    }
    is_untouched(&net);
}

#[test]
fn a_probe_counts_the_answers_by_queue_and_takes_nothing_else() {
    let net = Net::with_queues(2);
    for peer in both(LEFT) {
        let arguments = format!("check --interface veth0 --json --probe {peer}");
        let probe = linerate_json(&net.right(), &arguments)["probe"].take();
        assert_eq!(probe["sent"], 256, "{probe}");
        assert_eq!(probe["answered"], 256, "{probe}");
        assert!(probe["foreseen"].is_null(), "a veth has no RSS: {probe}");
        assert_eq!(probe["hashes"]["told"], 256, "{probe}");
        assert!(probe["hashes"]["computed"].is_null(), "nor a key: {probe}");
        let queues = probe["queues"].as_array().expect("a list");
        assert_eq!(queues.len(), 2);
        assert_eq!(queues.iter().filter_map(|count| count.as_u64()).sum::<u64>(), 256);
    }
    is_untouched(&net);
}

#[test]
fn a_port_that_is_open_answers_as_well_and_is_not_kept_open() {
    let net = Net::new();
    let listener = net.on_left(|| TcpListener::bind((v6(LEFT), 7)).expect("a free port"));
    let arguments = format!("check --interface veth0 --json --probe [{}]:7", v6(LEFT));
    let told = linerate_json(&net.right(), &arguments);
    // Half-open ones that fill the listener's queue are answered by cookies: every SYN has its answer.
    assert_eq!(told["probe"]["answered"], 256, "{told}");
    listener.set_nonblocking(true).expect("a socket");
    assert!(listener.accept().is_err(), "no handshake was finished");
    is_untouched(&net);
}

#[test]
fn a_peer_that_is_silent_or_out_of_reach_is_told_as_that() {
    let net = Net::new();
    let nobody = "check --interface veth0 --json --probe 10.91.0.99";
    let told = linerate_json(&net.right(), nobody);
    assert_eq!(told["probe"]["answered"], 0, "{told}");
    assert_eq!(told["device"]["rss_probe"]["grade"], "fair", "{told}");
    let output = linerate(&net.right(), "check --interface veth0 --probe 2001:db8::1")
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complaint.contains("2001:db8::1") && complaint.contains("to do:"), "{complaint}");
}

#[test]
fn the_capabilities_that_it_asks_for_are_enough_and_each_is_needed() {
    let net = Net::new();
    let needed = ["net_admin", "net_raw", "bpf", "perfmon"];
    let check = |capabilities: &[&str]| {
        let bounds: Vec<_> = capabilities.iter().map(|name| format!("+{name}")).collect();
        let told = sh(&format!(
            "ip netns exec {} setpriv --bounding-set=-all,{} {} check --interface veth0 --json",
            net.right(),
            bounds.join(","),
            env!("CARGO_BIN_EXE_linerate")
        ));
        serde_json::from_str::<serde_json::Value>(&told).expect("JSON")
    };
    let told = check(&needed);
    assert_eq!(told["host"]["privileges"]["grade"], "good", "{told}");
    assert_eq!(told["device"]["xdp_mode"]["value"], "native", "{told}");
    let metadata = told["device"]["driver_metadata"]["value"].as_str().expect("text");
    assert!(metadata.ends_with("; read: timestamp, hash, VLAN tag"), "{metadata}");
    for left_out in needed {
        let others: Vec<_> = needed.into_iter().filter(|name| *name != left_out).collect();
        let told = check(&others);
        let missing = format!("without CAP_{}", left_out.to_uppercase());
        assert_eq!(told["host"]["privileges"]["value"], missing, "{told}");
        assert_eq!(told["ready"], false, "{told}");
        // What fails says why.
        let hint =
            told["device"]["xdp_mode"]["hint"].as_str().unwrap_or("CAP_NET_RAW is for the socket");
        assert!(hint.contains(&format!("CAP_{}", left_out.to_uppercase())), "{left_out}: {hint}");
    }
}

#[test]
fn where_the_driver_cannot_be_asked_the_plain_program_does() {
    let net = Net::new();
    // Each such process sees /sys anew, so that this hides the kernel's types from it alone.
    let told = sh(&format!(
        "ip netns exec {} sh -c 'mount -t tmpfs none /sys/kernel/btf && {} check --interface veth0 --json'",
        net.right(),
        env!("CARGO_BIN_EXE_linerate")
    ));
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let device = &told["device"];
    assert_eq!(device["xdp_mode"]["value"], "native", "{device}");
    let metadata = device["driver_metadata"]["value"].as_str().expect("text");
    assert!(metadata.contains("none is read: ") && metadata.contains("vmlinux"), "{metadata}");
    assert_eq!(device["vlan_stripping"]["grade"], "fair", "{device}");
    is_untouched(&net);
}
