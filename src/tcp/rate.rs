//! How fast the path delivers: one estimate an ACK (draft-cheng-iccrg-delivery-rate-estimation, taken over
//! by draft-ietf-ccwg-bbr §4.1).
//!
//! Owns the connection's counts of what was delivered and lost, and the sample that an ACK is building.
//! Refuses to know which segments those are: whoever keeps the records of segments in flight puts a
//! [`RateStamp`] into each and hands it back when the segment is delivered or lost. Times in
//! microseconds modulo 2^32, amounts in bytes modulo 2^32: both are only subtracted over one flight.

use crate::time::{Duration, Instant};

/// What a segment remembers of the moment when it was sent: 20 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateStamp {
    /// C.delivered at that time.
    delivered: u32,
    /// C.delivered_time at that time, microseconds.
    delivered_us: u32,
    /// When the segment was sent that the flight of this sample began with, microseconds.
    first_sent_us: u32,
    /// C.lost at that time.
    lost: u32,
    /// Bytes in flight with it; the top bit tells that the program limited the rate then.
    flight: u32,
}

/// Marks a stamp of an application-limited time. No flight is as large (RFC 7323 §2.3: below 2^30).
const APP_LIMITED: u32 = 1 << 31;

impl RateStamp {
    /// Bytes in flight just after it was sent.
    pub const fn tx_in_flight(&self) -> u32 {
        self.flight & !APP_LIMITED
    }

    /// Whether the program, not the path, limited the rate when it was sent.
    pub const fn is_app_limited(&self) -> bool {
        self.flight & APP_LIMITED != 0
    }
}

/// What an ACK tells about the path's delivery rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSample {
    /// Bytes delivered in the interval.
    pub delivered: u32,
    /// The longer of the time they took to be sent and the time they took to be acknowledged.
    pub interval: Duration,
    /// C.delivered when the newest segment acknowledged was sent: with it, rounds are counted.
    pub prior_delivered: u32,
    /// C.delivered now.
    pub total_delivered: u32,
    /// Bytes lost since that segment was sent.
    pub lost: u32,
    /// Bytes in flight just after it was sent.
    pub tx_in_flight: u32,
    /// Whether the program limited the rate at that time: the path may be faster than the sample says.
    pub is_app_limited: bool,
}

impl RateSample {
    /// Bytes a second.
    pub fn bytes_per_second(&self) -> u64 {
        let nanos = self.interval.as_nanos().max(1);
        u64::from(self.delivered).saturating_mul(1_000_000_000) / nanos
    }
}

/// A segment taken for lost, as the model of the path needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Its bytes.
    pub bytes: u32,
    /// Bytes lost since it was sent, itself included.
    pub lost: u32,
    /// Bytes in flight just after it was sent.
    pub tx_in_flight: u32,
    /// Whether the program limited the rate at that time.
    pub is_app_limited: bool,
}

/// The connection's part.
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
    /// C.app_limited: segments are marked until C.delivered passes it; 0 is off.
    app_limited_until: u32,
    /// The newest segment that the ACK under way has delivered, and when it was sent.
    newest: Option<(RateStamp, u32)>,
}

impl Default for RateEstimator {
    fn default() -> Self {
        // Until something was delivered nobody knows what the path can do.
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

/// `now` as stamps count it.
pub const fn micros(now: Instant) -> u32 {
    (now.as_nanos() / 1_000) as u32
}

/// Whether `a` is later than `b`, or the same.
const fn at_or_after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 >= 0
}

impl RateEstimator {
    /// A segment of `len` bytes goes out, new or again, with `in_flight` bytes in flight before it.
    pub fn on_sent(&mut self, now: Instant, len: u32, in_flight: u32) -> RateStamp {
        let now_us = micros(now);
        // draft-ietf-ccwg-bbr §4.1.2.2: when nothing is in flight, the intervals of sending and of
        // delivery begin anew: what was idle is no part of the rate.
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

    /// A segment of `len` bytes, sent at `sent_us` with `stamp`, is acknowledged for the first time,
    /// cumulatively or selectively. The rest of the same ACK follows, then [`Self::take_sample`].
    pub fn on_delivered(&mut self, now: Instant, stamp: &RateStamp, sent_us: u32, len: u32) {
        self.delivered = self.delivered.wrapping_add(len);
        self.delivered_us = micros(now);
        // The most recently sent of those that the ACK delivers tells most about the path of now.
        let newer = self.newest.is_none_or(|(_, newest_us)| at_or_after(sent_us, newest_us));
        if newer {
            self.newest = Some((*stamp, sent_us));
            // The next flight to be measured begins with it.
            self.first_sent_us = sent_us;
        }
    }

    /// A segment of `len` bytes, sent with `stamp`, is taken for lost.
    pub fn on_lost(&mut self, stamp: &RateStamp, len: u32) -> Loss {
        self.lost = self.lost.wrapping_add(len);
        Loss {
            bytes: len,
            lost: self.lost.wrapping_sub(stamp.lost),
            tx_in_flight: stamp.tx_in_flight(),
            is_app_limited: stamp.is_app_limited(),
        }
    }

    /// What the ACK tells, once all that it delivers is noted.
    pub fn take_sample(&mut self) -> Option<RateSample> {
        // §4.1.2.3: the bubble is over when all that was sent before it is delivered.
        if self.app_limited_until != 0
            && at_or_after(self.delivered, self.app_limited_until.wrapping_add(1))
        {
            self.app_limited_until = 0;
        }
        let (stamp, sent_us) = self.newest.take()?;
        //   > rs.interval = max(send_elapsed, ack_elapsed)
        // Neither sending in a burst nor ACKs that were held up and come in one can be faster than the
        // path.
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

    /// The program has nothing more to send though cwnd has room: what is sent until `in_flight` bytes
    /// more are delivered says nothing of how fast the path could be. To be asked when the program
    /// writes, before the data is queued: nothing unsent, nothing lost that waits, and room in cwnd.
    pub fn on_app_limited(&mut self, in_flight: u32) {
        let until = self.delivered.wrapping_add(in_flight);
        self.app_limited_until = if until == 0 { 1 } else { until };
    }

    /// Whether what is sent now is marked as limited by the program.
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

    /// An estimator past the first delivery, so that it is not limited by the program.
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
    fn a_flight_that_is_acknowledged_evenly_measures_the_rate_of_the_path() {
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
    fn compressed_acks_do_not_exceed_the_rate_of_sending() {
        // §4.1.1.4: segments sent one a millisecond, all acknowledged in one instant.
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
        // Sent over 19 ms since the first, acknowledged over 15: the longer counts.
        assert_eq!(sample.interval, Duration::from_millis(19));
    }

    #[test]
    fn an_idle_time_is_no_part_of_the_rate() {
        // §4.1.2.2: with nothing in flight, first_send_time and delivered_time are those of now.
        let mut e = warm();
        let stamp = e.on_sent(at(60_000), 1000, 0);
        e.on_delivered(at(60_010), &stamp, micros(at(60_000)), 1000);
        assert_eq!(e.take_sample().unwrap().interval, Duration::from_millis(10));
    }

    #[test]
    fn what_is_sent_before_a_bubble_is_delivered_is_application_limited() {
        // §4.1.2.4: C.app_limited = C.delivered + C.inflight.
        let mut e = warm();
        let before = e.on_sent(at(100), 1000, 0);
        e.on_app_limited(1000);
        let bubble = e.on_sent(at(101), 500, 1000);
        assert_eq!((before.is_app_limited(), bubble.is_app_limited()), (false, true));
        e.on_delivered(at(110), &before, micros(at(100)), 1000);
        assert!(!e.take_sample().unwrap().is_app_limited);
        assert!(e.is_app_limited(), "until what was sent in it is delivered");
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
        // §4.1.2.3: a retransmission that fills a hole is acknowledged with what was sent before it.
        let mut e = warm();
        let old = e.on_sent(at(100), 1000, 0);
        let again = e.on_sent(at(130), 1000, 5000);
        e.on_delivered(at(150), &again, micros(at(130)), 1000);
        e.on_delivered(at(150), &old, micros(at(100)), 1000);
        assert_eq!(e.take_sample().unwrap().tx_in_flight, 6000);
        assert_eq!(e.take_sample(), None, "one ACK, one sample");
    }

    #[test]
    fn losses_are_counted_from_the_sending_of_the_segment() {
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
