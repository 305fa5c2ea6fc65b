//! Output of ARP, neighbour discovery and ICMP. None of it is ever fragmented (RFC 6980 §5).

use core::net::{Ipv4Addr, Ipv6Addr};

use crate::metrics::DropReason;
use crate::shard::ip::layer::Ip;
use crate::shard::mem::turn_state::TurnState;
use crate::shard::mem::tx_queue::TxQueue;
use crate::wire::checksum::PseudoHeader;
use crate::wire::icmp::{v4, v6};
use crate::wire::ndp::{self, Message, NeighbourAdvertisement};
use crate::wire::{EtherType, MacAddr, NoRoom, Protocol, TrafficClass};
use crate::wire::{arp, ethernet, ipv4, ipv6, vlan};

/// Hop limit of ICMP packets, which may leave the link.
const HOP_LIMIT: u8 = 64;

impl Ip {
    /// Sends a neighbour advertisement for a local address.
    pub(in crate::shard) fn send_advertisement(
        &mut self,
        target: Ipv6Addr,
        (to_mac, to): (MacAddr, Ipv6Addr),
        solicited: bool,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let message = Message::NeighbourAdvertisement(NeighbourAdvertisement {
            target,
            router: false,
            solicited,
            overrides: true,
            target_mac: Some(self.mac),
        });
        self.send_discovery((target, to), to_mac, &message, turn, queue);
    }

    pub(in crate::shard) fn send_discovery(
        &mut self,
        (src, dst): (Ipv6Addr, Ipv6Addr),
        to: MacAddr,
        message: &Message<'_>,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let pseudo = PseudoHeader::v6(src, dst);
        self.send_v6(to, (src, dst), ndp::HOP_LIMIT, turn, queue, |bytes| {
            message.emit(pseudo, bytes)
        });
    }

    pub(in crate::shard) fn send_arp(
        &mut self,
        to: MacAddr,
        packet: &arp::Packet,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        self.send_frame(to, EtherType::ARP, turn, queue, |bytes| packet.emit(bytes));
    }

    pub(in crate::shard) fn send_icmp_v4(
        &mut self,
        to: MacAddr,
        (src, dst): (Ipv4Addr, Ipv4Addr),
        message: &v4::Message<'_>,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let ip = ipv4::HeaderOut {
            src,
            dst,
            protocol: Protocol::ICMP,
            ttl: HOP_LIMIT,
            traffic_class: TrafficClass(0),
            ident: 0,
            fragment: ipv4::Fragment::DONT,
        };
        self.send_frame(to, EtherType::IPV4, turn, queue, |bytes| {
            let len = message.emit(bytes.get_mut(ipv4::HEADER_LEN..).ok_or(NoRoom)?)?;
            Ok(ip.emit(len, bytes)? + len)
        });
    }

    pub(in crate::shard) fn send_icmp_v6(
        &mut self,
        to: MacAddr,
        (src, dst): (Ipv6Addr, Ipv6Addr),
        message: &v6::Message<'_>,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let pseudo = PseudoHeader::v6(src, dst);
        self.send_v6(to, (src, dst), HOP_LIMIT, turn, queue, |bytes| message.emit(pseudo, bytes));
    }

    /// Returns the flow label of ICMPv6: one flow for each pair of addresses (RFC 6437 §3).
    fn flow_label(&self, src: Ipv6Addr, dst: Ipv6Addr) -> u32 {
        self.labels.flow_label(self.reassembly.hash(&(src, dst, Protocol::ICMPV6.0)))
    }

    fn send_v6(
        &mut self,
        to: MacAddr,
        (src, dst): (Ipv6Addr, Ipv6Addr),
        hop_limit: u8,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
        payload: impl FnOnce(&mut [u8]) -> Result<usize, NoRoom>,
    ) {
        let ip = ipv6::HeaderOut {
            src,
            dst,
            protocol: Protocol::ICMPV6,
            hop_limit,
            traffic_class: TrafficClass(0),
            flow_label: self.flow_label(src, dst),
        };
        self.send_frame(to, EtherType::IPV6, turn, queue, |bytes| {
            let len = payload(bytes.get_mut(ipv6::HEADER_LEN..).ok_or(NoRoom)?)?;
            Ok(ip.emit(len, bytes)? + len)
        });
    }

    fn send_frame(
        &mut self,
        dst: MacAddr,
        ethertype: EtherType,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
        payload: impl FnOnce(&mut [u8]) -> Result<usize, NoRoom>,
    ) {
        let Some(mut frame) = queue.take() else {
            turn.counters.drop(DropReason::NoFrame);
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
                queue.send(frame);
            }
            // The reply to an echo request that was reassembled may not fit one of our frames.
            Err(NoRoom) => queue.put_back(frame),
        }
    }
}
