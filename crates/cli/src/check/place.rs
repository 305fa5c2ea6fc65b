//! NUMA placement of the interface: its node, the cores of its workers, its interrupts.

use linerate::runtime::Cores;
use linerate::xdp::{Interrupt, Locality, format_cores};

use super::finding::Finding;

/// Returns the findings on node, cores and interrupts of an interface with `queues` receive queues.
pub(super) fn findings(
    interface: &str,
    place: &Locality,
    cores: &Cores,
    queues: u32,
) -> Vec<Finding> {
    let mut all: Vec<Finding> = node(place).into_iter().collect();
    all.push(workers(interface, place, cores, queues));
    all.extend(interrupts(place, queues));
    all
}

/// Reports the NIC's node. A worker on another node reads every frame across the interconnect.
fn node(place: &Locality) -> Option<Finding> {
    let node = place.node?;
    Some(Finding::good("numa_node", format!("{node}, cores {}", format_cores(&place.cores))))
}

/// Reports the cores that would be assigned if every queue had a worker.
fn workers(interface: &str, place: &Locality, cores: &Cores, queues: u32) -> Finding {
    let name = "worker_cores";
    let chosen = cores.choose(place, queues as usize);
    let list = chosen.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let value = match queues {
        1 => format!("{list} for 1 queue"),
        _ => format!("{list} for {queues} queues"),
    };
    let far = chosen.iter().filter(|core| !place.is_near(**core)).count();
    if far == chosen.len() && far > 0 {
        let hint =
            "no core is on the NIC's node: let this process use cores there (`taskset`, cpusets)";
        return Finding::fair(name, value, hint);
    }
    if far > 0 {
        let hint = format!(
            "the NIC's node has too few cores: use fewer queues (`ethtool -L {interface} combined \
             N`)"
        );
        return Finding::fair(name, value, hint);
    }
    if chosen.len() < queues as usize {
        let hint = format!(
            "fewer cores than queues: run `ethtool -L {interface} combined {}`, or serve only some \
             queues (--queues with --set-rss)",
            chosen.len()
        );
        return Finding::fair(name, value, hint);
    }
    Finding::good(name, value)
}

/// Reports which cores handle which interrupt of the NIC.
fn interrupts(place: &Locality, queues: u32) -> Option<Finding> {
    let name = "interrupts";
    if place.interrupts.is_empty() {
        return None;
    }
    let value = place.interrupts.iter().map(shown).collect::<Vec<_>>().join(", ");
    let of_queues: Vec<&Interrupt> =
        place.interrupts.iter().filter(|it| it.queue.is_some()).collect();
    // If no interrupt name shows its queue, check them all.
    let checked = match of_queues.len() {
        0 => place.interrupts.iter().collect(),
        _ => of_queues,
    };
    let are_equal = checked.iter().all(|it| it.cores == checked[0].cores);
    if queues > 1 && checked.len() > 1 && are_equal && checked[0].cores.len() == 1 {
        let hint = "all on one core: stop irqbalance and move each queue's interrupt to the core \
                    of its worker (/proc/irq/N/smp_affinity_list)";
        return Some(Finding::fair(name, value, hint));
    }
    if checked.iter().any(|it| it.cores.iter().all(|core| !place.is_near(*core))) {
        let hint = format!(
            "on another node than the NIC: stop irqbalance and move them to cores {} \
             (/proc/irq/N/smp_affinity_list)",
            format_cores(&place.cores)
        );
        return Some(Finding::fair(name, value, hint));
    }
    Some(Finding::good(name, value))
}

fn shown(interrupt: &Interrupt) -> String {
    let queue = interrupt.queue.map(|queue| format!(" (queue {queue})")).unwrap_or_default();
    format!("{}{queue} on {}", interrupt.number, format_cores(&interrupt.cores))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade;
    use super::*;

    fn interrupt(number: u32, queue: Option<u32>, cores: &[usize]) -> Interrupt {
        Interrupt { number, queue, cores: cores.to_vec() }
    }

    #[test]
    fn interrupts_on_one_core_or_on_another_node_get_a_hint() {
        let queues = |first: &[usize], second: &[usize]| {
            vec![
                interrupt(30, None, &[0]),
                interrupt(31, Some(0), first),
                interrupt(32, Some(1), second),
            ]
        };
        let no_node = |interrupts| Locality { interrupts, ..Locality::default() };
        let on_node = |interrupts| Locality { node: Some(1), cores: vec![2, 3], interrupts };
        let cases = [
            (no_node(queues(&[0], &[1])), 2, Grade::Good),
            (no_node(queues(&[0], &[0])), 2, Grade::Fair),
            (no_node(queues(&[0], &[0])), 1, Grade::Good),
            // An interrupt that belongs to no queue may be on any core.
            (on_node(queues(&[2], &[3])), 2, Grade::Good),
            (on_node(queues(&[2], &[1])), 2, Grade::Fair),
            (on_node(queues(&[0, 2], &[1, 3])), 2, Grade::Good),
        ];
        for (place, count, grade) in cases {
            let found = interrupts(&place, count).unwrap();
            assert_eq!(found.grade, grade, "{place:?}");
            assert!(found.value.contains("31 (queue 0) on "), "{found:?}");
        }
        assert_eq!(interrupts(&Locality::default(), 2), None);
    }

    #[test]
    fn the_node_and_the_cores_of_workers_are_reported() {
        let cores = Cores::read();
        let all = findings("eth9", &Locality::default(), &cores, 1);
        assert_eq!(all.len(), 1, "a virtual interface has no node and no interrupts");
        assert_eq!(all[0].grade, Grade::Good);
        let elsewhere = Locality { node: Some(1), cores: vec![4000, 4001], interrupts: Vec::new() };
        let all = findings("eth9", &elsewhere, &cores, 1);
        assert_eq!(all[0].value, "1, cores 4000-4001");
        assert_eq!(all[1].grade, Grade::Fair, "{all:?}");
        let too_many = cores.count() as u32 + 1;
        assert_eq!(findings("eth9", &Locality::default(), &cores, too_many)[0].grade, Grade::Fair);
    }
}
