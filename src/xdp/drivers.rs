//! What is known of drivers and no interface tells.
//!
//! Owns the names. Whatever can be asked (`features`, `probe`) is not here.

/// Drivers whose NICs count receive buffers in units of 128 bytes or less, so that a chunk of 2,048 bytes with its
/// 256 of headroom takes a whole frame (i40e, ice: `I40E_RXQ_CTX_DBUFF_SHIFT`, `ICE_RLAN_CTX_DBUF_S`; mlx5 refuses
/// what does not fit).
const COUNTS_FINELY: [&str; 3] = ["i40e", "ice", "mlx5_core"];

/// Whether a zero-copy chunk of 2,048 bytes takes a whole frame of 1,518.
///
/// igb, igc and the older of ixgbe count buffers in KiB (`E1000_SRRCTL_BSIZEPKT_SHIFT`): of 1,792 bytes they use 1,024
/// and, on igb, split longer frames into separate packets without saying that they belong together. A
/// chunk of a page is right for every driver and costs memory, so that it is what unknown ones get.
pub fn takes_half_pages(driver: Option<&str>) -> bool {
    driver.is_some_and(|name| COUNTS_FINELY.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_splits_frames_or_is_unknown_gets_whole_pages() {
        for driver in [Some("igb"), Some("igc"), Some("ixgbe"), Some("virtio_net"), None] {
            assert!(!takes_half_pages(driver), "{driver:?}");
        }
        assert!(takes_half_pages(Some("ice")));
    }
}
