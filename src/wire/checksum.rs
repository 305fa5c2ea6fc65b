//! The Internet checksum (RFC 1071): sums over runs of bytes, pseudo-headers, copying and summing in
//! one pass, incremental update, and the recognition of sums that an offload was meant to finish.
//!
//! Words are added as little-endian numbers, eight bytes at a time: the one's complement sum does not
//! depend on the byte order (RFC 1071 §2 (B)), so that bytes are swapped only once, at the end.

use super::protocol::Protocol;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes that the wide loop takes at once: below, its start and end cost more than it gains; far above,
/// the tail that is left to the narrow loop does.
const BLOCK: usize = 64;

/// Independent sums of the wide loop. Two vector registers: with more, the compiler spends its time on
/// adding them up at the end.
const LANES: usize = 4;

/// Bytes that are copied before they are summed: they must still be in the first-level cache then.
const PIECE: usize = 4096;

/// A one's complement sum that is not folded to 16 bits yet.
///
/// Modulo 2^16 - 1 it is the sum of the 16-bit words; 2^64 is 1 in that arithmetic, so that the carry
/// out of the top comes back in at the bottom (RFC 1071 §2 (C): "Parallel Summation").
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// Both together.
    #[inline]
    pub const fn plus(self, other: Self) -> Self {
        self.plus_word(other.0)
    }

    /// Continues a sum over `bytes_before` bytes with the sum of the bytes that follow them. After an
    /// odd number of bytes each byte stands in the other half of its word (RFC 1071 §2 (B)).
    #[inline]
    pub const fn then(self, bytes_before: usize, next: Self) -> Self {
        if bytes_before.is_multiple_of(2) {
            self.plus(next)
        } else {
            self.plus_word(next.fold().swap_bytes() as u64)
        }
    }

    /// The checksum as the number that is written in network order: the complement of the sum.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.fold().swap_bytes()
    }

    /// Whether a run of bytes that holds its own checksum has this sum when it is intact.
    #[inline]
    #[must_use]
    pub const fn is_intact(self) -> bool {
        // What folds to 0xffff is a multiple of it, and not zero. Multiplied with the inverse of an odd number,
        // its multiples, and no others, become the smallest numbers: one multiplication, where folding is a
        // chain of additions.
        const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
        const _: () = assert!(INVERSE.wrapping_mul(0xffff) == 1);
        self.0.wrapping_mul(INVERSE).wrapping_sub(1) < u64::MAX / 0xffff
    }

    /// With eight bytes more, which stand on a word boundary. For headers that are composed in registers:
    /// reading them back from the frame would wait for the stores.
    #[inline]
    pub const fn plus_eight(self, bytes: [u8; 8]) -> Self {
        self.plus_word(u64::from_le_bytes(bytes))
    }

    /// With four bytes more, which stand on a word boundary.
    #[inline]
    pub const fn plus_four(self, bytes: [u8; 4]) -> Self {
        self.plus_word(u32::from_le_bytes(bytes) as u64)
    }

    #[inline]
    const fn plus_word(self, word: u64) -> Self {
        let (sum, carry) = self.0.overflowing_add(word);
        Self(sum + carry as u64)
    }

    /// Down to 16 bits, little-endian; zero only when all that was added is zero.
    #[inline]
    const fn fold(self) -> u16 {
        let (half, carry) = (self.0 as u32).overflowing_add((self.0 >> 32) as u32);
        let half = half + carry as u32;
        let (word, carry) = (half as u16).overflowing_add((half >> 16) as u16);
        word + carry as u16
    }
}

/// The sum of a run of bytes; an odd one ends with a byte of padding (RFC 9293 §3.1).
#[inline]
pub fn sum(bytes: &[u8]) -> Sum {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let total = if blocks.is_empty() { Sum::ZERO } else { sum_blocks(blocks) };
    total.plus(sum_short(rest))
}

/// The sum of a header of a known length, without a loop.
#[inline(always)]
pub fn sum_fixed<const N: usize>(header: &[u8; N]) -> Sum {
    sum_short(header)
}

/// Sums 32-bit halves into 64-bit lanes, which the compiler turns into vector code. A lane would
/// overflow after 2^31 blocks: no slice of packet bytes comes near.
fn sum_blocks(blocks: &[[u8; BLOCK]]) -> Sum {
    let mut lanes = [0u64; LANES];
    for block in blocks {
        let (words, _) = block.as_chunks::<4>();
        for (i, word) in words.iter().enumerate() {
            lanes[i % LANES] += u64::from(u32::from_le_bytes(*word));
        }
    }
    lanes.into_iter().fold(Sum::ZERO, Sum::plus_word)
}

/// For headers and tails: eight bytes at a time with the carry brought round.
#[inline(always)]
fn sum_short(bytes: &[u8]) -> Sum {
    let (words, tail) = bytes.as_chunks::<8>();
    let total =
        words.iter().fold(Sum::ZERO, |total, word| total.plus_word(u64::from_le_bytes(*word)));
    if tail.is_empty() { total } else { total.plus_word(tail_word(tail)) }
}

/// Up to seven bytes as the low end of a word.
#[inline]
fn tail_word(tail: &[u8]) -> u64 {
    let (mut word, mut shift, mut rest) = (0u64, 0, tail);
    if let Some((four, after)) = rest.split_first_chunk::<4>() {
        (word, shift, rest) = (u64::from(u32::from_le_bytes(*four)), 32, after);
    }
    if let Some((two, after)) = rest.split_first_chunk::<2>() {
        word |= u64::from(u16::from_le_bytes(*two)) << shift;
        (shift, rest) = (shift + 16, after);
    }
    if let Some(last) = rest.first() {
        word |= u64::from(*last) << shift;
    }
    word
}

/// Copies `source` to the start of `target` and sums it on the way, so that the bytes come from memory
/// once. Copies what fits when `target` is shorter; the sum is of what was copied.
///
/// A piece is copied, then summed out of the first-level cache: the platform's copy is so much better
/// than a loop that stores and adds word by word that this is the faster form, for data in the cache
/// and for data that is not.
#[inline]
pub fn copy_and_sum(source: &[u8], target: &mut [u8]) -> Sum {
    let len = source.len().min(target.len());
    let mut total = Sum::ZERO;
    // All pieces but the last have an even length, so each begins on a word.
    for (from, to) in source[..len].chunks(PIECE).zip(target[..len].chunks_mut(PIECE)) {
        to.copy_from_slice(from);
        total = total.plus(sum(from));
    }
    total
}

/// RFC 1624 §3, eqn. 3: the checksum after one aligned 16-bit word of the bytes went from `old` to `new`.
#[inline]
#[must_use]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    // > HC' = ~(~HC + ~m + m')
    let sum = Sum(!checksum as u64 + !old as u64 + new as u64);
    !sum.fold()
}

/// What the sum of a segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// Intact.
    Good,
    /// The field holds the sum of the pseudo-header alone, not complemented: a kernel left the rest to an
    /// offload, and the virtual link it went over has none. Nothing is known about the bytes.
    PseudoHeaderOnly,
    /// Damaged.
    Bad,
}

/// The addresses' part of the pseudo-header that TCP and ICMPv6 sum over (RFC 9293 §3.1,
/// RFC 8200 §8.1). Constant for a flow.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct PseudoHeader(Sum);

impl PseudoHeader {
    /// Between two IPv4 addresses.
    #[inline]
    pub const fn v4(src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        let sum = u32::from_le_bytes(src.octets()) as u64 + u32::from_le_bytes(dst.octets()) as u64;
        Self(Sum(sum))
    }

    /// Between two IPv6 addresses.
    #[inline]
    pub const fn v6(src: Ipv6Addr, dst: Ipv6Addr) -> Self {
        const fn halves(address: Ipv6Addr) -> Sum {
            let bits = u128::from_le_bytes(address.octets());
            Sum(bits as u64).plus_word((bits >> 64) as u64)
        }
        Self(halves(src).plus(halves(dst)))
    }

    /// Between two addresses of one family; of two families there is none.
    #[inline]
    pub const fn new(src: IpAddr, dst: IpAddr) -> Option<Self> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Some(Self::v4(src, dst)),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Some(Self::v6(src, dst)),
            _ => None,
        }
    }

    /// The sum of the whole pseudo-header. The two formats differ in their padding only, which does not
    /// count.
    #[inline]
    pub const fn with(self, protocol: Protocol, len: usize) -> Sum {
        let protocol = (protocol.0 as u64) << 8;
        self.0.plus_word((len as u32).swap_bytes() as u64 + protocol)
    }

    /// Judges a segment whose checksum field is the two bytes at `field_at`.
    #[inline]
    pub fn verify(self, protocol: Protocol, segment: &[u8], field_at: usize) -> Verdict {
        let pseudo = self.with(protocol, segment.len());
        if pseudo.plus(sum(segment)).is_intact() {
            Verdict::Good
        } else {
            unfinished_or_bad(pseudo, segment, field_at)
        }
    }
}

#[cold]
fn unfinished_or_bad(pseudo: Sum, segment: &[u8], field_at: usize) -> Verdict {
    match segment.get(field_at..field_at + 2) {
        Some(&[high, low]) if is_pseudo_header_only(pseudo, u16::from_be_bytes([high, low])) => {
            Verdict::PseudoHeaderOnly
        }
        _ => Verdict::Bad,
    }
}

/// Whether a checksum field is what a kernel leaves for its offload: the folded sum of the pseudo-header,
/// not complemented.
#[inline]
#[must_use]
pub const fn is_pseudo_header_only(pseudo: Sum, field: u16) -> bool {
    pseudo.fold() == field.swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 §4.1, word by word.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071_comes_out() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(sum(&bytes).checksum(), !0xddf2);
    }

    #[test]
    fn all_ones_do_not_overflow_the_lanes() {
        for len in [0, 1, 63, 64, 65, 1500, 65_535] {
            assert_eq!(sum(&vec![0xff; len]).checksum(), reference(&vec![0xff; len]), "{len}");
        }
    }

    #[test]
    fn a_sum_left_to_an_offload_is_recognised() {
        let (src, dst) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let pseudo = PseudoHeader::v4(src, dst);
        let mut segment = [7u8; 33];
        segment[16..18].copy_from_slice(&[0, 0]);
        let unfinished = !pseudo.with(Protocol::TCP, segment.len()).checksum();
        // 10.0.0.1 + 10.0.0.2 + protocol + length, as Linux's csum_tcpudp_magic leaves it.
        assert_eq!(unfinished, 0x0a00 + 1 + 0x0a00 + 2 + 6 + 33);
        segment[16..18].copy_from_slice(&unfinished.to_be_bytes());
        assert_eq!(pseudo.verify(Protocol::TCP, &segment, 16), Verdict::PseudoHeaderOnly);
        segment[16] ^= 1;
        assert_eq!(pseudo.verify(Protocol::TCP, &segment, 16), Verdict::Bad);
        assert_eq!(pseudo.verify(Protocol::TCP, &segment[..17], 16), Verdict::Bad);
    }

    #[test]
    fn addresses_of_two_families_have_no_pseudo_header() {
        assert!(PseudoHeader::new([10, 0, 0, 1].into(), IpAddr::V6(Ipv6Addr::LOCALHOST)).is_none());
    }

    #[test]
    fn intact_is_what_folds_to_all_ones() {
        for sum in [0, 1, 0xfffe, 0xffff, 0x1_0000, 0x1_fffe, u64::MAX - 1, u64::MAX] {
            assert_eq!(Sum(sum).is_intact(), Sum(sum).fold() == 0xffff, "{sum:#x}");
        }
    }

    proptest! {
        #[test]
        fn any_sum_is_intact_if_it_folds_to_all_ones(sum: u64, multiple: bool) {
            let sum = if multiple { sum - sum % 0xffff } else { sum };
            prop_assert_eq!(Sum(sum).is_intact(), Sum(sum).fold() == 0xffff);
        }

        #[test]
        fn any_bytes_sum_as_the_reference_says(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(sum(&bytes).checksum(), reference(&bytes));
        }

        #[test]
        fn copying_sums_and_copies(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut copy = vec![0; bytes.len()];
            prop_assert_eq!(copy_and_sum(&bytes, &mut copy).checksum(), reference(&bytes));
            prop_assert_eq!(copy, bytes);
        }

        #[test]
        fn runs_join_at_any_byte(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..200) {
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            let joined = sum(first).then(first.len(), sum(second));
            prop_assert_eq!(joined.checksum(), reference(&bytes));
        }

        #[test]
        fn a_copy_to_a_shorter_target_is_cut(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            let mut copy = vec![0; bytes.len() / 2];
            prop_assert_eq!(copy_and_sum(&bytes, &mut copy).checksum(), reference(&copy));
            prop_assert_eq!(&copy[..], &bytes[..bytes.len() / 2]);
        }

        #[test]
        fn an_update_is_as_good_as_a_new_sum(mut bytes in any::<[u8; 20]>(), at in 0usize..10, new: u16) {
            let before = sum(&bytes).checksum();
            let old = u16::from_be_bytes([bytes[2 * at], bytes[2 * at + 1]]);
            bytes[2 * at..2 * at + 2].copy_from_slice(&new.to_be_bytes());
            let updated = update(before, old, new);
            // Zero has two forms in one's complement; both verify.
            let fresh = sum(&bytes).checksum();
            prop_assert!(updated == fresh || [updated, fresh].iter().all(|sum| sum.is_multiple_of(0xffff)));
        }

        #[test]
        fn both_families_sum_their_pseudo_header(src: u128, dst: u128, len: u16) {
            let (src6, dst6) = (Ipv6Addr::from(src), Ipv6Addr::from(dst));
            let mut flat = [src6.octets(), dst6.octets()].concat();
            flat.extend([0, 0]);
            flat.extend(len.to_be_bytes());
            flat.extend([0, 0, 0, 6]);
            let pseudo = PseudoHeader::v6(src6, dst6).with(Protocol::TCP, usize::from(len));
            prop_assert_eq!(pseudo.checksum(), reference(&flat));

            let (src4, dst4) = (Ipv4Addr::from(src as u32), Ipv4Addr::from(dst as u32));
            let mut flat = [src4.octets(), dst4.octets()].concat();
            flat.extend([0, 6]);
            flat.extend(len.to_be_bytes());
            let pseudo = PseudoHeader::v4(src4, dst4).with(Protocol::TCP, usize::from(len));
            prop_assert_eq!(pseudo.checksum(), reference(&flat));
        }
    }
}
