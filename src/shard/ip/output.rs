//! What the shard says that is not a segment: ARP, neighbour discovery and ICMP, written into frames, never
//! into fragments (RFC 6980 §5).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::metrics::DropReason;
use crate::role::Role;
use crate::shard::engine::Engine;
use crate::shard::ip::neighbour::{Action, Ask, NeighbourId};
use crate::shard::tx::segments::Outlet;
use crate::wire::checksum::PseudoHeader;
use crate::wire::icmp::{v4, v6};
use crate::wire::ndp::{self, Message, NeighbourAdvertisement, NeighbourSolicitation};
use crate::wire::{EtherType, MacAddr, NoRoom, Protocol, TrafficClass};
use crate::wire::{arp, ethernet, ipv4, ipv6, vlan};

/// Hops allowed for what may leave the link.
const HOPS: u8 = 64;

impl Engine {
    /// Whatever the neighbour cache wants done by now.
    pub(in crate::shard) fn tend_neighbours(&mut self, outlet: &mut Outlet<'_>) {
        while let Some(neighbour) = self.resolved.pop() {
            self.send_held(neighbour, outlet);
        }
        while let Some(action) = self.neighbours.poll(self.now) {
            match action {
                // The kernel asks, and tells what it learns.
                Action::Ask { address, .. } if self.role == Role::Shared => {
                    if !self.wanted.contains(&address) {
                        self.wanted.push(address);
                    }
                }
                Action::Ask { address: IpAddr::V4(address), ask } => {
                    self.ask_v4(address, ask, outlet);
                }
                Action::Ask { address: IpAddr::V6(address), ask } => {
                    self.ask_v6(address, ask, outlet);
                }
                Action::Failed { id, address } => {
                    self.give_up_on(id, outlet);
                    self.on_neighbour_failed(address);
                }
                Action::Discard(frame) => {
                    self.counters.drop(DropReason::NoNeighbour);
                    outlet.release(frame);
                }
            }
        }
    }

    fn give_up_on(&mut self, neighbour: NeighbourId, outlet: &mut Outlet<'_>) {
        while let Some(frame) = self.neighbours.take_held(neighbour) {
            self.counters.drop(DropReason::NoNeighbour);
            self.on_undeliverable(&frame);
            outlet.release(frame);
        }
    }

    /// An ARP request.
    fn ask_v4(&mut self, target_ip: Ipv4Addr, ask: Ask, outlet: &mut Outlet<'_>) {
        let Some(IpAddr::V4(sender_ip)) = self.source_towards(target_ip.into()) else { return };
        let packet = arp::Packet {
            operation: arp::Operation::Request,
            sender_mac: self.mac,
            sender_ip,
            target_mac: MacAddr::ZERO,
            target_ip,
        };
        let to = match ask {
            Ask::Everyone => MacAddr::BROADCAST,
            Ask::Unicast(mac) => mac,
        };
        self.send_arp(to, &packet, outlet);
    }

    /// A neighbour solicitation.
    fn ask_v6(&mut self, target: Ipv6Addr, ask: Ask, outlet: &mut Outlet<'_>) {
        let Some(IpAddr::V6(source)) = self.source_towards(target.into()) else { return };
        let question = NeighbourSolicitation { target, source_mac: Some(self.mac) };
        let (mac, to) = match ask {
            Ask::Everyone => {
                let group = ndp::solicited_node(target);
                (MacAddr::of_multicast_v6(group), group)
            }
            Ask::Unicast(mac) => (mac, target),
        };
        let message = Message::NeighbourSolicitation(question);
        self.send_discovery((source, to), mac, &message, outlet);
    }

    pub(in crate::shard) fn source_towards(&self, neighbour: IpAddr) -> Option<IpAddr> {
        let ours = self.locals.usable().map(|local| (local.address, local.prefix));
        self.routes.next_hop(neighbour, None, ours).ok().map(|hop| hop.source)
    }

    /// A neighbour advertisement for one of our addresses.
    pub(in crate::shard) fn send_advertisement(
        &mut self,
        target: Ipv6Addr,
        (to_mac, to): (MacAddr, Ipv6Addr),
        solicited: bool,
        outlet: &mut Outlet<'_>,
    ) {
        let message = Message::NeighbourAdvertisement(NeighbourAdvertisement {
            target,
            router: false,
            solicited,
            overrides: true,
            target_mac: Some(self.mac),
        });
        self.send_discovery((target, to), to_mac, &message, outlet);
    }

    pub(in crate::shard) fn send_discovery(
        &mut self,
        (src, dst): (Ipv6Addr, Ipv6Addr),
        to: MacAddr,
        message: &Message<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        let pseudo = PseudoHeader::v6(src, dst);
        self.send_v6(to, (src, dst), ndp::HOP_LIMIT, outlet, |bytes| message.emit(pseudo, bytes));
    }

    pub(in crate::shard) fn send_arp(
        &mut self,
        to: MacAddr,
        packet: &arp::Packet,
        outlet: &mut Outlet<'_>,
    ) {
        self.send_frame(to, EtherType::ARP, outlet, |bytes| packet.emit(bytes));
    }

    pub(in crate::shard) fn send_icmp_v4(
        &mut self,
        to: MacAddr,
        (src, dst): (Ipv4Addr, Ipv4Addr),
        message: &v4::Message<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        let ip = ipv4::HeaderOut {
            src,
            dst,
            protocol: Protocol::ICMP,
            ttl: HOPS,
            traffic_class: TrafficClass(0),
            ident: 0,
            fragment: ipv4::Fragment::DONT,
        };
        self.send_frame(to, EtherType::IPV4, outlet, |bytes| {
            let len = message.emit(bytes.get_mut(ipv4::HEADER_LEN..).ok_or(NoRoom)?)?;
            Ok(ip.emit(len, bytes)? + len)
        });
    }

    pub(in crate::shard) fn send_icmp_v6(
        &mut self,
        to: MacAddr,
        (src, dst): (Ipv6Addr, Ipv6Addr),
        message: &v6::Message<'_>,
        outlet: &mut Outlet<'_>,
    ) {
        let pseudo = PseudoHeader::v6(src, dst);
        self.send_v6(to, (src, dst), HOPS, outlet, |bytes| message.emit(pseudo, bytes));
    }

    /// RFC 6437 §3: what is no connection is one flow for each pair of addresses.
    fn label_towards(&self, src: Ipv6Addr, dst: Ipv6Addr) -> u32 {
        self.secrets.flow_label(self.reassembly.hash(&(src, dst, Protocol::ICMPV6.0)))
    }

    fn send_v6(
        &mut self,
        to: MacAddr,
        (src, dst): (Ipv6Addr, Ipv6Addr),
        hop_limit: u8,
        outlet: &mut Outlet<'_>,
        payload: impl FnOnce(&mut [u8]) -> Result<usize, NoRoom>,
    ) {
        let ip = ipv6::HeaderOut {
            src,
            dst,
            protocol: Protocol::ICMPV6,
            hop_limit,
            traffic_class: TrafficClass(0),
            flow_label: self.label_towards(src, dst),
        };
        self.send_frame(to, EtherType::IPV6, outlet, |bytes| {
            let len = payload(bytes.get_mut(ipv6::HEADER_LEN..).ok_or(NoRoom)?)?;
            Ok(ip.emit(len, bytes)? + len)
        });
    }

    fn send_frame(
        &mut self,
        dst: MacAddr,
        ethertype: EtherType,
        outlet: &mut Outlet<'_>,
        payload: impl FnOnce(&mut [u8]) -> Result<usize, NoRoom>,
    ) {
        let Some(mut frame) = outlet.take() else {
            self.counters.drop(DropReason::NoFrame);
            return;
        };
        let header = ethernet::Header { dst, src: self.mac, ethertype, vlan: vlan::Tags::NONE };
        let bytes = frame.buffer();
        let written = header.emit(bytes).and_then(|at| {
            let rest = bytes.get_mut(at..).ok_or(NoRoom)?;
            Ok(at + payload(rest)?)
        });
        match written {
            Ok(len) => {
                frame.set_len(len);
                outlet.send(frame);
            }
            // An echo longer than our own frames can be: it came in pieces, or not at all.
            Err(NoRoom) => outlet.put_back(frame),
        }
    }
}
