//! Local addresses: verified by duplicate address detection before use, defended afterwards
//! (RFC 4862 §5.4, RFC 5227).
//!
//! Every worker runs the same state machine, since ARP and neighbour discovery reach all of them.
//! Only the first one sends.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::metrics::Event;
use crate::role::Role;
use crate::shard::config::DadConfig;
use crate::shard::ip::dad::Step;
use crate::shard::ip::layer::Ip;
use crate::shard::ip::locals::AddressState;
use crate::shard::mem::turn_state::TurnState;
use crate::shard::mem::tx_queue::TxQueue;
use crate::time::{Duration, Instant};
use crate::wire::ndp::{self, Message, NeighbourSolicitation};
use crate::wire::{MacAddr, arp};

/// RFC 5227 §1.1, `DEFEND_INTERVAL`. A shorter interval lets two stubborn hosts start a storm.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum number of conflicts that wait to be reported.
const CONTESTED_MAX: usize = 16;

impl Ip {
    /// Starts duplicate address detection of the local addresses, or announces them at once if it
    /// is off.
    pub(in crate::shard) fn begin_dad(&mut self, turn: &mut TurnState, queue: &mut TxQueue<'_>) {
        for number in self.locals.numbers() {
            match self.dad_config.filter(|_| self.role == Role::Exclusive) {
                Some(config) => self.begin_dad_of(turn.now, number, config),
                None => self.on_settled(number, turn, queue),
            }
        }
        self.begin_discovery(turn, queue);
        self.poll_dad(turn, queue);
    }

    fn begin_dad_of(&mut self, now: Instant, number: u8, config: DadConfig) {
        let ipv6 = self.locals.address(number).is_ipv6();
        let probing = if ipv6 { config.ipv6 } else { config.ipv4 };
        self.dad.begin(now, number, probing);
    }

    /// Does what duplicate address detection has due.
    pub(in crate::shard) fn poll_dad(&mut self, turn: &mut TurnState, queue: &mut TxQueue<'_>) {
        while let Some(step) = self.dad.poll(turn.now) {
            match step {
                Step::Probe(number) => self.probe(number, turn, queue),
                Step::Settled(number) => self.on_settled(number, turn, queue),
                Step::Announce(number) => self.announce(number, turn, queue),
            }
        }
    }

    /// Puts an address into use that passed duplicate address detection, and announces it.
    pub(in crate::shard) fn on_settled(
        &mut self,
        number: u8,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        self.locals.set_state(number, AddressState::Preferred);
        self.announce(number, turn, queue);
        self.on_address_settled(turn.now, self.locals.address(number));
    }

    /// Probes for another host that uses a tentative address.
    fn probe(&mut self, number: u8, turn: &mut TurnState, queue: &mut TxQueue<'_>) {
        if !self.announces {
            return;
        }
        match self.locals.address(number) {
            // RFC 5227 §2.1.1:
            //   > The client MUST fill in the 'sender hardware address' field of the ARP Request
            //   > with the hardware address of the interface [...] The 'sender IP address' field
            //   > MUST be set to all zeroes; this is to avoid polluting ARP caches in other hosts
            IpAddr::V4(target_ip) => {
                let packet = arp::Packet {
                    operation: arp::Operation::Request,
                    sender_mac: self.mac,
                    sender_ip: Ipv4Addr::UNSPECIFIED,
                    target_mac: MacAddr::ZERO,
                    target_ip,
                };
                self.send_arp(MacAddr::BROADCAST, &packet, turn, queue);
            }
            // RFC 4862 §5.4.2:
            //   > The solicitation's Target Address is set to the address being checked, the IP
            //   > source is set to the unspecified address, and the IP destination is set to the
            //   > solicited-node multicast address of the target address.
            IpAddr::V6(target) => {
                let group = ndp::solicited_node(target);
                let solicitation = NeighbourSolicitation { target, source_mac: None };
                let message = Message::NeighbourSolicitation(solicitation);
                let ends = (Ipv6Addr::UNSPECIFIED, group);
                self.send_discovery(ends, MacAddr::of_multicast_v6(group), &message, turn, queue);
            }
        }
    }

    /// Handles a packet which shows that another host uses or claims a local address.
    pub(in crate::shard) fn on_contested(
        &mut self,
        address: IpAddr,
        by: MacAddr,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        // A loop in the network may return our own packets.
        let Some(number) = self.locals.number_of(address).filter(|_| by != self.mac) else {
            return;
        };
        match self.locals.state(number) {
            // RFC 4862 §5.4.5: > The address [...] MUST NOT be assigned to an interface
            AddressState::Tentative => {
                turn.counters.count(Event::AddressConflict);
                self.dad.cancel(number);
                self.locals.set_state(number, AddressState::Refused(by));
                self.on_address_refused(address, turn, queue);
            }
            AddressState::Preferred | AddressState::Deprecated => {
                self.defend(number, by, turn, queue)
            }
            AddressState::Refused(_) | AddressState::Removed => {}
        }
    }

    /// Defends an address, at most once in ten seconds (RFC 5227 §2.4 (c)).
    fn defend(&mut self, number: u8, by: MacAddr, turn: &mut TurnState, queue: &mut TxQueue<'_>) {
        let recently =
            self.locals.defended_at(number).is_some_and(|at| turn.now.since(at) < DEFEND_INTERVAL);
        turn.counters.count(Event::AddressConflict);
        if !recently {
            // Bounded, since a caller need not collect them.
            if self.contested.len() < CONTESTED_MAX {
                self.contested.push((self.locals.address(number), by));
            }
            self.locals.set_defended(number, turn.now);
            self.announce(number, turn, queue);
        }
    }

    /// Announces a local address on the link (RFC 5227 §2.3, RFC 4861 §7.2.6): switches learn the
    /// port, and hosts update their caches.
    fn announce(&mut self, number: u8, turn: &mut TurnState, queue: &mut TxQueue<'_>) {
        if self.role == Role::Shared || !self.announces {
            return;
        }
        match self.locals.address(number) {
            IpAddr::V4(address) => {
                let packet = arp::Packet {
                    operation: arp::Operation::Request,
                    sender_mac: self.mac,
                    sender_ip: address,
                    target_mac: MacAddr::ZERO,
                    target_ip: address,
                };
                self.send_arp(MacAddr::BROADCAST, &packet, turn, queue);
            }
            IpAddr::V6(address) => {
                let group = ndp::ALL_NODES;
                let to = (MacAddr::of_multicast_v6(group), group);
                self.send_advertisement(address, to, false, turn, queue);
            }
        }
    }
}
