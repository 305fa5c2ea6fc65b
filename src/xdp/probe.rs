//! What can be known of an interface before anything is attached to it.
//!
//! Owns the questions; changes nothing. What a driver does not tell is `None`: only that the interface
//! exists is asked of it.

use std::io;
use std::path::Path;

use nix::net::if_::{if_indextoname, if_nametoindex};

use super::ethtool::{self, Offload};
use super::features::{self, XdpFeatures};
use super::link::{self, Link};

/// An interface, as its driver and the kernel describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name.
    pub interface: String,
    /// Its index in this network namespace.
    pub index: u32,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Bytes of the largest packet, Ethernet header not counted.
    pub mtu: u32,
    /// Whether it was set up.
    pub up: bool,
    /// Whether there is a link.
    pub carrier: bool,
    /// The driver's name.
    pub driver: Option<String>,
    /// Receive queues in use.
    pub rx_queues: u32,
    /// Transmit queues in use.
    pub tx_queues: u32,
    /// Receive queues it could have.
    pub rx_queues_max: u32,
    /// Descriptors of its rings.
    pub rings: Option<Rings>,
    /// How it spreads flows over its queues.
    pub rss: Option<Rss>,
    /// Whether the kernel leaves TCP checksums to it. On a veth they are then never computed.
    pub tx_checksum_offload: Option<bool>,
    /// Whether it takes segments larger than the MTU from the kernel.
    pub segmentation_offload: Option<bool>,
    /// Whether the kernel merges received segments. Threaded NAPI on veth needs it on.
    pub receive_offload: Option<bool>,
    /// Whether the hardware merges received segments. Native XDP needs it off.
    pub large_receive_offload: Option<bool>,
    /// Whether it strips VLAN tags, which an XDP program then does not see.
    pub vlan_stripping: Option<bool>,
    /// What its driver can do with XDP; `None` before Linux 6.3.
    pub features: Option<XdpFeatures>,
    /// The kernel's id of the XDP program that is attached to it, this process's or another's.
    pub program: Option<u32>,
    /// The other end, where this is one of a veth pair.
    pub peer: Option<Peer>,
}

/// Descriptors of a driver's own rings, each queue's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rings {
    /// To receive.
    pub rx: u32,
    /// As many as it could have.
    pub rx_max: u32,
    /// To send.
    pub tx: u32,
    /// As many as it could have.
    pub tx_max: u32,
}

/// Receive side scaling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rss {
    /// The key of the hash; empty where nothing tells it.
    pub key: Vec<u8>,
    /// The queue for each remainder of the hash.
    pub table: Vec<u32>,
    /// Whether the hash is Toeplitz under a known key, so that its outcome can be foreseen.
    pub toeplitz: bool,
    /// Flows of TCP whose ports it leaves out of the hash, by their names in ethtool: `tcp4`, `tcp6`.
    pub without_ports: Vec<&'static str>,
}

impl Rss {
    /// Bytes of key that the hash of an IPv6 flow takes.
    pub const KEY_BYTES_MIN: usize = 40;

    /// Whether the queue of a segment can be foreseen by its addresses and ports.
    pub fn is_foreseeable(&self) -> bool {
        self.toeplitz && self.without_ports.is_empty()
    }
}

/// The other end of a veth pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its index, in its own network namespace.
    pub index: u32,
    /// Its name, where it is in this network namespace.
    pub interface: Option<String>,
    /// Whether it leaves checksums undone, where it is in this network namespace.
    pub tx_checksum_offload: Option<bool>,
}

/// An interface is not fit, and why.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The name is wrong.
    #[error(
        "looking at interface {interface}: there is none of that name in this network namespace; \
         `ip link` lists those there are (ip netns exec NS ... starts in another namespace)"
    )]
    NoSuchInterface {
        /// The name asked for.
        interface: String,
    },
    /// Loopback, tunnels, and others without Ethernet frames.
    #[error(
        "looking at interface {interface}: it carries no Ethernet frames, so AF_XDP is of no use on it \
         (the loopback neither); use an Ethernet interface, or a veth pair (scripts/veth up makes one)"
    )]
    NotEthernet {
        /// The interface.
        interface: String,
    },
    /// Fewer queues than workers.
    #[error(
        "using {wanted} queues of {interface}: it has {} (up to {max} possible); ask for fewer, or give it \
         more with `ethtool -L {interface} combined {wanted}` (a veth gets them when it is made: ip link add \
         ... numrxqueues {wanted} numtxqueues {wanted})", .has
    )]
    TooFewQueues {
        /// The interface.
        interface: String,
        /// Queues asked for.
        wanted: u32,
        /// Queues in use.
        has: u32,
        /// Queues it could have.
        max: u32,
    },
    /// The kernel did not answer what every interface answers.
    #[error(
        "looking at interface {interface}: {source}; check that /sys is mounted and the interface still there"
    )]
    Kernel {
        /// The interface.
        interface: String,
        /// What it said.
        source: io::Error,
    },
}

/// Asks everything of an interface.
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

/// Whether the interface has a link now; false when there is no such interface.
pub fn has_carrier(interface: &str) -> bool {
    let link = if_nametoindex(interface).ok().and_then(|index| link::of(index).ok());
    link.and_then(|link| link.carrier).unwrap_or(false)
}

/// Receive queues in use now. A driver may add some of its own when a program is attached (virtio-net).
pub fn rx_queues(interface: &str) -> u32 {
    Queues::of(interface).rx
}

/// Makes sure that an interface has as many queues as are wanted.
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
    /// A driver that tells no channels has the queues that sysfs lists, and at least one.
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

/// How an interface spreads flows now; `None` where it does not, or does not tell.
pub fn rss(interface: &str) -> Option<Rss> {
    // linux/ethtool.h: ETH_RSS_HASH_TOP, RXH_XFRM_SYM_XOR and RXH_XFRM_SYM_OR_XOR.
    const TOEPLITZ: u8 = 1;
    const SYMMETRIC: u8 = 3;
    let told = ethtool::rss(interface).ok().filter(|told| !told.table.is_empty())?;
    let plain = told.transformation & SYMMETRIC == 0 || told.transformation == u8::MAX;
    // Older drivers tell neither hash nor key: it is the system's then, and Toeplitz (igb before 6.14).
    let key = if told.key.is_empty() { system_key() } else { told.key };
    let toeplitz = plain && (told.function & TOEPLITZ != 0 || told.function == 0);
    Some(Rss {
        toeplitz: toeplitz && key.len() >= Rss::KEY_BYTES_MIN,
        key,
        table: told.table,
        without_ports: without_ports(interface),
    })
}

fn without_ports(interface: &str) -> Vec<&'static str> {
    let flows = [("tcp4", ethtool::Flow::Tcp4), ("tcp6", ethtool::Flow::Tcp6)];
    let lacks = |flow| ethtool::hashes_ports(interface, flow) == Some(false);
    flows.into_iter().filter(|(_, flow)| lacks(*flow)).map(|(name, _)| name).collect()
}

fn rings(interface: &str) -> Option<Rings> {
    let told = ethtool::rings(interface).ok().filter(|told| told.rx > 0)?;
    Some(Rings { rx: told.rx, rx_max: told.rx_max, tx: told.tx, tx_max: told.tx_max })
}

/// Turns off what merges received segments and what strips VLAN tags, in the hardware, and gives what was on, for
/// [`set_offloads_back`].
///
/// # Errors
/// What the driver says.
pub fn set_offloads_off(interface: &str) -> io::Result<u32> {
    let before = ethtool::flags(interface)?;
    let wanted = before & !(ethtool::FLAG_LRO | ethtool::FLAG_RX_VLAN);
    if wanted != before {
        ethtool::set_flags(interface, wanted)?;
    }
    Ok(before)
}

/// Undoes [`set_offloads_off`].
///
/// # Errors
/// What the driver says.
pub fn set_offloads_back(interface: &str, before: u32) -> io::Result<()> {
    ethtool::set_flags(interface, before)
}

/// Has the interface spread flows over `queues` alone, evenly. The table has as many entries as before.
///
/// # Errors
/// What the driver says; most that have RSS let it be set.
pub fn set_rss_queues(interface: &str, queues: &[u32]) -> io::Result<()> {
    let entries = ethtool::rss(interface)?.table.len();
    let table: Vec<u32> = queues.iter().copied().cycle().take(entries).collect();
    set_rss_table(interface, &table)
}

/// Sets the whole table, as [`Rss::table`] tells it; an empty one asks for the default, all queues in turn.
///
/// # Errors
/// What the driver says.
pub fn set_rss_table(interface: &str, table: &[u32]) -> io::Result<()> {
    ethtool::set_rss_table(interface, table)
}

/// The key that drivers are given unless they are told another one. Only the first network namespace shows it.
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
    fn an_interface_that_is_not_there_is_said_so() {
        for name in ["none-such-0", "", "a name far too long for an interface", "with\0nul"] {
            assert!(matches!(probe(name), Err(ProbeError::NoSuchInterface { .. })), "{name:?}");
            assert!(matches!(check_queues(name, 1), Err(ProbeError::NoSuchInterface { .. })));
        }
    }

    #[test]
    fn the_loopback_is_no_ethernet() {
        let error = probe("lo").expect_err("lo carries no AF_XDP");
        assert!(matches!(error, ProbeError::NotEthernet { .. }), "{error}");
    }
}
