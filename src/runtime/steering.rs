//! From what an interface tells of its queues to the division of flows among workers, and to what a user
//! should know about that.

use crate::shard::{NOBODY, Steering, Toeplitz};
use crate::xdp::{Probe, Rss};

/// How flows are divided when worker n has queue `queues[n]`.
///
/// Where the NIC spreads flows by a hash, a flow stays on the queue on which it began. Where nothing does (veth:
/// the sender's choice, which changes when the kernel sends again) only a hash of our own can say whose a
/// flow is.
pub(super) fn steering(rss: Option<&Rss>, queues: &[u32]) -> Steering {
    let workers = queues.len() as u16;
    match rss {
        Some(rss) if is_single(rss, queues) => Steering::Single,
        Some(rss) => foreseen(rss, queues).unwrap_or_default(),
        None if workers > 1 => Steering::Hash { workers },
        None => Steering::Single,
    }
}

fn is_single(rss: &Rss, queues: &[u32]) -> bool {
    queues.len() == 1 && rss.table.iter().all(|queue| *queue == queues[0])
}

fn foreseen(rss: &Rss, queues: &[u32]) -> Option<Steering> {
    let key = rss.key.first_chunk::<{ Toeplitz::KEY_BYTES }>().filter(|_| rss.toeplitz)?;
    let worker_of = |queue: &u32| {
        let worker = queues.iter().position(|mine| mine == queue);
        worker.map_or(NOBODY, |worker| worker as u16)
    };
    let table = rss.table.iter().map(worker_of).collect();
    Some(Steering::Rss { toeplitz: Toeplitz::new(*key), table })
}

/// What a user should know before the first frame comes.
pub(super) fn notes(probe: &Probe, queues: &[u32]) -> Vec<String> {
    let name = &probe.interface;
    let mut notes = Vec::new();
    let idle = queues_without_worker(probe.rss.as_ref(), probe.rx_queues, queues);
    if !idle.is_empty() {
        notes.push(format!(
            "`{name}` spreads flows over queues that have no worker ({}): what comes in there passes to the kernel. \
             Take them too (--queues), or have fewer (`ethtool -L {name} combined {}`)",
            list(&idle),
            queues.len()
        ));
    }
    match &probe.rss {
        Some(rss) if !rss.toeplitz && !is_single(rss, queues) => notes.push(format!(
            "the queue that a flow comes in on cannot be foreseen on `{name}` (no Toeplitz hash under a known key): \
             answers to active opens are handed over between workers, or missed where queues have none"
        )),
        _ => {}
    }
    notes
}

/// The queues to which flows go and where nobody takes them.
fn queues_without_worker(rss: Option<&Rss>, rx_queues: u32, queues: &[u32]) -> Vec<u32> {
    let mut used: Vec<u32> = match rss {
        Some(rss) => rss.table.clone(),
        None => (0..rx_queues).collect(),
    };
    used.sort_unstable();
    used.dedup();
    used.retain(|queue| !queues.contains(queue));
    used
}

fn list(queues: &[u32]) -> String {
    queues.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rss(table: &[u32]) -> Rss {
        Rss { key: vec![0x6d; 52], table: table.to_vec(), toeplitz: true }
    }

    #[test]
    fn the_table_is_told_in_workers() {
        let steering = steering(Some(&rss(&[0, 1, 2, 3])), &[3, 1]);
        let Steering::Rss { table, .. } = steering else { panic!("{steering:?}") };
        assert_eq!(*table, [NOBODY, 1, NOBODY, 0]);
    }

    #[test]
    fn one_worker_foresees_too_where_the_nic_has_more_queues() {
        assert!(matches!(steering(Some(&rss(&[0, 1])), &[0]), Steering::Rss { .. }));
        assert_eq!(steering(Some(&rss(&[0, 0])), &[0]), Steering::Single);
        assert_eq!(steering(None, &[0]), Steering::Single);
    }

    #[test]
    fn what_cannot_be_foreseen_goes_round_and_what_nothing_spreads_is_hashed() {
        let unknown = Rss { toeplitz: false, ..rss(&[0, 1]) };
        assert_eq!(steering(Some(&unknown), &[0, 1]), Steering::Single);
        let short = Rss { key: vec![1; 16], ..rss(&[0, 1]) };
        assert_eq!(steering(Some(&short), &[0, 1]), Steering::Single);
        assert_eq!(steering(None, &[0, 1]), Steering::Hash { workers: 2 });
    }

    #[test]
    fn queues_that_nobody_takes_are_found() {
        assert_eq!(queues_without_worker(Some(&rss(&[0, 1, 1, 2])), 8, &[1]), [0, 2]);
        assert_eq!(queues_without_worker(None, 2, &[0]), [1]);
        assert!(queues_without_worker(Some(&rss(&[0, 1])), 4, &[1, 0]).is_empty());
    }
}
