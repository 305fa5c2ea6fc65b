//! The key of a flow: both ports, the remote address, and the number of the local address.
//!
//! Owns the 20 bytes of the key that every flow stores, and their keyed hash. Addresses are stored
//! in the IPv6 form (IPv4 mapped, RFC 4291 §2.5.5.2), so that one comparison serves both families.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Third word of an IPv4-mapped address, as its bytes lie in memory: `::ffff:`.
const MAPPED: u32 = 0xffff_0000_u32.to_le();

/// The remote address, the remote port and the local port of a flow: the part of the key that an
/// entity stores, in 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct Remote {
    /// The remote address in the IPv6 form, in network order.
    address: [u32; 4],
    /// The remote port in the upper half, the local one in the lower.
    ports: u32,
}

/// Every entity stores one, so its size counts in the size targets of all three.
const _: () = assert!(size_of::<Remote>() == 20);

impl Remote {
    /// Marks a vacant entry: port 0 is never a remote port of TCP.
    pub(in crate::shard) const NONE: Self = Self { address: [0; 4], ports: 0 };

    /// Creates the key part of the flow between `address`:`port` and the local port.
    #[inline]
    pub fn new(address: IpAddr, port: u16, local_port: u16) -> Self {
        let words = match address {
            IpAddr::V4(v4) => [0, 0, MAPPED, u32::from_ne_bytes(v4.octets())],
            IpAddr::V6(v6) => {
                let octets = v6.octets();
                core::array::from_fn(|i| {
                    let at = 4 * i;
                    u32::from_ne_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
                })
            }
        };
        Self { address: words, ports: u32::from(port) << 16 | u32::from(local_port) }
    }

    /// Returns true if the flow runs over IPv4.
    #[inline]
    pub const fn is_ipv4(&self) -> bool {
        // One test instead of three branches.
        self.address[0] | self.address[1] | (self.address[2] ^ MAPPED) == 0
    }

    /// Returns the remote address in its own family.
    #[inline]
    pub fn address(&self) -> IpAddr {
        if self.is_ipv4() {
            return IpAddr::V4(Ipv4Addr::from(self.address[3].to_ne_bytes()));
        }
        let mut octets = [0; 16];
        for (word_bytes, word) in octets.chunks_exact_mut(4).zip(self.address) {
            word_bytes.copy_from_slice(&word.to_ne_bytes());
        }
        IpAddr::V6(Ipv6Addr::from(octets))
    }

    /// Returns the remote port.
    #[inline]
    pub const fn port(&self) -> u16 {
        (self.ports >> 16) as u16
    }

    /// Returns the local port.
    #[inline]
    pub const fn local_port(&self) -> u16 {
        self.ports as u16
    }

    /// Returns the remote address and port.
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address(), self.port())
    }

    /// Returns true for [`NONE`](Self::NONE), which marks a vacant entry.
    #[inline]
    pub(in crate::shard) const fn is_none(&self) -> bool {
        self.ports == 0
    }
}

/// A whole key: remote address, both ports, and the number of the local address in the shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Remote address and both ports.
    pub remote: Remote,
    /// Number of the local address.
    pub local: u8,
}

impl FlowKey {
    /// Creates the key of the flow between `remote`:`port` and local address number `local` at
    /// `local_port`.
    #[inline]
    pub fn new(remote: IpAddr, port: u16, local: u8, local_port: u16) -> Self {
        Self { remote: Remote::new(remote, port, local_port), local }
    }

    /// Returns the key as bytes, for the derivation of secrets (RFC 6528 §3).
    pub fn bytes(&self) -> [u8; 21] {
        let mut bytes = [0; 21];
        for (word_bytes, word) in bytes.chunks_exact_mut(4).zip(self.remote.address) {
            word_bytes.copy_from_slice(&word.to_ne_bytes());
        }
        bytes[16..20].copy_from_slice(&self.remote.ports.to_be_bytes());
        bytes[20] = self.local;
        bytes
    }
}

/// The keyed hash of flows: SipHash-1-3. A peer that chooses its addresses and ports still cannot
/// choose which of them collide, since the key never leaves the host.
#[derive(Clone, Copy, Debug)]
pub struct FlowHasher(Sip);

impl FlowHasher {
    /// Creates the hash under `secret`. Workers that steer by hash must share the secret.
    pub fn new(secret: [u8; 16]) -> Self {
        Self(Sip::new(secret))
    }

    /// Returns the hash of a flow. IPv4 hashes 9 bytes, IPv6 25; the lengths keep the families
    /// apart.
    #[inline(always)]
    pub fn hash(&self, key: &FlowKey) -> u64 {
        let [a, b, c, d] = key.remote.address;
        let word = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let (ports, local) = (key.remote.ports, u64::from(key.local));
        if key.remote.is_ipv4() {
            self.0.hash([word(d, ports)], local | 9 << 56)
        } else {
            self.0.hash([word(a, b), word(c, d), word(ports, 0)], local | 25 << 56)
        }
    }

    /// Returns the hash of a destination of active opens: the whole key but the local port. The
    /// length that ends the message differs from that of any flow.
    pub(in crate::shard) fn hash_destination(&self, remote: SocketAddr, local: u8) -> u64 {
        let [a, b, c, d] = Remote::new(remote.ip(), remote.port(), 0).address;
        let word = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        let port = u64::from(remote.port());
        self.0.hash([word(a, b), word(c, d), port], u64::from(local) | 26 << 56)
    }
}

/// SipHash-1-3 over whole words. Computes the same as `siphasher`, without its buffer for partial
/// words.
#[derive(Clone, Copy)]
struct Sip {
    /// State before the first word, initialised with the key.
    keyed: [u64; 4],
}

impl core::fmt::Debug for Sip {
    // The secret stays out of logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sip").finish_non_exhaustive()
    }
}

impl Sip {
    fn new(secret: [u8; 16]) -> Self {
        let half = |at: usize| u64::from_le_bytes(core::array::from_fn(|i| secret[at + i]));
        let (k0, k1) = (half(0), half(8));
        let keyed = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { keyed }
    }

    /// Hashes `words` and `last`, which holds the remaining bytes of the message (fewer than eight)
    /// and, in its highest byte, the message length.
    #[inline(always)]
    const fn hash<const N: usize>(&self, words: [u64; N], last: u64) -> u64 {
        let mut v = self.keyed;
        let mut at = 0;
        while at < N {
            v = Self::absorb(v, words[at]);
            at += 1;
        }
        v = Self::absorb(v, last);
        v[2] ^= 0xff;
        v = Self::round(Self::round(Self::round(v)));
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }

    #[inline(always)]
    const fn absorb(mut v: [u64; 4], word: u64) -> [u64; 4] {
        v[3] ^= word;
        v = Self::round(v);
        v[0] ^= word;
        v
    }

    #[inline(always)]
    const fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        [a, b, c, d]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use siphasher::sip::SipHasher13;
    use std::collections::HashSet;

    fn key(address: &str, port: u16, local: u8, local_port: u16) -> FlowKey {
        FlowKey::new(address.parse().expect("an address"), port, local, local_port)
    }

    #[test]
    fn a_key_returns_its_addresses_and_ports() {
        for (address, ipv4) in [("192.0.2.7", true), ("2001:db8::7", false), ("::1", false)] {
            let key = key(address, 40_000, 3, 80);
            assert_eq!(key.remote.address().to_string(), address);
            assert_eq!(key.remote.is_ipv4(), ipv4);
            assert_eq!((key.remote.port(), key.remote.local_port()), (40_000, 80));
        }
    }

    #[test]
    fn every_part_of_a_key_changes_its_hash() {
        let hasher = FlowHasher::new([7; 16]);
        let keys = [
            key("192.0.2.7", 1, 0, 80),
            key("192.0.2.8", 1, 0, 80),
            key("192.0.2.7", 2, 0, 80),
            key("192.0.2.7", 1, 1, 80),
            key("192.0.2.7", 1, 0, 81),
            key("2001:db8::7", 1, 0, 80),
            key("2001:db8::7", 1, 1, 80),
            key("2001:db8:1::7", 1, 0, 80),
        ];
        let hashes: HashSet<u64> = keys.iter().map(|k| hasher.hash(k)).collect();
        assert_eq!(hashes.len(), keys.len());
        let bytes: HashSet<[u8; 21]> = keys.iter().map(FlowKey::bytes).collect();
        assert_eq!(bytes.len(), keys.len());
    }

    #[test]
    fn the_hash_is_siphash_1_3() {
        use core::hash::Hasher;
        let secret = [3; 16];
        let key = key("2001:db8::7", 40_000, 3, 80);
        let [a, b, c, d] = key.remote.address;
        let mut sip = SipHasher13::new_with_key(&secret);
        for (high, low) in [(a, b), (c, d), (key.remote.ports, 0)] {
            sip.write_u64(u64::from(high) << 32 | u64::from(low));
        }
        sip.write_u8(key.local);
        assert_eq!(FlowHasher::new(secret).hash(&key), sip.finish());
    }

    #[test]
    fn different_secrets_give_different_hashes() {
        let key = key("192.0.2.7", 1, 0, 80);
        assert_ne!(FlowHasher::new([1; 16]).hash(&key), FlowHasher::new([2; 16]).hash(&key));
    }
}
