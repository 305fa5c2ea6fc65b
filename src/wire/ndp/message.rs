//! Messages: neighbour and router solicitations and advertisements, and redirects.

use super::option::{Options, OptionsOut, Prefixes};
use crate::wire::checksum::PseudoHeader;
use crate::wire::error::{Error, NoRoom};
use crate::wire::ethernet::MacAddr;
use crate::wire::icmp::v6::fill_checksum;
use crate::wire::ipv6;
use core::net::Ipv6Addr;

/// Hop limit of every valid message. A router would have decremented it, so the sender is on the
/// link (RFC 4861 §3.1).
pub const HOP_LIMIT: u8 = 255;

/// All nodes on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// All routers on the link.
pub const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);

/// Message types.
mod kind {
    pub(super) const ROUTER_SOLICITATION: u8 = 133;
    pub(super) const ROUTER_ADVERTISEMENT: u8 = 134;
    pub(super) const NEIGHBOUR_SOLICITATION: u8 = 135;
    pub(super) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    pub(super) const REDIRECT: u8 = 137;
}

/// Returns the multicast group that solicitations for `address` are sent to (RFC 4291 §2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | a as u16, (b as u16) << 8 | c as u16)
}

/// Asks for the link-layer address of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourSolicitation {
    /// The address to resolve.
    pub target: Ipv6Addr,
    /// The sender's link-layer address; absent if the sender has no address yet (RFC 4862 §5.4).
    pub source_mac: Option<MacAddr>,
}

/// Announces the link-layer address of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourAdvertisement {
    /// The address advertised.
    pub target: Ipv6Addr,
    /// The sender is a router.
    pub router: bool,
    /// Answers a unicast solicitation, which proves two-way reachability.
    pub solicited: bool,
    /// Replaces the cached link-layer address.
    pub overrides: bool,
    /// The target's link-layer address.
    pub target_mac: Option<MacAddr>,
}

/// Asks routers for advertisements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterSolicitation {
    /// The sender's link-layer address.
    pub source_mac: Option<MacAddr>,
}

/// Preference of a router as the default router (RFC 4191 §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preference {
    /// Preferred to others.
    High,
    /// The preference of routers that do not send one.
    #[default]
    Medium,
    /// Used if no other router exists.
    Low,
}

impl Preference {
    /// Reads the preference from the flags of an advertisement. RFC 4191 §2.2: the reserved value
    /// counts as medium.
    const fn from_flags(flags: u8) -> Self {
        match flags >> 3 & 3 {
            0b01 => Self::High,
            0b11 => Self::Low,
            _ => Self::Medium,
        }
    }

    const fn to_flags(self) -> u8 {
        match self {
            Self::High => 0b01 << 3,
            Self::Medium => 0,
            Self::Low => 0b11 << 3,
        }
    }
}

/// Announces a better first hop (RFC 4861 §4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The better first hop; equal to the destination if that is on the link.
    pub target: Ipv6Addr,
    /// The destination that the redirect applies to.
    pub destination: Ipv6Addr,
    /// The target's link-layer address.
    pub target_mac: Option<MacAddr>,
}

/// Announces a router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterAdvertisement<'a> {
    /// Hop limit to use; zero if unspecified.
    pub hop_limit: u8,
    /// DHCPv6 provides addresses.
    pub managed: bool,
    /// DHCPv6 provides other configuration.
    pub other: bool,
    /// Preference among default routers.
    pub preference: Preference,
    /// Lifetime as a default router in seconds; zero if it is not one.
    pub lifetime_s: u16,
    /// Time in milliseconds that a neighbour counts as reachable; zero if unspecified.
    pub reachable_ms: u32,
    /// Interval of solicitations in milliseconds; zero if unspecified.
    pub retransmit_ms: u32,
    /// The router's link-layer address.
    pub source_mac: Option<MacAddr>,
    /// MTU of the link in bytes.
    pub mtu: Option<u32>,
    /// Prefixes of the link.
    pub prefixes: Prefixes<'a>,
}

/// A Neighbour Discovery message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Neighbour solicitation.
    NeighbourSolicitation(NeighbourSolicitation),
    /// Neighbour advertisement.
    NeighbourAdvertisement(NeighbourAdvertisement),
    /// Router solicitation.
    RouterSolicitation(RouterSolicitation),
    /// Router advertisement.
    RouterAdvertisement(RouterAdvertisement<'a>),
    /// Redirect.
    Redirect(Redirect),
}

/// Parses a message whose checksum `icmp::v6::parse` has verified. `ip` is the header of its
/// packet.
///
/// # Errors
/// - [`Error::Truncated`]: the message or an option ends early.
/// - [`Error::Malformed`]: invalid by RFC 4861 §6.1, §7.1 or §8.1.
/// - [`Error::Unsupported`]: not a message of Neighbour Discovery.
pub fn parse<'a>(ip: &ipv6::Header, bytes: &'a [u8]) -> Result<Message<'a>, Error> {
    // RFC 4861 §7.1.1:
    //   > The IP Hop Limit field has a value of 255, i.e., the packet could not possibly have been
    //   > forwarded by a router. [...] ICMP Code is 0.
    let &[kind, code, _, _, b4, b5, b6, b7] = bytes.first_chunk().ok_or(Error::Truncated)?;
    if ip.hop_limit != HOP_LIMIT || code != 0 {
        return Err(Error::Malformed);
    }
    let body = &bytes[8..];
    match kind {
        kind::ROUTER_SOLICITATION => router_solicitation(ip, body),
        kind::ROUTER_ADVERTISEMENT => router_advertisement(ip, [b4, b5, b6, b7], body),
        kind::NEIGHBOUR_SOLICITATION => neighbour_solicitation(ip, body),
        kind::NEIGHBOUR_ADVERTISEMENT => neighbour_advertisement(ip, b4, body),
        kind::REDIRECT => redirect(ip, body),
        _ => Err(Error::Unsupported),
    }
}

/// Validates by RFC 4861 §8.1. The check that the sender is the current first hop needs the routing
/// table and is left to the caller.
fn redirect<'a>(ip: &ipv6::Header, body: &'a [u8]) -> Result<Message<'a>, Error> {
    let (target, rest) = body.split_first_chunk::<16>().ok_or(Error::Truncated)?;
    let (destination, options) = rest.split_first_chunk::<16>().ok_or(Error::Truncated)?;
    let (target, destination) = (Ipv6Addr::from(*target), Ipv6Addr::from(*destination));
    // RFC 4861 §8.1:
    //   > IP Source Address is a link-local address. [...] The ICMP Destination Address field in
    //   > the redirect message does not contain a multicast address. [...] The ICMP Target Address
    //   > is either a link-local address (when redirected to a router) or the same as the ICMP
    //   > Destination Address
    let valid = ip.src.is_unicast_link_local()
        && !destination.is_multicast()
        && (target == destination || target.is_unicast_link_local());
    if !valid {
        return Err(Error::Malformed);
    }
    let target_mac = Options::parse(options)?.target_mac;
    Ok(Message::Redirect(Redirect { target, destination, target_mac }))
}

/// Splits off the target address that both neighbour messages begin with. Returns it and the
/// options.
fn target(body: &[u8]) -> Result<(Ipv6Addr, &[u8]), Error> {
    let (target, options) = body.split_first_chunk::<16>().ok_or(Error::Truncated)?;
    let target = Ipv6Addr::from(*target);
    if target.is_multicast() { Err(Error::Malformed) } else { Ok((target, options)) }
}

fn neighbour_solicitation<'a>(ip: &ipv6::Header, body: &'a [u8]) -> Result<Message<'a>, Error> {
    let (target, options) = target(body)?;
    let source_mac = Options::parse(options)?.source_mac;
    // RFC 4861 §7.1.1: with an unspecified source, the destination is a solicited-node group and
    // the message carries no source link-layer address.
    if ip.src.is_unspecified() && (source_mac.is_some() || ip.dst != solicited_node(target)) {
        return Err(Error::Malformed);
    }
    Ok(Message::NeighbourSolicitation(NeighbourSolicitation { target, source_mac }))
}

fn neighbour_advertisement<'a>(
    ip: &ipv6::Header,
    flags: u8,
    body: &'a [u8],
) -> Result<Message<'a>, Error> {
    let (target, options) = target(body)?;
    let solicited = flags & 0x40 != 0;
    // RFC 4861 §7.1.2:
    //   > If the IP Destination Address is a multicast address the Solicited flag is zero.
    if solicited && ip.dst.is_multicast() {
        return Err(Error::Malformed);
    }
    Ok(Message::NeighbourAdvertisement(NeighbourAdvertisement {
        target,
        router: flags & 0x80 != 0,
        solicited,
        overrides: flags & 0x20 != 0,
        target_mac: Options::parse(options)?.target_mac,
    }))
}

fn router_solicitation<'a>(ip: &ipv6::Header, options: &'a [u8]) -> Result<Message<'a>, Error> {
    let source_mac = Options::parse(options)?.source_mac;
    // RFC 4861 §6.1.1: without a source address there is no source link-layer address.
    if ip.src.is_unspecified() && source_mac.is_some() {
        return Err(Error::Malformed);
    }
    Ok(Message::RouterSolicitation(RouterSolicitation { source_mac }))
}

fn router_advertisement<'a>(
    ip: &ipv6::Header,
    [hop_limit, flags, l0, l1]: [u8; 4],
    body: &'a [u8],
) -> Result<Message<'a>, Error> {
    let (timers, area) = body.split_first_chunk::<8>().ok_or(Error::Truncated)?;
    let &[a, b, c, d, e, f, g, h] = timers;
    // RFC 4861 §6.1.2: > IP Source Address is a link-local address.
    if !ip.src.is_unicast_link_local() {
        return Err(Error::Malformed);
    }
    let options = Options::parse(area)?;
    Ok(Message::RouterAdvertisement(RouterAdvertisement {
        hop_limit,
        managed: flags & 0x80 != 0,
        other: flags & 0x40 != 0,
        preference: Preference::from_flags(flags),
        lifetime_s: u16::from_be_bytes([l0, l1]),
        reachable_ms: u32::from_be_bytes([a, b, c, d]),
        retransmit_ms: u32::from_be_bytes([e, f, g, h]),
        source_mac: options.source_mac,
        mtu: options.mtu,
        prefixes: Prefixes::of_area(area),
    }))
}

impl Message<'_> {
    /// Writes the message with its checksum to the start of `bytes` and returns its length. The
    /// packet must have a hop limit of [`HOP_LIMIT`].
    ///
    /// # Errors
    /// [`NoRoom`] when `bytes` is shorter than the message.
    pub fn emit(&self, pseudo: PseudoHeader, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let len = match self {
            Self::NeighbourSolicitation(solicitation) => solicitation.emit(bytes),
            Self::NeighbourAdvertisement(advertisement) => advertisement.emit(bytes),
            Self::RouterSolicitation(solicitation) => solicitation.emit(bytes),
            Self::RouterAdvertisement(advertisement) => advertisement.emit(bytes),
            Self::Redirect(redirect) => redirect.emit(bytes),
        }?;
        fill_checksum(pseudo, bytes.get_mut(..len).ok_or(NoRoom)?);
        Ok(len)
    }
}

/// Writes a fixed part of `N` bytes and the options behind it. Returns the length of both.
fn emit_parts<const N: usize>(
    fixed: [u8; N],
    options: OptionsOut<'_>,
    bytes: &mut [u8],
) -> Result<usize, NoRoom> {
    let (here, rest) = bytes.split_first_chunk_mut::<N>().ok_or(NoRoom)?;
    *here = fixed;
    Ok(N + options.emit(rest)?)
}

impl NeighbourSolicitation {
    fn emit(&self, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let mut fixed = [0; 24];
        fixed[0] = kind::NEIGHBOUR_SOLICITATION;
        fixed[8..].copy_from_slice(&self.target.octets());
        let options = OptionsOut { source_mac: self.source_mac, ..OptionsOut::default() };
        emit_parts(fixed, options, bytes)
    }
}

impl NeighbourAdvertisement {
    fn emit(&self, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let mut fixed = [0; 24];
        fixed[0] = kind::NEIGHBOUR_ADVERTISEMENT;
        fixed[4] = u8::from(self.router) << 7
            | u8::from(self.solicited) << 6
            | u8::from(self.overrides) << 5;
        fixed[8..].copy_from_slice(&self.target.octets());
        let options = OptionsOut { target_mac: self.target_mac, ..OptionsOut::default() };
        emit_parts(fixed, options, bytes)
    }
}

impl Redirect {
    fn emit(&self, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let mut fixed = [0; 40];
        fixed[0] = kind::REDIRECT;
        fixed[8..24].copy_from_slice(&self.target.octets());
        fixed[24..].copy_from_slice(&self.destination.octets());
        let options = OptionsOut { target_mac: self.target_mac, ..OptionsOut::default() };
        emit_parts(fixed, options, bytes)
    }
}

impl RouterSolicitation {
    fn emit(&self, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let fixed = [kind::ROUTER_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        let options = OptionsOut { source_mac: self.source_mac, ..OptionsOut::default() };
        emit_parts(fixed, options, bytes)
    }
}

impl RouterAdvertisement<'_> {
    fn emit(&self, bytes: &mut [u8]) -> Result<usize, NoRoom> {
        let mut fixed = [0; 16];
        fixed[0] = kind::ROUTER_ADVERTISEMENT;
        fixed[4] = self.hop_limit;
        fixed[5] =
            u8::from(self.managed) << 7 | u8::from(self.other) << 6 | self.preference.to_flags();
        fixed[6..8].copy_from_slice(&self.lifetime_s.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.reachable_ms.to_be_bytes());
        fixed[12..16].copy_from_slice(&self.retransmit_ms.to_be_bytes());
        let options = OptionsOut {
            source_mac: self.source_mac,
            target_mac: None,
            mtu: self.mtu,
            prefixes: self.prefixes,
        };
        emit_parts(fixed, options, bytes)
    }
}
