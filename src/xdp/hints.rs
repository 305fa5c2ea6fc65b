//! Metadata that received frames may carry beside their bytes.

use super::features::XdpFeatures;

/// Metadata that frames may carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// A VLAN tag that the NIC stripped is reinserted into the frame.
    pub vlan: bool,
    /// Time of arrival: the driver's timestamp if it is of the system's clock, otherwise the time
    /// at which the program saw the frame.
    pub stamp: bool,
    /// Hash by which the NIC chose the queue.
    pub hash: bool,
}

impl Hints {
    /// Returns the metadata that a driver provides.
    pub const fn of_driver(features: XdpFeatures) -> Self {
        Self {
            vlan: features.provides_vlan(),
            stamp: features.provides_timestamp(),
            hash: features.provides_hash(),
        }
    }

    /// Returns the metadata contained in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            vlan: self.vlan && other.vlan,
            stamp: self.stamp && other.stamp,
            hash: self.hash && other.hash,
        }
    }

    /// Returns true without any metadata.
    pub const fn is_empty(self) -> bool {
        !self.vlan && !self.stamp && !self.hash
    }

    /// Returns the names, as in [`XdpFeatures::rx_metadata`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let all = [(self.stamp, "timestamp"), (self.hash, "hash"), (self.vlan, "VLAN tag")];
        all.into_iter().filter(|(has, _)| *has).map(|(_, name)| name)
    }
}
