//! The cores of the machine: which share a physical core, which a NUMA node, and which ones the
//! workers get.
//!
//! Reads /sys/devices/system/cpu; the rules are pure functions of it. A core that sysfs does not
//! list counts as a physical core of its own.

use std::path::Path;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::xdp::{Locality, format_cores, parse_cores};

/// One core as the scheduler counts them: a hardware thread.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Core {
    number: usize,
    node: Option<u32>,
    /// The hardware threads of its physical core, including itself.
    threads: Vec<usize>,
}

/// The cores that this process may use, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cores(Vec<Core>);

impl Cores {
    /// Reads the cores from the kernel.
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

    /// Returns the number of cores.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the numbers of the cores.
    pub(super) fn numbers(&self) -> Vec<usize> {
        self.0.iter().map(|core| core.number).collect()
    }

    /// Returns true if the cores are on several NUMA nodes.
    pub(super) fn span_nodes(&self) -> bool {
        self.0.iter().any(|core| core.node != self.0[0].node)
    }

    fn get(&self, number: usize) -> Option<&Core> {
        self.0.iter().find(|core| core.number == number)
    }

    /// Chooses the cores for `workers` workers of a NIC. Prefers the NIC's NUMA node, since
    /// fetching a frame from a remote node costs more than sharing a physical core; within a node,
    /// prefers physical cores that have no worker yet. Returns fewer cores where the machine has
    /// fewer.
    pub fn choose(&self, place: &Locality, workers: usize) -> Vec<usize> {
        let mut chosen: Vec<usize> = Vec::new();
        for _ in 0..workers.min(self.count()) {
            let cost = |core: &&Core| {
                let shared = core.threads.iter().filter(|thread| chosen.contains(thread)).count();
                (!place.is_near(core.number), shared)
            };
            // The first one with the lowest cost.
            let free = self.0.iter().filter(|core| !chosen.contains(&core.number));
            let Some(best) = free.min_by_key(cost) else { break };
            chosen.push(best.number);
        }
        chosen
    }

    /// Returns problems with the placement of the workers, given their queues and cores.
    pub(super) fn problems(
        &self,
        interface: &str,
        place: &Locality,
        workers: &[(u32, usize)],
    ) -> Vec<String> {
        let remote = self.remote_node_problem(interface, place, workers);
        let shared = self.sibling_problem(workers);
        remote.into_iter().chain(shared).chain(interrupt_problems(place, workers)).collect()
    }

    fn remote_node_problem(
        &self,
        interface: &str,
        place: &Locality,
        workers: &[(u32, usize)],
    ) -> Option<String> {
        let node = place.node?;
        let mut remote: Vec<usize> =
            workers.iter().map(|(_, core)| *core).filter(|core| !place.is_near(*core)).collect();
        remote.sort_unstable();
        let near: Vec<usize> =
            self.numbers().into_iter().filter(|core| place.is_near(*core)).collect();
        let advice = match near.len() {
            0 => "of which this process may use no core (`taskset`, cpusets)".to_owned(),
            _ => format!("with cores {} (--cores)", format_cores(&near)),
        };
        (!remote.is_empty()).then(|| {
            format!(
                "workers on cores {} fetch each frame from a remote NUMA node: `{interface}` is \
                 on NUMA node {node}, {advice}",
                format_cores(&remote)
            )
        })
    }

    fn sibling_problem(&self, workers: &[(u32, usize)]) -> Option<String> {
        let shares = |core: usize| {
            let threads = self.get(core).map_or(&[][..], |core| &core.threads);
            workers.iter().any(|(_, other)| *other != core && threads.contains(other))
        };
        let mut shared: Vec<usize> =
            workers.iter().map(|(_, core)| *core).filter(|core| shares(*core)).collect();
        shared.sort_unstable();
        (!shared.is_empty()).then(|| {
            format!(
                "workers on cores {} share physical cores: each gets about half of one",
                format_cores(&shared)
            )
        })
    }
}

/// Returns the interrupts on cores of other queues' workers. The interrupts of a queue belong on
/// the core of its own worker, or on one without a worker.
fn interrupt_problems(place: &Locality, workers: &[(u32, usize)]) -> Vec<String> {
    let on_others = |queue: u32, core: usize| {
        workers.iter().any(|(other, used)| *used == core && *other != queue)
            && !workers.contains(&(queue, core))
    };
    let misplaced = place.interrupts.iter().filter_map(|interrupt| {
        let (queue, &[core]) = (interrupt.queue?, &interrupt.cores[..]) else { return None };
        let (_, own) = workers.iter().find(|(own, _)| *own == queue)?;
        on_others(queue, core).then(|| {
            format!(
                "the interrupts of queue {queue} delay the worker of another queue, on core \
                 {core}: `echo {own} > /proc/irq/{}/smp_affinity_list` (and stop irqbalance)",
                interrupt.number
            )
        })
    });
    misplaced.collect()
}

/// Moves the calling thread to another core until it is dropped: memory comes from the node of the
/// core that touches it first.
pub(super) struct CoreGuard {
    before: CpuSet,
}

impl CoreGuard {
    /// Moves the thread. Returns `None` where the kernel refuses: memory then comes from the node
    /// of the thread's core.
    pub(super) fn move_to(core: usize) -> Option<Self> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).ok()?;
        let mut target = CpuSet::new();
        target.set(core).ok()?;
        sched_setaffinity(this, &target).ok()?;
        Some(Self { before })
    }
}

impl Drop for CoreGuard {
    fn drop(&mut self) {
        // The kernel ignores cores that the process has lost meanwhile.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}

/// Returns the NUMA node of a core: its sysfs folder has a link named after the node.
fn node_of(folder: &Path) -> Option<u32> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let node = |name: &str| name.strip_prefix("node").and_then(|number| number.parse().ok());
    entries.filter_map(|entry| node(entry.file_name().to_str()?)).next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdp::Interrupt;

    /// A machine with two nodes of two physical cores with two threads each, numbered as Linux
    /// does: 0 to 3 are the first threads, 4 to 7 the second ones; node 0 has 0, 1, 4, 5.
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

    fn problems(place: &Locality, cores: &[usize]) -> Vec<String> {
        let workers: Vec<(u32, usize)> = (0..).zip(cores.iter().copied()).collect();
        machine(&ALL).problems("eth9", place, &workers)
    }

    #[test]
    fn a_good_placement_gives_no_problems() {
        assert!(problems(&on_node(0), &[0, 1]).is_empty());
        assert!(problems(&on_node(1), &[3, 2]).is_empty());
        assert!(problems(&Locality::default(), &[0, 1, 2, 3]).is_empty());
    }

    #[test]
    fn cores_of_a_remote_node_are_reported_with_the_better_ones() {
        let found = problems(&on_node(1), &[1, 2, 0]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains(
                "cores 0-1 fetch each frame from a remote NUMA node: `eth9` is on NUMA node 1"
            ),
            "{found:?}"
        );
        assert!(found[0].contains("2-3,6-7 (--cores)"), "{found:?}");
    }

    #[test]
    fn workers_that_share_a_physical_core_are_reported() {
        let found = problems(&on_node(0), &[0, 4, 1]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("workers on cores 0,4 "), "{found:?}");
    }

    #[test]
    fn an_interrupt_on_the_core_of_another_queues_worker_is_reported_with_its_own() {
        let irq = |number, queue, core| Interrupt { number, queue, cores: vec![core] };
        let with = |interrupts| Locality { interrupts, ..on_node(0) };
        let cases = [
            // On its worker's core; on a free core; of a queue without a worker, and of no queue.
            (vec![irq(40, Some(0), 0), irq(41, Some(1), 1)], 0),
            (vec![irq(40, Some(0), 5), irq(41, Some(1), 5)], 0),
            (vec![irq(40, Some(7), 0), irq(41, None, 0)], 0),
            (vec![irq(40, Some(0), 1), irq(41, Some(1), 0)], 2),
            (vec![irq(40, Some(0), 0), irq(41, Some(1), 0)], 1),
        ];
        for (interrupts, count) in cases {
            let found = problems(&with(interrupts.clone()), &[0, 1]);
            assert_eq!(found.len(), count, "{interrupts:?}: {found:?}");
        }
        let found = problems(&with(vec![irq(41, Some(1), 0)]), &[0, 1]);
        assert!(found[0].contains("echo 1 > /proc/irq/41/smp_affinity_list"), "{found:?}");
    }

    #[test]
    fn a_core_guard_restores_the_affinity() {
        let here = || sched_getaffinity(Pid::from_raw(0)).unwrap();
        let (before, core) = (here(), *Cores::read().numbers().last().unwrap());
        let guard = CoreGuard::move_to(core).unwrap();
        let mut target = CpuSet::new();
        target.set(core).unwrap();
        assert_eq!(here(), target);
        drop(guard);
        assert_eq!(here(), before);
        assert!(CoreGuard::move_to(usize::MAX).is_none());
        assert_eq!(here(), before);
    }

    #[test]
    fn the_cores_of_this_machine_can_be_read() {
        let cores = Cores::read();
        assert!(cores.count() > 0);
        assert!(cores.0.iter().all(|core| core.threads.contains(&core.number)));
        let unknown = Cores::below(Path::new("/nonexistent"), &[3]);
        assert_eq!(unknown.0, [Core { number: 3, node: None, threads: vec![3] }]);
    }
}
