//! Stateless address autoconfiguration: interface identifiers, address lifetimes, and the schedule
//! of router solicitations (RFC 4862 §5.3 to §5.5, RFC 7217, RFC 4861 §6.3.7, RFC 7559).
//!
//! Owns the state of each autoconfigured address. Refuses to know packets; the caller reports the
//! outcome of duplicate address detection.

use core::net::Ipv6Addr;

use crate::shard::ip::routers::lifetime_end;
use crate::tcp::IsnGenerator;
use crate::time::{Duration, Instant};
use crate::wire::{MacAddr, ndp};

/// Maximum number of autoconfigured addresses. More prefixes on a link are an attack or an error.
const FORMED_MAX: usize = 16;

/// RFC 7217 §7, `IDGEN_RETRIES`: other identifiers tried after duplicate address detection fails.
const IDGEN_RETRIES: u8 = 3;

/// RFC 4861 §10: `RTR_SOLICITATION_INTERVAL`; RFC 7559 §2 doubles it up to `MRT`.
const SOLICITATION_INTERVAL: Duration = Duration::from_secs(4);
const SOLICITATION_INTERVAL_MAX: Duration = Duration::from_secs(3600);

/// Maximum time that the start of the service waits for a router. Long enough for a second
/// solicitation if the first is lost.
const ROUTER_WAIT_MAX: Duration = Duration::from_secs(5);

/// RFC 4862 §5.5.3 (e): an advertisement cannot shorten the remaining lifetime to less than this.
const TWO_HOURS: Duration = Duration::from_secs(7200);

/// The prefix of link-local addresses (RFC 4862 §5.3).
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);

/// An autoconfigured address.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Formed {
    pub(in crate::shard) address: Ipv6Addr,
    prefix: Ipv6Addr,
    /// `DAD_Counter` of RFC 7217 §5.
    counter: u8,
    pub(in crate::shard) preferred_until: Instant,
    valid_until: Instant,
}

/// The effect of a prefix option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(in crate::shard) enum PrefixUpdate {
    /// No address was created or updated.
    Ignored,
    /// A new address: start duplicate address detection.
    New(Ipv6Addr),
    /// The lifetimes of this address were updated.
    Renewed(Ipv6Addr),
}

/// The autoconfigured addresses of a host on a link.
pub(in crate::shard) struct Slaac {
    hash: IsnGenerator,
    mac: MacAddr,
    formed: Vec<Formed>,
    solicit_at: Option<Instant>,
    interval: Duration,
    awaits_until: Option<Instant>,
}

impl Slaac {
    /// Creates the state without addresses. The secret must be the same at every start, so that the
    /// addresses are stable.
    pub(in crate::shard) fn new(secret: [u8; 16], mac: MacAddr) -> Self {
        Self {
            hash: IsnGenerator::new(secret),
            mac,
            formed: Vec::new(),
            solicit_at: None,
            interval: SOLICITATION_INTERVAL,
            awaits_until: Some(Instant::FAR),
        }
    }

    /// Creates the link-local address, the first of all (RFC 4862 §5.3).
    pub(in crate::shard) fn link_local(&mut self) -> Ipv6Addr {
        self.form(LINK_LOCAL, Instant::FAR, Instant::FAR)
    }

    fn form(
        &mut self,
        prefix: Ipv6Addr,
        preferred_until: Instant,
        valid_until: Instant,
    ) -> Ipv6Addr {
        let address = self.address(prefix, 0);
        self.formed.push(Formed { address, prefix, counter: 0, preferred_until, valid_until });
        address
    }

    /// Returns the address with a stable, opaque interface identifier. RFC 7217 §5:
    ///   > RID = F(Prefix, Net_Iface, Network_ID, DAD_Counter, secret_key)
    ///
    /// The interface is identified by its MAC address; the Network_ID is not used.
    fn address(&self, prefix: Ipv6Addr, counter: u8) -> Ipv6Addr {
        let network = prefix.to_bits() >> 64 << 64;
        let mut key = [0; 16];
        key[..8].copy_from_slice(&prefix.octets()[..8]);
        key[8..14].copy_from_slice(&self.mac.0);
        key[14] = counter;
        // A reserved identifier (RFC 5453) is skipped.
        for attempt in 0..=u8::MAX {
            key[15] = attempt;
            let drawn = self.hash.secrets(&key);
            let id = u64::from(drawn.isn_offset) << 32 | u64::from(drawn.timestamp_offset);
            if !is_reserved(id) {
                return Ipv6Addr::from_bits(network | u128::from(id));
            }
        }
        Ipv6Addr::from_bits(network | 1)
    }

    /// Returns true if an address is autoconfigured.
    pub(in crate::shard) fn contains(&self, address: Ipv6Addr) -> bool {
        self.formed.iter().any(|formed| formed.address == address)
    }

    /// Handles a duplicate address. Returns the address to try next (RFC 7217 §6); `None` if the
    /// address is not autoconfigured or all retries are used up.
    pub(in crate::shard) fn on_duplicate(&mut self, address: Ipv6Addr) -> Option<Ipv6Addr> {
        let at = self.formed.iter().position(|formed| formed.address == address)?;
        let Formed { prefix, counter, .. } = self.formed[at];
        if counter >= IDGEN_RETRIES {
            self.formed.remove(at);
            if is_link_local(prefix) {
                // RFC 4862 §5.4.5: > IP operation on the interface SHOULD be disabled.
                self.awaits_until = None;
            }
            return None;
        }
        let address = self.address(prefix, counter + 1);
        let formed = &mut self.formed[at];
        (formed.address, formed.counter) = (address, counter + 1);
        Some(address)
    }

    /// Handles the success of duplicate address detection. A valid link-local address starts router
    /// solicitation.
    pub(in crate::shard) fn on_settled(&mut self, now: Instant, address: Ipv6Addr) {
        if is_link_local(address) && self.solicit_at.is_none() {
            self.solicit_at = Some(now);
            self.awaits_until = Some(now + ROUTER_WAIT_MAX);
        }
    }

    /// Returns true if a router solicitation is due, and schedules the next one. RFC 7559 §2:
    /// solicitations repeat with exponential backoff until a router answers.
    pub(in crate::shard) fn take_solicitation(&mut self, now: Instant) -> bool {
        if self.solicit_at.is_none_or(|at| at > now) {
            return false;
        }
        self.solicit_at = Some(now + self.interval);
        self.interval = self.interval.times(2).min(SOLICITATION_INTERVAL_MAX);
        true
    }

    /// Stops solicitations: a default router has advertised itself (RFC 4861 §6.3.7).
    pub(in crate::shard) fn on_router(&mut self) {
        self.solicit_at = None;
        self.awaits_until = None;
    }

    /// Returns true while the start of the service should wait for a router.
    pub(in crate::shard) fn is_awaiting(&self, now: Instant) -> bool {
        self.awaits_until.is_some_and(|until| now < until)
    }

    /// Processes a prefix option (RFC 4862 §5.5.3).
    pub(in crate::shard) fn on_prefix(
        &mut self,
        now: Instant,
        option: &ndp::Prefix,
    ) -> PrefixUpdate {
        let prefix = Ipv6Addr::from_bits(option.prefix.to_bits() >> 64 << 64);
        // (b) to (d), and a prefix length that leaves 64 bits for the identifier.
        let usable = option.autonomous
            && !is_link_local(prefix)
            && !prefix.is_multicast()
            && option.preferred_s <= option.valid_s
            && option.len == 64;
        if !usable {
            return PrefixUpdate::Ignored;
        }
        let preferred_until = lifetime_end(now, option.preferred_s);
        let valid_until = lifetime_end(now, option.valid_s);
        let Some(known) = self.formed.iter_mut().find(|formed| formed.prefix == prefix) else {
            if option.valid_s == 0 || self.formed.len() == FORMED_MAX {
                return PrefixUpdate::Ignored;
            }
            return PrefixUpdate::New(self.form(prefix, preferred_until, valid_until));
        };
        known.preferred_until = preferred_until;
        // (e):
        //   > 1. If the received Valid Lifetime is greater than 2 hours or greater than
        //   > RemainingLifetime,
        //   >    set the valid lifetime [...] to the advertised Valid Lifetime.
        //   > 2. If RemainingLifetime is less than or equal to 2 hours, ignore the Prefix
        //   > Information option
        //   > with regards to the valid lifetime [...] 3. Otherwise, reset the valid lifetime [...]
        //   > to 2 hours.
        let two_hours = now + TWO_HOURS;
        if valid_until > two_hours || valid_until > known.valid_until {
            known.valid_until = valid_until;
        } else if known.valid_until > two_hours {
            known.valid_until = two_hours;
        }
        PrefixUpdate::Renewed(known.address)
    }

    /// Removes one address per call whose valid lifetime is over (RFC 4862 §5.5.4).
    pub(in crate::shard) fn take_invalid(&mut self, now: Instant) -> Option<Ipv6Addr> {
        let at = self.formed.iter().position(|formed| formed.valid_until <= now)?;
        Some(self.formed.remove(at).address)
    }

    /// Returns all autoconfigured addresses.
    pub(in crate::shard) fn formed(&self) -> impl Iterator<Item = Formed> + '_ {
        self.formed.iter().copied()
    }

    /// Returns the time of the next timer.
    pub(in crate::shard) fn next_deadline(&self, now: Instant) -> Option<Instant> {
        let ends = self.formed.iter().flat_map(|f| [f.preferred_until, f.valid_until]);
        let solicitations = self.solicit_at.into_iter().chain(self.awaits_until);
        ends.filter(|at| *at > now).chain(solicitations).filter(|at| *at != Instant::FAR).min()
    }

    /// Stops waiting for a router.
    pub(in crate::shard) fn stop_awaiting(&mut self) {
        self.awaits_until = None;
    }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local()
}

/// Returns true for reserved identifiers (RFC 5453): the subnet-router anycast address,
/// identifiers from IANA's Ethernet address block, and subnet anycast addresses.
const fn is_reserved(id: u64) -> bool {
    id == 0
        || id >> 24 == 0x02_005e_fffe
        || id >= 0xfdff_ffff_ffff_ff80 && id <= 0xfdff_ffff_ffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_millis(1000);
    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

    fn slaac() -> Slaac {
        Slaac::new([7; 16], MAC)
    }

    fn option(valid_s: u32, preferred_s: u32) -> ndp::Prefix {
        let prefix = "2001:db8:1::".parse().expect("a prefix");
        ndp::Prefix { prefix, len: 64, on_link: true, autonomous: true, valid_s, preferred_s }
    }

    fn at(seconds: u64) -> Instant {
        NOW + Duration::from_secs(seconds)
    }

    /// Returns the remaining valid lifetime of the only address with one, in seconds.
    fn valid_for(slaac: &Slaac, now: Instant) -> u64 {
        slaac.formed[0].valid_until.since(now).as_millis() / 1000
    }

    #[test]
    fn identifiers_are_stable_on_one_network_and_differ_between_networks() {
        // RFC 7217 §4
        let prefix = option(100, 100);
        let of = |secret: [u8; 16], mac, prefix: &ndp::Prefix| {
            let PrefixUpdate::New(address) = Slaac::new(secret, mac).on_prefix(NOW, prefix) else {
                panic!("an address");
            };
            address.to_bits() as u64
        };
        let id = of([7; 16], MAC, &prefix);
        assert_eq!(id, of([7; 16], MAC, &prefix));
        let other = ndp::Prefix { prefix: "2001:db8:2::".parse().expect("a prefix"), ..prefix };
        let eui64 = 0xffff_fe00_0001;
        for different in [
            of([8; 16], MAC, &prefix),
            of([7; 16], MacAddr([2; 6]), &prefix),
            of([7; 16], MAC, &other),
            eui64,
        ] {
            assert_ne!(id, different);
        }
    }

    #[test]
    fn a_duplicate_address_is_replaced_up_to_three_times() {
        // RFC 7217 §6, §7
        let mut slaac = slaac();
        let mut tried = vec![slaac.link_local()];
        while let Some(next) = slaac.on_duplicate(tried[tried.len() - 1]) {
            assert!(!tried.contains(&next) && next.is_unicast_link_local());
            tried.push(next);
        }
        assert_eq!(tried.len(), 4);
        assert!(!slaac.is_awaiting(NOW), "RFC 4862 §5.4.5: no IPv6 without a link-local address");
    }

    #[test]
    fn reserved_identifiers_are_recognised() {
        // RFC 7217 §5, step 3
        for id in [0, 0x0200_5eff_fe00_5213, 0xfdff_ffff_ffff_ff80, 0xfdff_ffff_ffff_ffff] {
            assert!(is_reserved(id), "{id:x}");
        }
        assert!(!is_reserved(0xfdff_ffff_ffff_ff7f) && !is_reserved(1));
    }

    #[test]
    fn only_autonomous_64_bit_prefixes_create_addresses() {
        // RFC 4862 §5.5.3 (a) to (d)
        let good = option(100, 100);
        for bad in [
            ndp::Prefix { autonomous: false, ..good },
            ndp::Prefix { prefix: LINK_LOCAL, ..good },
            ndp::Prefix { preferred_s: 101, ..good },
            ndp::Prefix { len: 63, ..good },
            ndp::Prefix { len: 80, ..good },
            option(0, 0),
        ] {
            assert_eq!(slaac().on_prefix(NOW, &bad), PrefixUpdate::Ignored, "{bad:?}");
        }
        assert!(matches!(slaac().on_prefix(NOW, &good), PrefixUpdate::New(_)));
    }

    #[test]
    fn no_advertisement_shortens_a_lifetime_to_less_than_two_hours() {
        // RFC 4862 §5.5.3 (e)
        for (current, advertised, expected) in [
            (10_000, 20_000, 20_000),
            (10_000, 7_201, 7_201),
            (10_000, 100, 7_200),
            (10_000, 0, 7_200),
            (5_000, 100, 5_000),
            (5_000, 0, 5_000),
            (5_000, 6_000, 6_000),
        ] {
            let mut slaac = slaac();
            assert!(matches!(slaac.on_prefix(NOW, &option(current, 0)), PrefixUpdate::New(_)));
            assert!(matches!(
                slaac.on_prefix(NOW, &option(advertised, 0)),
                PrefixUpdate::Renewed(_)
            ));
            assert_eq!(valid_for(&slaac, NOW), expected, "{current} {advertised}");
        }
    }

    #[test]
    fn addresses_expire() {
        // RFC 4862 §5.5.4
        let mut slaac = slaac();
        let PrefixUpdate::New(address) = slaac.on_prefix(NOW, &option(100, 50)) else {
            panic!("an address");
        };
        assert_eq!(slaac.next_deadline(NOW), Some(at(50)));
        assert_eq!(slaac.take_invalid(at(99)), None);
        assert_eq!(slaac.take_invalid(at(100)), Some(address));
        assert_eq!(slaac.on_prefix(NOW, &option(u32::MAX, u32::MAX)), PrefixUpdate::New(address));
        assert_eq!(slaac.take_invalid(at(1 << 30)), None, "all ones: infinite");
    }

    #[test]
    fn router_solicitations_back_off_until_a_router_answers() {
        // RFC 7559 §2, RFC 4861 §6.3.7
        let mut slaac = slaac();
        let address = slaac.link_local();
        assert!(!slaac.take_solicitation(NOW) && slaac.is_awaiting(NOW));
        slaac.on_settled(NOW, address);
        let mut sent = Vec::new();
        for second in 0..130 {
            if slaac.take_solicitation(at(second)) {
                sent.push(second);
            }
        }
        assert_eq!(sent, [0, 4, 12, 28, 60, 124]);
        assert!(!slaac.is_awaiting(at(5)), "the service does not wait forever");
        slaac.on_router();
        assert!(!slaac.take_solicitation(at(100_000)));
    }
}
