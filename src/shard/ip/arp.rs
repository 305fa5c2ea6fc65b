//! ARP: replies for local addresses, and learning of neighbours (RFC 826, RFC 5227).

use core::net::IpAddr;

use crate::metrics::{DropReason, Event};
use crate::role::Role;
use crate::shard::ip::event::ControlPacket;
use crate::shard::ip::layer::Ip;
use crate::shard::ip::neighbour::{AdvertFlags, Target};
use crate::shard::ip::refusal::refused;
use crate::shard::mem::turn_state::TurnState;
use crate::wire::{arp, ethernet};

impl Ip {
    /// Processes an ARP packet.
    pub(in crate::shard) fn on_arp(
        &mut self,
        turn: &mut TurnState,
        control: &mut ControlPacket<'_, '_, '_>,
    ) -> Result<(), DropReason> {
        if self.role == Role::Shared {
            return Err(DropReason::NotOurs);
        }
        let (_, payload) = ethernet::parse(control.frame).map_err(refused)?;
        let packet = arp::parse(payload).map_err(refused)?;
        let (sender, target) = (IpAddr::V4(packet.sender_ip), IpAddr::V4(packet.target_ip));
        // RFC 5227 §2.1.1, §2.4: a sender with a local address uses that address too; a probe for a
        // tentative address claims it.
        let is_probe = packet.operation == arp::Operation::Request
            && packet.sender_ip.is_unspecified()
            && self.locals.is_tentative(target);
        if self.locals.number_of(sender).is_some() || is_probe {
            let address = if is_probe { target } else { sender };
            self.on_contested(address, packet.sender_mac, turn, control.queue);
            return Err(DropReason::BadSource);
        }
        let for_us = self.locals.find(target).is_some();
        if !packet.sender_ip.is_unspecified() {
            let learned = if sender == target {
                let flags = AdvertFlags::ARP_ANNOUNCEMENT;
                self.neighbours.on_advert(turn.now, sender, Some(packet.sender_mac), flags)
            } else if packet.operation == arp::Operation::Reply && for_us {
                let flags = AdvertFlags::ARP_REPLY;
                self.neighbours.on_advert(turn.now, sender, Some(packet.sender_mac), flags)
            } else {
                let target = if for_us { Target::Local } else { Target::Other };
                self.neighbours.on_source_mac(turn.now, sender, packet.sender_mac, target)
            };
            self.on_learned(learned, turn, control.queue);
        }
        // The worker that received the frame replies for all.
        if packet.operation == arp::Operation::Request && for_us && control.hops == 0 {
            turn.counters.count(Event::NeighbourAnswered);
            let reply = arp::Packet {
                operation: arp::Operation::Reply,
                sender_mac: self.mac,
                sender_ip: packet.target_ip,
                target_mac: packet.sender_mac,
                target_ip: packet.sender_ip,
            };
            self.send_arp(packet.sender_mac, &reply, turn, control.queue);
        }
        Ok(())
    }
}
