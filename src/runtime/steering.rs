//! Steering: how flows are divided among workers, from the queues and the RSS settings of the
//! interface, and the problems that a user should know about.

use std::io;

use crate::shard::{NO_WORKER, Steering, Toeplitz};
use crate::xdp::{self, Attachment, Probe, Rss};

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

/// Restores the RSS table of the NIC when dropped.
#[derive(Debug)]
pub(super) struct RssGuard {
    interface: String,
    table: Vec<u32>,
}

impl RssGuard {
    /// Makes the NIC spread flows over `queues` only. `before` is its table before the program was
    /// attached, since some drivers spread flows over queues of their own afterwards.
    pub(super) fn set(interface: &str, before: &Rss, queues: &[u32]) -> io::Result<Self> {
        xdp::set_rss_queues(interface, queues)?;
        Ok(Self { interface: interface.to_owned(), table: before.table.clone() })
    }
}

impl Drop for RssGuard {
    fn drop(&mut self) {
        // This fails where the interface was removed, or refuses the table. An even table is
        // restored as the driver's default: the kernel refuses to remove queues that a table of
        // ours names.
        let default = if is_even(&self.table) { &[][..] } else { &self.table };
        let _ = xdp::set_rss_table(&self.interface, default);
    }
}

/// Restores the offloads of the NIC when dropped.
#[derive(Debug)]
pub(super) struct OffloadGuard {
    interface: String,
    before: u32,
}

impl OffloadGuard {
    /// Disables the offloads that merge or strip frames in the NIC.
    pub(super) fn disable(interface: &str) -> io::Result<Self> {
        let before = xdp::disable_offloads(interface)?;
        Ok(Self { interface: interface.to_owned(), before })
    }
}

impl Drop for OffloadGuard {
    fn drop(&mut self) {
        // This fails where the interface was removed.
        let _ = xdp::restore_offloads(&self.interface, self.before);
    }
}

/// Returns true if a table gives the same share to all queues from 0 on.
fn is_even(table: &[u32]) -> bool {
    let queues = table.iter().max().map_or(0, |last| *last as usize + 1);
    let share = |queue| table.iter().filter(|entry| **entry as usize == queue).count();
    let (least, most) = (table.len() / queues.max(1), table.len().div_ceil(queues.max(1)));
    (0..queues).all(|queue| (least..=most).contains(&share(queue)))
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

/// Returns problems with the XDP hints (metadata of received frames): a driver without them, a VLAN
/// tag that is lost.
pub(super) fn hints_problem(probe: &Probe, attachment: &Attachment) -> Option<String> {
    let name = &probe.interface;
    let strips = probe.vlan_stripping == Some(true) && !attachment.hints.vlan;
    // On a veth this depends on its peer, which seldom has VLANs: `linerate check` reports it.
    let is_virtual = probe.driver.as_deref() == Some("veth");
    let lost = (strips && !is_virtual).then(|| {
        format!(
            "`{name}` strips VLAN tags, so that frames of VLANs look untagged: `ethtool -K {name} \
             rxvlan off`, or --set-offloads"
        )
    });
    let refused = attachment
        .no_hints
        .as_ref()
        .map(|cause| format!("the XDP hints of the driver of `{name}` are not used: {cause}"));
    match (refused, lost) {
        (Some(refused), Some(lost)) => Some(format!("{refused}; {lost}")),
        (refused, lost) => refused.or(lost),
    }
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

/// Returns a problem if the kernel does not defer interrupts: preferred busy polling suppresses
/// them only then.
pub(super) fn deferral_problem(interface: &str) -> Option<String> {
    let is_off = |knob: &str| {
        let path = format!("/sys/class/net/{interface}/{knob}");
        std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "0")
    };
    (is_off("napi_defer_hard_irqs") || is_off("gro_flush_timeout")).then(|| {
        format!(
            "busy polling has little effect without deferred interrupts: `echo 2 > \
             /sys/class/net/{interface}/napi_defer_hard_irqs`, `echo 200000 > \
             /sys/class/net/{interface}/gro_flush_timeout`"
        )
    })
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
    fn a_table_is_even_when_all_queues_have_the_same_share() {
        for even in [&[0, 1, 0, 1][..], &[0, 0, 1, 1], &[0, 1, 2, 0], &[0, 0]] {
            assert!(is_even(even), "{even:?}");
        }
        for odd in [&[0, 1, 1, 1][..], &[1, 1, 1, 1], &[0, 2, 0, 2]] {
            assert!(!is_even(odd), "{odd:?}");
        }
    }

    #[test]
    fn queues_without_a_worker_are_found() {
        assert_eq!(queues_without_worker(Some(&rss(&[0, 1, 1, 2])), 8, &[1]), [0, 2]);
        assert_eq!(queues_without_worker(None, 2, &[0]), [1]);
        assert!(queues_without_worker(Some(&rss(&[0, 1])), 4, &[1, 0]).is_empty());
    }
}
