//! Input of fragments, hand-over of reassembled datagrams to the parser, and ICMP errors about
//! fragments.
//!
//! With several workers, all fragments of a datagram must reach the same one. A NIC hashes
//! fragments without their ports, so they arrive on one queue. Where the queue is arbitrary (veth),
//! a keyed hash of the datagram's key selects the worker. The reassembled datagram then finds the
//! worker of its flow like any frame.

use core::net::IpAddr;

use crate::metrics::{DropReason, Event};
use crate::shard::flow::workers::Workers;
use crate::shard::ip::event::{ControlPacket, IpEvent};
use crate::shard::ip::layer::Ip;
use crate::shard::ip::reassembly::{Expired, Fragment, Headers, Key, Outcome, Refusal};
use crate::shard::ip::refusal::refused;
use crate::shard::mem::limiter::Allowance;
use crate::shard::mem::turn_state::TurnState;
use crate::shard::mem::tx_queue::TxQueue;
use crate::wire::icmp::{quotable_v4, quotable_v6, v4, v6};
use crate::wire::{ethernet, ipv4, ipv6};

/// Longest packet of either version, without the fixed header of IPv6; bytes.
const PACKET_MAX: usize = 65_535;

/// Maximum bytes of a first fragment that an ICMP error may quote: the minimum MTU of IPv6.
const QUOTED_MAX: usize = ipv6::MTU_MIN;

/// Pointers of ICMP errors. RFC 8200 §4.5: an error about the length of a fragment points to the
/// Payload Length field, one about its end to the offset field of the fragment header.
const PAYLOAD_LENGTH_AT: u32 = 4;
const OFFSET_IN_FRAGMENT_HEADER: u32 = 2;

/// RFC 8200 §4.5, RFC 7112 §5: > IPv6 First Fragment has incomplete IPv6 Header Chain
const INCOMPLETE_CHAIN: u8 = 3;

/// RFC 792, RFC 4443 §3.3: > fragment reassembly time exceeded
const REASSEMBLY_TIME: u8 = 1;

impl Ip {
    /// Processes a fragment for a local address.
    pub(in crate::shard) fn on_fragment(
        &mut self,
        turn: &mut TurnState,
        workers: &Workers,
        control: &mut ControlPacket<'_, '_, '_>,
    ) -> Result<IpEvent, DropReason> {
        let frame = control.frame;
        let (_, packet) = ethernet::parse(frame).map_err(refused)?;
        let fragment = if packet.first().is_some_and(|first| first >> 4 == 4) {
            fragment_v4(frame, packet)?
        } else {
            let (ip, bytes) = ipv6::parse(packet).map_err(refused)?;
            let fragment = ip.fragment.ok_or(DropReason::Malformed)?;
            // RFC 8200 §4.5: the first fragment carries all headers up to the upper layer's.
            if fragment.offset_bytes == 0 && !ipv6::reaches_upper_layer(ip.protocol, bytes) {
                self.send_parameter_problem(frame, (INCOMPLETE_CHAIN, 0), turn, control.queue);
                return Err(DropReason::FragmentMalformed);
            }
            fragment_v6(frame, packet, &ip, bytes, fragment)
        };
        if let Some(worker) = self.fragment_worker(workers, &fragment.key, control.hops) {
            return Ok(IpEvent::HandOver(worker));
        }
        turn.counters.count(Event::FragmentIn);
        let outcome = self.reassembly.on_fragment(turn.now, &fragment);
        turn.counters.add_drops(DropReason::ReassemblyFull, self.reassembly.take_evicted());
        match outcome {
            Ok(Outcome::Incomplete) => Ok(IpEvent::Done),
            Ok(Outcome::Complete(index)) => self.on_reassembled(turn, index),
            Err(refusal) => {
                if fragment.key.src.is_ipv6() {
                    self.report_refusal(
                        frame,
                        refusal,
                        fragment.head.len() - fragment.ip_at,
                        turn,
                        control.queue,
                    );
                }
                Err(refusal.reason())
            }
        }
    }

    /// Returns the worker that reassembles a datagram, if it is another one.
    fn fragment_worker(&self, workers: &Workers, key: &Key, hops: u8) -> Option<u16> {
        if hops > 0 || !workers.steering.may_misdirect() {
            return None;
        }
        let owner = workers.steering.owner_of_hash(self.reassembly.hash(key));
        owner.filter(|owner| *owner != workers.this)
    }

    /// Queues a complete datagram: the next turn parses it like a frame that has just arrived.
    fn on_reassembled(&mut self, turn: &mut TurnState, index: u16) -> Result<IpEvent, DropReason> {
        let Self { reassembly, reassembled, .. } = self;
        let made = reassembled.push_reassembled(|bytes| {
            let start = bytes.len();
            let Headers { len, ip_at, next_header, ecn } = reassembly.take_complete(index, bytes);
            let (headers, data) = bytes[start..].split_at_mut(len);
            let ip = &mut headers[ip_at..];
            if ip.first().is_some_and(|first| first >> 4 == 4) {
                ipv4::rewrite_reassembled(ip, ecn, data.len())
            } else {
                let (at, protocol) = next_header;
                ipv6::rewrite_reassembled(ip, usize::from(at), protocol, ecn, data.len())
            }
        });
        made.map_err(|_| DropReason::FragmentMalformed)?;
        turn.counters.count(Event::Reassembled);
        Ok(IpEvent::Done)
    }

    /// Sends the ICMPv6 errors that RFC 8200 §4.5 demands for invalid lengths.
    fn report_refusal(
        &mut self,
        frame: &[u8],
        refusal: Refusal,
        headers_len: usize,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        match refusal {
            Refusal::Length => {
                self.send_parameter_problem(frame, (0, PAYLOAD_LENGTH_AT), turn, queue)
            }
            Refusal::TooLong => {
                let at = headers_len as u32 - ipv6::FRAGMENT_HEADER_LEN as u32;
                self.send_parameter_problem(
                    frame,
                    (0, at + OFFSET_IN_FRAGMENT_HEADER),
                    turn,
                    queue,
                );
            }
            _ => {}
        }
    }

    /// Removes expired datagrams. Sends Time Exceeded for those whose first fragment has arrived
    /// (RFC 792, RFC 1122 §3.3.2, RFC 8200 §4.5).
    pub(in crate::shard) fn expire_datagrams(
        &mut self,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let mut first = core::mem::take(&mut self.quoted);
        loop {
            first.clear();
            match self.reassembly.poll_expired(turn.now, QUOTED_MAX, &mut first) {
                None => break,
                Some(Expired::Refused) => continue,
                Some(Expired::NoFirstFragment) => {}
                Some(Expired::Incomplete { ip_at, key }) => {
                    self.send_time_exceeded((&first, ip_at), &key, turn, queue);
                }
            }
            turn.counters.drop(DropReason::ReassemblyTimeout);
        }
        self.quoted = first;
    }

    fn send_time_exceeded(
        &mut self,
        (first, ip_at): (&[u8], usize),
        key: &Key,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        if self.unmatched.take(turn.now) == Allowance::Denied {
            return;
        }
        let Ok((link, _)) = ethernet::parse(first) else { return };
        let (packet, code) = (&first[ip_at..], REASSEMBLY_TIME);
        match (key.src, key.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let message = v4::Message::TimeExceeded { code, quote: quotable_v4(packet) };
                self.send_icmp_v4(link.src, (dst, src), &message, turn, queue);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let message = v6::Message::TimeExceeded { code, quote: quotable_v6(packet) };
                self.send_icmp_v6(link.src, (dst, src), &message, turn, queue);
            }
            _ => {}
        }
    }
}

fn fragment_v4<'a>(frame: &'a [u8], packet: &'a [u8]) -> Result<Fragment<'a>, DropReason> {
    let (ip, bytes) = ipv4::parse(packet).map_err(refused)?;
    let ip_at = frame.len() - packet.len();
    let header_len = usize::from(ip.header_len);
    Ok(Fragment {
        key: Key {
            src: ip.src.into(),
            dst: ip.dst.into(),
            protocol: ip.protocol.0,
            ident: ip.ident.into(),
        },
        offset: ip.fragment.offset_bytes(),
        more: ip.fragment.more(),
        ecn: ip.traffic_class.ecn(),
        head: &frame[..ip_at + header_len],
        fragment_header_len: 0,
        ip_at,
        next_header: (0, ip.protocol),
        payload_max: (PACKET_MAX - header_len) as u32,
        bytes,
    })
}

fn fragment_v6<'a>(
    frame: &'a [u8],
    packet: &'a [u8],
    ip: &ipv6::Header,
    bytes: &'a [u8],
    fragment: ipv6::Fragment,
) -> Fragment<'a> {
    let ip_at = frame.len() - packet.len();
    let extensions_len = usize::from(ip.extensions_len);
    let kept = extensions_len - ipv6::FRAGMENT_HEADER_LEN;
    Fragment {
        key: Key { src: ip.src.into(), dst: ip.dst.into(), protocol: 0, ident: fragment.ident },
        offset: fragment.offset_bytes.into(),
        more: fragment.more,
        ecn: ip.traffic_class.ecn(),
        head: &frame[..ip_at + ipv6::HEADER_LEN + extensions_len],
        fragment_header_len: ipv6::FRAGMENT_HEADER_LEN as u8,
        ip_at,
        next_header: (fragment.next_header_at, ip.protocol),
        payload_max: (PACKET_MAX - kept) as u32,
        bytes,
    }
}
