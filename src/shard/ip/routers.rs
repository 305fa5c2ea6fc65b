//! Who leads off the link, as routers say: the default router list, the prefixes that are on the
//! link, and redirects (RFC 4861 §5.1, §6.3.4, §8.3; preferences by RFC 4191).
//!
//! Owns the lists and their lifetimes, each of a bounded length: what a station on the link may
//! fill up is no more than that. Turns them into routes, beside those that the operator gave, which
//! come first. Refuses to know packets.

use core::net::{IpAddr, Ipv6Addr};
use std::collections::VecDeque;

use crate::shard::ip::routes::{Prefix, Route, Routes};
use crate::time::{Duration, Instant};
use crate::wire::ndp::{self, Preference, Redirect};

/// RFC 4861 §6.3.4: a host "MUST retain at least two router addresses and SHOULD retain more".
const ROUTERS_MAX: usize = 8;
const PREFIXES_MAX: usize = 16;
const REDIRECTS_MAX: usize = 64;

/// Metrics of what routers say: behind all that the operator gave, which has 0.
const METRIC: u32 = 100;
/// A router that does not answer comes behind all that do (RFC 4861 §6.3.6).
const METRIC_UNREACHABLE: u32 = 10;

/// A default router.
#[derive(Clone, Copy, Debug)]
struct Router {
    address: Ipv6Addr,
    preference: Preference,
    until: Instant,
    unreachable: bool,
}

/// What routers have said.
#[derive(Debug, Default)]
pub(in crate::shard) struct Routers {
    routers: Vec<Router>,
    on_link: Vec<(Prefix, Instant)>,
    redirects: VecDeque<Route>,
    /// What of the routes is of ours.
    installed: Vec<Route>,
}

/// The end of a lifetime in seconds that begins now; all ones is for ever (RFC 4861 §4.6.2).
pub(in crate::shard) fn lifetime_end(now: Instant, seconds: u32) -> Instant {
    if seconds == u32::MAX { Instant::FAR } else { now + Duration::from_secs(seconds.into()) }
}

impl Routers {
    /// A router tells that it is a default router for so many seconds, or no longer (RFC 4861
    /// §6.3.4).
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
                self.forget(address);
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

    /// It is no router, or none any more. Tells whether it was one.
    pub(in crate::shard) fn forget(&mut self, address: Ipv6Addr) -> bool {
        let before = self.routers.len() + self.redirects.len();
        self.routers.retain(|router| router.address != address);
        self.redirects.retain(|route| route.gateway != Some(address.into()));
        self.routers.len() + self.redirects.len() < before
    }

    /// A prefix is on the link for so many seconds (RFC 4861 §6.3.4).
    pub(in crate::shard) fn on_prefix(&mut self, now: Instant, prefix: &ndp::Prefix) {
        let network = Prefix::new(prefix.prefix.into(), prefix.len);
        self.on_link.retain(|(known, _)| *known != network);
        if prefix.valid_s > 0 && self.on_link.len() < PREFIXES_MAX {
            self.on_link.push((network, lifetime_end(now, prefix.valid_s)));
        }
    }

    /// There is a better first hop (RFC 4861 §8.3).
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

    /// A neighbour does not answer. RFC 4861 §6.3.6: it comes behind the others, and who does not
    /// answer either takes turns. Tells whether another one is there to take its place.
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

    /// A neighbour has answered.
    pub(in crate::shard) fn on_reachable(&mut self, address: IpAddr) -> bool {
        let mut changed = false;
        for router in &mut self.routers {
            if IpAddr::V6(router.address) == address {
                changed |= core::mem::take(&mut router.unreachable);
            }
        }
        changed
    }

    /// RFC 4861 §6.3.5: what is over is discarded. Tells whether something was.
    pub(in crate::shard) fn expire(&mut self, now: Instant) -> bool {
        let before = self.routers.len() + self.on_link.len();
        let over: Vec<_> =
            self.routers.iter().filter(|r| r.until <= now).map(|r| r.address).collect();
        for address in over {
            self.forget(address);
        }
        self.on_link.retain(|(_, until)| *until > now);
        self.routers.len() + self.on_link.len() < before
    }

    /// When to [`expire`](Self::expire) next.
    pub(in crate::shard) fn next_deadline(&self) -> Option<Instant> {
        let routers = self.routers.iter().map(|router| router.until);
        let prefixes = self.on_link.iter().map(|(_, until)| *until);
        routers.chain(prefixes).filter(|at| *at != Instant::FAR).min()
    }

    /// Puts the routes in place of those of last time.
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

    /// The first hop to somewhere far.
    fn first_hop(routers: &mut Routers) -> Option<IpAddr> {
        let mut routes = Routes::default();
        routers.installed.clear();
        routers.install(&mut routes);
        routes.via(far())
    }

    #[test]
    fn a_router_is_one_for_its_lifetime_and_until_it_says_otherwise() {
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
    fn the_preferred_router_that_answers_is_used() {
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
        assert_eq!(first_hop(&mut routers), Some(router(2).into()), "none answers: by turns");
        assert!(routers.on_reachable(router(1).into()));
        assert_eq!(first_hop(&mut routers), Some(router(1).into()));
    }

    #[test]
    fn a_redirect_goes_with_the_router_that_it_names() {
        // RFC 4861 §8.3, §7.3.3
        let mut routers = Routers::default();
        routers.on_router(NOW, router(1), 100, Preference::Medium);
        let IpAddr::V6(destination) = far() else { return };
        routers.on_redirect(&Redirect { target: router(9), destination, target_mac: None });
        assert_eq!(first_hop(&mut routers), Some(router(9).into()));
        routers.on_unreachable(router(9).into());
        assert_eq!(first_hop(&mut routers), Some(router(1).into()));
        routers.on_redirect(&Redirect { target: destination, destination, target_mac: None });
        assert_eq!(first_hop(&mut routers), Some(far()), "it is on the link");
    }

    #[test]
    fn what_a_station_may_fill_up_is_bounded() {
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
