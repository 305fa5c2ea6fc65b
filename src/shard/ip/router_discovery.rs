//! Router advertisements, redirects and SLAAC: the shard's addresses, first hops and link MTU for
//! IPv6 (RFC 4861 §6.3, RFC 4862 §5.5). Active only if autoconfiguration is on. Otherwise these
//! messages are ignored and counted, since any host on the link can forge them (RFC 3756).
//!
//! Every worker receives all messages and reaches the same state. Only the first one sends.

use core::net::{IpAddr, Ipv6Addr};

use crate::metrics::{DropReason, Event};
use crate::role::Role;
use crate::shard::flow::id::NeighbourId;
use crate::shard::ip::event::IpEvent;
use crate::shard::ip::layer::Ip;
use crate::shard::ip::locals::AddressState;
use crate::shard::ip::neighbour::Target;
use crate::shard::ip::slaac::PrefixUpdate;
use crate::shard::mem::turn_state::TurnState;
use crate::shard::mem::tx_queue::TxQueue;
use crate::time::{Duration, Instant};
use crate::wire::MacAddr;
use crate::wire::ipv6;
use crate::wire::ndp::{self, Message, Redirect, RouterAdvertisement, RouterSolicitation};

/// Prefix length of autoconfigured addresses, bits.
const PREFIX_LEN: u8 = 64;

/// Time for the runtime to steer frames for a new address to this stack before the address is
/// probed. Replies that arrive earlier would be lost.
const STEERING_DELAY: Duration = Duration::from_millis(50);

/// Lowest hop limit accepted. A lower one is a mistake, or an attack that cuts the host off from
/// remote networks.
const HOP_LIMIT_MIN: u8 = 32;

/// Bounds of the advertised timers. Shorter intervals would cause a flood of solicitations; with
/// longer ones, a neighbour that has left would be considered reachable for hours.
const RETRANSMIT_MIN: Duration = Duration::from_millis(100);
const REACHABLE_MAX: Duration = Duration::from_secs(3600);

impl Ip {
    /// Starts router discovery: configures the link-local address first (RFC 4862 §5.3).
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

    /// Adds an autoconfigured address, and starts duplicate address detection for it.
    fn adopt(&mut self, address: Ipv6Addr, turn: &mut TurnState, queue: &mut TxQueue<'_>) {
        let Some(number) = self.locals.adopt(address.into(), PREFIX_LEN) else { return };
        if let Some(discovery) = &mut self.discovery {
            discovery.adopted.push(address.into());
        }
        match self.dad_config {
            Some(config) => self.dad.begin(turn.now + STEERING_DELAY, number, config.ipv6),
            None => self.on_settled(number, turn, queue),
        }
    }

    /// Handles the success of duplicate address detection.
    pub(in crate::shard) fn on_address_settled(&mut self, now: Instant, address: IpAddr) {
        if let (Some(discovery), IpAddr::V6(address)) = (&mut self.discovery, address) {
            discovery.slaac.on_settled(now, address);
            discovery.due_at = now;
        }
    }

    /// Handles the failure of duplicate address detection: tries another interface identifier.
    pub(in crate::shard) fn on_address_refused(
        &mut self,
        address: IpAddr,
        turn: &mut TurnState,
        queue: &mut TxQueue<'_>,
    ) {
        let (Some(discovery), IpAddr::V6(address)) = (&mut self.discovery, address) else { return };
        discovery.due_at = turn.now;
        if !discovery.slaac.contains(address) {
            return;
        }
        // The operator did not configure it, so this is no failure.
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
            self.send_router_solicitation(turn, queue);
        }
        while let Some(address) = self.discovery.as_mut().and_then(|d| d.slaac.take_invalid(now)) {
            if let Some(number) = self.remove_address(address.into()) {
                return Some(IpEvent::AddressLost(number));
            }
        }
        self.update_preferences(now);
        if let Some(discovery) = &mut self.discovery {
            discovery.rearm(now);
        }
        None
    }

    /// Sends a router solicitation from the link-local address, with our link-layer address
    /// (RFC 4861 §4.1).
    fn send_router_solicitation(&mut self, turn: &mut TurnState, queue: &mut TxQueue<'_>) {
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
        let solicitation = RouterSolicitation { source_mac: Some(self.mac) };
        let group = ndp::ALL_ROUTERS;
        let message = Message::RouterSolicitation(solicitation);
        self.send_discovery((from, group), MacAddr::of_multicast_v6(group), &message, turn, queue);
    }

    /// Deprecates addresses whose preferred lifetime is over, and renews others (RFC 4862 §5.5.4).
    fn update_preferences(&mut self, now: Instant) {
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

    /// Removes an invalid address. Returns its number: its connections must end, since nothing may
    /// be sent from it.
    fn remove_address(&mut self, address: IpAddr) -> Option<u8> {
        let number = self.locals.number_of(address)?;
        self.dad.cancel(number);
        self.locals.set_state(number, AddressState::Removed);
        Some(number)
    }

    /// Processes a router advertisement (RFC 4861 §6.3.4).
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
            if let PrefixUpdate::New(address) = discovery.slaac.on_prefix(now, &prefix) {
                formed.push(address);
            }
        }
        discovery.routers.install(&mut self.routes);
        for address in formed {
            self.adopt(address, turn, queue);
        }
        self.update_preferences(now);
        self.apply_parameters(advertisement);
        let mac = advertisement.source_mac.unwrap_or(mac);
        let learned = self.neighbours.on_source_mac(now, address.into(), mac, Target::Local);
        self.on_learned(learned, turn, queue);
        Ok(())
    }

    /// Applies the advertised parameters of the link. Zero means unspecified (RFC 4861 §6.3.4).
    fn apply_parameters(&mut self, advertisement: &RouterAdvertisement<'_>) {
        if advertisement.hop_limit >= HOP_LIMIT_MIN {
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
        let mtu_max = self.mtu as u32;
        let fits = |mtu: &u32| (ipv6::MTU_MIN as u32..=mtu_max).contains(mtu);
        if let Some(mtu) = advertisement.mtu.filter(fits) {
            self.path_mtus.set_link_v6((mtu < mtu_max).then_some(mtu as u16));
        }
    }

    /// Processes a redirect to a better first hop. RFC 4861 §8.1, the one check that needs the
    /// routing table:
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

    /// Handles a neighbour advertisement without the router flag. RFC 4861 §7.2.5:
    ///   > the node MUST remove that router from the Default Router List
    pub(in crate::shard) fn on_not_router(&mut self, address: Ipv6Addr) {
        let Some(discovery) = &mut self.discovery else { return };
        if discovery.routers.remove(address) {
            discovery.routers.install(&mut self.routes);
        }
    }

    /// Handles a neighbour that does not answer. RFC 4861 §7.3.3:
    ///   > When a path to a neighbor appears to be failing [...] next-hop determination [is]
    ///   > performed again
    pub(in crate::shard) fn on_neighbour_failed(&mut self, address: IpAddr) {
        let Some(discovery) = &mut self.discovery else { return };
        let replaced = discovery.routers.on_unreachable(address);
        discovery.routers.install(&mut self.routes);
        if replaced {
            // Its flows look up the next hop again.
            self.neighbours.forget(address);
        }
    }

    /// Handles a router that answers a solicitation.
    pub(in crate::shard) fn on_neighbour_reachable(&mut self, address: IpAddr) {
        let Some(discovery) = &mut self.discovery else { return };
        if discovery.routers.on_reachable(address) {
            discovery.routers.install(&mut self.routes);
        }
    }
}
