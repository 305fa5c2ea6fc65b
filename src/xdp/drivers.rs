//! Facts about drivers that no interface reports.
//!
//! Owns the driver names. Everything that can be queried is in `features` and `probe`.

/// Drivers whose NICs count receive buffers in units of at most 128 bytes, so that a chunk of 2,048
/// bytes with 256 bytes of headroom holds a whole frame (i40e, ice: `I40E_RXQ_CTX_DBUFF_SHIFT`,
/// `ICE_RLAN_CTX_DBUF_S`; mlx5 rejects sizes that do not fit).
const FINE_GRAINED_BUFFERS: [&str; 3] = ["i40e", "ice", "mlx5_core"];

/// Returns true if a zero-copy chunk of 2,048 bytes holds a whole frame of 1,518 bytes.
///
/// igb, igc and the older NICs of ixgbe count buffers in KiB (`E1000_SRRCTL_BSIZEPKT_SHIFT`): of
/// 1,792 bytes they use 1,024 and, on igb, split longer frames into separate packets without
/// indicating that they belong together. A chunk of a page works with every driver but costs
/// memory, so it is the choice for unknown drivers.
pub fn takes_half_pages(driver: Option<&str>) -> bool {
    driver.is_some_and(|name| FINE_GRAINED_BUFFERS.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_that_split_frames_and_unknown_drivers_get_whole_pages() {
        for driver in [Some("igb"), Some("igc"), Some("ixgbe"), Some("virtio_net"), None] {
            assert!(!takes_half_pages(driver), "{driver:?}");
        }
        assert!(takes_half_pages(Some("ice")));
    }
}
