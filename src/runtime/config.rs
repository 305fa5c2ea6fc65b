//! What a stack is told when it starts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
#[cfg(feature = "pcap")]
use std::path::PathBuf;

use super::idle::IdlePolicy;
use crate::limits::Limits;
use crate::link::impair::Impairments;
use crate::link::xsk::{BusyPoll, Mode};
pub use crate::shard::{DadConfig, Role};
use crate::shard::{HOP_LIMIT, ListenerConfig};
use crate::tcp::Settings;
use crate::xdp::XdpMode;

/// The queues of an interface that a stack takes, one worker each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queues(Vec<u32>);

impl Queues {
    /// These queues, in this order, each once; `None` when there are none, or more than
    /// [`crate::limits::WORKERS_MAX`].
    pub fn new(queues: impl IntoIterator<Item = u32>) -> Option<Self> {
        let mut list: Vec<u32> = Vec::new();
        for queue in queues {
            if !list.contains(&queue) {
                list.push(queue);
            }
        }
        (1..=crate::limits::WORKERS_MAX).contains(&list.len()).then_some(Self(list))
    }

    /// The queue numbers.
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }
}

impl Default for Queues {
    fn default() -> Self {
        Self(vec![0])
    }
}

/// Everything about a stack but the programs on it.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// The interface's name.
    pub interface: String,
    /// The stack's addresses with their prefix lengths; at least one.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The IPv4 gateway.
    pub gateway_v4: Option<Ipv4Addr>,
    /// The IPv6 gateway.
    pub gateway_v6: Option<Ipv6Addr>,
    /// The queues, one worker each.
    pub queues: Queues,
    /// The cores of the workers, in order; workers past the list are not pinned.
    pub cores: Vec<usize>,
    /// Whose the addresses are.
    pub role: Role,
    /// Have the NIC spread flows over the workers' queues alone while the stack runs.
    pub set_rss: bool,
    /// Turn off what merges or strips frames in the NIC (LRO, VLAN tags) while the stack runs.
    pub set_offloads: bool,
    /// Stamp each frame when it comes in, and count how long it waits for the turn that takes it up
    /// ([`WorkerReport::waits`](super::WorkerReport::waits)).
    pub rx_timestamps: bool,
    /// How the program is attached.
    pub xdp_mode: XdpMode,
    /// Whether the device uses the sockets' memory, or frames are copied.
    pub socket_mode: Mode,
    /// Bytes of a frame's memory, 2048 or 4096; `None` leaves it to what is known of the driver.
    pub chunk: Option<u32>,
    /// Preferred busy polling, if wanted.
    pub busy_poll: Option<BusyPoll>,
    /// What idle workers do.
    pub idle: IdlePolicy,
    /// What each worker reserves.
    pub limits: Limits,
    /// Bytes of buffers of all workers together, within what each may have by its limits; `None` is no such
    /// bound.
    pub memory_total: Option<usize>,
    /// How TCP behaves.
    pub settings: Settings,
    /// Where to listen; a service sees a listener's place in this list as its
    /// [`ListenerId`](crate::shard::ListenerId).
    pub listeners: Vec<ListenerConfig>,
    /// Whether there will be active opens: in shared mode their source ports are then claimed.
    pub opens: bool,
    /// Source ports of active opens; `None` is [`StackConfig::ports_of`] the role.
    pub source_ports: Option<RangeInclusive<u16>>,
    /// Write every frame that crosses the wire to this file, pcap or pcapng by its ending.
    #[cfg(feature = "pcap")]
    pub capture: Option<PathBuf>,
    /// Put a bad network around the links; each worker draws from a seed of its own.
    pub impairments: Option<Impairments>,
    /// In exclusive mode, how addresses are claimed before they are used; `None` takes them at once.
    pub dad: Option<DadConfig>,
    /// In exclusive mode, make IPv6 addresses of what routers say (RFC 4862), beside those given. The kernel
    /// does not hear routers on this interface meanwhile.
    pub autoconf: bool,
    /// Take segments whose checksum covers only the pseudo-header.
    pub accept_partial_checksums: bool,
    /// Hops allowed to what is sent (RFC 9293 MUST-49).
    pub hop_limit: u8,
}

impl StackConfig {
    /// The source ports that active opens use unless told otherwise: with addresses of its own, all but
    /// the well-known ones (RFC 6056 §3.2); on the kernel's addresses, those above the range from which
    /// Linux picks its own (`net.ipv4.ip_local_port_range`, 32768 to 60999).
    pub const fn ports_of(role: Role) -> RangeInclusive<u16> {
        match role {
            Role::Exclusive => 1024..=65535,
            Role::Shared => 61000..=65535,
        }
    }

    /// A stack with `addresses` on `interface`, the defaults for everything else.
    pub fn new(interface: impl Into<String>, addresses: Vec<(IpAddr, u8)>) -> Self {
        Self {
            interface: interface.into(),
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
            // As large as the interface takes: the shard bounds them by its MTU.
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
    fn a_queue_is_taken_once_and_at_least_one_is() {
        assert_eq!(Queues::new([1, 0, 1]).unwrap().as_slice(), [1, 0]);
        assert!(Queues::new([]).is_none());
        assert!(Queues::new(0..1000).is_none());
    }
}
