//! From what an interface tells of its queues to the division of flows among workers, and to what a user
//! should know about that.

use std::io;

use crate::shard::{NO_WORKER, Steering, Toeplitz};
use crate::xdp::{self, Attachment, Probe, Rss};

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

/// The NIC's table as it was, put back when dropped.
#[derive(Debug)]
pub(super) struct RssGuard {
    interface: String,
    table: Vec<u32>,
}

impl RssGuard {
    /// Has the NIC spread flows over `queues` alone; `before` is its table before the program was attached, since
    /// some drivers spread them over queues of their own from then on.
    pub(super) fn take(interface: &str, before: &Rss, queues: &[u32]) -> io::Result<Self> {
        xdp::set_rss_queues(interface, queues)?;
        Ok(Self { interface: interface.to_owned(), table: before.table.clone() })
    }
}

impl Drop for RssGuard {
    fn drop(&mut self) {
        // An interface that is gone has no table; one that refuses keeps ours, which it took. The default is asked for
        // where the table was as good as that: the kernel refuses to take queues away that a table of ours names.
        let default = if is_even(&self.table) { &[][..] } else { &self.table };
        let _ = xdp::set_rss_table(&self.interface, default);
    }
}

/// The NIC's offloads as they were, put back when dropped.
#[derive(Debug)]
pub(super) struct OffloadGuard {
    interface: String,
    before: u32,
}

impl OffloadGuard {
    /// Turns off what merges or strips frames in the NIC.
    pub(super) fn take(interface: &str) -> io::Result<Self> {
        let before = xdp::set_offloads_off(interface)?;
        Ok(Self { interface: interface.to_owned(), before })
    }
}

impl Drop for OffloadGuard {
    fn drop(&mut self) {
        // As with the table.
        let _ = xdp::set_offloads_back(&self.interface, self.before);
    }
}

/// Whether a table gives all queues from 0 on the same share.
fn is_even(table: &[u32]) -> bool {
    let queues = table.iter().max().map_or(0, |last| *last as usize + 1);
    let share = |queue| table.iter().filter(|entry| **entry as usize == queue).count();
    let (least, most) = (table.len() / queues.max(1), table.len().div_ceil(queues.max(1)));
    (0..queues).all(|queue| (least..=most).contains(&share(queue)))
}

fn is_single(rss: &Rss, queues: &[u32]) -> bool {
    queues.len() == 1 && rss.table.iter().all(|queue| *queue == queues[0])
}

fn foreseen(rss: &Rss, queues: &[u32]) -> Option<Steering> {
    let key = rss.key.first_chunk::<{ Toeplitz::KEY_BYTES }>().filter(|_| rss.is_foreseeable())?;
    let worker_of = |queue: &u32| {
        let worker = queues.iter().position(|mine| mine == queue);
        worker.map_or(NO_WORKER, |worker| worker as u16)
    };
    let table = rss.table.iter().map(worker_of).collect();
    Some(Steering::Rss { toeplitz: Toeplitz::new(*key), table })
}

/// What a user should know of what the driver tells beside the bytes of frames: that a tag may be lost.
pub(super) fn note_on_hints(probe: &Probe, attachment: &Attachment) -> Option<String> {
    let name = &probe.interface;
    let strips = probe.vlan_stripping == Some(true) && !attachment.hints.vlan;
    // On a veth this is about its peer, which seldom has VLANs: `check` tells of it.
    let is_virtual = probe.driver.as_deref() == Some("veth");
    let lost = (strips && !is_virtual).then(|| {
        format!(
            "`{name}` takes VLAN tags off, and frames of VLANs then pass for untagged ones: `ethtool -K {name} rxvlan \
             off`, or --set-offloads"
        )
    });
    let refused = attachment.no_hints.as_ref().map(|cause| {
        format!("what the driver of `{name}` tells beside the bytes of frames is not used: {cause}")
    });
    match (refused, lost) {
        (Some(refused), Some(lost)) => Some(format!("{refused}; {lost}")),
        (refused, lost) => refused.or(lost),
    }
}

/// What a user should know before the first frame comes.
pub(super) fn problems(probe: &Probe, queues: &[u32]) -> Vec<String> {
    let name = &probe.interface;
    let mut notes = Vec::new();
    let idle = queues_without_worker(probe.rss.as_ref(), probe.rx_queues, queues);
    if !idle.is_empty() {
        notes.push(format!(
            "`{name}` spreads flows over queues that have no worker ({}): what comes in there passes to the kernel. \
             Take them too (--queues), have the NIC leave them out (--set-rss), or have fewer (`ethtool -L {name} \
             combined {}`)",
            list(&idle),
            queues.len()
        ));
    }
    match &probe.rss {
        Some(rss) if !rss.is_foreseeable() && !is_single(rss, queues) => {
            let why = match rss.without_ports.first() {
                Some(flow) if rss.toeplitz => format!(
                    "its hash leaves ports out: `ethtool -N {name} rx-flow-hash {flow} sdfn`"
                ),
                _ => "no Toeplitz hash under a known key".to_owned(),
            };
            notes.push(format!(
                "the queue that a flow comes in on cannot be foreseen on `{name}` ({why}): answers to active opens \
                 are handed over between workers, or missed where queues have none"
            ));
        }
        _ => {}
    }
    notes
}

/// Preferred busy polling keeps interrupts off only while the kernel is told to put them off.
pub(super) fn note_on_deferral(interface: &str) -> Option<String> {
    let is_off = |knob: &str| {
        let path = format!("/sys/class/net/{interface}/{knob}");
        std::fs::read_to_string(path).is_ok_and(|value| value.trim() == "0")
    };
    (is_off("napi_defer_hard_irqs") || is_off("gro_flush_timeout")).then(|| {
        format!(
            "busy polling does little while interrupts come at once: `echo 2 > \
             /sys/class/net/{interface}/napi_defer_hard_irqs`, `echo 200000 > \
             /sys/class/net/{interface}/gro_flush_timeout`"
        )
    })
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
        Rss { key: vec![0x6d; 52], table: table.to_vec(), toeplitz: true, without_ports: vec![] }
    }

    #[test]
    fn the_table_is_told_in_workers() {
        let steering = steering(Some(&rss(&[0, 1, 2, 3])), &[3, 1]);
        let Steering::Rss { table, .. } = steering else { panic!("{steering:?}") };
        assert_eq!(*table, [NO_WORKER, 1, NO_WORKER, 0]);
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
    fn queues_that_nobody_takes_are_found() {
        assert_eq!(queues_without_worker(Some(&rss(&[0, 1, 1, 2])), 8, &[1]), [0, 2]);
        assert_eq!(queues_without_worker(None, 2, &[0]), [1]);
        assert!(queues_without_worker(Some(&rss(&[0, 1])), 4, &[1, 0]).is_empty());
    }
}
