//! Location of a NIC in the machine: its NUMA node, the cores of that node, and the cores that
//! handle its interrupts.
//!
//! Owns the parsing of sysfs and /proc/irq; changes nothing. Virtual interfaces have no location,
//! and unreadable attributes are omitted.

use std::path::{Path, PathBuf};

/// Location of an interface's hardware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Locality {
    /// NUMA node; `None` on machines with one node and for virtual interfaces.
    pub node: Option<u32>,
    /// Cores of that node; empty without a node.
    pub cores: Vec<usize>,
    /// Interrupts, sorted by number.
    pub interrupts: Vec<Interrupt>,
}

impl Locality {
    /// Returns true if a core is on the interface's node. Without a node every core is.
    pub fn is_near(&self, core: usize) -> bool {
        self.cores.is_empty() || self.cores.contains(&core)
    }
}

/// One interrupt of a NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interrupt {
    /// Number, as in /proc/interrupts.
    pub number: u32,
    /// Receive queue, if the name contains it.
    pub queue: Option<u32>,
    /// Cores that handle the interrupt.
    pub cores: Vec<usize>,
}

/// Returns the location of an interface in the machine.
pub fn locality(interface: &str) -> Locality {
    read(Path::new("/sys/class/net"), Path::new("/proc/irq"), interface)
}

fn read(interfaces: &Path, interrupts: &Path, interface: &str) -> Locality {
    let device = interfaces.join(interface).join("device");
    let text = |name: &str| std::fs::read_to_string(find(&device, name)?).ok();
    // -1 means no node.
    let node = text("numa_node").and_then(|text| text.trim().parse().ok());
    let cores = text("local_cpulist").filter(|_| node.is_some());
    Locality {
        node,
        cores: cores.map(|text| parse_cores(&text)).unwrap_or_default(),
        interrupts: interrupts_of(&device, interrupts),
    }
}

/// Finds a file of a device or of its parent: the queues of virtio are children of a PCI device.
fn find(device: &Path, name: &str) -> Option<PathBuf> {
    // The kernel resolves `..` behind the symbolic link.
    let places = [device.join(name), device.join("..").join(name)];
    places.into_iter().find(|path| path.exists())
}

fn interrupts_of(device: &Path, interrupts: &Path) -> Vec<Interrupt> {
    let Some(listed) = find(device, "msi_irqs").and_then(|path| std::fs::read_dir(path).ok())
    else {
        return Vec::new();
    };
    let mut numbers: Vec<u32> = listed
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
        .collect();
    numbers.sort_unstable();
    numbers.into_iter().filter_map(|number| interrupt(interrupts, number)).collect()
}

/// Reads one interrupt. Returns `None` for an unrequested interrupt, which has no cores.
fn interrupt(interrupts: &Path, number: u32) -> Option<Interrupt> {
    let folder = interrupts.join(number.to_string());
    let list = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).ok()?;
        Some(parse_cores(&text)).filter(|cores| !cores.is_empty())
    };
    let cores = list("effective_affinity_list").or_else(|| list("smp_affinity_list"))?;
    // Each handler of the interrupt appears as a directory with its name.
    let names = std::fs::read_dir(&folder).ok()?.flatten().filter(|entry| entry.path().is_dir());
    let queue = names.filter_map(|entry| queue_of(entry.file_name().to_str()?)).next();
    Some(Interrupt { number, queue, cores })
}

/// Parses the receive queue in an interrupt's name, in the formats of the drivers: `eth0-TxRx-3`
/// (igb, ixgbe, ice, i40e, bnxt), `eth0-Tx-Rx-3` (ena), `eth0-rx-3`, `virtio0-input.3`,
/// `mlx5_comp3@pci:0000:01:00.0`.
fn queue_of(name: &str) -> Option<u32> {
    let name = name.split('@').next()?.to_ascii_lowercase();
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let receives = ["rx-", "rxtx-", "input.", "_comp"].iter().any(|kind| bare.ends_with(kind));
    if receives { name[bare.len()..].parse().ok() } else { None }
}

/// Parses a list of cores in the kernel's format: `0-3,8`. Returns an empty list if it is invalid.
pub fn parse_cores(text: &str) -> Vec<usize> {
    let mut cores = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) if last < CORES_MAX => cores.extend(first..=last),
            _ => return Vec::new(),
        }
    }
    cores
}

/// Cores of the largest machine that Linux supports (NR_CPUS). Bounds the range in a damaged list.
const CORES_MAX: usize = 8192;

/// Formats cores in ascending order as a list in the kernel's format.
pub fn format_cores(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|one, next| one + 1 == *next);
    let names = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.iter().map(usize::to_string).collect(),
    });
    names.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lists_of_cores_are_parsed_and_formatted_as_the_kernel_does() {
        let cases: [(&str, &[usize]); 5] = [
            ("0-3\n", &[0, 1, 2, 3]),
            ("0-1,8-9\n", &[0, 1, 8, 9]),
            ("5\n", &[5]),
            ("\n", &[]),
            ("0,2,4-6\n", &[0, 2, 4, 5, 6]),
        ];
        for (text, cores) in cases {
            assert_eq!(parse_cores(text), cores, "{text:?}");
            assert_eq!(format_cores(cores), text.trim());
        }
        for damaged in ["x", "1-", "-1", "0-99999999999", "3,,x"] {
            assert!(parse_cores(damaged).is_empty(), "{damaged:?}");
        }
    }

    #[test]
    fn interrupt_names_contain_their_queue() {
        for (name, queue) in [
            ("eth0-TxRx-3", Some(3)),
            ("ice-eth0-TxRx-12", Some(12)),
            ("eth0-Tx-Rx-1", Some(1)),
            ("eth0-rx-0", Some(0)),
            ("virtio0-input.2", Some(2)),
            ("mlx5_comp4@pci:0000:01:00.0", Some(4)),
            ("virtio0-output.2", None),
            ("eth0-tx-0", None),
            ("virtio0-config", None),
            ("eth0", None),
            ("mlx5_async0@pci:0000:01:00.0", None),
        ] {
            assert_eq!(queue_of(name), queue, "{name}");
        }
    }

    /// A temporary directory, removed when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let id = std::process::id();
            Self(std::env::temp_dir().join(format!("linerate-locality-of-{name}-{id}")))
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn read(&self) -> Locality {
            read(&self.0.join("net"), &self.0.join("irq"), "eth9")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_nic_has_a_node_cores_and_interrupts() {
        let folder = Folder::new("nic");
        folder.write("net/eth9/device/numa_node", "1\n");
        folder.write("net/eth9/device/local_cpulist", "8-11\n");
        for number in ["40", "41", "42"] {
            folder.write(&format!("net/eth9/device/msi_irqs/{number}"), "msix\n");
        }
        folder.write("irq/40/effective_affinity_list", "\n");
        folder.write("irq/41/effective_affinity_list", "8\n");
        folder.write("irq/41/eth9-TxRx-0/x", "");
        folder.write("irq/42/smp_affinity_list", "0-1\n");
        let locality = folder.read();
        assert_eq!((locality.node, &locality.cores[..]), (Some(1), &[8, 9, 10, 11][..]));
        let first = Interrupt { number: 41, queue: Some(0), cores: vec![8] };
        let second = Interrupt { number: 42, queue: None, cores: vec![0, 1] };
        assert_eq!(locality.interrupts, [first, second], "40 is unrequested: it has no cores");
    }

    #[test]
    fn a_child_device_has_the_location_of_its_parent() {
        let folder = Folder::new("part");
        folder.write("pci/numa_node", "0\n");
        folder.write("pci/local_cpulist", "0-1\n");
        folder.write("pci/virtio0/vendor", "");
        fs::create_dir_all(folder.0.join("net/eth9")).unwrap();
        let device = folder.0.join("net/eth9/device");
        std::os::unix::fs::symlink(folder.0.join("pci/virtio0"), device).unwrap();
        assert_eq!(folder.read().cores, [0, 1]);
    }

    #[test]
    fn an_interface_without_a_node_has_no_location() {
        let folder = Folder::new("none");
        folder.write("net/eth9/device/numa_node", "-1\n");
        folder.write("net/eth9/device/local_cpulist", "0-3\n");
        assert_eq!(folder.read(), Locality::default());
        assert_eq!(locality("lo"), Locality::default());
    }
}
