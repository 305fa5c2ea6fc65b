//! Packets that are not segments. The IP layer processes them and returns what concerns flows and
//! other workers.
//!
//! In exclusive mode the shard answers for its addresses itself. In shared mode the kernel does,
//! and only ICMP errors concern the shard. Such packets are rare, so each is parsed again here
//! instead of storing its parsed headers.

use crate::metrics::DropReason;
use crate::shard::engine::Engine;
use crate::shard::flow::endpoint::conn_env;
use crate::shard::flow::flow_table::{Kind, Place};
use crate::shard::flow::key::FlowKey;
use crate::shard::ip::event::{ControlPacket, IpEvent};
use crate::shard::mem::tx_queue::TxQueue;
use crate::shard::rx::batch::Control;
use crate::shard::rx::handover::Handover;
use crate::tcp::{PathError, SeqNum};
use crate::wire::Protocol;
use crate::wire::icmp::Quote;

impl Engine {
    /// Processes one such packet.
    pub(in crate::shard) fn on_control(
        &mut self,
        kind: Control,
        packet: &mut ControlPacket<'_, '_, '_>,
        handover: &mut dyn Handover,
    ) {
        let Self { ip, turn, workers, .. } = self;
        let event = match kind {
            Control::Arp => Ok(IpEvent::PassRound(ip.on_arp(turn, packet))),
            Control::IcmpV4 => ip.on_icmp_v4(turn, packet),
            Control::IcmpV6 => ip.on_icmp_v6(turn, packet),
            Control::Fragment => ip.on_fragment(turn, workers, packet),
            Control::Unsupported => Err(ip.on_unsupported(turn, packet)),
        };
        let result = event.and_then(|event| self.on_packet_event(event, packet, handover));
        if let Err(reason) = result {
            self.turn.counters.drop(reason);
        }
    }

    fn on_packet_event(
        &mut self,
        event: IpEvent,
        packet: &ControlPacket<'_, '_, '_>,
        handover: &mut dyn Handover,
    ) -> Result<(), DropReason> {
        match event {
            IpEvent::PassRound(result) => {
                if u16::from(packet.hops) + 1 < self.workers.count {
                    let next = self.workers.next();
                    self.hand_over(next, packet.hops, packet.frame, handover);
                }
                result
            }
            IpEvent::HandOver(worker) => {
                self.hand_over(worker, packet.hops, packet.frame, handover);
                Ok(())
            }
            IpEvent::PathError(error, quote) => self.on_quote(&quote, error, packet, handover),
            event => {
                self.on_ip_event(event);
                Ok(())
            }
        }
    }

    /// Polls the neighbour cache.
    pub(in crate::shard) fn poll_neighbours(&mut self, queue: &mut TxQueue<'_>) {
        while let Some(event) = self.ip.poll_neighbours(&mut self.turn, queue) {
            self.on_ip_event(event);
        }
    }

    /// Polls router discovery.
    pub(in crate::shard) fn poll_discovery(&mut self, queue: &mut TxQueue<'_>) {
        while let Some(event) = self.ip.poll_discovery(&mut self.turn, queue) {
            self.on_ip_event(event);
        }
    }

    /// Applies an event of the IP layer to the flows that it concerns.
    fn on_ip_event(&mut self, event: IpEvent) {
        match event {
            IpEvent::Undeliverable(quote) => self.on_undeliverable(&quote),
            IpEvent::AddressLost(number) => self.on_address_lost(number),
            IpEvent::Done
            | IpEvent::PassRound(_)
            | IpEvent::HandOver(_)
            | IpEvent::PathError(..) => {}
        }
    }

    /// Delivers an ICMP error to the flow of the quoted segment, if the quoted sequence number is
    /// in flight (RFC 5927 §4, RFC 8201 §4).
    fn on_quote(
        &mut self,
        quote: &Quote,
        error: PathError,
        packet: &ControlPacket<'_, '_, '_>,
        handover: &mut dyn Handover,
    ) -> Result<(), DropReason> {
        if quote.protocol != Protocol::TCP {
            return Err(DropReason::IcmpUnmatched);
        }
        let (hash, key) = self.flow_of(quote).ok_or(DropReason::IcmpUnmatched)?;
        match self.tcp.tables.find(hash, &key) {
            Some(Place { kind: Kind::Connection, index }) => {
                let seq = SeqNum(quote.seq);
                let flow = self.tcp.tables.flows.at(index);
                if !flow.is_some_and(|flow| flow.connection.has_in_flight(seq)) {
                    return Err(DropReason::IcmpUnmatched);
                }
                let error = self.ip.apply_path_error(&mut self.turn, error, quote);
                self.on_path_error(index, error.ok_or(DropReason::IcmpUnmatched)?, seq);
                Ok(())
            }
            // RFC 9293 §3.9.2.2: a hard error "SHOULD abort the connection (SHLD-26)". An embryo
            // has sent nothing but its SYN-ACK.
            Some(Place { kind: Kind::Embryo, index })
                if error == PathError::Unreachable
                    && self
                        .tcp
                        .tables
                        .embryos
                        .get(index)
                        .is_some_and(|embryo| embryo.iss().0 == quote.seq) =>
            {
                self.tcp.tables.remove_embryo(index);
                Ok(())
            }
            Some(_) => Err(DropReason::IcmpUnmatched),
            None => {
                let next = self.next_worker(hash, &key, packet.hops);
                let worker = next.ok_or(DropReason::IcmpUnmatched)?;
                self.hand_over(worker, packet.hops, packet.frame, handover);
                Ok(())
            }
        }
    }

    /// Returns the flow of the local segment that an ICMP error quotes, if its source is a local
    /// address.
    fn flow_of(&self, quote: &Quote) -> Option<(u64, FlowKey)> {
        let local = self.ip.locals.find(quote.src)?;
        let key = FlowKey::new(quote.dst, quote.dst_port, local, quote.src_port);
        Some((self.tcp.tables.hasher.hash(&key), key))
    }

    fn on_path_error(&mut self, index: u32, error: PathError, seq: SeqNum) {
        if let Some(flow) = self.tcp.tables.flows.at_mut(index) {
            flow.connection.on_path_error(&mut conn_env!(self.tcp, self.turn.now), error, seq);
            self.tcp.schedule(index);
        }
    }

    fn on_undeliverable(&mut self, quote: &Quote) {
        let Some((hash, key)) = self.flow_of(quote) else { return };
        if let Some(Place { kind: Kind::Connection, index }) = self.tcp.tables.find(hash, &key) {
            self.on_path_error(index, PathError::Unreachable, SeqNum(quote.seq));
        }
    }

    /// Resets the connections that use a local address that is no longer valid.
    fn on_address_lost(&mut self, number: u8) {
        for index in 0..self.tcp.tables.flows.high_water() {
            let flow = self.tcp.tables.flows.at_mut(index);
            if let Some(flow) = flow.filter(|flow| flow.local == number) {
                flow.connection.abort(&mut conn_env!(self.tcp, self.turn.now));
                self.tcp.schedule(index);
            }
        }
    }
}
