//! ICMPv6 Parameter Problem: reports invalid or unsupported headers to the sender of a packet
//! (RFC 4443 §3.4), within the rate limit for packets with no matching flow.

use core::net::{IpAddr, Ipv6Addr};

use crate::metrics::DropReason;
use crate::shard::ip::event::ControlPacket;
use crate::shard::ip::layer::Ip;
use crate::shard::mem::limiter::Allowance;
use crate::shard::mem::turn_state::TurnState;
use crate::shard::mem::tx_queue::TxQueue;
use crate::wire::icmp::{quotable_v6, v6};
use crate::wire::{MacAddr, SourceKind, ethernet, ipv6, source_kind_v6};

/// The addressing of an error about `packet`.
struct ErrorOut<'a> {
    packet: &'a [u8],
    mac: MacAddr,
    from: Ipv6Addr,
    to: Ipv6Addr,
}

impl Ip {
    /// Drops a packet with an unknown option or routing header that must be understood. Sends an
    /// error to its source if the header demands one (RFC 8200 §4.2, §4.4).
    pub(in crate::shard) fn on_unsupported(
        &mut self,
        turn: &mut TurnState,
        control: &mut ControlPacket<'_, '_, '_>,
    ) -> DropReason {
        if let Ok((link, packet)) = ethernet::parse(control.frame)
            && let Some((ip, problem)) = ipv6::problem(packet)
            && source_kind_v6(ip.src) == SourceKind::Host
            && let Some(from) = self.error_source(&ip, problem)
        {
            let error = ErrorOut { packet, mac: link.src, from, to: ip.src };
            self.send_error(&error, (problem.code, problem.pointer), turn, control.queue);
        }
        DropReason::UnknownProtocol
    }

    /// Returns the source address of the error: the destination of the packet, or a local address
    /// if the packet was sent to a group and the error is due nonetheless (RFC 4443 §2.2 (b), §2.4
    /// (e.3)).
    fn error_source(&self, ip: &ipv6::Header, problem: ipv6::Problem) -> Option<Ipv6Addr> {
        if self.locals.find(ip.dst.into()).is_some() {
            return Some(ip.dst);
        }
        if !problem.even_if_multicast || !self.locals.is_local_group(ip.dst) {
            return None;
        }
        match self.source_towards(ip.src.into())? {
            IpAddr::V6(local) => Some(local),
            IpAddr::V4(_) => None,
        }
    }

    /// Sends a Parameter Problem with `code` about the byte at offset `pointer` of a packet to its
    /// source.
    pub(in crate::shard) fn send_parameter_problem(
        &mut self,
        frame: &[u8],
        (code, pointer): (u8, u32),
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let Ok((link, packet)) = ethernet::parse(frame) else { return };
        let Ok((ip, _)) = ipv6::parse(packet) else { return };
        let error = ErrorOut { packet, mac: link.src, from: ip.dst, to: ip.src };
        self.send_error(&error, (code, pointer), turn, queue);
    }

    fn send_error(
        &mut self,
        error: &ErrorOut<'_>,
        (code, pointer): (u8, u32),
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        if self.unmatched.take(turn.now) == Allowance::Denied {
            return;
        }
        let &ErrorOut { packet, mac, from, to } = error;
        let quote = quotable_v6(packet);
        let message = v6::Message::ParameterProblem { code, pointer, quote };
        self.send_icmp_v6(mac, (from, to), &message, turn, queue);
    }
}
