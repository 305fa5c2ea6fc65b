//! Findings about a network interface.

use linerate::xdp::{Attachment, Hints, Probe, XdpFeatures};

use super::finding::Finding;

/// Largest packet that fits in one chunk of 2,048 bytes, after headroom and Ethernet header.
const MTU_PLAIN: u32 = 1774;

/// Returns all findings about an interface. `attachment` describes the trial attach, if it
/// succeeded.
pub(super) fn findings(probe: &Probe, attachment: Option<&Attachment>) -> Vec<Finding> {
    let mut all = vec![state(probe), driver(probe), mtu(probe), queues(probe), rss(probe)];
    all.extend(rings(probe));
    all.push(features(probe));
    all.extend(metadata(probe, attachment));
    all.push(occupied(probe));
    all.extend(checksum_of_peer(probe));
    all.extend(receive_merging(probe));
    all.extend(vlan(probe, attachment));
    all.push(deferral(probe));
    all
}

fn state(probe: &Probe) -> Finding {
    let name = &probe.interface;
    match (probe.up, probe.carrier) {
        (true, true) => Finding::good("state", "up"),
        (false, _) => Finding::bad("state", "down", format!("`ip link set {name} up`")),
        (true, false) => Finding::bad(
            "state",
            "up, without carrier",
            "plug the cable in, or set the other end of the veth pair up",
        ),
    }
}

fn driver(probe: &Probe) -> Finding {
    match &probe.driver {
        Some(driver) => Finding::good("driver", driver.as_str()),
        None => Finding::fair("driver", "unknown", "expect generic XDP only"),
    }
}

fn mtu(probe: &Probe) -> Finding {
    let (mtu, name) = (probe.mtu, &probe.interface);
    if mtu <= MTU_PLAIN || probe.features.is_none_or(|features| features.multi_buffer()) {
        return Finding::good("mtu", mtu.to_string());
    }
    Finding::fair(
        "mtu",
        mtu.to_string(),
        format!(
            "this driver cannot receive packets larger than a chunk, which take several buffers: \
             run `ip link set {name} mtu 1500`"
        ),
    )
}

fn queues(probe: &Probe) -> Finding {
    let Probe { rx_queues, tx_queues, rx_queues_max, interface, .. } = probe;
    let value = format!("{rx_queues} receive (maximum {rx_queues_max}), {tx_queues} transmit");
    if *rx_queues_max > *rx_queues {
        let more = format!("for more workers add queues: `ethtool -L {interface} combined N`");
        return Finding::fair("queues", value, more);
    }
    Finding::good("queues", value)
}

/// Checks the ring sizes. With short rings the driver drops bursts, and no socket counts the drops.
fn rings(probe: &Probe) -> Option<Finding> {
    const RX_MIN: u32 = 512;
    let rings = probe.rings?;
    let value = format!(
        "{} receive (maximum {}), {} transmit (maximum {})",
        rings.rx, rings.rx_max, rings.tx, rings.tx_max
    );
    if rings.rx < RX_MIN.min(rings.rx_max) {
        let hint = format!(
            "lengthen them: `ethtool -G {} rx {}`",
            probe.interface,
            rings.rx_max.min(2048)
        );
        return Some(Finding::fair("rings", value, hint));
    }
    Some(Finding::good("rings", value))
}

fn rss(probe: &Probe) -> Finding {
    match &probe.rss {
        Some(rss) if rss.toeplitz && !rss.without_ports.is_empty() => {
            let flows = &rss.without_ports;
            Finding::fair(
                "rss",
                format!("Toeplitz, without the ports of {}", flows.join(" and ")),
                format!(
                    "all flows between two hosts share one queue, and the queue of a reply cannot \
                     be predicted: run `ethtool -N {} rx-flow-hash {} sdfn`",
                    probe.interface, flows[0]
                ),
            )
        }
        Some(rss) if rss.toeplitz => Finding::good(
            "rss",
            format!(
                "Toeplitz, key of {} bytes, table of {} entries over queues {}",
                rss.key.len(),
                rss.table.len(),
                queues_of(&rss.table)
            ),
        ),
        Some(_) if probe.rx_queues > 1 => Finding::fair(
            "rss",
            "not Toeplitz with a known key",
            format!(
                "the queue of a reply cannot be predicted: run `ethtool -X {} hfunc toeplitz`",
                probe.interface
            ),
        ),
        _ if probe.rx_queues > 1 => Finding::fair(
            "rss",
            "unknown",
            "the queue of a reply cannot be predicted: workers hand frames over to each other",
        ),
        _ => Finding::good("rss", "not needed with one queue"),
    }
}

/// Formats the queues of a table: `0-3`, or `0, 2` if they are not contiguous.
fn queues_of(table: &[u32]) -> String {
    let mut queues = table.to_vec();
    queues.sort_unstable();
    queues.dedup();
    match queues[..] {
        [first, .., last] if (last - first) as usize + 1 == queues.len() => {
            format!("{first}-{last}")
        }
        _ => queues.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
    }
}

fn features(probe: &Probe) -> Finding {
    let Some(features) = probe.features else {
        return Finding::good("driver_xdp", "not reported by this kernel (older than 6.3)");
    };
    let value = names(features);
    if features.native() && features.redirect() {
        return Finding::good("driver_xdp", value);
    }
    let hint =
        "expect generic XDP; native XDP needs a driver such as veth, ixgbe, i40e, ice or mlx5";
    Finding::fair("driver_xdp", value, hint)
}

fn names(features: XdpFeatures) -> String {
    let all = [
        (features.native(), "native"),
        (features.redirect(), "redirect"),
        (features.zero_copy(), "zero-copy"),
        (features.multi_buffer(), "multi-buffer"),
    ];
    let had: Vec<&str> = all.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
    if had.is_empty() { "none".into() } else { had.join(", ") }
}

/// Lists the driver's metadata. Plain information: docs/guide.md describes its use.
fn metadata(probe: &Probe, attachment: Option<&Attachment>) -> Option<Finding> {
    let features = probe.features?;
    let list = |names: &mut dyn Iterator<Item = &'static str>| match names.collect::<Vec<_>>() {
        names if names.is_empty() => "none".to_owned(),
        names => names.join(", "),
    };
    let (rx, tx) = (list(&mut features.rx_metadata()), list(&mut features.tx_metadata()));
    let tx = if tx == "none" { tx } else { format!("{tx} (not used)") };
    let offered = Hints::of_driver(features);
    let read = match attachment {
        _ if offered.is_empty() => String::new(),
        None => "; attach the program to see which of it can be read".to_owned(),
        Some(Attachment { no_hints: Some(cause), .. }) => format!("; none is read: {cause}"),
        Some(attachment) => format!("; read: {}", list(&mut attachment.hints.and(offered).names())),
    };
    let value = match (&*rx, &*tx) {
        ("none", "none") => "none".to_owned(),
        _ => format!("receiving {rx}; sending {tx}{read}"),
    };
    Some(Finding::good("driver_metadata", value))
}

fn occupied(probe: &Probe) -> Finding {
    let name = &probe.interface;
    match probe.program {
        None => Finding::good("attached_program", "none"),
        Some(id) => Finding::bad(
            "attached_program",
            format!("id {id}"),
            format!(
                "stop its owner (`bpftool prog show id {id}`), or run `ip link set {name} xdp off`"
            ),
        ),
    }
}

/// Checks the checksum offload of a veth peer. With the offload on, its packets arrive without
/// valid checksums.
fn checksum_of_peer(probe: &Probe) -> Option<Finding> {
    let name = "peer_checksum_offload";
    let peer = probe.peer.as_ref()?;
    let shown = peer.interface.clone().unwrap_or_else(|| format!("index {}", peer.index));
    Some(match (&peer.interface, peer.tx_checksum_offload) {
        (_, Some(false)) => Finding::good(name, format!("off on {shown}")),
        (Some(peer), Some(true)) => Finding::bad(
            name,
            format!("on on {peer}: its packets arrive without checksums"),
            format!("`ethtool -K {peer} tx off`"),
        ),
        _ => Finding::fair(
            name,
            format!("unknown: the peer ({shown}) is in another network namespace"),
            "run `ethtool -K IF tx off` there, or its packets arrive without checksums",
        ),
    })
}

fn receive_merging(probe: &Probe) -> Option<Finding> {
    let merges = probe.large_receive_offload?;
    Some(match merges {
        false => Finding::good("lro", "off"),
        true => Finding::bad("lro", "on", format!("`ethtool -K {} lro off`", probe.interface)),
    })
}

/// Checks VLAN stripping. If the tag is stripped and not restored, a frame of another VLAN looks
/// like an untagged one.
fn vlan(probe: &Probe, attachment: Option<&Attachment>) -> Option<Finding> {
    let name = "vlan_stripping";
    let strips = probe.vlan_stripping?;
    let is_restored = match attachment {
        Some(attachment) => attachment.hints.vlan,
        None => probe.features.is_some_and(XdpFeatures::provides_vlan),
    };
    let interface = &probe.interface;
    let value = "on: the stack does not see VLAN tags";
    Some(match (strips, is_restored, &probe.peer) {
        (false, ..) => Finding::good(name, "off"),
        (true, true, _) => {
            Finding::good(name, "on: the driver reports the tags, and the program restores them")
        }
        // A veth strips nothing itself: it passes on tags that its peer left out of the frame.
        (true, false, Some(peer)) => {
            let peer = peer.interface.as_deref().unwrap_or("IF");
            let hint = format!("if it uses VLANs, run `ethtool -K {peer} txvlan off` on the peer");
            Finding::fair(name, value, hint)
        }
        (true, false, None) => {
            Finding::fair(name, value, format!("`ethtool -K {interface} rxvlan off`"))
        }
    })
}

/// Shows the settings that preferred busy polling needs.
fn deferral(probe: &Probe) -> Finding {
    let setting = |name: &str| {
        let path = format!("/sys/class/net/{}/{name}", probe.interface);
        std::fs::read_to_string(path).map_or_else(|_| "?".into(), |text| text.trim().to_owned())
    };
    let (defer, flush) = (setting("napi_defer_hard_irqs"), setting("gro_flush_timeout"));
    Finding::good(
        "irq_deferral",
        format!("napi_defer_hard_irqs {defer}, gro_flush_timeout {flush} ns"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade;
    use super::*;
    use linerate::xdp::{Peer, Rss};

    fn probe() -> Probe {
        Probe {
            interface: "veth0".into(),
            index: 2,
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1500,
            up: true,
            carrier: true,
            driver: Some("veth".into()),
            rx_queues: 1,
            tx_queues: 1,
            rx_queues_max: 1,
            rings: None,
            rss: None,
            tx_checksum_offload: Some(false),
            segmentation_offload: None,
            receive_offload: None,
            large_receive_offload: Some(false),
            vlan_stripping: Some(true),
            features: None,
            program: None,
            peer: Some(Peer {
                index: 3,
                interface: Some("veth1".into()),
                tx_checksum_offload: Some(false),
            }),
        }
    }

    fn grade(probe: &Probe, name: &str) -> Option<Grade> {
        findings(probe, None).iter().find(|it| it.name == name).map(|it| it.grade)
    }

    #[test]
    fn a_working_interface_has_no_bad_findings() {
        assert!(findings(&probe(), None).iter().all(|it| it.grade != Grade::Bad));
    }

    #[test]
    fn each_problem_is_found_and_has_a_hint() {
        let mut bad =
            Probe { up: false, program: Some(7), large_receive_offload: Some(true), ..probe() };
        if let Some(peer) = &mut bad.peer {
            peer.tx_checksum_offload = Some(true);
        }
        for name in ["state", "attached_program", "lro", "peer_checksum_offload"] {
            assert_eq!(grade(&bad, name), Some(Grade::Bad), "{name}");
        }
        assert!(findings(&bad, None).iter().all(|it| it.grade == Grade::Good || it.hint.is_some()));
    }

    #[test]
    fn a_hash_without_ports_gets_a_hint_and_a_hash_with_ports_does_not() {
        let rss = |without_ports| {
            Some(Rss { key: vec![1; 40], table: vec![0, 1], toeplitz: true, without_ports })
        };
        let with = |flows| Probe { rx_queues: 2, rss: rss(flows), ..probe() };
        assert_eq!(grade(&with(vec![]), "rss"), Some(Grade::Good));
        assert_eq!(grade(&with(vec!["tcp6"]), "rss"), Some(Grade::Fair));
    }

    #[test]
    fn short_rings_get_a_hint() {
        let rings = Some(linerate::xdp::Rings { rx: 256, rx_max: 4096, tx: 256, tx_max: 4096 });
        assert_eq!(grade(&Probe { rings, ..probe() }, "rings"), Some(Grade::Fair));
        assert_eq!(
            (queues_of(&[1, 0, 1]), queues_of(&[2, 0]), queues_of(&[3])),
            ("0-1".into(), "0, 2".into(), "3".into())
        );
    }

    fn attachment(hints: Hints, no_hints: Option<&str>) -> Attachment {
        Attachment {
            interface: "veth0".into(),
            index: 2,
            mode: linerate::xdp::AttachedMode::Native,
            fallback: None,
            hints,
            no_hints: no_hints.map(str::to_owned),
        }
    }

    #[test]
    fn a_nic_that_strips_tags_gets_a_hint_unless_the_tags_are_restored() {
        let nic = Probe { peer: None, driver: Some("ice".into()), ..probe() };
        let hint = |probe: &Probe, attachment: Option<&Attachment>| {
            let found = findings(probe, attachment);
            found.into_iter().find(|it| it.name == "vlan_stripping").and_then(|it| it.hint)
        };
        let restored = attachment(Hints { vlan: true, ..Hints::default() }, None);
        let lost = attachment(Hints::default(), Some("refused"));
        assert_eq!(hint(&nic, Some(&restored)), None);
        assert!(hint(&nic, Some(&lost)).is_some_and(|hint| hint.contains("-K veth0 rxvlan off")));
        assert!(hint(&nic, None).is_some(), "a driver that reports no tags");
        assert!(hint(&probe(), None).is_some_and(|hint| hint.contains("-K veth1 txvlan off")));
        let off = Probe { vlan_stripping: Some(false), ..nic };
        assert_eq!(hint(&off, Some(&lost)), None);
    }

    #[test]
    fn a_peer_in_another_namespace_is_fair() {
        let mut probe = probe();
        probe.peer = Some(Peer { index: 3, interface: None, tx_checksum_offload: None });
        assert_eq!(grade(&probe, "peer_checksum_offload"), Some(Grade::Fair));
    }
}
