//! ICMP input: echo requests, and errors about segments that we sent.

use core::net::IpAddr;

use crate::metrics::{DropReason, Event};
use crate::role::Role;
use crate::shard::ip::event::{ControlPacket, IpEvent};
use crate::shard::ip::layer::Ip;
use crate::shard::ip::path_mtu::PathMtuUpdate;
use crate::shard::ip::refusal::refused;
use crate::shard::mem::limiter::Allowance;
use crate::shard::mem::turn_state::TurnState;
use crate::shard::mem::tx_queue::TxQueue;
use crate::tcp::PathError;
use crate::wire::checksum::PseudoHeader;
use crate::wire::icmp::{Quote, v4, v6};
use crate::wire::{Error, SourceKind, ethernet, ipv4, ipv6, source_kind_v6};

impl Ip {
    /// Processes an ICMP message.
    pub(in crate::shard) fn on_icmp_v4(
        &mut self,
        turn: &mut TurnState,
        control: &mut ControlPacket<'_, '_, '_>,
    ) -> Result<IpEvent, DropReason> {
        let frame = control.frame;
        let (ethernet, packet) = ethernet::parse(frame).map_err(refused)?;
        let (ip, payload) = ipv4::parse(packet).map_err(refused)?;
        let (error, quote) = match v4::parse(payload).map_err(refused_icmp)? {
            v4::Message::EchoRequest(echo) => {
                return self.answer_echo(turn, control.queue, |ip_layer, turn, queue| {
                    let reply = v4::Message::EchoReply(echo);
                    ip_layer.send_icmp_v4(ethernet.src, (ip.dst, ip.src), &reply, turn, queue);
                });
            }
            v4::Message::Unreachable { reason: v4::Unreachable::TooBig { mtu }, quote } => {
                (PathError::TooBig(u32::from(mtu)), quote)
            }
            v4::Message::Unreachable { quote, .. } => (PathError::Unreachable, quote),
            v4::Message::TimeExceeded { quote, .. }
            | v4::Message::ParameterProblem { quote, .. } => (PathError::Soft, quote),
            // RFC 9293 MUST-55, RFC 5927 §6.1: source quench is ignored, like all other messages.
            _ => return Ok(IpEvent::Done),
        };
        let quote = v4::quoted(quote).map_err(|_| DropReason::IcmpUnmatched)?;
        Ok(IpEvent::PathError(error, quote))
    }

    /// Processes an ICMPv6 message.
    pub(in crate::shard) fn on_icmp_v6(
        &mut self,
        turn: &mut TurnState,
        control: &mut ControlPacket<'_, '_, '_>,
    ) -> Result<IpEvent, DropReason> {
        let frame = control.frame;
        let (ethernet, packet) = ethernet::parse(frame).map_err(refused)?;
        let (ip, payload) = ipv6::parse(packet).map_err(refused)?;
        let pseudo = PseudoHeader::v6(ip.src, ip.dst);
        let (error, quote) = match v6::parse(pseudo, payload).map_err(refused_icmp)? {
            v6::Message::EchoRequest(echo) => {
                // RFC 4443 §4.2 allows a reply to a multicast request, but it would amplify a
                // flood.
                let unicast = self.locals.find(IpAddr::V6(ip.dst)).is_some();
                if !unicast || source_kind_v6(ip.src) != SourceKind::Host {
                    return Err(DropReason::BadSource);
                }
                return self.answer_echo(turn, control.queue, |ip_layer, turn, queue| {
                    let reply = v6::Message::EchoReply(echo);
                    ip_layer.send_icmp_v6(ethernet.src, (ip.dst, ip.src), &reply, turn, queue);
                });
            }
            // RFC 6980 §5:
            //   > Nodes MUST silently ignore the following Neighbor Discovery [...] messages if the
            //   > packets carrying them include an IPv6 Fragmentation Header
            v6::Message::NeighbourDiscovery(_)
                if control.was_fragmented || ip.has_fragment_header =>
            {
                return Err(DropReason::Malformed);
            }
            v6::Message::NeighbourDiscovery(bytes) if self.role == Role::Exclusive => {
                let result = self.on_discovery(turn, ethernet.src, &ip, bytes, control);
                return Ok(IpEvent::PassRound(result));
            }
            v6::Message::TooBig { mtu, quote } => (PathError::TooBig(mtu), quote),
            v6::Message::Unreachable { quote, .. } => (PathError::Unreachable, quote),
            v6::Message::TimeExceeded { quote, .. }
            | v6::Message::ParameterProblem { quote, .. } => (PathError::Soft, quote),
            _ => return Ok(IpEvent::Done),
        };
        let quote = v6::quoted(quote).map_err(|_| DropReason::IcmpUnmatched)?;
        Ok(IpEvent::PathError(error, quote))
    }

    /// Replies to an echo request, within the rate limit.
    fn answer_echo(
        &mut self,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
        send: impl FnOnce(&mut Self, &mut TurnState, &mut TxQueue<'_>),
    ) -> Result<IpEvent, DropReason> {
        if self.role == Role::Shared {
            return Err(DropReason::NotOurs);
        }
        if self.unmatched.take(turn.now) == Allowance::Denied {
            return Err(DropReason::RateLimited);
        }
        turn.counters.count(Event::EchoAnswered);
        send(self, turn, queue);
        Ok(IpEvent::Done)
    }

    /// Applies an error that quotes a segment in flight. A lower path MTU is stored for all
    /// connections to the same host.
    pub(in crate::shard) fn apply_path_error(
        &mut self,
        turn: &mut TurnState,
        error: PathError,
        quote: &Quote,
    ) -> Option<PathError> {
        let PathError::TooBig(reported) = error else { return Some(error) };
        match self.path_mtus.on_too_big(turn.now, quote.dst, reported, quote.length) {
            PathMtuUpdate::Lowered(mtu) => {
                turn.counters.count(Event::PathMtuLowered);
                Some(PathError::TooBig(u32::from(mtu)))
            }
            // Another connection may have received the error first: this one may not know it yet.
            PathMtuUpdate::Ignored => {
                let known = self.path_mtus.of(turn.now, quote.dst)?;
                (u32::from(known) < quote.length).then_some(PathError::TooBig(known.into()))
            }
        }
    }
}

fn refused_icmp(error: Error) -> DropReason {
    if error == Error::Checksum { DropReason::IcmpChecksum } else { refused(error) }
}
