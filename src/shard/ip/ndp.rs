//! Neighbour discovery: replies for local addresses, and learning of neighbours (RFC 4861).

use core::net::{IpAddr, Ipv6Addr};

use crate::metrics::{DropReason, Event};
use crate::shard::ip::event::ControlPacket;
use crate::shard::ip::layer::Ip;
use crate::shard::ip::neighbour::{AdvertFlags, Target};
use crate::shard::ip::refusal::refused;
use crate::shard::mem::turn_state::TurnState;
use crate::wire::ndp::{self, Message, NeighbourAdvertisement, NeighbourSolicitation};
use crate::wire::{MacAddr, ipv6};

impl Ip {
    /// Processes a neighbour discovery message.
    pub(in crate::shard) fn on_discovery(
        &mut self,
        turn: &mut TurnState,
        from: MacAddr,
        ip: &ipv6::Header,
        bytes: &[u8],
        control: &mut ControlPacket<'_, '_, '_>,
    ) -> Result<(), DropReason> {
        let for_us = self.locals.find(IpAddr::V6(ip.dst)).is_some();
        if !for_us && !self.locals.is_local_group(ip.dst) {
            return Err(DropReason::NotOurs);
        }
        if self.locals.find(IpAddr::V6(ip.src)).is_some() {
            return Err(DropReason::BadSource);
        }
        match ndp::parse(ip, bytes).map_err(refused)? {
            Message::NeighbourSolicitation(solicitation) => {
                self.on_solicitation((from, ip.src), &solicitation, turn, control)
            }
            // RFC 4862 §5.4.4: a host that advertises a local address uses it too.
            Message::NeighbourAdvertisement(advert)
                if self.locals.number_of(advert.target.into()).is_some() =>
            {
                self.on_contested(advert.target.into(), from, turn, control.queue);
                Err(DropReason::BadSource)
            }
            Message::NeighbourAdvertisement(advert) => {
                let NeighbourAdvertisement { target, target_mac, solicited, overrides, router } =
                    advert;
                if router && solicited {
                    self.on_neighbour_reachable(target.into());
                } else if !router {
                    self.on_not_router(target);
                }
                let flags = AdvertFlags { solicited, overrides };
                let learned = self.neighbours.on_advert(turn.now, target.into(), target_mac, flags);
                self.on_learned(learned, turn, control.queue);
                Ok(())
            }
            Message::RouterAdvertisement(advertisement) => {
                self.on_router_advertisement((from, ip.src), &advertisement, turn, control.queue)
            }
            Message::Redirect(redirect) => self.on_redirect(ip.src, &redirect, turn, control.queue),
            // RFC 4861 §6.2.6: > A host MUST silently discard any received Router Solicitation
            // messages.
            Message::RouterSolicitation(_) => Ok(()),
        }
    }

    fn on_solicitation(
        &mut self,
        (from_mac, from): (MacAddr, Ipv6Addr),
        solicitation: &NeighbourSolicitation,
        turn: &mut TurnState,
        control: &mut ControlPacket<'_, '_, '_>,
    ) -> Result<(), DropReason> {
        // RFC 4862 §5.4.3: a solicitation from the unspecified address claims the tentative
        // address; other solicitations for it are ignored.
        if self.locals.is_tentative(solicitation.target.into()) {
            if from.is_unspecified() {
                self.on_contested(solicitation.target.into(), from_mac, turn, control.queue);
            }
            return Err(DropReason::NotOurs);
        }
        if self.locals.find(IpAddr::V6(solicitation.target)).is_none() {
            return Err(DropReason::NotOurs);
        }
        if let Some(mac) = solicitation.source_mac.filter(|_| !from.is_unspecified()) {
            let learned = self.neighbours.on_source_mac(turn.now, from.into(), mac, Target::Local);
            self.on_learned(learned, turn, control.queue);
        }
        if control.hops > 0 {
            return Ok(());
        }
        turn.counters.count(Event::NeighbourAnswered);
        // RFC 4861 §7.2.4: the reply to a host without an address goes to all nodes.
        let (to, to_mac, solicited) = if from.is_unspecified() {
            (ndp::ALL_NODES, MacAddr::of_multicast_v6(ndp::ALL_NODES), false)
        } else {
            (from, from_mac, true)
        };
        self.send_advertisement(solicitation.target, (to_mac, to), solicited, turn, control.queue);
        Ok(())
    }
}
