//! Checks our packets with an independent dissector. tshark reads a capture of each load pattern
//! and must find no malformed packet, no bad checksum, no gap, and no retransmission that we did
//! not count. On a loss-free path the only retransmission is a tail loss probe, when the machine
//! stalls for longer than two round trips.

mod support;

use std::path::{Path, PathBuf};

use support::{LEFT_OWN, Net, RIGHT_OWN, cidr, linerate_json, sh, v6};

/// A temporary directory, removed on drop.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("linerate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // On failure the files stay in the system's temporary directory.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns the frames of `file` that match `filter`, one line each.
fn matching(file: &Path, filter: &str) -> Vec<String> {
    let checks = "-o tcp.check_checksum:TRUE -o ip.check_checksum:TRUE";
    let text = sh(&format!("tshark -n {checks} -r {} -Y '{filter}' 2>/dev/null", file.display()));
    text.lines().map(str::to_owned).collect()
}

#[track_caller]
fn is_clean(file: &Path) {
    let faults = [
        "_ws.malformed",
        "ip.checksum.status == \"Bad\"",
        "tcp.checksum.status == \"Bad\"",
        "icmpv6.checksum.status == \"Bad\"",
        "tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment",
    ];
    for fault in faults {
        let found = matching(file, fault);
        assert!(found.is_empty(), "{}: {fault}:\n{}", file.display(), found.join("\n"));
    }
}

#[test]
fn a_dissector_finds_nothing_wrong_with_any_pattern() {
    let scratch = Scratch::new("capture");
    let patterns = [
        ("connect", 10000, "--connections 50 --concurrency 4"),
        ("request", 7, "--connections 4 --concurrency 4 --duration 1 --request-bytes 64"),
        ("stream", 9, "--connections 1 --concurrency 1 --duration 1"),
        ("idle", 7, "--connections 50 --concurrency 50 --duration 1"),
    ];
    for family in ["ipv4", "ipv6"] {
        let (server, client) = match family {
            "ipv4" => (LEFT_OWN.into(), RIGHT_OWN.into()),
            _ => (v6(LEFT_OWN).into(), v6(RIGHT_OWN).into()),
        };
        for (pattern, port, sizes) in patterns {
            let net = Net::new();
            let _server = net.serve(&format!(
                "--address {} --service echo:7 --service discard:9 --service close:10000",
                cidr(server)
            ));
            let file = scratch.0.join(format!("{pattern}-{family}.pcap"));
            let target = std::net::SocketAddr::new(server, port);
            let report = linerate_json(
                &net.right(),
                &format!(
                    "load --interface veth0 --address {} --target {target} --pattern {pattern} \
                     {sizes} --pcap {} --json",
                    cidr(client),
                    file.display()
                ),
            );
            assert_eq!(report["failed"], serde_json::json!({}), "{pattern} {family}: {report}");
            assert!(!matching(&file, "tcp.flags.syn == 1 && tcp.flags.ack == 1").is_empty());
            is_clean(&file);
            let retransmitted =
                matching(&file, &format!("tcp.analysis.retransmission && tcp.dstport == {port}"));
            let counted = report["retransmissions"].as_u64().expect("a number");
            assert!(
                retransmitted.len() as u64 <= counted,
                "{counted} counted:\n{}",
                retransmitted.join("\n")
            );
        }
    }
}
