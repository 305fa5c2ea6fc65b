//! The maximum segment size: its defaults, and what remains of it beside the timestamps option (RFC
//! 9293 §3.7.1, RFC 6691).

/// The MSS of a peer that sends no option, for IPv4 and IPv6 (RFC 9293 MUST-15).
pub(super) const MSS_DEFAULT: [u16; 2] = [536, 1220];

/// Minimum MSS accepted from a peer, options included. Below it, the 12 bytes of timestamps would
/// leave almost no room, and a peer could make us send one packet per byte (CVE-2019-11479).
pub(super) const MSS_MIN: u16 = 64;

/// Bytes of the timestamps option, padded (RFC 7323 appendix A).
pub(super) const TIMESTAMPS_LEN: u16 = 12;

/// Returns Eff.snd.MSS for a peer that accepts segments of `mss` bytes (RFC 9293 §3.7.1, RFC 6691).
/// The MSS option does not count the options of each segment, so the sender subtracts them; RFC
/// 2525 §2.18 describes the failure to do so.
pub(super) fn effective_mss(mss: u16, timestamps: bool) -> u16 {
    let options = if timestamps { TIMESTAMPS_LEN } else { 0 };
    mss.max(MSS_MIN) - options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_take_twelve_bytes_of_every_segment() {
        assert_eq!(effective_mss(1460, true), 1448);
        assert_eq!(effective_mss(1460, false), 1460);
        assert_eq!(effective_mss(1, true), 52);
    }
}
