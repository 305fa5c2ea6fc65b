//! Telling who sent an IPv6 packet that its headers make no sense, or ask for what is not done here
//! (RFC 4443 §3.4): as far as the rate for strangers allows.

use core::net::{IpAddr, Ipv6Addr};

use crate::metrics::DropReason;
use crate::shard::ip::event::ControlPacket;
use crate::shard::ip::layer::Ip;
use crate::shard::mem::limiter::Allowance;
use crate::shard::mem::turn_state::TurnState;
use crate::shard::mem::tx_queue::TxQueue;
use crate::wire::icmp::{quotable_v6, v6};
use crate::wire::{MacAddr, SourceKind, ethernet, ipv6, source_kind_v6};

/// Of a packet that came from `to` by way of `mac`, sent to `from`.
struct Complaint<'a> {
    packet: &'a [u8],
    mac: MacAddr,
    from: Ipv6Addr,
    to: Ipv6Addr,
}

impl Ip {
    /// A packet with an option or a routing header that forbids to go on without understanding it:
    /// it is dropped, and its source told where it asks for that (RFC 8200 §4.2, §4.4).
    pub(in crate::shard) fn on_unsupported(
        &mut self,
        turn: &mut TurnState,
        control: &mut ControlPacket<'_, '_, '_>,
    ) -> DropReason {
        if let Ok((link, packet)) = ethernet::parse(control.frame)
            && let Some((ip, problem)) = ipv6::problem(packet)
            && source_kind_v6(ip.src) == SourceKind::Host
            && let Some(from) = self.speaker(&ip, problem)
        {
            let complaint = Complaint { packet, mac: link.src, from, to: ip.src };
            self.complain(&complaint, (problem.code, problem.pointer), turn, control.queue);
        }
        DropReason::UnknownProtocol
    }

    /// The address to speak from: the one that the packet was sent to; or where that was a group,
    /// and the source is to be told nonetheless, one of ours towards it (RFC 4443 §2.2 (b), §2.4
    /// (e.3)).
    fn speaker(&self, ip: &ipv6::Header, problem: ipv6::Problem) -> Option<Ipv6Addr> {
        if self.locals.find(ip.dst.into()).is_some() {
            return Some(ip.dst);
        }
        if !problem.even_if_multicast || !self.locals.is_local_group(ip.dst) {
            return None;
        }
        match self.source_towards(ip.src.into())? {
            IpAddr::V6(ours) => Some(ours),
            IpAddr::V4(_) => None,
        }
    }

    /// Tells the source of a packet of a problem in it, given by its code and the byte where it is.
    pub(in crate::shard) fn send_parameter_problem(
        &mut self,
        frame: &[u8],
        (code, pointer): (u8, u32),
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let Ok((link, packet)) = ethernet::parse(frame) else { return };
        let Ok((ip, _)) = ipv6::parse(packet) else { return };
        let complaint = Complaint { packet, mac: link.src, from: ip.dst, to: ip.src };
        self.complain(&complaint, (code, pointer), turn, queue);
    }

    fn complain(
        &mut self,
        complaint: &Complaint<'_>,
        (code, pointer): (u8, u32),
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        if self.unmatched.take(turn.now) == Allowance::Denied {
            return;
        }
        let &Complaint { packet, mac, from, to } = complaint;
        let quote = quotable_v6(packet);
        let message = v6::Message::ParameterProblem { code, pointer, quote };
        self.send_icmp_v6(mac, (from, to), &message, turn, queue);
    }
}
