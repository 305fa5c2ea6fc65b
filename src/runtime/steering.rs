//! Steering: how flows are divided among workers, from the queues and the RSS settings of the
//! interface, and the problems that a user should know about.

use crate::shard::{NO_WORKER, Steering, Toeplitz};
use crate::xdp::{Probe, Rss};

/// Returns how flows are divided among workers when worker n has queue `queues[n]`.
///
/// Where the NIC spreads flows by a hash, a flow stays on the queue on which it began. Without RSS
/// (veth: the sender chooses the queue, and may change it when it retransmits) a hash in software
/// decides which worker owns a flow.
pub(super) fn steering(rss: Option<&Rss>, queues: &[u32]) -> Steering {
    let workers = queues.len() as u16;
    match rss {
        Some(rss) if is_single(rss, queues) => Steering::Single,
        Some(rss) => predicted(rss, queues).unwrap_or_default(),
        None if workers > 1 => Steering::Hash { workers },
        None => Steering::Single,
    }
}

fn is_single(rss: &Rss, queues: &[u32]) -> bool {
    queues.len() == 1 && rss.table.iter().all(|queue| *queue == queues[0])
}

fn predicted(rss: &Rss, queues: &[u32]) -> Option<Steering> {
    let key = rss.key.first_chunk::<{ Toeplitz::KEY_BYTES }>().filter(|_| rss.is_predictable())?;
    let worker_of = |queue: &u32| {
        let worker = queues.iter().position(|own| own == queue);
        worker.map_or(NO_WORKER, |worker| worker as u16)
    };
    let table = rss.table.iter().map(worker_of).collect();
    Some(Steering::Rss { toeplitz: Toeplitz::new(*key), table })
}

/// Returns problems with the division of flows, each with its remedy.
pub(super) fn problems(probe: &Probe, queues: &[u32]) -> Vec<String> {
    let name = &probe.interface;
    let mut problems = Vec::new();
    let idle = queues_without_worker(probe.rss.as_ref(), probe.rx_queues, queues);
    if !idle.is_empty() {
        problems.push(format!(
            "`{name}` spreads flows over queues that have no worker ({}): their frames pass to \
             the kernel; add these queues (--queues), exclude them from RSS (--set-rss), or \
             reduce them (`ethtool -L {name} combined {}`)",
            list(&idle),
            queues.len()
        ));
    }
    match &probe.rss {
        Some(rss) if !rss.is_predictable() && !is_single(rss, queues) => {
            let why = match rss.without_ports.first() {
                Some(flow) if rss.toeplitz => {
                    format!("its hash ignores ports: `ethtool -N {name} rx-flow-hash {flow} sdfn`")
                }
                _ => "it does not report a Toeplitz hash with its key".to_owned(),
            };
            problems.push(format!(
                "the queue of a flow cannot be predicted on `{name}` ({why}): replies to active \
                 opens are handed over between workers, and lost on queues without a worker"
            ));
        }
        _ => {}
    }
    problems
}

/// Returns the queues that receive flows and have no worker.
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
        Rss { key: vec![0x6d; 52], table: table.to_vec(), toeplitz: true, without_ports: vec![] }
    }

    #[test]
    fn the_rss_table_is_converted_from_queues_to_workers() {
        let steering = steering(Some(&rss(&[0, 1, 2, 3])), &[3, 1]);
        let Steering::Rss { table, .. } = steering else { panic!("{steering:?}") };
        assert_eq!(*table, [NO_WORKER, 1, NO_WORKER, 0]);
    }

    #[test]
    fn one_worker_predicts_queues_where_the_nic_has_more_of_them() {
        assert!(matches!(steering(Some(&rss(&[0, 1])), &[0]), Steering::Rss { .. }));
        assert_eq!(steering(Some(&rss(&[0, 0])), &[0]), Steering::Single);
        assert_eq!(steering(None, &[0]), Steering::Single);
    }

    #[test]
    fn unpredictable_flows_are_handed_over_and_flows_without_rss_are_hashed() {
        let unknown = Rss { toeplitz: false, ..rss(&[0, 1]) };
        assert_eq!(steering(Some(&unknown), &[0, 1]), Steering::Single);
        let addresses = Rss { without_ports: vec!["tcp6"], ..rss(&[0, 1]) };
        assert_eq!(steering(Some(&addresses), &[0, 1]), Steering::Single);
        let short = Rss { key: vec![1; 16], ..rss(&[0, 1]) };
        assert_eq!(steering(Some(&short), &[0, 1]), Steering::Single);
        assert_eq!(steering(None, &[0, 1]), Steering::Hash { workers: 2 });
    }

    #[test]
    fn queues_without_a_worker_are_found() {
        assert_eq!(queues_without_worker(Some(&rss(&[0, 1, 1, 2])), 8, &[1]), [0, 2]);
        assert_eq!(queues_without_worker(None, 2, &[0]), [1]);
        assert!(queues_without_worker(Some(&rss(&[0, 1])), 4, &[1, 0]).is_empty());
    }
}
