//! What routers say, and what it makes of a shard: its own addresses, its first hops, the MTU of
//! the link (RFC 4861 §6.3, RFC 4862 §5.5). Only where the shard is told to make its own addresses;
//! else all of it is ignored and counted, since anyone on the link may say it (RFC 3756).
//!
//! Every worker hears everything and comes to the same; the first one asks.

use core::net::{IpAddr, Ipv6Addr};

use crate::metrics::{DropReason, Event};
use crate::role::Role;
use crate::shard::flow::id::NeighbourId;
use crate::shard::ip::event::IpEvent;
use crate::shard::ip::layer::Ip;
use crate::shard::ip::locals::AddressState;
use crate::shard::ip::neighbour::Target;
use crate::shard::ip::slaac::Heard;
use crate::shard::mem::turn_state::TurnState;
use crate::shard::mem::tx_queue::TxQueue;
use crate::time::{Duration, Instant};
use crate::wire::MacAddr;
use crate::wire::ipv6;
use crate::wire::ndp::{self, Message, Redirect, RouterAdvertisement, RouterSolicitation};

/// Bits of the network of an address that was formed.
const PREFIX_LEN: u8 = 64;

/// How long the runtime has to let the frames for a new address reach us, before it is asked for:
/// answers that came sooner would be lost.
const ADOPTION: Duration = Duration::from_millis(50);

/// The fewest hops that are believed. A lower number is a mistake, or one who cuts us off from what
/// is far.
const HOPS_MIN: u8 = 32;

/// Bounds on the times of neighbour discovery: below, the questions would be a flood; above, a
/// neighbour that has gone would be believed in for hours.
const RETRANSMIT_MIN: Duration = Duration::from_millis(100);
const REACHABLE_MAX: Duration = Duration::from_secs(3600);

impl Ip {
    /// The worker starts: the link-local address comes first (RFC 4862 §5.3).
    pub(in crate::shard) fn begin_discovery(
        &mut self,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        if self.role == Role::Shared {
            self.discovery = None;
        }
        let Some(discovery) = &mut self.discovery else { return };
        let address = discovery.slaac.link_local();
        self.adopt(address, turn, queue);
    }

    /// An address was formed: it is claimed.
    fn adopt(&mut self, address: Ipv6Addr, turn: &mut TurnState, queue: &mut TxQueue<'_>) {
        let Some(number) = self.locals.adopt(address.into(), PREFIX_LEN) else { return };
        if let Some(discovery) = &mut self.discovery {
            discovery.adopted.push(address.into());
        }
        match self.dad_config {
            Some(config) => self.dad.begin(turn.now + ADOPTION, number, config.ipv6),
            None => self.on_settled(number, turn, queue),
        }
    }

    /// An address is ours.
    pub(in crate::shard) fn on_address_settled(&mut self, now: Instant, address: IpAddr) {
        if let (Some(discovery), IpAddr::V6(address)) = (&mut self.discovery, address) {
            discovery.slaac.on_settled(now, address);
            discovery.due_at = now;
        }
    }

    /// Another station has an address that was formed: another one is tried.
    pub(in crate::shard) fn on_address_refused(
        &mut self,
        address: IpAddr,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let (Some(discovery), IpAddr::V6(address)) = (&mut self.discovery, address) else { return };
        discovery.due_at = turn.now;
        if !discovery.slaac.has(address) {
            return;
        }
        // The operator did not choose it: it is no failure.
        if let Some(number) = self.locals.number_of(address.into()) {
            self.locals.set_state(number, AddressState::Removed);
        }
        if let Some(next) = discovery.slaac.on_duplicate(address) {
            self.adopt(next, turn, queue);
        }
    }

    /// Does what router discovery has due. Returns one event for flows per call, `None` once
    /// nothing is left.
    pub(in crate::shard) fn poll_discovery(
        &mut self,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) -> Option<IpEvent> {
        let now = turn.now;
        let discovery = self.discovery.as_mut()?;
        if discovery.due_at > now {
            return None;
        }
        if !discovery.slaac.is_awaiting(now) {
            discovery.slaac.stop_awaiting();
        }
        if discovery.routers.expire(now) {
            discovery.routers.install(&mut self.routes);
        }
        if discovery.slaac.take_solicitation(now) {
            self.solicit(turn, queue);
        }
        while let Some(address) = self.discovery.as_mut().and_then(|d| d.slaac.take_invalid(now)) {
            if let Some(number) = self.give_back(address.into()) {
                return Some(IpEvent::AddressLost(number));
            }
        }
        self.judge_preferences(now);
        if let Some(discovery) = &mut self.discovery {
            discovery.rearm(now);
        }
        None
    }

    /// RFC 4861 §4.1: from one of our addresses, with our link-layer address.
    fn solicit(&mut self, turn: &mut TurnState, queue: &mut TxQueue<'_>) {
        if !self.announces {
            return;
        }
        let link_local = |address: IpAddr| match address {
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(v6),
            _ => None,
        };
        let Some(from) = self.locals.usable().find_map(|local| link_local(local.address)) else {
            return;
        };
        let question = RouterSolicitation { source_mac: Some(self.mac) };
        let group = ndp::ALL_ROUTERS;
        let message = Message::RouterSolicitation(question);
        self.send_discovery((from, group), MacAddr::of_multicast_v6(group), &message, turn, queue);
    }

    /// RFC 4862 §5.5.4: an address past its preferred lifetime opens nothing while there is
    /// another.
    fn judge_preferences(&mut self, now: Instant) {
        let Some(discovery) = &self.discovery else { return };
        for formed in discovery.slaac.formed() {
            let Some(number) = self.locals.number_of(formed.address.into()) else { continue };
            let fresh = formed.preferred_until > now;
            let next = if fresh { AddressState::Preferred } else { AddressState::Deprecated };
            if matches!(
                self.locals.state(number),
                AddressState::Preferred | AddressState::Deprecated
            ) {
                self.locals.set_state(number, next);
            }
        }
    }

    /// Gives an invalid address up. Returns its number: the connections with it have to end, since
    /// nothing may be sent from it.
    fn give_back(&mut self, address: IpAddr) -> Option<u8> {
        let number = self.locals.number_of(address)?;
        self.dad.cancel(number);
        self.locals.set_state(number, AddressState::Removed);
        Some(number)
    }

    /// A router tells of itself (RFC 4861 §6.3.4).
    pub(in crate::shard) fn on_router_advertisement(
        &mut self,
        from: (MacAddr, Ipv6Addr),
        advertisement: &RouterAdvertisement<'_>,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) -> Result<(), DropReason> {
        let (now, (mac, address)) = (turn.now, from);
        let Some(discovery) = &mut self.discovery else { return Err(DropReason::RouterIgnored) };
        turn.counters.count(Event::RouterHeard);
        discovery.due_at = now;
        discovery.routers.on_router(
            now,
            address,
            advertisement.lifetime_s,
            advertisement.preference,
        );
        if advertisement.lifetime_s > 0 {
            discovery.slaac.on_router();
        }
        let mut formed = Vec::new();
        for prefix in advertisement.prefixes {
            if prefix.on_link && !prefix.prefix.is_unicast_link_local() {
                discovery.routers.on_prefix(now, &prefix);
            }
            if let Heard::New(address) = discovery.slaac.on_prefix(now, &prefix) {
                formed.push(address);
            }
        }
        discovery.routers.install(&mut self.routes);
        for address in formed {
            self.adopt(address, turn, queue);
        }
        self.judge_preferences(now);
        self.apply_parameters(advertisement);
        let mac = advertisement.source_mac.unwrap_or(mac);
        let learned = self.neighbours.on_source_mac(now, address.into(), mac, Target::Local);
        self.on_learned(learned, turn, queue);
        Ok(())
    }

    /// The parameters of the link (RFC 4861 §6.3.4); zero says nothing.
    fn apply_parameters(&mut self, advertisement: &RouterAdvertisement<'_>) {
        if advertisement.hop_limit >= HOPS_MIN {
            self.hop_limit_v6 = advertisement.hop_limit;
        }
        let ms = |n: u32| (n > 0).then(|| Duration::from_millis(n.into()));
        self.neighbours.set_timers(
            ms(advertisement.retransmit_ms).map(|span| span.max(RETRANSMIT_MIN)),
            ms(advertisement.reachable_ms).map(|span| span.min(REACHABLE_MAX)),
        );
        // RFC 4861 §6.3.4: > hosts SHOULD copy the option's value into LinkMTU so long as the value
        // is greater
        // > than or equal to the minimum link MTU [...] and does not exceed the maximum LinkMTU
        // > value
        let most = self.mtu as u32;
        let fits = |mtu: &u32| (ipv6::MTU_MIN as u32..=most).contains(mtu);
        if let Some(mtu) = advertisement.mtu.filter(fits) {
            self.path_mtus.set_link_v6((mtu < most).then_some(mtu as u16));
        }
    }

    /// A router names a better first hop. RFC 4861 §8.1, the one thing that the message does not
    /// tell:
    ///   > The IP source address of the Redirect is the same as the current first-hop router for
    ///   > the specified ICMP Destination Address.
    pub(in crate::shard) fn on_redirect(
        &mut self,
        from: Ipv6Addr,
        redirect: &Redirect,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) -> Result<(), DropReason> {
        let first_hop = self.routes.via(redirect.destination.into());
        let Some(discovery) = &mut self.discovery else { return Err(DropReason::RouterIgnored) };
        if first_hop != Some(from.into()) {
            return Err(DropReason::RouterIgnored);
        }
        turn.counters.count(Event::Redirected);
        discovery.routers.on_redirect(redirect);
        discovery.routers.install(&mut self.routes);
        self.last_hop = (IpAddr::V6(Ipv6Addr::UNSPECIFIED), NeighbourId::NONE);
        if let Some(mac) = redirect.target_mac {
            let target = redirect.target.into();
            let learned = self.neighbours.on_source_mac(turn.now, target, mac, Target::Local);
            self.on_learned(learned, turn, queue);
        }
        Ok(())
    }

    /// A neighbour says that it is no router (RFC 4861 §7.2.5):
    ///   > the node MUST remove that router from the Default Router List
    pub(in crate::shard) fn on_not_router(&mut self, address: Ipv6Addr) {
        let Some(discovery) = &mut self.discovery else { return };
        if discovery.routers.forget(address) {
            discovery.routers.install(&mut self.routes);
        }
    }

    /// A neighbour does not answer, or does again. RFC 4861 §7.3.3:
    ///   > When a path to a neighbor appears to be failing [...] next-hop determination [is]
    ///   > performed again
    pub(in crate::shard) fn on_neighbour_failed(&mut self, address: IpAddr) {
        let Some(discovery) = &mut self.discovery else { return };
        let replaced = discovery.routers.on_unreachable(address);
        discovery.routers.install(&mut self.routes);
        if replaced {
            // Its flows look for the way anew.
            self.neighbours.forget(address);
        }
    }

    pub(in crate::shard) fn on_neighbour_reachable(&mut self, address: IpAddr) {
        let Some(discovery) = &mut self.discovery else { return };
        if discovery.routers.on_reachable(address) {
            discovery.routers.install(&mut self.routes);
        }
    }
}
