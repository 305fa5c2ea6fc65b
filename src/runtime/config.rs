//! The configuration of a stack.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
#[cfg(feature = "pcap")]
use std::path::PathBuf;

use super::idle::IdlePolicy;
use super::tap_config::TapConfig;
use crate::limits::Limits;
use crate::link::impair::Impairments;
use crate::link::xsk::{BusyPoll, Mode};
pub use crate::shard::{DadConfig, Role};
use crate::shard::{HOP_LIMIT, ListenerConfig};
use crate::tcp::Settings;
use crate::xdp::XdpMode;

/// The queues of an interface that a stack uses, one worker each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues(Vec<u32>);

impl Queues {
    /// Creates a list of queues in the given order, without duplicates. Returns `None` for an empty
    /// list and for more than [`crate::limits::WORKERS_MAX`] queues.
    pub fn new(queues: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut list: Vec<u32> = Vec::new();
        for queue in queues {
            if !list.contains(&queue) {
                list.push(queue);
            }
        }
        (1..=crate::limits::WORKERS_MAX).contains(&list.len()).then_some(Self(list))
    }

    /// Returns the queue numbers.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self(vec![0])
    }
}

/// The kind of link between a stack and its network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkKind {
    /// AF_XDP sockets on the queues of a network interface.
    #[default]
    Xdp,
    /// A TAP device, which the stack creates: the kernel of this host is the network. It needs no
    /// privilege inside a user namespace (`unshare -rn`). Settings of AF_XDP, of the NIC and of its
    /// queues have no effect; [`StackConfig::queues`] is only counted.
    Tap(TapConfig),
}

/// The configuration of a stack: [`new`](Self::new), then set the fields that differ from the
/// defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StackConfig {
    /// The interface's name.
    pub interface: String,
    /// The kind of link.
    pub link: LinkKind,
    /// The stack's addresses with their prefix lengths; at least one.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The IPv4 gateway.
    pub gateway_v4: Option<Ipv4Addr>,
    /// The IPv6 gateway.
    pub gateway_v6: Option<Ipv6Addr>,
    /// The queues, one worker each.
    pub queues: Queues,
    /// The cores of the workers, in order. Workers past the end of the list are not pinned.
    pub cores: Vec<usize>,
    /// Owner of the addresses: the stack or the kernel.
    pub role: Role,
    /// Makes the NIC spread flows over the workers' queues only, while the stack runs.
    pub set_rss: bool,
    /// Disables the offloads that merge or strip frames in the NIC (LRO, VLAN tags), while the
    /// stack runs.
    pub set_offloads: bool,
    /// Timestamps each frame on arrival and measures how long it waits for the turn that processes
    /// it ([`WorkerReport::waits`](super::WorkerReport::waits)).
    pub rx_timestamps: bool,
    /// Mode in which the XDP program is attached.
    pub xdp_mode: XdpMode,
    /// Zero-copy or copy mode of the AF_XDP sockets.
    pub socket_mode: Mode,
    /// Size of a UMEM chunk, 2048 or 4096 bytes; `None` chooses by the driver.
    pub chunk: Option<u32>,
    /// Preferred busy polling; `None` is off.
    pub busy_poll: Option<BusyPoll>,
    /// Behaviour of idle workers.
    pub idle: IdlePolicy,
    /// Memory that each worker reserves.
    pub limits: Limits,
    /// Total buffer memory of all workers, bytes, within the limits of each. `None` is unbounded.
    pub memory_total: Option<usize>,
    /// Settings of TCP.
    pub settings: Settings,
    /// The listeners. The index of a listener in this list is its
    /// [`ListenerId`](crate::shard::ListenerId).
    pub listeners: Vec<ListenerConfig>,
    /// Allows active opens: in shared mode the stack then claims their source ports.
    pub opens: bool,
    /// Source ports of active opens; `None` is [`StackConfig::ports_of`] the role.
    pub source_ports: Option<RangeInclusive<u16>>,
    /// Writes every frame on the wire to this file: pcap or pcapng, by its extension.
    #[cfg(feature = "pcap")]
    pub capture: Option<PathBuf>,
    /// Impairs the links. Each worker has its own seed.
    pub impairments: Option<Impairments>,
    /// Duplicate address detection in exclusive mode; `None` uses the addresses at once.
    pub dad: Option<DadConfig>,
    /// In exclusive mode, forms IPv6 addresses from router advertisements (RFC 4862) in addition to
    /// `addresses`. The kernel does not receive router advertisements on this interface meanwhile.
    pub autoconf: bool,
    /// Accepts segments whose checksum covers only the pseudo-header.
    pub accept_partial_checksums: bool,
    /// TTL or hop limit of sent packets (RFC 9293 MUST-49).
    pub hop_limit: u8,
}

impl StackConfig {
    /// Returns the number of workers.
    pub fn workers(&self) -> usize {
        self.queues.as_slice().len()
    }

    /// Returns the default source ports of active opens. In exclusive mode: all but the well-known
    /// ones (RFC 6056 §3.2). In shared mode: those above the range from which Linux chooses its own
    /// (`net.ipv4.ip_local_port_range`, 32768 to 60999).
    pub const fn ports_of(role: Role) -> RangeInclusive<u16> {
        match role {
            Role::Exclusive => 1024..=65535,
            Role::Shared => 61000..=65535,
        }
    }

    /// Configures a stack with `addresses`, each with its prefix length, on a TAP device `name`,
    /// which it creates. The kernel gets an address of each network ([`TapConfig::opposite`]).
    ///
    /// ```
    /// # use linerate::{StackConfig, runtime::LinkKind};
    /// let config = StackConfig::tap("tap0", vec![("10.0.0.2".parse()?, 24)]);
    /// let LinkKind::Tap(tap) = &config.link else { panic!("a TAP device") };
    /// assert_eq!(tap.kernel_addresses, [("10.0.0.1".parse()?, 24)]);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn tap(name: impl Into<String>, addresses: Vec<(IpAddr, u8)>) -> Self {
        let link = LinkKind::Tap(TapConfig::opposite(&addresses));
        Self { link, ..Self::new(name, addresses) }
    }

    /// Configures a stack with `addresses`, each with its prefix length, on `interface`, and
    /// defaults for everything else.
    pub fn new(interface: impl Into<String>, addresses: Vec<(IpAddr, u8)>) -> Self {
        Self {
            interface: interface.into(),
            link: LinkKind::default(),
            addresses,
            gateway_v4: None,
            gateway_v6: None,
            queues: Queues::default(),
            cores: Vec::new(),
            role: Role::default(),
            set_rss: false,
            set_offloads: false,
            rx_timestamps: false,
            xdp_mode: XdpMode::Auto,
            socket_mode: Mode::Auto,
            chunk: None,
            busy_poll: None,
            idle: IdlePolicy::default(),
            limits: Limits::default(),
            memory_total: None,
            // The shard bounds the MSS by the MTU of the interface.
            settings: Settings { mss: [u16::MAX; 2], ..Settings::default() },
            listeners: Vec::new(),
            opens: false,
            source_ports: None,
            #[cfg(feature = "pcap")]
            capture: None,
            impairments: None,
            dad: Some(DadConfig::QUICK),
            autoconf: false,
            accept_partial_checksums: false,
            hop_limit: HOP_LIMIT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_unique_and_there_is_at_least_one() {
        assert_eq!(Queues::new([1, 0, 1]).unwrap().as_slice(), [1, 0]);
        assert!(Queues::new([]).is_none());
        assert!(Queues::new(0..1000).is_none());
    }
}
