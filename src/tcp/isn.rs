//! Initial sequence numbers (RFC 6528) and the timestamp clock (RFC 7323 §5.4).
//!
//! Owns the secret and the two clocks. Refuses to know the format of a flow's key: it takes bytes.

use siphasher::sip::SipHasher24;

use super::SeqNum;
use crate::time::Instant;

/// The values derived from a flow's addresses and the host's secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowSecrets {
    /// F() of RFC 6528 §3.
    pub isn_offset: u32,
    /// Added to the timestamp clock of this flow. It hides the uptime from remote hosts (RFC 7323
    /// §7), while successive connections of one flow see one clock that never runs backwards.
    pub timestamp_offset: u32,
}

/// Nanoseconds per step of the sequence number clock: 4 µs (RFC 9293 §3.4.1).
const ISN_TICK_NS: u64 = 4_000;

/// Generates initial sequence numbers and timestamp offsets.
#[derive(Clone)]
pub struct IsnGenerator {
    hasher: SipHasher24,
}

impl core::fmt::Debug for IsnGenerator {
    // The secret stays out of logs.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IsnGenerator").finish_non_exhaustive()
    }
}

impl IsnGenerator {
    /// Creates a generator keyed with 128 random bits from the operating system, fresh at each
    /// start.
    pub fn new(secret: [u8; 16]) -> Self {
        Self { hasher: SipHasher24::new_with_key(&secret) }
    }

    /// F(localip, localport, remoteip, remoteport, secretkey) of RFC 6528 §3. `key` encodes the
    /// four-tuple, identically for every connection of the flow. One SipHash gives both halves.
    #[inline]
    pub fn secrets(&self, key: &[u8]) -> FlowSecrets {
        let hash = self.hasher.hash(key);
        FlowSecrets { isn_offset: hash as u32, timestamp_offset: (hash >> 32) as u32 }
    }

    /// Returns the initial sequence number of a connection opened now.
    ///
    /// RFC 6528 §3:
    ///   > ISN = M + F(localip, localport, remoteip, remoteport, secretkey)
    ///   > where M is the 4 microsecond timer
    #[inline]
    pub fn isn(&self, secrets: FlowSecrets, now: Instant) -> SeqNum {
        SeqNum(((now.as_nanos() / ISN_TICK_NS) as u32).wrapping_add(secrets.isn_offset))
    }
}

/// TSval: a millisecond clock plus the flow's offset. RFC 7323 §5.4 requires a tick between 1 ms
/// and 1 s. At 1 ms the sign bit wraps in 24.8 days.
#[inline]
pub const fn timestamp(now: Instant, offset: u32) -> u32 {
    (now.as_millis() as u32).wrapping_add(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    #[test]
    fn the_sequence_number_clock_ticks_every_4_microseconds_and_wraps() {
        let isn = IsnGenerator::new([7; 16]);
        let secrets = isn.secrets(b"flow");
        let start = Instant::from_millis(1);
        let first = isn.isn(secrets, start);
        assert_eq!(isn.isn(secrets, start + Duration::from_nanos(3_999)), first);
        assert_eq!(isn.isn(secrets, start + Duration::from_micros(4)), first + 1);
        assert_eq!(isn.isn(secrets, start + Duration::from_micros(4 << 32)), first);
    }

    #[test]
    fn secrets_are_stable_per_flow_and_differ_between_flows_and_hosts() {
        let isn = IsnGenerator::new([7; 16]);
        assert_eq!(isn.secrets(b"flow"), isn.secrets(b"flow"));
        assert_ne!(isn.secrets(b"flow"), isn.secrets(b"flaw"));
        assert_ne!(isn.secrets(b"flow"), IsnGenerator::new([8; 16]).secrets(b"flow"));
    }

    #[test]
    fn the_timestamp_clock_counts_milliseconds_from_the_offset_of_the_flow() {
        assert_eq!(timestamp(Instant::from_millis(5), u32::MAX), 4);
        assert_eq!(timestamp(Instant::from_millis(5) + Duration::from_nanos(999_999), 0), 5);
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert_eq!(format!("{:?}", IsnGenerator::new([7; 16])), "IsnGenerator { .. }");
    }
}
