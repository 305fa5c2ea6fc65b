//! What is not a segment: ARP, neighbour discovery, echo requests, and ICMP errors about flows of ours.
//!
//! In exclusive mode the shard answers for its addresses itself; in shared mode the kernel does, and only
//! the errors are ours. Rare beside segments, so each frame is parsed again here rather than carried along.

use core::net::{IpAddr, Ipv6Addr};

use crate::metrics::{DropReason, Event};
use crate::role::Role;
use crate::shard::engine::{Engine, lend};
use crate::shard::flow::flow_table::{Kind, Place};
use crate::shard::flow::key::FlowKey;
use crate::shard::ip::neighbour::{Aimed, Claims, Learned};
use crate::shard::ip::path_mtu::Heeded;
use crate::shard::mem::limiter::Allowance;
use crate::shard::rx::handover::Handover;
use crate::shard::rx::parse::Control;
use crate::shard::tx::segments::Outlet;
use crate::tcp::{PathError, SeqNum};
use crate::wire::checksum::PseudoHeader;
use crate::wire::icmp::{Quote, v4, v6};
use crate::wire::ndp::{self, Message, NeighbourAdvertisement, NeighbourSolicitation};
use crate::wire::{
    Error, MacAddr, Protocol, SourceKind, arp, ethernet, ipv4, ipv6, source_kind_v6,
};

/// A frame that is not a segment, with the ways out.
pub(in crate::shard) struct Notice<'a, 'b, 'c> {
    pub(in crate::shard) frame: &'a [u8],
    pub(in crate::shard) hops: u8,
    /// It came in parts.
    pub(in crate::shard) was_cut: bool,
    pub(in crate::shard) outlet: &'c mut Outlet<'b>,
    pub(in crate::shard) handover: &'c mut dyn Handover,
}

impl Engine {
    /// One such frame.
    pub(in crate::shard) fn on_control(&mut self, kind: Control, notice: &mut Notice<'_, '_, '_>) {
        let result = match kind {
            Control::Arp => {
                self.pass_round(notice);
                self.on_arp(notice)
            }
            Control::IcmpV4 => self.on_icmp_v4(notice),
            Control::IcmpV6 => self.on_icmp_v6(notice),
            Control::Fragment => self.on_fragment(notice),
            Control::Unsupported => Err(self.on_unsupported(notice)),
        };
        if let Err(reason) = result {
            self.counters.drop(reason);
        }
    }

    /// What tells of neighbours is for every worker, since each keeps a cache of its own and cannot
    /// choose the queue on which an answer to its question arrives.
    fn pass_round(&mut self, notice: &mut Notice<'_, '_, '_>) {
        if u16::from(notice.hops) + 1 < self.workers {
            let next = (self.worker + 1) % self.workers;
            self.hand_over(next, notice.hops, notice.frame, notice.handover);
        }
    }

    fn on_arp(&mut self, notice: &mut Notice<'_, '_, '_>) -> Result<(), DropReason> {
        if self.role == Role::Shared {
            return Err(DropReason::NotOurs);
        }
        let (_, payload) = ethernet::parse(notice.frame).map_err(refused)?;
        let packet = arp::parse(payload).map_err(refused)?;
        let (sender, target) = (IpAddr::V4(packet.sender_ip), IpAddr::V4(packet.target_ip));
        // RFC 5227 §2.1.1, §2.4: whoever sends as an address of ours has it too; a probe for it wants it.
        let is_probe = packet.operation == arp::Operation::Request
            && packet.sender_ip.is_unspecified()
            && self.locals.is_tentative(target);
        if self.locals.number_of(sender).is_some() || is_probe {
            let address = if is_probe { target } else { sender };
            self.on_contested(address, packet.sender_mac, notice.outlet);
            return Err(DropReason::BadSource);
        }
        let for_us = self.locals.find(target).is_some();
        if !packet.sender_ip.is_unspecified() {
            let learned = if sender == target {
                let claims = Claims::ARP_ANNOUNCEMENT;
                self.neighbours.on_advert(self.now, sender, Some(packet.sender_mac), claims)
            } else if packet.operation == arp::Operation::Reply && for_us {
                let claims = Claims::ARP_REPLY;
                self.neighbours.on_advert(self.now, sender, Some(packet.sender_mac), claims)
            } else {
                let aimed = if for_us { Aimed::AtUs } else { Aimed::Elsewhere };
                self.neighbours.on_question(self.now, sender, packet.sender_mac, aimed)
            };
            self.on_learned(learned, notice.outlet);
        }
        // The worker that saw it first answers for all.
        if packet.operation == arp::Operation::Request && for_us && notice.hops == 0 {
            self.counters.count(Event::NeighbourAnswered);
            let reply = arp::Packet {
                operation: arp::Operation::Reply,
                sender_mac: self.mac,
                sender_ip: packet.target_ip,
                target_mac: packet.sender_mac,
                target_ip: packet.sender_ip,
            };
            self.send_arp(packet.sender_mac, &reply, notice.outlet);
        }
        Ok(())
    }

    /// What was held for a neighbour goes out once its address is known.
    pub(in crate::shard) fn on_learned(&mut self, learned: Learned, outlet: &mut Outlet<'_>) {
        if let Learned::Resolved(neighbour) = learned {
            self.send_held(neighbour, outlet);
        }
    }

    fn on_icmp_v4(&mut self, notice: &mut Notice<'_, '_, '_>) -> Result<(), DropReason> {
        let frame = notice.frame;
        let (ethernet, packet) = ethernet::parse(frame).map_err(refused)?;
        let (ip, payload) = ipv4::parse(packet).map_err(refused)?;
        let (error, quote) = match v4::parse(payload).map_err(refused_icmp)? {
            v4::Message::EchoRequest(echo) => {
                return self.answer_echo(notice.outlet, |engine, outlet| {
                    let answer = v4::Message::EchoReply(echo);
                    engine.send_icmp_v4(ethernet.src, (ip.dst, ip.src), &answer, outlet);
                });
            }
            v4::Message::Unreachable { reason: v4::Unreachable::TooBig { mtu }, quote } => {
                (PathError::TooBig(u32::from(mtu)), quote)
            }
            v4::Message::Unreachable { quote, .. } => (PathError::Unreachable, quote),
            v4::Message::TimeExceeded { quote, .. }
            | v4::Message::ParameterProblem { quote, .. } => (PathError::Soft, quote),
            // RFC 9293 MUST-55: source quench with all the rest.
            _ => return Ok(()),
        };
        let quote = v4::quoted(quote).map_err(|_| DropReason::IcmpUnmatched)?;
        self.on_quote(&quote, error, notice)
    }

    fn on_icmp_v6(&mut self, notice: &mut Notice<'_, '_, '_>) -> Result<(), DropReason> {
        let frame = notice.frame;
        let (ethernet, packet) = ethernet::parse(frame).map_err(refused)?;
        let (ip, payload) = ipv6::parse(packet).map_err(refused)?;
        let pseudo = PseudoHeader::v6(ip.src, ip.dst);
        let (error, quote) = match v6::parse(pseudo, payload).map_err(refused_icmp)? {
            v6::Message::EchoRequest(echo) => {
                // RFC 4443 §4.2 lets a request to a group be answered; a flood would be multiplied.
                let unicast = self.locals.find(IpAddr::V6(ip.dst)).is_some();
                if !unicast || source_kind_v6(ip.src) != SourceKind::Host {
                    return Err(DropReason::BadSource);
                }
                return self.answer_echo(notice.outlet, |engine, outlet| {
                    let answer = v6::Message::EchoReply(echo);
                    engine.send_icmp_v6(ethernet.src, (ip.dst, ip.src), &answer, outlet);
                });
            }
            // RFC 6980 §5:
            //   > Nodes MUST silently ignore the following Neighbor Discovery [...] messages if the
            //   > packets carrying them include an IPv6 Fragmentation Header
            v6::Message::NeighbourDiscovery(_) if notice.was_cut || ip.has_fragment_header => {
                return Err(DropReason::Malformed);
            }
            v6::Message::NeighbourDiscovery(bytes) if self.role == Role::Exclusive => {
                self.pass_round(notice);
                return self.on_discovery(ethernet.src, &ip, bytes, notice);
            }
            v6::Message::TooBig { mtu, quote } => (PathError::TooBig(mtu), quote),
            v6::Message::Unreachable { quote, .. } => (PathError::Unreachable, quote),
            v6::Message::TimeExceeded { quote, .. }
            | v6::Message::ParameterProblem { quote, .. } => (PathError::Soft, quote),
            _ => return Ok(()),
        };
        let quote = v6::quoted(quote).map_err(|_| DropReason::IcmpUnmatched)?;
        self.on_quote(&quote, error, notice)
    }

    /// Answers an echo request, as far as the rate allows.
    fn answer_echo(
        &mut self,
        outlet: &mut Outlet<'_>,
        send: impl FnOnce(&mut Self, &mut Outlet<'_>),
    ) -> Result<(), DropReason> {
        if self.role == Role::Shared {
            return Err(DropReason::NotOurs);
        }
        if self.strangers.take(self.now) == Allowance::UsedUp {
            return Err(DropReason::RateLimited);
        }
        self.counters.count(Event::EchoAnswered);
        send(self, outlet);
        Ok(())
    }

    /// An error about a segment of ours: to the flow whose sequence numbers it quotes (RFC 5927 §4, RFC 8201
    /// §4).
    fn on_quote(
        &mut self,
        quote: &Quote,
        error: PathError,
        notice: &mut Notice<'_, '_, '_>,
    ) -> Result<(), DropReason> {
        if quote.protocol != Protocol::TCP {
            return Err(DropReason::IcmpUnmatched);
        }
        let local = self.locals.find(quote.src).ok_or(DropReason::IcmpUnmatched)?;
        let key = FlowKey::new(quote.dst, quote.dst_port, local, quote.src_port);
        let hash = self.tables.hasher.hash(&key);
        match self.tables.find(hash, &key) {
            Some(Place { kind: Kind::Connection, index }) => {
                let seq = SeqNum(quote.seq);
                let flow = self.tables.flows.at(index);
                if !flow.is_some_and(|flow| flow.connection.has_in_flight(seq)) {
                    return Err(DropReason::IcmpUnmatched);
                }
                let error = self.heed(error, quote).ok_or(DropReason::IcmpUnmatched)?;
                self.on_path_error(index, error, seq);
                Ok(())
            }
            // RFC 9293 §3.9.2.2: a hard error "SHOULD abort the connection (SHLD-26)"; an embryo has sent its
            // SYN-ACK alone.
            Some(Place { kind: Kind::Embryo, index })
                if error == PathError::Unreachable
                    && self.tables.embryos.get(index).is_some_and(|e| e.iss().0 == quote.seq) =>
            {
                self.tables.remove_embryo(index);
                Ok(())
            }
            Some(_) => Err(DropReason::IcmpUnmatched),
            None => {
                let next = self.next_worker(hash, &key, notice.hops);
                let worker = next.ok_or(DropReason::IcmpUnmatched)?;
                self.hand_over(worker, notice.hops, notice.frame, notice.handover);
                Ok(())
            }
        }
    }

    /// What an error means that quotes a segment in flight. That a path takes less is remembered for all
    /// connections to the same host.
    fn heed(&mut self, error: PathError, quote: &Quote) -> Option<PathError> {
        let PathError::TooBig(told) = error else { return Some(error) };
        match self.path_mtus.on_too_big(self.now, quote.dst, told, quote.length) {
            Heeded::Lowered(mtu) => {
                self.counters.count(Event::PathMtuLowered);
                Some(PathError::TooBig(u32::from(mtu)))
            }
            // Another connection's error came first: this one's may be as new to it.
            Heeded::Ignored => {
                let known = self.path_mtus.of(self.now, quote.dst)?;
                (u32::from(known) < quote.length).then_some(PathError::TooBig(known.into()))
            }
        }
    }

    fn on_path_error(&mut self, index: u32, error: PathError, seq: SeqNum) {
        if let Some(flow) = self.tables.flows.at_mut(index) {
            flow.connection.on_path_error(&mut lend!(self), error, seq);
            self.touched(index);
        }
    }

    /// A frame of ours that was held for a neighbour that does not answer: what ICMP would say if the
    /// neighbour were a hop further.
    pub(in crate::shard) fn on_undeliverable(&mut self, frame: &[u8]) {
        let Ok((_, packet)) = ethernet::parse(frame) else { return };
        let quoted = if packet.first().is_some_and(|first| first >> 4 == 4) {
            v4::quoted(packet)
        } else {
            v6::quoted(packet)
        };
        let Ok(quote) = quoted else { return };
        let Some(local) = self.locals.find(quote.src) else { return };
        let key = FlowKey::new(quote.dst, quote.dst_port, local, quote.src_port);
        let hash = self.tables.hasher.hash(&key);
        if let Some(Place { kind: Kind::Connection, index }) = self.tables.find(hash, &key) {
            self.on_path_error(index, PathError::Unreachable, SeqNum(quote.seq));
        }
    }

    fn on_discovery(
        &mut self,
        from: MacAddr,
        ip: &ipv6::Header,
        bytes: &[u8],
        notice: &mut Notice<'_, '_, '_>,
    ) -> Result<(), DropReason> {
        let for_us = self.locals.find(IpAddr::V6(ip.dst)).is_some();
        if !for_us && !self.locals.is_group_of_ours(ip.dst) {
            return Err(DropReason::NotOurs);
        }
        if self.locals.find(IpAddr::V6(ip.src)).is_some() {
            return Err(DropReason::BadSource);
        }
        match ndp::parse(ip, bytes).map_err(refused)? {
            Message::NeighbourSolicitation(question) => {
                self.on_solicitation((from, ip.src), &question, notice)
            }
            // RFC 4862 §5.4.4: whoever advertises an address of ours has it too.
            Message::NeighbourAdvertisement(advert)
                if self.locals.number_of(advert.target.into()).is_some() =>
            {
                self.on_contested(advert.target.into(), from, notice.outlet);
                Err(DropReason::BadSource)
            }
            Message::NeighbourAdvertisement(advert) => {
                let NeighbourAdvertisement { target, target_mac, solicited, overrides, router } =
                    advert;
                if router && solicited {
                    self.on_neighbour_answers(target.into());
                } else if !router {
                    self.on_no_router(target);
                }
                let claims = Claims { solicited, overrides };
                let learned =
                    self.neighbours.on_advert(self.now, target.into(), target_mac, claims);
                self.on_learned(learned, notice.outlet);
                Ok(())
            }
            Message::RouterAdvertisement(advertisement) => {
                self.on_router_advertisement((from, ip.src), &advertisement, notice.outlet)
            }
            Message::Redirect(redirect) => self.on_redirect(ip.src, &redirect, notice.outlet),
            // RFC 4861 §6.2.6: > A host MUST silently discard any received Router Solicitation messages.
            Message::RouterSolicitation(_) => Ok(()),
        }
    }

    fn on_solicitation(
        &mut self,
        (from_mac, from): (MacAddr, Ipv6Addr),
        question: &NeighbourSolicitation,
        notice: &mut Notice<'_, '_, '_>,
    ) -> Result<(), DropReason> {
        // RFC 4862 §5.4.3: who asks for a tentative address under no name wants it too; other questions for it
        // are ignored.
        if self.locals.is_tentative(question.target.into()) {
            if from.is_unspecified() {
                self.on_contested(question.target.into(), from_mac, notice.outlet);
            }
            return Err(DropReason::NotOurs);
        }
        if self.locals.find(IpAddr::V6(question.target)).is_none() {
            return Err(DropReason::NotOurs);
        }
        if let Some(mac) = question.source_mac.filter(|_| !from.is_unspecified()) {
            let learned = self.neighbours.on_question(self.now, from.into(), mac, Aimed::AtUs);
            self.on_learned(learned, notice.outlet);
        }
        if notice.hops > 0 {
            return Ok(());
        }
        self.counters.count(Event::NeighbourAnswered);
        // RFC 4861 §7.2.4: who has no address yet is answered through the group of all nodes.
        let (to, to_mac, solicited) = if from.is_unspecified() {
            (ndp::ALL_NODES, MacAddr::of_multicast_v6(ndp::ALL_NODES), false)
        } else {
            (from, from_mac, true)
        };
        self.send_advertisement(question.target, (to_mac, to), solicited, notice.outlet);
        Ok(())
    }
}

fn refused(error: Error) -> DropReason {
    match error {
        Error::Truncated => DropReason::Truncated,
        Error::Malformed | Error::Checksum => DropReason::Malformed,
        Error::Unsupported => DropReason::UnknownProtocol,
    }
}

fn refused_icmp(error: Error) -> DropReason {
    if error == Error::Checksum { DropReason::IcmpChecksum } else { refused(error) }
}
