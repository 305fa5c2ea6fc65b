//! Addresses of our own: claimed before they are used, defended afterwards (RFC 4862 §5.4, RFC 5227).
//!
//! Every worker goes through the stages at the same time, since what others say reaches all of them; the
//! first one speaks.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::metrics::Event;
use crate::role::Role;
use crate::shard::app::service::Service;
use crate::shard::engine::Engine;
use crate::shard::ip::dad::{DadConfig, Step};
use crate::shard::ip::locals::AddressState;
use crate::shard::tx::segments::Outlet;
use crate::time::Duration;
use crate::wire::ndp::{self, Message, NeighbourSolicitation};
use crate::wire::{MacAddr, arp};

/// RFC 5227 §1.1, `DEFEND_INTERVAL`: defending more often would be a storm between two stubborn hosts.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// Contests that wait to be told of.
const CONTESTED_MAX: usize = 16;

impl Engine {
    /// The worker starts: its addresses are claimed, or announced at once where they need not be.
    pub(in crate::shard) fn begin_claims(&mut self, outlet: &mut Outlet<'_>) {
        for number in self.locals.numbers() {
            match self.claiming.filter(|_| self.role == Role::Exclusive) {
                Some(claiming) => self.begin_claim(number, claiming),
                None => self.on_settled(number, outlet),
            }
        }
        self.begin_discovery(outlet);
        self.tend_claims(outlet);
    }

    fn begin_claim(&mut self, number: u8, claiming: DadConfig) {
        let ipv6 = self.locals.address(number).is_ipv6();
        let probing = if ipv6 { claiming.ipv6 } else { claiming.ipv4 };
        self.claims.begin(self.now, number, probing);
    }

    /// Whatever the claims want done by now.
    pub(in crate::shard) fn tend_claims(&mut self, outlet: &mut Outlet<'_>) {
        while let Some(step) = self.claims.poll(self.now) {
            match step {
                Step::Probe(number) => self.probe(number, outlet),
                Step::Settled(number) => self.on_settled(number, outlet),
                Step::Announce(number) => self.announce(number, outlet),
            }
        }
    }

    /// The program starts once its addresses are known to be ours, or not to be.
    pub(in crate::shard) fn start_service(&mut self, service: &mut dyn Service) {
        if self.may_start() {
            self.started = true;
            service.on_start(self);
        }
    }

    /// Whether nothing keeps the service from starting.
    #[inline]
    pub(in crate::shard) fn may_start(&self) -> bool {
        !self.started && !self.held_back && !self.is_claiming()
    }

    /// Whether an address waits to be known as ours, or for a router to tell of it.
    pub(in crate::shard) fn is_claiming(&self) -> bool {
        let awaits = self.discovery.as_deref().is_some_and(|d| d.is_awaiting(self.now));
        awaits || !self.claims.is_settled()
    }

    pub(in crate::shard) fn on_settled(&mut self, number: u8, outlet: &mut Outlet<'_>) {
        self.locals.set_standing(number, AddressState::Preferred);
        self.announce(number, outlet);
        self.on_address_settled(self.locals.address(number));
    }

    /// Asks whether somebody has an address that is to be ours.
    fn probe(&mut self, number: u8, outlet: &mut Outlet<'_>) {
        if self.worker != 0 {
            return;
        }
        match self.locals.address(number) {
            // RFC 5227 §2.1.1:
            //   > The client MUST fill in the 'sender hardware address' field of the ARP Request with the
            //   > hardware address of the interface [...] The 'sender IP address' field MUST be set to
            //   > all zeroes; this is to avoid polluting ARP caches in other hosts
            IpAddr::V4(target_ip) => {
                let packet = arp::Packet {
                    operation: arp::Operation::Request,
                    sender_mac: self.mac,
                    sender_ip: Ipv4Addr::UNSPECIFIED,
                    target_mac: MacAddr::ZERO,
                    target_ip,
                };
                self.send_arp(MacAddr::BROADCAST, &packet, outlet);
            }
            // RFC 4862 §5.4.2:
            //   > The solicitation's Target Address is set to the address being checked, the IP source is
            //   > set to the unspecified address, and the IP destination is set to the solicited-node
            //   > multicast address of the target address.
            IpAddr::V6(target) => {
                let group = ndp::solicited_node(target);
                let question = NeighbourSolicitation { target, source_mac: None };
                let message = Message::NeighbourSolicitation(question);
                let ends = (Ipv6Addr::UNSPECIFIED, group);
                self.send_discovery(ends, MacAddr::of_multicast_v6(group), &message, outlet);
            }
        }
    }

    /// Another station shows by what it says that it has, or wants, an address of ours.
    pub(in crate::shard) fn on_contested(
        &mut self,
        address: IpAddr,
        by: MacAddr,
        outlet: &mut Outlet<'_>,
    ) {
        // What comes back to us by a loop in the network is our own.
        let Some(number) = self.locals.number_of(address).filter(|_| by != self.mac) else {
            return;
        };
        match self.locals.standing(number) {
            // RFC 4862 §5.4.5: > The address [...] MUST NOT be assigned to an interface
            AddressState::Tentative => {
                self.counters.count(Event::AddressConflict);
                self.claims.give_up(number);
                self.locals.set_standing(number, AddressState::Refused(by));
                self.on_address_refused(address, outlet);
            }
            AddressState::Preferred | AddressState::Deprecated => self.defend(number, by, outlet),
            AddressState::Refused(_) | AddressState::Gone => {}
        }
    }

    /// RFC 5227 §2.4 (c): a host that must keep its address defends it, at most once in ten seconds.
    fn defend(&mut self, number: u8, by: MacAddr, outlet: &mut Outlet<'_>) {
        let recently =
            self.locals.defended_at(number).is_some_and(|at| self.now.since(at) < DEFEND_INTERVAL);
        self.counters.count(Event::AddressConflict);
        if !recently {
            // Where nobody asks for them, some are enough.
            if self.contested.len() < CONTESTED_MAX {
                self.contested.push((self.locals.address(number), by));
            }
            self.locals.set_defended(number, self.now);
            self.announce(number, outlet);
        }
    }

    /// Tells the link of an address of ours (RFC 5227 §2.3, RFC 4861 §7.2.6): a switch learns the port, and
    /// hosts that knew another station for it learn the new one.
    fn announce(&mut self, number: u8, outlet: &mut Outlet<'_>) {
        if self.role == Role::Shared || self.worker != 0 {
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
                self.send_arp(MacAddr::BROADCAST, &packet, outlet);
            }
            IpAddr::V6(address) => {
                let group = ndp::ALL_NODES;
                let to = (MacAddr::of_multicast_v6(group), group);
                self.send_advertisement(address, to, false, outlet);
            }
        }
    }
}
