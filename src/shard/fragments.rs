//! Fragments: from frames to parts, from whole datagrams back to frames, and the ICMP errors about them.
//!
//! With several workers all parts of a datagram must meet in one. A NIC hashes fragments without their
//! ports, so that they land on one queue by themselves; where the queue is anybody's choice (veth), a
//! keyed hash of what they have in common says whose they are. The whole datagram then finds its flow's
//! worker like any frame.

use core::net::IpAddr;

use super::control::Notice;
use super::egress::Outlet;
use super::engine::Engine;
use super::limiter::Allowance;
use super::reassembly::{Expired, Headers, Key, Part, Refusal, Taken};
use crate::metrics::{DropReason, Event};
use crate::wire::icmp::{quotable_v4, quotable_v6, v4, v6};
use crate::wire::{Error, ethernet, ipv4, ipv6};

/// The longest packet of either version, without IPv6's fixed header.
const LONGEST: usize = 65_535;

/// Bytes of a first part that an error may quote at most: IPv6's smallest MTU.
const QUOTED_MAX: usize = ipv6::MTU_MIN;

/// RFC 8200 §4.5: an error about a part's length points to the Payload Length field, one about its end to
/// the offset in the fragment header.
const PAYLOAD_LENGTH_AT: u32 = 4;
const OFFSET_IN_FRAGMENT_HEADER: u32 = 2;

/// RFC 8200 §4.5, RFC 7112 §5: > IPv6 First Fragment has incomplete IPv6 Header Chain
const INCOMPLETE_CHAIN: u8 = 3;

/// RFC 792, RFC 4443 §3.3: > fragment reassembly time exceeded
const REASSEMBLY_TIME: u8 = 1;

impl Engine {
    /// A fragment for one of our addresses.
    pub(super) fn on_fragment(
        &mut self,
        notice: &mut Notice<'_, '_, '_>,
    ) -> Result<(), DropReason> {
        let frame = notice.frame;
        let (_, packet) = ethernet::parse(frame).map_err(refused)?;
        let part = if packet.first().is_some_and(|first| first >> 4 == 4) {
            part_v4(frame, packet)?
        } else {
            let (ip, bytes) = ipv6::parse(packet).map_err(refused)?;
            let fragment = ip.fragment.ok_or(DropReason::Malformed)?;
            // RFC 8200 §4.5: a first part bears all headers up to the upper layer's.
            if fragment.offset_bytes == 0 && !ipv6::reaches_upper_layer(ip.protocol, bytes) {
                self.tell_problem(frame, (INCOMPLETE_CHAIN, 0), notice.outlet);
                return Err(DropReason::FragmentMalformed);
            }
            part_v6(frame, packet, &ip, bytes, fragment)
        };
        if let Some(worker) = self.worker_of_parts(&part.key, notice.hops) {
            self.hand_over(worker, notice.hops, frame, notice.handover);
            return Ok(());
        }
        self.counters.count(Event::FragmentIn);
        let taken = self.reassembly.on_part(self.now, &part);
        self.counters.add_drops(DropReason::ReassemblyFull, self.reassembly.take_evicted());
        match taken {
            Ok(Taken::Kept) => Ok(()),
            Ok(Taken::Whole(index)) => self.on_whole(index),
            Err(refusal) => {
                if part.key.src.is_ipv6() {
                    self.answer_refusal(
                        frame,
                        refusal,
                        part.head.len() - part.ip_at,
                        notice.outlet,
                    );
                }
                Err(refusal.reason())
            }
        }
    }

    /// The worker in which the parts of a datagram meet, if that is another.
    fn worker_of_parts(&self, key: &Key, hops: u8) -> Option<u16> {
        if hops > 0 || !self.steering.may_mislay() {
            return None;
        }
        let owner = self.steering.owner_of_hash(self.reassembly.hash(key));
        owner.filter(|owner| *owner != self.worker)
    }

    /// All parts are there: the next turn parses the whole like a frame that has just arrived.
    fn on_whole(&mut self, index: u16) -> Result<(), DropReason> {
        let Self { reassembly, wholes, .. } = self;
        let made = wholes.push_whole(|bytes| {
            let start = bytes.len();
            let Headers { len, ip_at, announced, ecn } = reassembly.take_whole(index, bytes);
            let (headers, data) = bytes[start..].split_at_mut(len);
            let ip = &mut headers[ip_at..];
            if ip.first().is_some_and(|first| first >> 4 == 4) {
                ipv4::rewrite_reassembled(ip, ecn, data.len())
            } else {
                let (at, protocol) = announced;
                ipv6::rewrite_reassembled(ip, usize::from(at), protocol, ecn, data.len())
            }
        });
        made.map_err(|_| DropReason::FragmentMalformed)?;
        self.counters.count(Event::Reassembled);
        Ok(())
    }

    /// RFC 8200 §4.5 wants the sender told of lengths that cannot be.
    fn answer_refusal(
        &mut self,
        frame: &[u8],
        refusal: Refusal,
        headers_len: usize,
        outlet: &mut Outlet<'_>,
    ) {
        match refusal {
            Refusal::Length => self.tell_problem(frame, (0, PAYLOAD_LENGTH_AT), outlet),
            Refusal::TooLong => {
                let at = headers_len as u32 - ipv6::FRAGMENT_HEADER_LEN as u32;
                self.tell_problem(frame, (0, at + OFFSET_IN_FRAGMENT_HEADER), outlet);
            }
            _ => {}
        }
    }

    /// Forgets datagrams whose time is over, and tells those whose first part came (RFC 792, RFC 1122
    /// §3.3.2, RFC 8200 §4.5).
    pub(super) fn expire_datagrams(&mut self, outlet: &mut Outlet<'_>) {
        let mut first = core::mem::take(&mut self.quoted);
        loop {
            first.clear();
            match self.reassembly.poll_expired(self.now, QUOTED_MAX, &mut first) {
                None => break,
                Some(Expired::Refused) => continue,
                Some(Expired::Headless) => {}
                Some(Expired::Incomplete { ip_at, key }) => {
                    self.send_time_exceeded((&first, ip_at), &key, outlet);
                }
            }
            self.counters.drop(DropReason::ReassemblyTimeout);
        }
        self.quoted = first;
    }

    fn send_time_exceeded(
        &mut self,
        (first, ip_at): (&[u8], usize),
        key: &Key,
        outlet: &mut Outlet<'_>,
    ) {
        if self.strangers.take(self.now) == Allowance::UsedUp {
            return;
        }
        let Ok((link, _)) = ethernet::parse(first) else { return };
        let (packet, code) = (&first[ip_at..], REASSEMBLY_TIME);
        match (key.src, key.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let message = v4::Message::TimeExceeded { code, quote: quotable_v4(packet) };
                self.send_icmp_v4(link.src, (dst, src), &message, outlet);
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let message = v6::Message::TimeExceeded { code, quote: quotable_v6(packet) };
                self.send_icmp_v6(link.src, (dst, src), &message, outlet);
            }
            _ => {}
        }
    }
}

fn part_v4<'a>(frame: &'a [u8], packet: &'a [u8]) -> Result<Part<'a>, DropReason> {
    let (ip, bytes) = ipv4::parse(packet).map_err(refused)?;
    let ip_at = frame.len() - packet.len();
    let header_len = usize::from(ip.header_len);
    Ok(Part {
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
        only_here: 0,
        ip_at,
        announced: (0, ip.protocol),
        room: (LONGEST - header_len) as u32,
        bytes,
    })
}

fn part_v6<'a>(
    frame: &'a [u8],
    packet: &'a [u8],
    ip: &ipv6::Header,
    bytes: &'a [u8],
    fragment: ipv6::Fragment,
) -> Part<'a> {
    let ip_at = frame.len() - packet.len();
    let extensions_len = usize::from(ip.extensions_len);
    let kept = extensions_len - ipv6::FRAGMENT_HEADER_LEN;
    Part {
        key: Key { src: ip.src.into(), dst: ip.dst.into(), protocol: 0, ident: fragment.ident },
        offset: fragment.offset_bytes.into(),
        more: fragment.more,
        ecn: ip.traffic_class.ecn(),
        head: &frame[..ip_at + ipv6::HEADER_LEN + extensions_len],
        only_here: ipv6::FRAGMENT_HEADER_LEN as u8,
        ip_at,
        announced: (fragment.next_header_at, ip.protocol),
        room: (LONGEST - kept) as u32,
        bytes,
    }
}

fn refused(error: Error) -> DropReason {
    match error {
        Error::Truncated => DropReason::Truncated,
        Error::Malformed | Error::Checksum => DropReason::Malformed,
        Error::Unsupported => DropReason::UnknownProtocol,
    }
}
