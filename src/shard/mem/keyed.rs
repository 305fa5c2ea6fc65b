//! Keyed hashing for maps whose keys come from the network.

use core::hash::BuildHasher;

use siphasher::sip::SipHasher13;

/// Builds the keyed hashers of a map whose keys come from the network.
#[derive(Clone, Debug)]
pub(in crate::shard) struct Keyed(SipHasher13);

impl Keyed {
    pub(in crate::shard) fn new(secret: [u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(&secret))
    }
}

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        self.0
    }
}
