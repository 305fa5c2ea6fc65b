//! Delivery rate estimation: one sample per ACK (draft-cheng-iccrg-delivery-rate-estimation, now
//! draft-ietf-ccwg-bbr §4.1).
//!
//! Owns the connection's counts of delivered and lost bytes, and the sample of the current ACK.
//! Refuses to know the segments: the records of segments in flight store a [`RateStamp`] each and
//! pass it back when the segment is delivered or lost. Times are microseconds modulo 2^32, amounts
//! bytes modulo 2^32; both are subtracted only within one flight.

use crate::time::{Duration, Instant};

/// Snapshot that a segment keeps from the time it was sent: 20 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateStamp {
    /// C.delivered at that time.
    delivered: u32,
    /// C.delivered_time at that time, microseconds.
    delivered_us: u32,
    /// Send time of the first segment of this sample's flight, in microseconds.
    first_sent_us: u32,
    /// C.lost at that time.
    lost: u32,
    /// Bytes in flight including the segment. The top bit says that the flight was
    /// application-limited.
    flight: u32,
}

/// Flag of an application-limited stamp. Flights stay below 2^30 (RFC 7323 §2.3).
const APP_LIMITED: u32 = 1 << 31;

impl RateStamp {
    /// Returns the bytes in flight just after the segment was sent.
    pub const fn tx_in_flight(&self) -> u32 {
        self.flight & !APP_LIMITED
    }

    /// Returns true if the application, not the path, limited the rate when the segment was sent.
    pub const fn is_app_limited(&self) -> bool {
        self.flight & APP_LIMITED != 0
    }
}

/// Delivery rate sample of an ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSample {
    /// Bytes delivered in the interval.
    pub delivered: u32,
    /// The longer of the send interval and the ACK interval.
    pub interval: Duration,
    /// C.delivered when the newest acknowledged segment was sent; used to count rounds.
    pub prior_delivered: u32,
    /// C.delivered now.
    pub total_delivered: u32,
    /// Bytes lost since that segment was sent.
    pub lost: u32,
    /// Bytes in flight just after it was sent.
    pub tx_in_flight: u32,
    /// True if the application limited the rate at that time: the path may be faster than the
    /// sample.
    pub is_app_limited: bool,
}

impl RateSample {
    /// Returns the rate in bytes per second.
    pub fn bytes_per_second(&self) -> u64 {
        let nanos = self.interval.as_nanos().max(1);
        u64::from(self.delivered).saturating_mul(1_000_000_000) / nanos
    }
}

/// A segment marked lost, as the model of the path needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Bytes of the segment.
    pub bytes: u32,
    /// Bytes lost since the segment was sent, itself included.
    pub lost: u32,
    /// Bytes in flight just after the segment was sent.
    pub tx_in_flight: u32,
    /// True if the application limited the rate at that time.
    pub is_app_limited: bool,
}

/// Estimator of one connection.
#[derive(Clone, Debug)]
pub struct RateEstimator {
    /// C.delivered.
    delivered: u32,
    /// C.delivered_time, microseconds.
    delivered_us: u32,
    /// C.first_send_time, microseconds.
    first_sent_us: u32,
    /// C.lost.
    lost: u32,
    /// C.app_limited: segments are stamped as application-limited until C.delivered passes it; 0 is
    /// off.
    app_limited_until: u32,
    /// The newest segment delivered by the current ACK, and its send time.
    newest: Option<(RateStamp, u32)>,
}

impl Default for RateEstimator {
    fn default() -> Self {
        // Before the first delivery the capacity of the path is unknown.
        Self {
            delivered: 0,
            delivered_us: 0,
            first_sent_us: 0,
            lost: 0,
            app_limited_until: 1,
            newest: None,
        }
    }
}

/// Returns `now` in the unit of the stamps.
pub const fn micros(now: Instant) -> u32 {
    (now.as_nanos() / 1_000) as u32
}

/// Returns true if `a` is not earlier than `b`.
const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}

impl RateEstimator {
    /// Records that a segment of `len` bytes is sent, new or retransmitted, with `in_flight` bytes
    /// in flight before it.
    pub fn on_sent(&mut self, now: Instant, len: u32, in_flight: u32) -> RateStamp {
        let now_us = micros(now);
        // draft-ietf-ccwg-bbr §4.1.2.2: when nothing is in flight, the send and delivery intervals
        // restart, so the rate excludes idle time.
        if in_flight == 0 {
            self.first_sent_us = now_us;
            self.delivered_us = now_us;
        }
        let flight = in_flight.saturating_add(len).min(APP_LIMITED - 1);
        let mark = if self.app_limited_until != 0 { APP_LIMITED } else { 0 };
        RateStamp {
            delivered: self.delivered,
            delivered_us: self.delivered_us,
            first_sent_us: self.first_sent_us,
            lost: self.lost,
            flight: flight | mark,
        }
    }

    /// Records the first acknowledgment, cumulative or selective, of a segment of `len` bytes sent
    /// at `sent_us` with `stamp`. After all segments of the same ACK follows [`Self::take_sample`].
    pub fn on_delivered(&mut self, now: Instant, stamp: &RateStamp, sent_us: u32, len: u32) {
        self.delivered = self.delivered.wrapping_add(len);
        self.delivered_us = micros(now);
        // The most recently sent of the delivered segments reflects the current path best.
        let newer = self.newest.is_none_or(|(_, newest_us)| at_or_after(sent_us, newest_us));
        if newer {
            self.newest = Some((*stamp, sent_us));
            // The next measured flight begins with it.
            self.first_sent_us = sent_us;
        }
    }

    /// Records that a segment of `len` bytes, sent with `stamp`, is marked lost.
    pub fn on_lost(&mut self, stamp: &RateStamp, len: u32) -> Loss {
        self.lost = self.lost.wrapping_add(len);
        Loss {
            bytes: len,
            lost: self.lost.wrapping_sub(stamp.lost),
            tx_in_flight: stamp.tx_in_flight(),
            is_app_limited: stamp.is_app_limited(),
        }
    }

    /// Returns the sample of the ACK, once all its deliveries are recorded.
    pub fn take_sample(&mut self) -> Option<RateSample> {
        // §4.1.2.3: the bubble is over when everything sent before it is delivered.
        if self.app_limited_until != 0
            && at_or_after(self.delivered, self.app_limited_until.wrapping_add(1))
        {
            self.app_limited_until = 0;
        }
        let (stamp, sent_us) = self.newest.take()?;
        //   > rs.interval = max(send_elapsed, ack_elapsed)
        // A burst of sending, or delayed ACKs that arrive together, cannot be faster than the path.
        let send_elapsed = sent_us.wrapping_sub(stamp.first_sent_us);
        let ack_elapsed = self.delivered_us.wrapping_sub(stamp.delivered_us);
        Some(RateSample {
            delivered: self.delivered.wrapping_sub(stamp.delivered),
            interval: Duration::from_micros(u64::from(send_elapsed.max(ack_elapsed))),
            prior_delivered: stamp.delivered,
            total_delivered: self.delivered,
            lost: self.lost.wrapping_sub(stamp.lost),
            tx_in_flight: stamp.tx_in_flight(),
            is_app_limited: stamp.is_app_limited(),
        })
    }

    /// Records that the application has nothing more to send though cwnd has room: what is sent
    /// until `in_flight` more bytes are delivered does not measure the path. Call this when the
    /// application writes, before the data is queued, if nothing is unsent, no lost segment waits
    /// for retransmission, and cwnd has room.
    pub fn on_app_limited(&mut self, in_flight: u32) {
        let until = self.delivered.wrapping_add(in_flight);
        self.app_limited_until = if until == 0 { 1 } else { until };
    }

    /// Returns true if segments sent now are stamped as application-limited.
    pub const fn is_app_limited(&self) -> bool {
        self.app_limited_until != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    /// Returns an estimator past the first delivery, so not application-limited.
    fn warm() -> RateEstimator {
        let mut e = RateEstimator::default();
        let stamp = e.on_sent(at(0), 1000, 0);
        e.on_delivered(at(0), &stamp, 0, 1000);
        e.on_delivered(at(0), &stamp, 0, 1000);
        e.take_sample();
        e
    }

    #[test]
    fn a_stamp_takes_20_bytes() {
        assert_eq!(size_of::<RateStamp>(), 20);
    }

    #[test]
    fn an_evenly_acknowledged_flight_measures_the_path_rate() {
        // draft-ietf-ccwg-bbr §4.1: ten segments sent at once, one delivered each millisecond.
        let mut e = warm();
        let stamps: Vec<_> = (0..10).map(|n| e.on_sent(at(100), 1000, n * 1000)).collect();
        let mut last = None;
        for (n, stamp) in stamps.iter().enumerate() {
            let now = at(120 + n as u64);
            e.on_delivered(now, stamp, micros(at(100)), 1000);
            last = e.take_sample();
        }
        let sample = last.unwrap();
        assert_eq!(sample.delivered, 10_000);
        assert_eq!(sample.interval, Duration::from_millis(29));
        assert_eq!(sample.bytes_per_second(), 10_000 * 1000 / 29);
        assert_eq!((sample.tx_in_flight, sample.is_app_limited), (10_000, false));
    }

    #[test]
    fn compressed_acks_do_not_exceed_the_send_rate() {
        // §4.1.1.4: segments sent one per millisecond, all acknowledged at one instant.
        let mut e = warm();
        let first = e.on_sent(at(100), 1000, 0);
        e.on_delivered(at(110), &first, micros(at(100)), 1000);
        e.take_sample();
        let stamps: Vec<_> = (0..10).map(|n| e.on_sent(at(110 + n), 1000, 1000)).collect();
        for (n, stamp) in stamps.iter().enumerate() {
            e.on_delivered(at(125), stamp, micros(at(110 + n as u64)), 1000);
        }
        let sample = e.take_sample().unwrap();
        assert_eq!(sample.delivered, 10_000);
        // Sent over 19 ms since the first, acknowledged over 15: the longer interval counts.
        assert_eq!(sample.interval, Duration::from_millis(19));
    }

    #[test]
    fn idle_time_does_not_lower_the_rate() {
        // §4.1.2.2: with nothing in flight, first_send_time and delivered_time are set to the
        // current time.
        let mut e = warm();
        let stamp = e.on_sent(at(60_000), 1000, 0);
        e.on_delivered(at(60_010), &stamp, micros(at(60_000)), 1000);
        assert_eq!(e.take_sample().unwrap().interval, Duration::from_millis(10));
    }

    #[test]
    fn segments_sent_in_a_bubble_are_application_limited() {
        // §4.1.2.4: C.app_limited = C.delivered + C.inflight.
        let mut e = warm();
        let before = e.on_sent(at(100), 1000, 0);
        e.on_app_limited(1000);
        let bubble = e.on_sent(at(101), 500, 1000);
        assert_eq!((before.is_app_limited(), bubble.is_app_limited()), (false, true));
        e.on_delivered(at(110), &before, micros(at(100)), 1000);
        assert!(!e.take_sample().unwrap().is_app_limited);
        assert!(e.is_app_limited(), "until the data sent in the bubble is delivered");
        e.on_delivered(at(111), &bubble, micros(at(101)), 500);
        assert!(e.take_sample().unwrap().is_app_limited);
        assert!(!e.on_sent(at(112), 1000, 0).is_app_limited());
    }

    #[test]
    fn the_first_flight_is_application_limited_until_something_is_delivered() {
        let mut e = RateEstimator::default();
        assert!(e.on_sent(at(0), 1000, 0).is_app_limited());
    }

    #[test]
    fn the_newest_segment_of_an_ack_gives_the_sample() {
        // §4.1.2.3: a retransmission that fills a hole is acknowledged with data sent before it.
        let mut e = warm();
        let old = e.on_sent(at(100), 1000, 0);
        let retransmitted = e.on_sent(at(130), 1000, 5000);
        e.on_delivered(at(150), &retransmitted, micros(at(130)), 1000);
        e.on_delivered(at(150), &old, micros(at(100)), 1000);
        assert_eq!(e.take_sample().unwrap().tx_in_flight, 6000);
        assert_eq!(e.take_sample(), None, "one ACK, one sample");
    }

    #[test]
    fn losses_are_counted_from_the_send_time_of_the_segment() {
        let mut e = warm();
        let first = e.on_sent(at(100), 1000, 0);
        let second = e.on_sent(at(100), 1000, 1000);
        assert_eq!(e.on_lost(&first, 1000).lost, 1000);
        let third = e.on_sent(at(110), 1000, 1000);
        let loss = e.on_lost(&second, 1000);
        assert_eq!((loss.lost, loss.tx_in_flight, loss.bytes), (2000, 2000, 1000));
        e.on_delivered(at(120), &third, micros(at(110)), 1000);
        assert_eq!(e.take_sample().unwrap().lost, 1000);
    }

    #[test]
    fn counts_and_clocks_wrap() {
        let mut e = warm();
        e.delivered = u32::MAX - 500;
        let late = Instant::from_nanos(u64::from(u32::MAX - 3) * 1000);
        let stamp = e.on_sent(late, 1000, 0);
        e.on_delivered(late + Duration::from_micros(10), &stamp, micros(late), 1000);
        let sample = e.take_sample().unwrap();
        assert_eq!((sample.delivered, sample.interval), (1000, Duration::from_micros(10)));
    }
}
