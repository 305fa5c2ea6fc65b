//! Facts about an interface before anything is attached to it.
//!
//! Owns the queries. A value that the driver does not report is `None`; the only requirement is
//! that the interface exists.

use std::io;
use std::path::Path;

use nix::net::if_::{if_indextoname, if_nametoindex};

use super::ethtool::{self, Offload};
use super::features::{self, XdpFeatures};
use super::link::{self, Link};

/// An interface as described by its driver and the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Name.
    pub interface: String,
    /// Index in this network namespace.
    pub index: u32,
    /// Ethernet address.
    pub mac: [u8; 6],
    /// MTU in bytes, without the Ethernet header.
    pub mtu: u32,
    /// The interface is administratively up.
    pub up: bool,
    /// The interface has a carrier.
    pub carrier: bool,
    /// Name of the driver.
    pub driver: Option<String>,
    /// Active receive queues.
    pub rx_queues: u32,
    /// Active transmit queues.
    pub tx_queues: u32,
    /// Maximum number of receive queues.
    pub rx_queues_max: u32,
    /// Descriptors of the driver's rings.
    pub rings: Option<Rings>,
    /// Receive side scaling.
    pub rss: Option<Rss>,
    /// The kernel leaves TCP checksums to the interface. On a veth they are then never computed.
    pub tx_checksum_offload: Option<bool>,
    /// The kernel passes segments larger than the MTU (GSO).
    pub segmentation_offload: Option<bool>,
    /// The kernel merges received segments (GRO). Threaded NAPI on veth needs it enabled.
    pub receive_offload: Option<bool>,
    /// The hardware merges received segments (LRO). Native XDP needs it disabled.
    pub large_receive_offload: Option<bool>,
    /// The hardware strips VLAN tags, which an XDP program then does not see.
    pub vlan_stripping: Option<bool>,
    /// XDP features of the driver; `None` before Linux 6.3.
    pub features: Option<XdpFeatures>,
    /// The kernel's id of the attached XDP program, of this process or another.
    pub program: Option<u32>,
    /// The peer, if this is a veth.
    pub peer: Option<Peer>,
}

/// Descriptors of a driver's rings, per queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// Receive descriptors.
    pub rx: u32,
    /// Maximum number of receive descriptors.
    pub rx_max: u32,
    /// Transmit descriptors.
    pub tx: u32,
    /// Maximum number of transmit descriptors.
    pub tx_max: u32,
}

/// Receive side scaling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    /// Hash key; empty if unknown.
    pub key: Vec<u8>,
    /// Redirection table: the queue for each remainder of the hash.
    pub table: Vec<u32>,
    /// The hash is Toeplitz with a known key, so its result can be computed.
    pub toeplitz: bool,
    /// TCP flow types whose hash excludes the ports, by their names in ethtool: `tcp4`, `tcp6`.
    pub without_ports: Vec<&'static str>,
}

impl Rss {
    /// Length of the key that the hash of an IPv6 flow uses, in bytes.
    pub const KEY_BYTES_MIN: usize = 40;

    /// Returns true if the queue of a segment can be computed from its addresses and ports.
    pub fn is_predictable(&self) -> bool {
        self.toeplitz && self.without_ports.is_empty()
    }
}

/// The peer of a veth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Index in its own network namespace.
    pub index: u32,
    /// Name, if it is in this network namespace.
    pub interface: Option<String>,
    /// The peer leaves checksums to an offload; known if it is in this network namespace.
    pub tx_checksum_offload: Option<bool>,
}

/// Reason that an interface is unsuitable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The interface does not exist.
    #[error(
        "probing interface {interface}: no such interface in this network namespace; \
         `ip link` lists them (`ip netns exec NS ...` runs in another namespace)"
    )]
    NoSuchInterface {
        /// The requested name.
        interface: String,
    },
    /// Loopback, tunnels, and other interfaces without Ethernet frames.
    #[error(
        "probing interface {interface}: it carries no Ethernet frames, so AF_XDP does not work on it \
         (nor on the loopback); use an Ethernet interface, or a veth pair (scripts/veth up creates one)"
    )]
    NotEthernet {
        /// The interface.
        interface: String,
    },
    /// The interface has fewer queues than workers.
    #[error(
        "using {wanted} queues of {interface}: it has {} (at most {max}); use fewer, or add queues \
         with `ethtool -L {interface} combined {wanted}` (a veth gets them at creation: ip link \
         add ... numrxqueues {wanted} numtxqueues {wanted})", .has
    )]
    TooFewQueues {
        /// The interface.
        interface: String,
        /// Requested number of queues.
        wanted: u32,
        /// Active queues.
        has: u32,
        /// Maximum number of queues.
        max: u32,
    },
    /// The kernel failed a query that every interface answers.
    #[error(
        "probing interface {interface}: {source}; check that /sys is mounted and that the interface \
         still exists"
    )]
    Kernel {
        /// The interface.
        interface: String,
        /// The kernel's error.
        source: io::Error,
    },
}

/// Probes an interface.
pub fn probe(interface: &str) -> Result<Probe, ProbeError> {
    let missing = || ProbeError::NoSuchInterface { interface: interface.to_owned() };
    let index = if_nametoindex(interface).map_err(|_| missing())?;
    let basics = ethtool::basics(interface).map_err(|source| match source.raw_os_error() {
        Some(libc::ENODEV) => missing(),
        _ => ProbeError::Kernel { interface: interface.to_owned(), source },
    })?;
    if !basics.ethernet {
        return Err(ProbeError::NotEthernet { interface: interface.to_owned() });
    }
    let driver = ethtool::driver(interface).ok();
    let link = link::of(index).unwrap_or_default();
    let queues = Queues::of(interface);
    let flags = ethtool::flags(interface).ok();
    Ok(Probe {
        interface: interface.to_owned(),
        index,
        mac: basics.mac,
        mtu: basics.mtu,
        up: basics.up,
        carrier: link.carrier.unwrap_or(basics.running),
        peer: driver.as_deref().filter(|name| *name == "veth").and_then(|_| peer(link)),
        program: link.program,
        driver,
        rx_queues: queues.rx,
        tx_queues: queues.tx,
        rx_queues_max: queues.rx_max,
        rings: rings(interface),
        rss: rss(interface),
        tx_checksum_offload: ethtool::offload(interface, Offload::TxChecksum).ok(),
        segmentation_offload: ethtool::offload(interface, Offload::Gso).ok(),
        receive_offload: ethtool::offload(interface, Offload::Gro).ok(),
        large_receive_offload: flags.map(|flags| flags & ethtool::FLAG_LRO != 0),
        vlan_stripping: flags.map(|flags| flags & ethtool::FLAG_RX_VLAN != 0),
        features: features::of(index).ok(),
    })
}

/// Returns true if the interface has a carrier; false if it does not exist.
pub fn has_carrier(interface: &str) -> bool {
    let link = if_nametoindex(interface).ok().and_then(|index| link::of(index).ok());
    link.and_then(|link| link.carrier).unwrap_or(false)
}

/// Returns the number of active receive queues. A driver may add queues when a program is attached
/// (virtio-net).
pub fn rx_queues(interface: &str) -> u32 {
    Queues::of(interface).rx
}

/// Checks that an interface has at least `wanted` queues.
pub fn check_queues(interface: &str, wanted: u32) -> Result<(), ProbeError> {
    if if_nametoindex(interface).is_err() {
        return Err(ProbeError::NoSuchInterface { interface: interface.to_owned() });
    }
    let Queues { rx, tx, rx_max } = Queues::of(interface);
    // A worker receives and sends on the same queue number.
    let has = rx.min(tx);
    if has >= wanted {
        return Ok(());
    }
    Err(ProbeError::TooFewQueues {
        interface: interface.to_owned(),
        wanted,
        has,
        max: rx_max.max(has),
    })
}

struct Queues {
    rx: u32,
    tx: u32,
    rx_max: u32,
}

impl Queues {
    /// Returns the queues of an interface. A driver that reports no channels has the queues listed
    /// in sysfs, and at least one.
    fn of(interface: &str) -> Self {
        if let Ok(channels) = ethtool::channels(interface)
            && channels.rx().min(channels.tx()) > 0
        {
            return Self { rx: channels.rx(), tx: channels.tx(), rx_max: channels.rx_max() };
        }
        let listed = |prefix: &str| {
            let entries = std::fs::read_dir(sysfs(interface).join("queues")).ok()?;
            let names = entries.flatten().map(|entry| entry.file_name());
            let count = names.filter(|name| name.to_string_lossy().starts_with(prefix)).count();
            u32::try_from(count).ok()
        };
        let (rx, tx) = (listed("rx-").unwrap_or(1).max(1), listed("tx-").unwrap_or(1).max(1));
        Self { rx, tx, rx_max: rx }
    }
}

/// Returns the receive side scaling of an interface; `None` if it has none or does not report it.
pub fn rss(interface: &str) -> Option<Rss> {
    // linux/ethtool.h: ETH_RSS_HASH_TOP, RXH_XFRM_SYM_XOR and RXH_XFRM_SYM_OR_XOR.
    const TOEPLITZ: u8 = 1;
    const SYMMETRIC: u8 = 3;
    let settings = ethtool::rss(interface).ok().filter(|settings| !settings.table.is_empty())?;
    let plain = settings.transformation & SYMMETRIC == 0 || settings.transformation == u8::MAX;
    // Older drivers report neither hash nor key. They then use the system's key, and Toeplitz (igb
    // before 6.14).
    let key = if settings.key.is_empty() { system_key() } else { settings.key };
    let toeplitz = plain && (settings.function & TOEPLITZ != 0 || settings.function == 0);
    Some(Rss {
        toeplitz: toeplitz && key.len() >= Rss::KEY_BYTES_MIN,
        key,
        table: settings.table,
        without_ports: without_ports(interface),
    })
}

fn without_ports(interface: &str) -> Vec<&'static str> {
    let flows = [("tcp4", ethtool::Flow::Tcp4), ("tcp6", ethtool::Flow::Tcp6)];
    let lacks = |flow| ethtool::hashes_ports(interface, flow) == Some(false);
    flows.into_iter().filter(|(_, flow)| lacks(*flow)).map(|(name, _)| name).collect()
}

fn rings(interface: &str) -> Option<Rings> {
    let rings = ethtool::rings(interface).ok().filter(|rings| rings.rx > 0)?;
    Some(Rings { rx: rings.rx, rx_max: rings.rx_max, tx: rings.tx, tx_max: rings.tx_max })
}

/// Disables LRO and VLAN stripping. Returns the previous flags, for [`restore_offloads`].
///
/// # Errors
/// The driver's error.
pub fn disable_offloads(interface: &str) -> io::Result<u32> {
    let before = ethtool::flags(interface)?;
    let wanted = before & !(ethtool::FLAG_LRO | ethtool::FLAG_RX_VLAN);
    if wanted != before {
        ethtool::set_flags(interface, wanted)?;
    }
    Ok(before)
}

/// Undoes [`disable_offloads`].
///
/// # Errors
/// The driver's error.
pub fn restore_offloads(interface: &str, before: u32) -> io::Result<()> {
    ethtool::set_flags(interface, before)
}

/// Spreads flows evenly over `queues` only. The table keeps its number of entries.
///
/// # Errors
/// The driver's error; most drivers with RSS support this.
pub fn set_rss_queues(interface: &str, queues: &[u32]) -> io::Result<()> {
    let entries = ethtool::rss(interface)?.table.len();
    let table: Vec<u32> = queues.iter().copied().cycle().take(entries).collect();
    set_rss_table(interface, &table)
}

/// Sets the whole redirection table, as in [`Rss::table`]. An empty one restores the default, all
/// queues in turn.
///
/// # Errors
/// The driver's error.
pub fn set_rss_table(interface: &str, table: &[u32]) -> io::Result<()> {
    ethtool::set_rss_table(interface, table)
}

/// Returns the default key of drivers. Only the initial network namespace exposes it.
fn system_key() -> Vec<u8> {
    let text = std::fs::read_to_string("/proc/sys/net/core/netdev_rss_key").unwrap_or_default();
    let bytes = text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16));
    bytes.collect::<Result<_, _>>().unwrap_or_default()
}

fn peer(link: Link) -> Option<Peer> {
    let index = link.peer?;
    let interface = if link.peer_is_elsewhere {
        None
    } else {
        if_indextoname(index).ok().and_then(|name| name.into_string().ok())
    };
    let tx_checksum_offload =
        interface.as_deref().and_then(|name| ethtool::offload(name, Offload::TxChecksum).ok());
    Some(Peer { index, interface, tx_checksum_offload })
}

fn sysfs(interface: &str) -> std::path::PathBuf {
    Path::new("/sys/class/net").join(interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_interface_is_reported() {
        for name in ["none-such-0", "", "a name far too long for an interface", "with\0nul"] {
            assert!(matches!(probe(name), Err(ProbeError::NoSuchInterface { .. })), "{name:?}");
            assert!(matches!(check_queues(name, 1), Err(ProbeError::NoSuchInterface { .. })));
        }
    }

    #[test]
    fn the_loopback_is_not_ethernet() {
        let error = probe("lo").expect_err("lo does not support AF_XDP");
        assert!(matches!(error, ProbeError::NotEthernet { .. }), "{error}");
    }
}
