//! IPv6 flow labels on the wire (RFC 6437).

use std::collections::{BTreeMap, BTreeSet};

use super::stage::{Stage, echo, target};
use crate::sim::Plan;
use crate::time::Duration;

/// Returns the addresses, the TCP ports if any, and the flow label of every IPv6 frame.
fn labels(frames: &[Vec<u8>]) -> Vec<(Vec<u8>, u32)> {
    let v6 = frames.iter().filter(|frame| frame[12..14] == [0x86, 0xdd]);
    v6.map(|frame| {
        let ports = if frame[20] == 6 { &frame[54..58] } else { &[][..] };
        let word = u32::from_be_bytes([frame[14], frame[15], frame[16], frame[17]]);
        ([&frame[22..54], ports].concat(), word & 0xf_ffff)
    })
    .collect()
}

#[test]
fn every_flow_keeps_one_label() {
    // RFC 6437 §3: a source node SHOULD label each flow; §2: the label is delivered unchanged.
    let mut stage = Stage::new(50, echo);
    let record = stage.world.record();
    let (_, tally) = stage.client(Plan::echo(target(true), 20, 3000));
    stage.finish(&tally, 20, Duration::from_secs(5));
    stage.world.run_for(Duration::from_millis(500));
    let seen = labels(&record.borrow());
    let mut flows: BTreeMap<Vec<u8>, BTreeSet<u32>> = BTreeMap::new();
    for (endpoints, label) in seen {
        flows.entry(endpoints).or_default().insert(label);
    }
    assert!(flows.len() >= 42, "twenty flows each way, and neighbour discovery");
    assert!(flows.values().all(|labels| labels.len() == 1 && !labels.contains(&0)), "{flows:?}");
    let different: BTreeSet<_> = flows.values().flatten().collect();
    assert!(different.len() > 38, "{different:?}");
}
