//! Where the interface sits in the machine, and which cores suit it.

use linerate::runtime::Cores;
use linerate::xdp::{Interrupt, Locality, format_cores};

use super::finding::Finding;

/// Node, cores, interrupts; of an interface with so many receive queues.
pub fn findings(interface: &str, place: &Locality, cores: &Cores, queues: u32) -> Vec<Finding> {
    let mut all: Vec<Finding> = node(place).into_iter().collect();
    all.push(workers(interface, place, cores, queues));
    all.extend(interrupts(place, queues));
    all
}

/// Workers on another node fetch every frame from afar.
fn node(place: &Locality) -> Option<Finding> {
    let node = place.node?;
    Some(Finding::good("numa_node", format!("{node}, cores {}", format_cores(&place.cores))))
}

/// The cores that workers of all queues would get.
fn workers(interface: &str, place: &Locality, cores: &Cores, queues: u32) -> Finding {
    let name = "worker_cores";
    let chosen = cores.choose(place, queues as usize);
    let list = chosen.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let value = match queues {
        1 => format!("{list} for its queue"),
        _ => format!("{list} for {queues} queues"),
    };
    let far = chosen.iter().filter(|core| !place.is_near(**core)).count();
    if far == chosen.len() && far > 0 {
        let hint =
            "none is on the NIC's node: let this process use some of it (`taskset`, cpusets)";
        return Finding::fair(name, value, hint);
    }
    if far > 0 {
        let hint =
            "the NIC's node has not as many: fewer queues would do (`ethtool -L IF combined N`)";
        return Finding::fair(name, value, hint);
    }
    if chosen.len() < queues as usize {
        let hint = format!(
            "one worker a core: `ethtool -L {interface} combined {}`, or take some queues alone (--queues, --set-rss)",
            chosen.len()
        );
        return Finding::fair(name, value, hint);
    }
    Finding::good(name, value)
}

/// Which core takes which interrupt of the NIC.
fn interrupts(place: &Locality, queues: u32) -> Option<Finding> {
    let name = "interrupts";
    if place.interrupts.is_empty() {
        return None;
    }
    let value = place.interrupts.iter().map(shown).collect::<Vec<_>>().join(", ");
    let of_queues: Vec<&Interrupt> =
        place.interrupts.iter().filter(|it| it.queue.is_some()).collect();
    // Without names that tell, each counts.
    let looked_at = match of_queues.len() {
        0 => place.interrupts.iter().collect(),
        _ => of_queues,
    };
    let are_alike = looked_at.iter().all(|it| it.cores == looked_at[0].cores);
    if queues > 1 && looked_at.len() > 1 && are_alike && looked_at[0].cores.len() == 1 {
        let hint = "all on one core: give each queue's the core of its worker (/proc/irq/N/smp_affinity_list), \
                    and stop irqbalance";
        return Some(Finding::fair(name, value, hint));
    }
    if looked_at.iter().any(|it| it.cores.iter().all(|core| !place.is_near(*core))) {
        let hint = format!(
            "on another node than the NIC: give them its cores, {} (/proc/irq/N/smp_affinity_list), and stop \
             irqbalance",
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
    fn interrupts_on_one_core_or_on_another_node_are_advised_about() {
        let queues = |first: &[usize], second: &[usize]| {
            vec![
                interrupt(30, None, &[0]),
                interrupt(31, Some(0), first),
                interrupt(32, Some(1), second),
            ]
        };
        let nowhere = |interrupts| Locality { interrupts, ..Locality::default() };
        let on_node = |interrupts| Locality { node: Some(1), cores: vec![2, 3], interrupts };
        let cases = [
            (nowhere(queues(&[0], &[1])), 2, Grade::Good),
            (nowhere(queues(&[0], &[0])), 2, Grade::Fair),
            (nowhere(queues(&[0], &[0])), 1, Grade::Good),
            // One of no queue may be where it likes.
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
    fn the_node_and_the_cores_of_workers_are_told() {
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
