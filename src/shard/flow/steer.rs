//! Steering: the worker that owns a flow.
//!
//! Owns the Toeplitz hash of receive-side scaling and the choice; refuses to know threads and
//! queues of frames. A worker hands over frames of flows that it does not own.

use core::net::{IpAddr, SocketAddr};

/// The Toeplitz hash of RSS, as NICs compute it over addresses and ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toeplitz {
    key: [u8; Self::KEY_BYTES],
}

impl Toeplitz {
    /// Length of a key in bytes: the 36 bytes of an IPv6 flow, and 4.
    pub const KEY_BYTES: usize = 40;

    /// Creates the hash with a NIC's key (`ethtool -x`). Key bytes beyond 40 are never used.
    pub const fn new(key: [u8; Self::KEY_BYTES]) -> Self {
        Self { key }
    }

    /// Returns the hash of a segment from `source` to `destination`. For a local flow the source is
    /// the remote end, as in the segments that the NIC receives.
    pub fn hash(&self, source: SocketAddr, destination: SocketAddr) -> u32 {
        let mut input = [0; 36];
        let mut len = 0;
        let mut put = |bytes: &[u8]| {
            input[len..len + bytes.len()].copy_from_slice(bytes);
            len += bytes.len();
        };
        for address in [source.ip(), destination.ip()] {
            match address {
                IpAddr::V4(v4) => put(&v4.octets()),
                IpAddr::V6(v6) => put(&v6.octets()),
            }
        }
        put(&source.port().to_be_bytes());
        put(&destination.port().to_be_bytes());
        self.hash_bytes(&input[..len])
    }

    /// XORs, for each bit set in the input, the 32 key bits that begin at the same position.
    fn hash_bytes(&self, input: &[u8]) -> u32 {
        let mut hash = 0;
        for (at, byte) in input.iter().enumerate() {
            // Eight windows of 32 bits lie within 39 bits of the key.
            let window = self.key[at..].iter().take(5).fold(0u64, |w, k| w << 8 | u64::from(*k));
            for bit in 0..8 {
                if byte >> (7 - bit) & 1 == 1 {
                    hash ^= (window >> (8 - bit)) as u32;
                }
            }
        }
        hash
    }
}

/// Division of flows among workers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Steering {
    /// The owner is unknown: a single worker, or a device whose choice is unknown. Each of several
    /// workers uses its own share of the ports for active opens.
    #[default]
    Single,
    /// The keyed hash of the flow determines the owner in software, for devices whose choice is
    /// unpredictable.
    Hash {
        /// Number of workers.
        workers: u16,
    },
    /// The NIC's RSS configuration determines the owner. Passive opens stay where the NIC puts
    /// them. Active opens choose ports whose replies return to their worker. A misdirected frame
    /// visits the workers in turn until it finds its flow.
    Rss {
        /// The NIC's hash.
        toeplitz: Toeplitz,
        /// The NIC's indirection table: maps the hash's low bits to the worker of the queue, or to
        /// [`NO_WORKER`].
        table: Box<[u16]>,
    },
}

/// Entry of the indirection table for a queue without a worker. Its frames pass to the kernel.
pub const NO_WORKER: u16 = u16::MAX;

impl Steering {
    /// Returns the worker that owns a flow; `hash` is the flow's keyed hash.
    #[inline]
    pub fn owner(&self, hash: u64, remote: SocketAddr, local: SocketAddr) -> u16 {
        match self {
            Self::Single => 0,
            Self::Hash { workers } => owner_by_hash(hash, *workers),
            Self::Rss { toeplitz, table } => {
                let at = toeplitz.hash(remote, local) as usize;
                at.checked_rem(table.len()).map_or(NO_WORKER, |entry| table[entry])
            }
        }
    }

    /// Returns the worker that owns a keyed hash, if hashes determine the owner.
    pub(in crate::shard) const fn owner_of_hash(&self, hash: u64) -> Option<u16> {
        match self {
            Self::Hash { workers } => Some(owner_by_hash(hash, *workers)),
            Self::Single | Self::Rss { .. } => None,
        }
    }

    /// Returns true if the key of a flow determines its owner.
    #[inline]
    pub const fn determines_owner(&self) -> bool {
        !matches!(self, Self::Single)
    }

    /// Returns true if new flows may begin on a worker that does not own them. With RSS, a flow
    /// belongs to the worker where it began.
    #[inline]
    pub const fn may_misdirect(&self) -> bool {
        matches!(self, Self::Hash { workers } if *workers > 1)
    }
}

/// Maps a hash to a worker, evenly. Uses the 14 bits between those that choose a bucket of the flow
/// table and those of its tag. With either of those, each worker would use only a part of its own
/// table.
#[inline]
const fn owner_by_hash(hash: u64, workers: u16) -> u16 {
    let bits = hash >> 26 & 0x3fff;
    ((bits * workers as u64) >> 14) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Key of Microsoft's "Verifying the RSS hash calculation", the default of most NICs.
    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f,
        0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
        0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address and a port")
    }

    #[test]
    fn toeplitz_matches_the_hashes_of_the_rss_specification() {
        let toeplitz = Toeplitz::new(KEY);
        // Destination first, as in the specification's table.
        let vectors = [
            ("161.142.100.80:1766", "66.9.149.187:2794", 0x51cc_c178),
            ("65.69.140.83:4739", "199.92.111.2:14230", 0xc626_b0ea),
            ("12.22.207.184:38024", "24.19.198.95:12898", 0x5c2b_394a),
            ("209.142.163.6:2217", "38.27.205.30:48228", 0xafc7_327f),
            ("202.188.127.2:1303", "153.39.163.191:44251", 0x10e8_28a2),
            ("[3ffe:2501:200:3::1]:1766", "[3ffe:2501:200:1fff::7]:2794", 0x4020_7d3d),
            ("[ff02::1]:4739", "[3ffe:501:8::260:97ff:fe40:efab]:14230", 0xdde5_1bbf),
            (
                "[fe80::200:f8ff:fe21:67cf]:38024",
                "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251",
                0x02d1_feef,
            ),
        ];
        for (destination, source, hash) in vectors {
            assert_eq!(toeplitz.hash(socket(source), socket(destination)), hash, "{source}");
        }
    }

    #[test]
    fn rss_follows_the_indirection_table() {
        let table: Box<[u16]> = (0..128).map(|entry| entry % 3).collect();
        let steering = Steering::Rss { toeplitz: Toeplitz::new(KEY), table };
        let (remote, local) = (socket("66.9.149.187:2794"), socket("161.142.100.80:1766"));
        assert_eq!(steering.owner(0, remote, local), (0x51cc_c178 % 128 % 3) as u16);
        assert!(!steering.may_misdirect());
        let none = Steering::Rss { toeplitz: Toeplitz::new(KEY), table: Box::default() };
        assert_eq!(none.owner(0, remote, local), NO_WORKER);
    }

    #[test]
    fn hash_steering_divides_evenly_and_leaves_the_bucket_bits_alone() {
        let any = socket("192.0.2.1:1");
        let steering = Steering::Hash { workers: 3 };
        let mut counts = [0; 3];
        let mut rng = crate::rng::Rng::new(5);
        for _ in 0..30_000 {
            let owner = steering.owner(rng.next_u64(), any, any);
            counts[usize::from(owner)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        assert_eq!(owner_by_hash(0x3ff_ffff, 64), owner_by_hash(0, 64));
        assert_eq!(Steering::Single.owner(u64::MAX, any, any), 0);
        assert_eq!(Steering::Hash { workers: 0 }.owner(u64::MAX, any, any), 0);
    }
}
