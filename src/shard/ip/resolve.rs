//! Next hops and address resolution: from a destination to a neighbour, from a neighbour to its MAC
//! address. Frames wait until the neighbour answers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::link::Frame;
use crate::metrics::DropReason;
use crate::role::Role;
use crate::shard::flow::id::NeighbourId;
use crate::shard::ip::event::IpEvent;
use crate::shard::ip::layer::Ip;
use crate::shard::ip::neighbour::{Action, Learned, LinkTarget, Resolution, Solicit};
use crate::shard::mem::turn_state::TurnState;
use crate::shard::mem::tx_queue::TxQueue;
use crate::time::Instant;
use crate::wire::icmp::{Quote, v4, v6};
use crate::wire::ndp::{self, Message, NeighbourSolicitation};
use crate::wire::{MacAddr, arp, ethernet};

impl Ip {
    /// Returns the neighbour through which an address is reached, and starts to resolve it if it is
    /// new. Returns `None` if there is no route.
    #[inline]
    pub(in crate::shard) fn neighbour_towards(
        &mut self,
        now: Instant,
        remote: IpAddr,
    ) -> Option<NeighbourId> {
        let via = self.routes.via(remote)?;
        let (last, neighbour) = self.last_hop;
        if last == via && self.neighbours.is_current(neighbour) {
            return Some(neighbour);
        }
        // If the cache is full of entries that must stay, the flow tries again when it next sends.
        let neighbour = self.neighbours.resolve(now, via).unwrap_or(NeighbourId::NONE);
        self.last_hop = (via, neighbour);
        Some(neighbour)
    }

    /// Returns where frames to a neighbour go: to its MAC address, or into its queue.
    #[inline]
    pub(in crate::shard) fn link_target(
        &mut self,
        now: Instant,
        neighbour: NeighbourId,
    ) -> LinkTarget {
        LinkTarget::new(self.neighbours.resolution(now, neighbour), neighbour)
    }

    /// Returns where the frames of a flow go. Looks its neighbour up again if the cache has evicted
    /// it.
    #[inline]
    pub(in crate::shard) fn link_target_of(
        &mut self,
        now: Instant,
        neighbour: &mut NeighbourId,
        remote: IpAddr,
    ) -> LinkTarget {
        let mut resolution = self.neighbours.resolution(now, *neighbour);
        if resolution == Resolution::Evicted {
            *neighbour = self.neighbour_towards(now, remote).unwrap_or(*neighbour);
            resolution = self.neighbours.resolution(now, *neighbour);
        }
        LinkTarget::new(resolution, *neighbour)
    }

    /// Sends a frame that was written for `target`, or holds it until the neighbour answers.
    #[inline]
    pub(in crate::shard) fn send_or_hold(
        &mut self,
        turn: &mut TurnState,
        target: LinkTarget,
        frame: Frame,
        queue: &mut TxQueue<'_>,
    ) {
        let Some(neighbour) = target.held_for else {
            queue.send(frame);
            return;
        };
        if let Some(frame) = self.neighbours.hold(neighbour, frame) {
            turn.counters.drop(DropReason::NoNeighbour);
            queue.release(frame);
        }
    }

    /// Sends the frames that were held for a neighbour if its address has just been resolved.
    pub(in crate::shard) fn on_learned(
        &mut self,
        learned: Learned,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        if let Learned::Resolved(neighbour) = learned {
            self.send_held(neighbour, turn, queue);
        }
    }

    /// Sends the frames that were held for a neighbour that has answered.
    fn send_held(&mut self, neighbour: NeighbourId, turn: &TurnState, queue: &mut TxQueue<'_>) {
        let LinkTarget { mac, held_for: None } = self.link_target(turn.now, neighbour) else {
            return;
        };
        while let Some(mut frame) = self.neighbours.take_held(neighbour) {
            if let Some(destination) = frame.first_chunk_mut::<6>() {
                *destination = mac.0;
            }
            queue.send(frame);
        }
    }

    /// Does what the neighbour cache has due. Returns one event for flows per call, `None` once
    /// nothing is left.
    pub(in crate::shard) fn poll_neighbours(
        &mut self,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) -> Option<IpEvent> {
        while let Some(neighbour) = self.resolved.pop() {
            self.send_held(neighbour, turn, queue);
        }
        loop {
            if let Some((neighbour, address)) = self.failing {
                if let Some(frame) = self.neighbours.take_held(neighbour) {
                    turn.counters.drop(DropReason::NoNeighbour);
                    let quote = quote_of(&frame);
                    queue.release(frame);
                    match quote {
                        Some(quote) => return Some(IpEvent::Undeliverable(quote)),
                        None => continue,
                    }
                }
                self.failing = None;
                self.on_neighbour_failed(address);
            }
            match self.neighbours.poll(turn.now)? {
                // The kernel resolves, and the runtime mirrors the result.
                Action::Solicit { address, .. } if self.role == Role::Shared => {
                    if !self.unresolved.contains(&address) {
                        self.unresolved.push(address);
                    }
                }
                Action::Solicit { address: IpAddr::V4(address), to } => {
                    self.solicit_v4(address, to, turn, queue);
                }
                Action::Solicit { address: IpAddr::V6(address), to } => {
                    self.solicit_v6(address, to, turn, queue);
                }
                Action::Failed { id, address } => self.failing = Some((id, address)),
                Action::Discard(frame) => {
                    turn.counters.drop(DropReason::NoNeighbour);
                    queue.release(frame);
                }
            }
        }
    }

    /// Sends an ARP request.
    fn solicit_v4(
        &mut self,
        target_ip: Ipv4Addr,
        to: Solicit,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let Some(IpAddr::V4(sender_ip)) = self.source_towards(target_ip.into()) else { return };
        let packet = arp::Packet {
            operation: arp::Operation::Request,
            sender_mac: self.mac,
            sender_ip,
            target_mac: MacAddr::ZERO,
            target_ip,
        };
        let mac = match to {
            Solicit::Multicast => MacAddr::BROADCAST,
            Solicit::Unicast(mac) => mac,
        };
        self.send_arp(mac, &packet, turn, queue);
    }

    /// Sends a neighbour solicitation.
    fn solicit_v6(
        &mut self,
        target: Ipv6Addr,
        to: Solicit,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let Some(IpAddr::V6(source)) = self.source_towards(target.into()) else { return };
        let solicitation = NeighbourSolicitation { target, source_mac: Some(self.mac) };
        let (mac, dst) = match to {
            Solicit::Multicast => {
                let group = ndp::solicited_node(target);
                (MacAddr::of_multicast_v6(group), group)
            }
            Solicit::Unicast(mac) => (mac, target),
        };
        let message = Message::NeighbourSolicitation(solicitation);
        self.send_discovery((source, dst), mac, &message, turn, queue);
    }

    /// Returns the local address from which to send to a neighbour.
    pub(in crate::shard) fn source_towards(&self, neighbour: IpAddr) -> Option<IpAddr> {
        let locals = self.locals.usable().map(|local| (local.address, local.prefix));
        self.routes.next_hop(neighbour, None, locals).ok().map(|hop| hop.source)
    }
}

/// Returns the quote that an ICMP error about an outgoing frame would carry.
fn quote_of(frame: &[u8]) -> Option<Quote> {
    let (_, packet) = ethernet::parse(frame).ok()?;
    let quoted = if packet.first().is_some_and(|first| first >> 4 == 4) {
        v4::quoted(packet)
    } else {
        v6::quoted(packet)
    };
    quoted.ok()
}
