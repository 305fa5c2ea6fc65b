//! The machine's cores: which of them share a physical core, which a NUMA node; and the choice of those that the
//! workers get.
//!
//! Owns the reading of /sys/devices/system/cpu, and rules that are pure functions of it. A core that sysfs does not
//! know is one by itself.

use std::path::Path;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::xdp::{Locality, format_cores, parse_cores};

/// One core, as the scheduler counts them: a hardware thread.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Core {
    number: usize,
    node: Option<u32>,
    /// The hardware threads of its physical core, itself included.
    threads: Vec<usize>,
}

/// The cores that this process may use, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cores(Vec<Core>);

impl Cores {
    /// Asks the kernel.
    pub fn read() -> Self {
        let allowed = core_affinity::get_core_ids().unwrap_or_default();
        let numbers: Vec<usize> = allowed.iter().map(|core| core.id).collect();
        Self::below(Path::new("/sys/devices/system/cpu"), &numbers)
    }

    fn below(root: &Path, allowed: &[usize]) -> Self {
        let core = |number: &usize| {
            let folder = root.join(format!("cpu{number}"));
            let siblings = std::fs::read_to_string(folder.join("topology/thread_siblings_list"));
            let threads = siblings.map(|text| parse_cores(&text)).unwrap_or_default();
            let threads = if threads.is_empty() { vec![*number] } else { threads };
            Core { number: *number, node: node_of(&folder), threads }
        };
        Self(allowed.iter().map(core).collect())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Their numbers.
    pub(super) fn numbers(&self) -> Vec<usize> {
        self.0.iter().map(|core| core.number).collect()
    }

    /// Whether memory and devices are nearer to some of them than to others.
    pub(super) fn have_nodes(&self) -> bool {
        self.0.iter().any(|core| core.node != self.0[0].node)
    }

    fn get(&self, number: usize) -> Option<&Core> {
        self.0.iter().find(|core| core.number == number)
    }

    /// The cores for `workers` workers of a NIC: those of its node first, since a frame that is fetched from another
    /// one costs more than a physical core shared; among them one thread of each physical core before a second one of
    /// any. Fewer where there are fewer.
    pub fn choose(&self, place: &Locality, workers: usize) -> Vec<usize> {
        let mut chosen: Vec<usize> = Vec::new();
        for _ in 0..workers.min(self.count()) {
            let cost = |core: &&Core| {
                let shared = core.threads.iter().filter(|thread| chosen.contains(thread)).count();
                (!place.is_near(core.number), shared)
            };
            // The first of those that cost least.
            let left = self.0.iter().filter(|core| !chosen.contains(&core.number));
            let Some(best) = left.min_by_key(cost) else { break };
            chosen.push(best.number);
        }
        chosen
    }

    /// What a user should know of the cores that workers have: `workers` are their queues and cores.
    pub(super) fn notes(
        &self,
        interface: &str,
        place: &Locality,
        workers: &[(u32, usize)],
    ) -> Vec<String> {
        let far = self.note_on_distance(interface, place, workers);
        let shared = self.note_on_siblings(workers);
        far.into_iter().chain(shared).chain(notes_on_interrupts(place, workers)).collect()
    }

    fn note_on_distance(
        &self,
        interface: &str,
        place: &Locality,
        workers: &[(u32, usize)],
    ) -> Option<String> {
        let node = place.node?;
        let mut far: Vec<usize> =
            workers.iter().map(|(_, core)| *core).filter(|core| !place.is_near(*core)).collect();
        far.sort_unstable();
        let near: Vec<usize> =
            self.numbers().into_iter().filter(|core| place.is_near(*core)).collect();
        let advice = match near.len() {
            0 => "of which this process may use no core (`taskset`, cpusets)".to_owned(),
            _ => format!("with cores {} (--cores)", format_cores(&near)),
        };
        (!far.is_empty()).then(|| {
            format!(
                "workers on cores {} fetch each frame from afar: `{interface}` is on NUMA node {node}, {advice}",
                format_cores(&far)
            )
        })
    }

    fn note_on_siblings(&self, workers: &[(u32, usize)]) -> Option<String> {
        let shares = |core: usize| {
            let threads = self.get(core).map_or(&[][..], |core| &core.threads);
            workers.iter().any(|(_, other)| *other != core && threads.contains(other))
        };
        let mut shared: Vec<usize> =
            workers.iter().map(|(_, core)| *core).filter(|core| shares(*core)).collect();
        shared.sort_unstable();
        (!shared.is_empty()).then(|| {
            format!(
                "workers on cores {} share physical cores, and have about half of one each",
                format_cores(&shared)
            )
        })
    }
}

/// A queue's interrupts belong on the core of its own worker, or on one that has none.
fn notes_on_interrupts(place: &Locality, workers: &[(u32, usize)]) -> Vec<String> {
    let on_others = |queue: u32, core: usize| {
        workers.iter().any(|(other, taken)| *taken == core && *other != queue)
            && !workers.contains(&(queue, core))
    };
    let misplaced = place.interrupts.iter().filter_map(|interrupt| {
        let (queue, &[core]) = (interrupt.queue?, &interrupt.cores[..]) else { return None };
        let (_, own) = workers.iter().find(|(own, _)| *own == queue)?;
        on_others(queue, core).then(|| {
            format!(
                "the interrupts of queue {queue} keep the worker of another queue, on core {core}: `echo {own} > \
                 /proc/irq/{}/smp_affinity_list` (and stop irqbalance)",
                interrupt.number
            )
        })
    });
    misplaced.collect()
}

/// The calling thread on another core, and back where it may be when this is dropped: memory comes from the node of the
/// core that first touches it.
pub(super) struct Visit {
    before: CpuSet,
}

impl Visit {
    /// `None` where the kernel refuses: memory then comes from wherever the thread is.
    pub(super) fn to(core: usize) -> Option<Self> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).ok()?;
        let mut there = CpuSet::new();
        there.set(core).ok()?;
        sched_setaffinity(this, &there).ok()?;
        Some(Self { before })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        // It was allowed there before; what has been taken away since, the kernel leaves out.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}

/// A core's folder has a link to its node, named after it.
fn node_of(folder: &Path) -> Option<u32> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let node = |name: &str| name.strip_prefix("node").and_then(|number| number.parse().ok());
    entries.filter_map(|entry| node(entry.file_name().to_str()?)).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdp::Interrupt;

    /// Two nodes of two physical cores with two threads each, counted as Linux does: 0 to 3 are the first threads,
    /// 4 to 7 the second ones; node 0 has 0, 1, 4, 5.
    fn machine(allowed: &[usize]) -> Cores {
        let core = |number: &usize| Core {
            number: *number,
            node: Some(u32::from(number % 4 >= 2)),
            threads: vec![number % 4, number % 4 + 4],
        };
        Cores(allowed.iter().map(core).collect())
    }

    fn on_node(node: u32) -> Locality {
        let cores = if node == 0 { vec![0, 1, 4, 5] } else { vec![2, 3, 6, 7] };
        Locality { node: Some(node), cores, interrupts: Vec::new() }
    }

    const ALL: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

    #[test]
    fn workers_get_whole_cores_of_the_nics_node_first() {
        let cases: [(&[usize], Locality, usize, &[usize]); 9] = [
            (&ALL, on_node(0), 2, &[0, 1]),
            (&ALL, on_node(1), 2, &[2, 3]),
            (&ALL, on_node(1), 3, &[2, 3, 6]),
            (&ALL, on_node(1), 6, &[2, 3, 6, 7, 0, 1]),
            (&ALL, Locality::default(), 4, &[0, 1, 2, 3]),
            (&ALL, Locality::default(), 5, &[0, 1, 2, 3, 4]),
            (&[0, 4, 1, 5], Locality::default(), 2, &[0, 1]),
            (&[4, 0, 2], on_node(1), 2, &[2, 4]),
            (&[3], on_node(1), 2, &[3]),
        ];
        for (allowed, place, workers, chosen) in cases {
            let cores = machine(allowed);
            assert_eq!(cores.choose(&place, workers), chosen, "{workers} of {allowed:?}");
        }
        assert!(Cores::default().choose(&on_node(0), 2).is_empty());
    }

    fn notes(place: &Locality, cores: &[usize]) -> Vec<String> {
        let workers: Vec<(u32, usize)> = (0..).zip(cores.iter().copied()).collect();
        machine(&ALL).notes("eth9", place, &workers)
    }

    #[test]
    fn a_good_placement_is_not_talked_about() {
        assert!(notes(&on_node(0), &[0, 1]).is_empty());
        assert!(notes(&on_node(1), &[3, 2]).is_empty());
        assert!(notes(&Locality::default(), &[0, 1, 2, 3]).is_empty());
    }

    #[test]
    fn cores_of_another_node_are_told_with_those_that_would_do() {
        let told = notes(&on_node(1), &[1, 2, 0]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("cores 0-1 fetch each frame from afar: `eth9` is on NUMA node 1"),
            "{told:?}"
        );
        assert!(told[0].contains("2-3,6-7 (--cores)"), "{told:?}");
    }

    #[test]
    fn threads_of_one_physical_core_are_told() {
        let told = notes(&on_node(0), &[0, 4, 1]);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("workers on cores 0,4 "), "{told:?}");
    }

    #[test]
    fn an_interrupt_that_keeps_another_queues_worker_is_told_with_where_it_belongs() {
        let irq = |number, queue, core| Interrupt { number, queue, cores: vec![core] };
        let with = |interrupts| Locality { interrupts, ..on_node(0) };
        let cases = [
            // On its worker's own core, on a free one, of a queue that we have not, of no queue.
            (vec![irq(40, Some(0), 0), irq(41, Some(1), 1)], 0),
            (vec![irq(40, Some(0), 5), irq(41, Some(1), 5)], 0),
            (vec![irq(40, Some(7), 0), irq(41, None, 0)], 0),
            (vec![irq(40, Some(0), 1), irq(41, Some(1), 0)], 2),
            (vec![irq(40, Some(0), 0), irq(41, Some(1), 0)], 1),
        ];
        for (interrupts, count) in cases {
            let told = notes(&with(interrupts.clone()), &[0, 1]);
            assert_eq!(told.len(), count, "{interrupts:?}: {told:?}");
        }
        let told = notes(&with(vec![irq(41, Some(1), 0)]), &[0, 1]);
        assert!(told[0].contains("echo 1 > /proc/irq/41/smp_affinity_list"), "{told:?}");
    }

    #[test]
    fn a_visit_ends_where_it_began() {
        let here = || sched_getaffinity(Pid::from_raw(0)).unwrap();
        let (before, core) = (here(), *Cores::read().numbers().last().unwrap());
        let visit = Visit::to(core).unwrap();
        let mut there = CpuSet::new();
        there.set(core).unwrap();
        assert_eq!(here(), there);
        drop(visit);
        assert_eq!(here(), before);
        assert!(Visit::to(usize::MAX).is_none());
        assert_eq!(here(), before);
    }

    #[test]
    fn the_machine_itself_can_be_read() {
        let cores = Cores::read();
        assert!(cores.count() > 0);
        assert!(cores.0.iter().all(|core| core.threads.contains(&core.number)));
        let unknown = Cores::below(Path::new("/nonexistent"), &[3]);
        assert_eq!(unknown.0, [Core { number: 3, node: None, threads: vec![3] }]);
    }
}
