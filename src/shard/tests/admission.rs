//! The fast path and the slow path of the receive filter accept the same packets.

use std::net::{IpAddr, Ipv4Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::shard::AddressState;
use crate::shard::flow::key::FlowHasher;
use crate::shard::ip::locals::Locals;
use crate::shard::rx::batch::{Arrivals, Source};
use crate::shard::rx::parse::RxFilter;
use crate::wire::MacAddr;

const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const IP_AT: usize = 14;
const TCP_AT: usize = IP_AT + 20;

/// TCP options: timestamps as in most segments, none, those of a SYN, SACK, unaligned timestamps.
const OPTIONS: [&[u8]; 5] = [
    &[1, 1, 8, 10, 0, 0, 0, 9, 0, 0, 0, 7],
    &[],
    &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 7, 1, 3, 3, 7],
    &[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2],
    &[8, 10, 0, 0, 0, 9, 0, 0, 0, 7, 0, 0],
];

const MACS: [[u8; 6]; 5] = [MAC.0, MAC.0, [2, 0, 0, 0, 0, 9], [0xff; 6], [1, 0, 0x5e, 0, 0, 1]];

/// A remote host, local addresses, and addresses that are no valid source or destination.
const ADDRESSES: [[u8; 4]; 10] = [
    [192, 0, 2, 9],
    [192, 0, 2, 1],
    [192, 0, 2, 2],
    [198, 51, 100, 1],
    [0, 0, 0, 0],
    [127, 0, 0, 1],
    [224, 0, 0, 1],
    [240, 0, 0, 1],
    [255, 255, 255, 255],
    [192, 0, 2, 255],
];

#[derive(Clone, Debug)]
struct Packet {
    macs: [[u8; 6]; 2],
    addresses: [[u8; 4]; 2],
    ports: [u16; 2],
    flags: u8,
    options: &'static [u8],
    payload: Vec<u8>,
    padding: usize,
    /// Bytes to overwrite before the checksums are computed.
    before_checksum: Vec<(usize, u8)>,
    /// Bytes to overwrite after the checksums are computed.
    after_checksum: Vec<(usize, u8)>,
}

fn sum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn overwrite(frame: &mut [u8], bytes: &[(usize, u8)]) {
    for (at, byte) in bytes {
        let at = at % frame.len();
        frame[at] = *byte;
    }
}

impl Packet {
    fn frame(&self) -> Vec<u8> {
        let tcp_len = 20 + self.options.len() + self.payload.len();
        let mut frame = [&self.macs[0][..], &self.macs[1], &[8, 0, 0x45, 0]].concat();
        frame.extend(((20 + tcp_len) as u16).to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        frame.extend(self.addresses.concat());
        frame.extend(self.ports.iter().flat_map(|port| port.to_be_bytes()));
        frame.extend([0, 0, 0, 1, 0, 0, 0, 2]);
        frame.extend([((5 + self.options.len() / 4) << 4) as u8, self.flags, 1, 0, 0, 0, 0, 0]);
        frame.extend(self.options);
        frame.extend(&self.payload);
        overwrite(&mut frame, &self.before_checksum);
        frame[24..26].fill(0);
        let ip_sum = sum(&frame[IP_AT..TCP_AT], 0);
        frame[24..26].copy_from_slice(&ip_sum.to_be_bytes());
        frame[TCP_AT + 16..TCP_AT + 18].fill(0);
        let pseudo = sum(&frame[IP_AT + 12..TCP_AT], 6 + tcp_len as u32);
        let tcp_sum = sum(&frame[TCP_AT..], u32::from(!pseudo));
        frame[TCP_AT + 16..TCP_AT + 18].copy_from_slice(&tcp_sum.to_be_bytes());
        frame.resize(frame.len() + self.padding, 0);
        overwrite(&mut frame, &self.after_checksum);
        frame
    }
}

prop_compose! {
    fn packet()(
        macs in [select(&MACS[..]), select(&MACS[..])],
        addresses in [select(&ADDRESSES[..]), select(&ADDRESSES[..])],
        to_local in any::<bool>(),
        ports in [select(vec![0, 1, 80, 40_000]), select(vec![0, 1, 80, 40_000])],
        flags in any::<u8>(),
        options in select(&OPTIONS[..]),
        payload in vec(any::<u8>(), 0..40),
        padding in select(vec![0, 0, 0, 6]),
        before_checksum in vec((0..80_usize, any::<u8>()), 0..2),
        after_checksum in vec((0..80_usize, any::<u8>()), 0..2),
    ) -> Packet {
        let addresses = if to_local { [ADDRESSES[0], ADDRESSES[1]] } else { addresses };
        Packet { macs, addresses, ports, flags, options, payload, padding, before_checksum, after_checksum }
    }
}

/// Asserts that both paths agree on `frame`. Returns true if it was accepted.
fn assert_agreement(frame: &[u8]) -> Result<bool, TestCaseError> {
    let mut locals = Locals::new(&[
        (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 24),
        (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 24),
    ]);
    for number in locals.numbers() {
        locals.set_state(number, AddressState::Preferred);
    }
    let hasher = FlowHasher::new([7; 16]);
    let mut accepted = false;
    for accept_partial_checksums in [false, true] {
        let filter =
            RxFilter { mac: MAC, locals: &locals, hasher: &hasher, accept_partial_checksums };
        let (mut fast, mut slow) = (Arrivals::default(), Arrivals::default());
        let parsed = filter.parse(frame, Source::Link(0), &mut fast);
        let parsed_any = filter.parse_any(frame, Source::Link(0), &mut slow);
        prop_assert_eq!(parsed, parsed_any);
        prop_assert_eq!(format!("{fast:?}"), format!("{slow:?}"));
        accepted |= !fast.segments.is_empty();
    }
    Ok(accepted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn fast_path_and_slow_path_accept_the_same_packets(packet in packet()) {
        assert_agreement(&packet.frame())?;
    }

    #[test]
    fn fast_path_and_slow_path_reject_the_same_noise(frame in vec(any::<u8>(), 0..120)) {
        assert_agreement(&frame)?;
    }
}

#[test]
fn a_plain_segment_is_accepted() {
    for options in OPTIONS {
        let packet = Packet {
            macs: [MAC.0, MACS[2]],
            addresses: [ADDRESSES[0], ADDRESSES[1]],
            ports: [40_000, 80],
            flags: 0x10,
            options,
            payload: vec![1, 2, 3],
            padding: 0,
            before_checksum: vec![],
            after_checksum: vec![],
        };
        assert_eq!(assert_agreement(&packet.frame()).ok(), Some(true), "{options:?}");
    }
}
