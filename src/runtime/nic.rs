//! The settings of a NIC that a stack changes while it runs, and those that a user should change.

use std::io;

use crate::xdp::{self, Attachment, Probe, Rss};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_even_when_all_queues_have_the_same_share() {
        for even in [&[0, 1, 0, 1][..], &[0, 0, 1, 1], &[0, 1, 2, 0], &[0, 0]] {
            assert!(is_even(even), "{even:?}");
        }
        for odd in [&[0, 1, 1, 1][..], &[1, 1, 1, 1], &[0, 2, 0, 2]] {
            assert!(!is_even(odd), "{odd:?}");
        }
    }
}
