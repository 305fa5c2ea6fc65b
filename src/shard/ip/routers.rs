//! Default router list, prefix list and redirects (RFC 4861 §5.1, §6.3.4, §8.3; preferences of
//! RFC 4191).
//!
//! Owns the lists and their lifetimes. Each list is bounded, so that no host on the link can
//! exhaust memory. Installs them as routes behind those that the operator configured. Refuses to
//! know packets.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::VecDeque;

use crate::shard::ip::routes::{Prefix, Route, Routes};
use crate::time::{Duration, Instant};
use crate::wire::ndp::{self, Preference, Redirect};

/// RFC 4861 §6.3.4: a host "MUST retain at least two router addresses and SHOULD retain more".
const ROUTERS_MAX: usize = 8;
const PREFIXES_MAX: usize = 16;
const REDIRECTS_MAX: usize = 64;

/// Metric of advertised routes: behind configured routes, whose metric is 0.
const METRIC: u32 = 100;
/// Added for an unreachable router: it comes behind all that are reachable (RFC 4861 §6.3.6).
const METRIC_UNREACHABLE: u32 = 10;

/// A default router.
#[derive(Clone, Copy, Debug)]
struct Router {
    address: Ipv6Addr,
    preference: Preference,
    until: Instant,
    unreachable: bool,
}

/// The lists that routers advertise.
#[derive(Debug, Default)]
pub(in crate::shard) struct Routers {
    routers: Vec<Router>,
    on_link: Vec<(Prefix, Instant)>,
    redirects: VecDeque<Route>,
    /// The routes that these lists have installed.
    installed: Vec<Route>,
}

/// Returns the end of a lifetime that starts now. All ones means infinity (RFC 4861 §4.6.2).
pub(in crate::shard) fn lifetime_end(now: Instant, seconds: u32) -> Instant {
    if seconds == u32::MAX { Instant::FAR } else { now + Duration::from_secs(seconds.into()) }
}

impl Routers {
    /// Adds or updates a default router. A lifetime of 0 seconds removes it (RFC 4861 §6.3.4).
    pub(in crate::shard) fn on_router(
        &mut self,
        now: Instant,
        address: Ipv6Addr,
        lifetime_s: u16,
        preference: Preference,
    ) {
        let known = self.routers.iter().position(|router| router.address == address);
        let until = now + Duration::from_secs(lifetime_s.into());
        match known {
            _ if lifetime_s == 0 => {
                self.remove(address);
            }
            Some(at) => {
                let router = &mut self.routers[at];
                (router.until, router.preference) = (until, preference);
            }
            None if self.routers.len() < ROUTERS_MAX => {
                self.routers.push(Router { address, preference, until, unreachable: false });
            }
            None => {}
        }
    }

    /// Removes a router, and the redirects to it. Returns true if anything was removed.
    pub(in crate::shard) fn remove(&mut self, address: Ipv6Addr) -> bool {
        let before = self.routers.len() + self.redirects.len();
        self.routers.retain(|router| router.address != address);
        self.redirects.retain(|route| route.gateway != Some(address.into()));
        self.routers.len() + self.redirects.len() < before
    }

    /// Adds or updates an on-link prefix. A lifetime of 0 seconds removes it (RFC 4861 §6.3.4).
    pub(in crate::shard) fn on_prefix(&mut self, now: Instant, prefix: &ndp::Prefix) {
        let network = Prefix::new(prefix.prefix.into(), prefix.len);
        self.on_link.retain(|(known, _)| *known != network);
        if prefix.valid_s > 0 && self.on_link.len() < PREFIXES_MAX {
            self.on_link.push((network, lifetime_end(now, prefix.valid_s)));
        }
    }

    /// Applies a redirect to a better first hop (RFC 4861 §8.3).
    pub(in crate::shard) fn on_redirect(&mut self, redirect: &Redirect) {
        let host = Prefix::new(redirect.destination.into(), 128);
        let route = if redirect.target == redirect.destination {
            Route::on_link(host)
        } else {
            Route::through(host, redirect.target.into())
        };
        self.redirects.retain(|known| known.prefix != host);
        if self.redirects.len() == REDIRECTS_MAX {
            self.redirects.pop_front();
        }
        self.redirects.push_back(Route { metric: METRIC, ..route });
    }

    /// Marks a router as unreachable. RFC 4861 §6.3.6: it comes behind the reachable ones, and
    /// unreachable ones take turns. Returns true if another first hop can replace it.
    pub(in crate::shard) fn on_unreachable(&mut self, address: IpAddr) -> bool {
        let before = self.redirects.len();
        self.redirects.retain(|route| route.gateway != Some(address));
        let redirected = self.redirects.len() < before;
        let at = self.routers.iter().position(|router| IpAddr::V6(router.address) == address);
        let Some(at) = at else { return redirected };
        let mut router = self.routers.remove(at);
        router.unreachable = true;
        self.routers.push(router);
        redirected || self.routers.len() > 1
    }

    /// Marks a router as reachable. Returns true if it was unreachable.
    pub(in crate::shard) fn on_reachable(&mut self, address: IpAddr) -> bool {
        let mut changed = false;
        for router in &mut self.routers {
            if IpAddr::V6(router.address) == address {
                changed |= core::mem::take(&mut router.unreachable);
            }
        }
        changed
    }

    /// Removes expired entries (RFC 4861 §6.3.5). Returns true if there were any.
    pub(in crate::shard) fn expire(&mut self, now: Instant) -> bool {
        let before = self.routers.len() + self.on_link.len();
        let expired: Vec<_> =
            self.routers.iter().filter(|r| r.until <= now).map(|r| r.address).collect();
        for address in expired {
            self.remove(address);
        }
        self.on_link.retain(|(_, until)| *until > now);
        self.routers.len() + self.on_link.len() < before
    }

    /// Returns the time at which to call [`expire`](Self::expire) next.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        let routers = self.routers.iter().map(|router| router.until);
        let prefixes = self.on_link.iter().map(|(_, until)| *until);
        routers.chain(prefixes).filter(|at| *at != Instant::FAR).min()
    }

    /// Replaces the routes that were installed last.
    pub(in crate::shard) fn install(&mut self, routes: &mut Routes) {
        for route in self.installed.drain(..) {
            routes.remove(route.prefix, route.gateway, route.metric);
        }
        let routers = self.routers.iter().map(|router| {
            let route = Route::through(Prefix::ALL_IPV6, router.address.into());
            let unreachable = if router.unreachable { METRIC_UNREACHABLE } else { 0 };
            Route { metric: METRIC + router.preference as u32 + unreachable, ..route }
        });
        let on_link = self.on_link.iter().map(|(prefix, _)| Route::on_link(*prefix));
        let on_link = on_link.map(|route| Route { metric: METRIC, ..route });
        let all = routers.chain(on_link).chain(self.redirects.iter().copied());
        self.installed.extend(all);
        for route in &self.installed {
            routes.add(*route);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1000);

    fn router(n: u16) -> Ipv6Addr {
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n)
    }

    fn far() -> IpAddr {
        "2001:db8:99::1".parse().expect("an address")
    }

    /// Returns the first hop to a destination off the link.
    fn first_hop(routers: &mut Routers) -> Option<IpAddr> {
        let mut routes = Routes::default();
        routers.installed.clear();
        routers.install(&mut routes);
        routes.via(far())
    }

    #[test]
    fn a_default_router_is_removed_when_its_lifetime_ends_or_is_zero() {
        // RFC 4861 §6.3.4, §6.3.5
        let mut routers = Routers::default();
        routers.on_router(NOW, router(1), 100, Preference::Medium);
        assert_eq!(first_hop(&mut routers), Some(router(1).into()));
        assert_eq!(routers.next_deadline(), Some(NOW + Duration::from_secs(100)));
        assert!(!routers.expire(NOW + Duration::from_secs(99)));
        routers.on_router(NOW + Duration::from_secs(99), router(1), 100, Preference::Medium);
        assert!(!routers.expire(NOW + Duration::from_secs(150)));
        assert!(routers.expire(NOW + Duration::from_secs(199)));
        assert_eq!(first_hop(&mut routers), None);
        routers.on_router(NOW, router(1), 100, Preference::Medium);
        routers.on_router(NOW, router(1), 0, Preference::Medium);
        assert!(routers.routers.is_empty());
    }

    #[test]
    fn the_reachable_router_with_the_highest_preference_is_used() {
        // RFC 4191 §3.1, RFC 4861 §6.3.6
        let mut routers = Routers::default();
        for (n, preference) in
            [(1, Preference::Low), (2, Preference::High), (3, Preference::Medium)]
        {
            routers.on_router(NOW, router(n), 100, preference);
        }
        for n in [2, 3, 1] {
            assert_eq!(first_hop(&mut routers), Some(router(n).into()));
            assert!(routers.on_unreachable(router(n).into()));
        }
        assert_eq!(
            first_hop(&mut routers),
            Some(router(2).into()),
            "all unreachable: they take turns"
        );
        assert!(routers.on_reachable(router(1).into()));
        assert_eq!(first_hop(&mut routers), Some(router(1).into()));
    }

    #[test]
    fn a_redirect_is_removed_with_the_router_that_it_names() {
        // RFC 4861 §8.3, §7.3.3
        let mut routers = Routers::default();
        routers.on_router(NOW, router(1), 100, Preference::Medium);
        let IpAddr::V6(destination) = far() else { return };
        routers.on_redirect(&Redirect { target: router(9), destination, target_mac: None });
        assert_eq!(first_hop(&mut routers), Some(router(9).into()));
        routers.on_unreachable(router(9).into());
        assert_eq!(first_hop(&mut routers), Some(router(1).into()));
        routers.on_redirect(&Redirect { target: destination, destination, target_mac: None });
        assert_eq!(first_hop(&mut routers), Some(far()), "the destination is on the link");
    }

    #[test]
    fn the_lists_that_a_host_can_fill_are_bounded() {
        let mut routers = Routers::default();
        for n in 0..1000 {
            routers.on_router(NOW, router(n), 100, Preference::Medium);
            let prefix = ndp::Prefix {
                prefix: Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 0),
                len: 64,
                on_link: true,
                autonomous: false,
                valid_s: u32::MAX,
                preferred_s: 0,
            };
            routers.on_prefix(NOW, &prefix);
            let destination = prefix.prefix;
            routers.on_redirect(&Redirect { target: router(1), destination, target_mac: None });
        }
        let mut routes = Routes::default();
        routers.install(&mut routes);
        assert_eq!(routers.installed.len(), ROUTERS_MAX + PREFIXES_MAX + REDIRECTS_MAX);
    }
}
