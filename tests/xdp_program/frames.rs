//! Hand-written frames, with as much of each format as the XDP program distinguishes.

pub(crate) const IP4: u16 = 0x0800;
pub(crate) const IP6: u16 = 0x86dd;
pub(crate) const ARP: u16 = 0x0806;
pub(crate) const VLAN: u16 = 0x8100;
pub(crate) const SERVICE_VLAN: u16 = 0x88a8;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP6: u8 = 58;
pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const DESTINATION: u8 = 60;

pub(crate) const OURS4: [u8; 4] = [10, 0, 0, 1];
pub(crate) const PEER4: [u8; 4] = [10, 0, 0, 2];
pub(crate) const OURS6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3];
pub(crate) const PEER6: [u8; 16] = [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
/// A foreign address in the same solicited-node group as `OURS6`.
pub(crate) const TWIN6: [u8; 16] = [0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3];
pub(crate) const ALL_NODES: [u8; 16] = [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

pub(crate) fn eth(ethertype: u16, payload: Vec<u8>) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &ethertype.to_be_bytes(), &payload].concat()
}

/// Returns the rest of a VLAN tag: control information and the type of the payload.
pub(crate) fn outer_type(ethertype: u16) -> [u8; 4] {
    let [high, low] = ethertype.to_be_bytes();
    [0x20, 7, high, low]
}

pub(crate) fn ipv4(
    from: [u8; 4],
    to: [u8; 4],
    protocol: u8,
    options: u8,
    payload: Vec<u8>,
) -> Vec<u8> {
    ipv4_with(from, to, protocol, options, 0, payload)
}

pub(crate) fn ipv4_with(
    from: [u8; 4],
    to: [u8; 4],
    protocol: u8,
    options: u8,
    fragment: u16,
    payload: Vec<u8>,
) -> Vec<u8> {
    let header = 20 + usize::from(options);
    let total = u16::try_from(header + payload.len()).expect("fits an IPv4 packet");
    let mut packet = vec![0x40 | (header / 4) as u8, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from);
    packet.extend(to);
    packet.resize(header, 1);
    packet.extend(payload);
    packet
}

pub(crate) fn ipv6(from: [u8; 16], to: [u8; 16], next: u8, payload: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("fits an IPv6 packet");
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(length.to_be_bytes());
    packet.extend([next, 255]);
    packet.extend(from);
    packet.extend(to);
    packet.extend(payload);
    packet
}

/// Builds a chain of extension headers of `8 + 8 * length` bytes each that ends in `last`. The
/// header before it names the first kind.
pub(crate) fn extensions(kinds: &[u8], length: u8, last: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut chain = Vec::new();
    for next in kinds[1..].iter().chain([&last]) {
        chain.extend([*next, length]);
        chain.extend(vec![0; 6 + 8 * usize::from(length)]);
    }
    chain.extend(payload);
    chain
}

/// Builds a fragment header. `offset` is the field on the wire: units of eight bytes shifted by
/// three, and the more-fragments bit.
pub(crate) fn fragment_header(next: u8, offset: u16, payload: Vec<u8>) -> Vec<u8> {
    let [high, low] = offset.to_be_bytes();
    [&[next, 0, high, low, 0, 0, 0, 9][..], &payload].concat()
}

pub(crate) fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes(), [0, 0], [0, 1]].concat()
}

pub(crate) fn tcp(destination: u16) -> Vec<u8> {
    let mut segment = ports(40_000, destination);
    segment.extend([0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
    segment
}

pub(crate) fn icmp(kind: u8, quote: Vec<u8>) -> Vec<u8> {
    [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &quote].concat()
}

pub(crate) fn arp(target: [u8; 4]) -> Vec<u8> {
    arp_of(PEER4, target)
}

pub(crate) fn arp_of(sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
    let mut message = vec![0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2];
    message.extend(sender);
    message.extend([0; 6]);
    message.extend(target);
    message
}

pub(crate) fn solicited_node(address: [u8; 16]) -> [u8; 16] {
    let [.., a, b, c] = address;
    [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c]
}

pub(crate) fn neighbour(kind: u8, to: [u8; 16], target: [u8; 16]) -> Vec<u8> {
    eth(IP6, ipv6(PEER6, to, ICMP6, icmp(kind, target.to_vec())))
}

pub(crate) fn solicitation(to: [u8; 16], target: [u8; 16]) -> Vec<u8> {
    neighbour(135, to, target)
}

pub(crate) fn v4_of(protocol: u8, payload: Vec<u8>) -> Vec<u8> {
    eth(IP4, ipv4(PEER4, OURS4, protocol, 0, payload))
}

pub(crate) fn v6_of(next: u8, payload: Vec<u8>) -> Vec<u8> {
    eth(IP6, ipv6(PEER6, OURS6, next, payload))
}

pub(crate) fn v4(segment: Vec<u8>) -> Vec<u8> {
    v4_of(TCP, segment)
}

pub(crate) fn v6(segment: Vec<u8>) -> Vec<u8> {
    v6_of(TCP, segment)
}

/// Returns one frame for each path through the program, each redirected in one of the two roles.
pub(crate) fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let quote4 = ipv4(OURS4, PEER4, TCP, 8, ports(8080, 443));
    let quote6 = ipv6(OURS6, PEER6, TCP, ports(8080, 443));
    let tagged = |inner| [&outer_type(VLAN)[..], &outer_type(inner)].concat();
    let chain = extensions(&[HOP_BY_HOP, ROUTING, DESTINATION], 1, TCP, tcp(8080));
    vec![
        ("tcp", v4(tcp(8080))),
        ("tcp, IPv6", v6(tcp(8080))),
        ("tcp behind options", eth(IP4, ipv4(PEER4, OURS4, TCP, 12, tcp(8080)))),
        ("tcp behind extensions", v6_of(HOP_BY_HOP, chain)),
        ("tcp in two tags", {
            let packet = ipv4(PEER4, OURS4, TCP, 0, tcp(8080));
            eth(SERVICE_VLAN, [tagged(IP4), packet].concat())
        }),
        ("fragment", eth(IP4, ipv4_with(PEER4, OURS4, TCP, 0, 0x2000, tcp(8080)))),
        ("fragment, IPv6", v6_of(FRAGMENT, fragment_header(TCP, 1, tcp(8080)))),
        ("atomic fragment", v6_of(FRAGMENT, fragment_header(TCP, 0, tcp(8080)))),
        ("icmp error", v4_of(ICMP, icmp(3, quote4))),
        ("icmp error, IPv6", v6_of(ICMP6, icmp(2, quote6))),
        ("echo", v4_of(ICMP, icmp(8, vec![0; 16]))),
        ("solicitation", solicitation(solicited_node(OURS6), OURS6)),
        ("advertisement", neighbour(136, OURS6, PEER6)),
        ("arp", eth(ARP, arp(OURS4))),
    ]
}
