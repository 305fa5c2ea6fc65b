//! The switch between the hosts: forwards a copy of each frame to its destination, and spreads
//! flows over a host's workers by a hash that the stack cannot predict.

use super::host::Host;
use crate::link::{Frame, Link};
use crate::time::Instant;

/// Forwards the frames of all ports and passes each to `seen`. Returns the number of frames.
pub(super) fn forward(
    now: Instant,
    hosts: &mut [Host],
    frames: &mut Vec<Frame>,
    mut seen: impl FnMut(&[u8]),
) -> usize {
    let mut moved = 0;
    for from in 0..hosts.len() {
        for worker in 0..hosts[from].workers.len() {
            hosts[from].workers[worker].far.receive(now, usize::MAX, frames);
            for frame in frames.drain(..) {
                moved += 1;
                seen(&frame);
                deliver(now, hosts, from, &frame);
                hosts[from].workers[worker].far.release(frame);
            }
        }
    }
    for worker in hosts.iter_mut().flat_map(|host| &mut host.workers) {
        worker.far.flush(now);
    }
    moved
}

fn deliver(now: Instant, hosts: &mut [Host], from: usize, frame: &[u8]) {
    let Some(destination) = frame.get(..6) else { return };
    let to_group = destination[0] & 1 == 1;
    for (at, host) in hosts.iter_mut().enumerate() {
        if at == from || host.workers.is_empty() || !(to_group || host.mac == *destination) {
            continue;
        }
        let queue = queue(frame, host.workers.len());
        let far = &mut host.workers[queue].far;
        // Without a free frame the switch drops the packet.
        if let Some(mut copy) = far.reserve() {
            copy.fill(frame);
            far.transmit(now, copy);
        }
    }
}

/// Returns the queue of a frame: FNV-1a over the addresses and ports of a TCP segment, queue 0 for
/// the rest.
fn queue(frame: &[u8], queues: usize) -> usize {
    let ends = match frame.get(12..14) {
        Some([0x08, 0x00]) if frame.get(23) == Some(&6) => frame.get(26..38),
        Some([0x86, 0xdd]) if frame.get(20) == Some(&6) => frame.get(22..58),
        _ => None,
    };
    let Some(ends) = ends else { return 0 };
    let hash = ends.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 20) as usize % queues
}
