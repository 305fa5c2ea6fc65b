//! Receive window tuning by the rate at which the program reads: dynamic right-sizing (Fisk and
//! Feng, "Dynamic Right-Sizing in TCP", 2001), as operating systems implement it.
//!
//! Owns the round-trip time seen by the receiver and the bytes read in the last round trip. Refuses
//! to know windows and memory. Only connections in bulk transfer have a tuner, in a table of the
//! shard; the others pay one bit.

use crate::tcp::SeqNum;
use crate::time::Instant;

/// Round trips of at least this many milliseconds are measured precisely enough by timestamps,
/// whose clock ticks in milliseconds. Below, the time that one window of data takes is more
/// accurate.
const STAMPED_MS_MIN: u32 = 4;

/// Longest round trip accepted, in microseconds. Longer samples span a pause of the sender.
const RTT_US_MAX: u32 = 10_000_000;

/// Measurements of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Tuner {
    /// Round-trip time in microseconds; 0 before the first measurement.
    rtt_us: u32,
    /// Start of the current round, in microseconds.
    round_us: u32,
    /// Position of the program's reads at the start of the round.
    round_read: SeqNum,
    /// Bytes read in the previous round.
    space: u32,
    /// Right edge of the window being timed.
    mark: SeqNum,
    /// Time at which that edge was advertised, in microseconds.
    mark_us: u32,
    /// log2 of the last capacity of the ring.
    pub(in crate::tcp) habit: u8,
}

impl Tuner {
    pub(in crate::tcp) fn new(now: Instant, read: SeqNum, edge: SeqNum) -> Self {
        let now = micros(now);
        Self { round_us: now, round_read: read, mark: edge, mark_us: now, ..Self::default() }
    }

    /// Returns the round-trip time seen by the receiver, in microseconds; 0 before the first
    /// measurement.
    pub(in crate::tcp) const fn rtt_us(&self) -> u32 {
        self.rtt_us
    }

    /// Returns the bytes read in the last round trip.
    pub(in crate::tcp) const fn space(&self) -> u32 {
        self.space
    }

    /// Records data that echoes our timestamp `age_ms` after we sent it.
    pub(in crate::tcp) fn on_echo(&mut self, age_ms: u32) {
        if !(STAMPED_MS_MIN..=RTT_US_MAX / 1000).contains(&age_ms) {
            return;
        }
        let sample = age_ms * 1000;
        if self.rtt_us == 0 {
            self.rtt_us = sample;
        } else if sample <= self.rtt_us.saturating_mul(4) {
            // A longer sample spans a pause of the sender: it is no round trip.
            self.rtt_us = self.rtt_us - self.rtt_us / 8 + sample / 8;
        }
    }

    /// Records that RCV.NXT is `nxt` and the advertised right edge is `edge`. Data past the
    /// previous edge was sent after the ACK that advertised it arrived, so at least one round trip
    /// has passed.
    pub(in crate::tcp) fn on_arrived(&mut self, now: Instant, nxt: SeqNum, edge: SeqNum) {
        if !nxt.after(self.mark) {
            return;
        }
        let sample = micros(now).wrapping_sub(self.mark_us).clamp(1, RTT_US_MAX);
        if self.rtt_us == 0 || sample < self.rtt_us {
            self.rtt_us = sample;
        }
        (self.mark, self.mark_us) = (edge, micros(now));
    }

    /// Records that the program has read up to `read`. Returns the worthwhile buffer size once a
    /// round trip is over.
    pub(in crate::tcp) fn on_read(&mut self, now: Instant, read: SeqNum, mss: u16) -> Option<u32> {
        let elapsed = micros(now).wrapping_sub(self.round_us);
        if self.rtt_us == 0 || elapsed < self.rtt_us {
            return None;
        }
        // A program that reads seldom reads much at once: only the amount per round trip counts.
        let bytes_read = u64::from(read.distance_from(self.round_read)) * u64::from(self.rtt_us)
            / u64::from(elapsed.max(1));
        let bytes_read = bytes_read as u32;
        (self.round_us, self.round_read) = (micros(now), read);
        // A peer in slow start doubles its rate per round trip, and a larger window reaches it one
        // round trip later, hence factor 4. The extra sixteen segments help small windows.
        let doubles = bytes_read >= self.space / 2 * 3;
        self.space = bytes_read;
        let room = if doubles { 4 } else { 2 };
        Some(bytes_read.saturating_mul(room).saturating_add(16 * u32::from(mss)))
    }
}

/// Key of a connection: ISS, which no remote host can choose (RFC 6528), and IRS.
pub(in crate::tcp) type TunerKey = (SeqNum, SeqNum);

/// Slots of the table, a power of two. With more connections in bulk transfer each one gets no more
/// memory than it started with, so there is nothing to tune.
const SLOTS: usize = 1 << 14;

/// The tuners of a shard. When two connections share a slot the later one takes it and the other
/// starts over. Allocated at first use.
#[derive(Debug, Default)]
pub(in crate::tcp) struct Tuners {
    slots: Vec<(TunerKey, Tuner)>,
}

impl Tuners {
    /// Starts measuring, with the program having read up to `read`.
    pub(in crate::tcp) fn begin(
        &mut self,
        key: TunerKey,
        now: Instant,
        read: SeqNum,
        edge: SeqNum,
    ) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Default::default());
        }
        if let Some(slot) = self.slots.get_mut(slot_of(key)) {
            *slot = (key, Tuner::new(now, read, edge));
        }
    }

    /// Returns the measurements of a connection.
    pub(in crate::tcp) fn at(&mut self, key: TunerKey) -> Option<&mut Tuner> {
        let (owner, tuner) = self.slots.get_mut(slot_of(key))?;
        (*owner == key).then_some(tuner)
    }

    /// Returns the measurements of a connection, read-only.
    pub(in crate::tcp) fn get(&self, key: TunerKey) -> Option<&Tuner> {
        let (owner, tuner) = self.slots.get(slot_of(key))?;
        (*owner == key).then_some(tuner)
    }
}

const fn slot_of(key: TunerKey) -> usize {
    (key.0.0 ^ key.0.0 >> 16) as usize & (SLOTS - 1)
}

fn micros(now: Instant) -> u32 {
    (now.as_nanos() / 1000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Duration;

    fn tuner(rtt_ms: u32) -> (Tuner, Instant) {
        let now = Instant::from_millis(1000);
        let mut tuner = Tuner::new(now, SeqNum(0), SeqNum(60_000));
        tuner.on_echo(rtt_ms);
        (tuner, now)
    }

    #[test]
    fn a_tuner_takes_28_bytes() {
        assert_eq!(size_of::<Tuner>(), 28);
    }

    #[test]
    fn a_round_lasts_one_round_trip_and_counts_the_bytes_read() {
        let (mut tuner, now) = tuner(100);
        assert_eq!(tuner.on_read(now + Duration::from_millis(99), SeqNum(10_000), 1000), None);
        let room = tuner.on_read(now + Duration::from_millis(100), SeqNum(20_000), 1000);
        assert_eq!((room, tuner.space()), (Some(4 * 20_000 + 16_000), 20_000));
        let room = tuner.on_read(now + Duration::from_millis(200), SeqNum(45_000), 1000);
        assert_eq!(room, Some(2 * 25_000 + 16_000), "no slow start any more");
        let room = tuner.on_read(now + Duration::from_millis(300), SeqNum(70_000), 1000);
        assert_eq!(room, Some(2 * 25_000 + 16_000));
    }

    #[test]
    fn without_timestamps_one_window_of_data_measures_the_round_trip() {
        let now = Instant::from_millis(1000);
        let mut tuner = Tuner::new(now, SeqNum(0), SeqNum(60_000));
        tuner.on_arrived(now + Duration::from_millis(50), SeqNum(60_000), SeqNum(119_000));
        assert_eq!(tuner.rtt_us(), 0);
        tuner.on_arrived(now + Duration::from_millis(50), SeqNum(60_001), SeqNum(120_000));
        assert_eq!(tuner.rtt_us(), 50_000);
        tuner.on_arrived(now + Duration::from_millis(80), SeqNum(120_001), SeqNum(180_000));
        assert_eq!(tuner.rtt_us(), 30_000, "the minimum: the other samples had pauses");
    }

    #[test]
    fn infrequent_large_reads_do_not_enlarge_the_buffer() {
        let (mut tuner, now) = tuner(100);
        let room = tuner.on_read(now + Duration::from_secs(10), SeqNum(60_000), 1000);
        assert_eq!((room, tuner.space()), (Some(4 * 600 + 16_000), 600));
    }

    #[test]
    fn pauses_of_the_sender_are_not_round_trips() {
        let (mut tuner, _) = tuner(100);
        tuner.on_echo(5000);
        assert_eq!(tuner.rtt_us(), 100_000);
        tuner.on_echo(180);
        assert_eq!(tuner.rtt_us(), 110_000);
        tuner.on_echo(3);
        assert_eq!(tuner.rtt_us(), 110_000);
    }

    #[test]
    fn the_last_of_two_connections_in_one_slot_keeps_it() {
        let mut tuners = Tuners::default();
        let (first, second) = ((SeqNum(7), SeqNum(1)), (SeqNum(7), SeqNum(2)));
        assert!(tuners.get(first).is_none());
        tuners.begin(first, Instant::ZERO, SeqNum(0), SeqNum(0));
        assert!(tuners.at(first).is_some() && tuners.get(second).is_none());
        tuners.begin(second, Instant::ZERO, SeqNum(0), SeqNum(0));
        assert!(tuners.at(first).is_none() && tuners.get(second).is_some());
    }
}
