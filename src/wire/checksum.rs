//! The Internet checksum (RFC 1071): sums over byte ranges, pseudo-headers, copy and sum in one
//! pass, incremental update, and recognition of checksums that an offload was meant to complete.
//!
//! Words are added as little-endian numbers, eight bytes at a time. The one's complement sum does
//! not depend on the byte order (RFC 1071 §2 (B)), so bytes are swapped only once, at the end.

use super::protocol::Protocol;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes per step of the wide loop. With a smaller block the setup costs more than the loop gains;
/// with a much larger one, too many bytes are left for the narrow loop.
const BLOCK: usize = 64;

/// Independent sums of the wide loop: two vector registers. With more, the compiler spends its time
/// on adding them up at the end.
const LANES: usize = 4;

/// Bytes copied before they are summed. They must still be in the L1 cache then.
const PIECE: usize = 4096;

/// A one's complement sum that is not yet folded to 16 bits.
///
/// Modulo 2^16 - 1 it is the sum of the 16-bit words. 2^64 is 1 in that arithmetic, so the carry
/// out of the top is added at the bottom (RFC 1071 §2 (C): "Parallel Summation").
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Sum(u64);

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// Adds two sums.
    #[inline]
    pub const fn plus(self, other: Self) -> Self {
        self.plus_word(other.0)
    }

    /// Appends the sum of the bytes that follow a range of `bytes_before` bytes. After an odd
    /// number of bytes, each byte is in the other half of its word (RFC 1071 §2 (B)).
    #[inline]
    pub const fn then(self, bytes_before: usize, next: Self) -> Self {
        if bytes_before.is_multiple_of(2) {
            self.plus(next)
        } else {
            self.plus_word(next.fold().swap_bytes() as u64)
        }
    }

    /// Returns the checksum, the complement of the sum, as a number to write in network byte order.
    #[inline]
    #[must_use]
    pub const fn checksum(self) -> u16 {
        !self.fold().swap_bytes()
    }

    /// Returns true if a byte range that contains its own checksum has the sum of an intact one.
    #[inline]
    #[must_use]
    pub const fn is_intact(self) -> bool {
        // An intact sum folds to 0xffff, so it is a multiple of 0xffff and not zero. Multiplying by
        // the inverse of an odd number maps its multiples, and only those, to the smallest numbers:
        // one multiplication instead of the chain of additions of a fold.
        const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
        const _: () = assert!(INVERSE.wrapping_mul(0xffff) == 1);
        self.0.wrapping_mul(INVERSE).wrapping_sub(1) < u64::MAX / 0xffff
    }

    /// Adds eight bytes that start on a word boundary. For headers composed in registers: reading
    /// them back from the frame would wait for the stores.
    #[inline]
    pub const fn plus_eight(self, bytes: [u8; 8]) -> Self {
        self.plus_word(u64::from_le_bytes(bytes))
    }

    /// Adds four bytes that start on a word boundary.
    #[inline]
    pub const fn plus_four(self, bytes: [u8; 4]) -> Self {
        self.plus_word(u32::from_le_bytes(bytes) as u64)
    }

    #[inline]
    const fn plus_word(self, word: u64) -> Self {
        let (sum, carry) = self.0.overflowing_add(word);
        Self(sum + carry as u64)
    }

    /// Folds to 16 bits, little-endian. Returns zero only if all added words are zero.
    #[inline]
    const fn fold(self) -> u16 {
        let (half, carry) = (self.0 as u32).overflowing_add((self.0 >> 32) as u32);
        let half = half + carry as u32;
        let (word, carry) = (half as u16).overflowing_add((half >> 16) as u16);
        word + carry as u16
    }
}

/// Sums a byte range. An odd range is padded with a zero byte (RFC 9293 §3.1).
#[inline]
pub fn sum(bytes: &[u8]) -> Sum {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let total = if blocks.is_empty() { Sum::ZERO } else { sum_blocks(blocks) };
    total.plus(sum_short(rest))
}

/// Sums a header of fixed length, without a loop.
#[inline(always)]
pub fn sum_fixed<const N: usize>(header: &[u8; N]) -> Sum {
    sum_short(header)
}

/// Sums 32-bit halves into 64-bit lanes, which the compiler vectorizes. A lane would overflow after
/// 2^31 blocks; no packet is that long.
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

/// Sums headers and tails, eight bytes at a time with end-around carry.
#[inline(always)]
fn sum_short(bytes: &[u8]) -> Sum {
    let (words, tail) = bytes.as_chunks::<8>();
    let total =
        words.iter().fold(Sum::ZERO, |total, word| total.plus_word(u64::from_le_bytes(*word)));
    if tail.is_empty() { total } else { total.plus_word(tail_word(tail)) }
}

/// Returns up to seven bytes as the low end of a word.
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

/// Copies `source` to the start of `target` and sums it on the way, so that the bytes are read from
/// memory once. If `target` is shorter, copies and sums only the bytes that fit.
///
/// Each piece is copied, then summed while it is in the L1 cache. The platform's copy is so much
/// faster than a loop that stores and adds word by word that this form is faster for cached and
/// uncached data.
#[inline]
pub fn copy_and_sum(source: &[u8], target: &mut [u8]) -> Sum {
    let len = source.len().min(target.len());
    let mut total = Sum::ZERO;
    // All pieces except the last have an even length, so each starts on a word.
    for (from, to) in source[..len].chunks(PIECE).zip(target[..len].chunks_mut(PIECE)) {
        to.copy_from_slice(from);
        total = total.plus(sum(from));
    }
    total
}

/// Updates a checksum after one aligned 16-bit word changed from `old` to `new`
/// (RFC 1624 §3, eqn. 3).
#[inline]
#[must_use]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    // > HC' = ~(~HC + ~m + m')
    let sum = Sum(!checksum as u64 + !old as u64 + new as u64);
    !sum.fold()
}

/// Result of checking a segment's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// The checksum matches.
    Good,
    /// The field holds the sum of the pseudo-header alone, not complemented: a kernel left the rest
    /// to an offload, and the virtual link that carried the segment has none. The bytes are not
    /// protected.
    PseudoHeaderOnly,
    /// The checksum does not match.
    Bad,
}

/// The addresses' part of the pseudo-header of TCP and ICMPv6 (RFC 9293 §3.1, RFC 8200 §8.1).
/// Constant for a flow.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct PseudoHeader(Sum);

impl PseudoHeader {
    /// Creates the pseudo-header of two IPv4 addresses.
    #[inline]
    pub const fn v4(src: Ipv4Addr, dst: Ipv4Addr) -> Self {
        let sum = u32::from_le_bytes(src.octets()) as u64 + u32::from_le_bytes(dst.octets()) as u64;
        Self(Sum(sum))
    }

    /// Creates the pseudo-header of two IPv6 addresses.
    #[inline]
    pub const fn v6(src: Ipv6Addr, dst: Ipv6Addr) -> Self {
        const fn halves(address: Ipv6Addr) -> Sum {
            let bits = u128::from_le_bytes(address.octets());
            Sum(bits as u64).plus_word((bits >> 64) as u64)
        }
        Self(halves(src).plus(halves(dst)))
    }

    /// Creates the pseudo-header of two addresses. Returns `None` if their families differ.
    #[inline]
    pub const fn new(src: IpAddr, dst: IpAddr) -> Option<Self> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => Some(Self::v4(src, dst)),
            (IpAddr::V6(src), IpAddr::V6(dst)) => Some(Self::v6(src, dst)),
            _ => None,
        }
    }

    /// Returns the sum of the whole pseudo-header. The two formats differ only in their padding,
    /// which does not contribute.
    #[inline]
    pub const fn with(self, protocol: Protocol, len: usize) -> Sum {
        let protocol = (protocol.0 as u64) << 8;
        self.0.plus_word((len as u32).swap_bytes() as u64 + protocol)
    }

    /// Verifies a segment whose checksum field is the two bytes at `field_at`.
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

/// Returns true if a checksum field holds what a kernel leaves for its offload: the folded sum of
/// the pseudo-header, not complemented.
#[inline]
#[must_use]
pub const fn is_pseudo_header_only(pseudo: Sum, field: u16) -> bool {
    pseudo.fold() == field.swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 1071 §4.1, one word at a time.
    fn reference(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_rfc_1071_matches() {
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
    fn an_intact_sum_folds_to_all_ones() {
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
        fn any_bytes_sum_like_the_reference(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(sum(&bytes).checksum(), reference(&bytes));
        }

        #[test]
        fn copy_and_sum_copies_and_sums(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
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
        fn a_copy_to_a_shorter_target_is_truncated(bytes in prop::collection::vec(any::<u8>(), 1..200)) {
            let mut copy = vec![0; bytes.len() / 2];
            prop_assert_eq!(copy_and_sum(&bytes, &mut copy).checksum(), reference(&copy));
            prop_assert_eq!(&copy[..], &bytes[..bytes.len() / 2]);
        }

        #[test]
        fn an_update_equals_a_new_sum(mut bytes in any::<[u8; 20]>(), at in 0usize..10, new: u16) {
            let before = sum(&bytes).checksum();
            let old = u16::from_be_bytes([bytes[2 * at], bytes[2 * at + 1]]);
            bytes[2 * at..2 * at + 2].copy_from_slice(&new.to_be_bytes());
            let updated = update(before, old, new);
            // Zero has two representations in one's complement; both verify.
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
