//! How fast a program takes what is received, by which its receive window grows: the measurements of dynamic
//! right-sizing (Fisk and Feng, "Dynamic Right-Sizing in TCP", 2001), as hosts do it.
//!
//! Owns a round-trip time as the receiver sees it, and what was read in the last one. Refuses to know windows
//! and memory. Only connections in bulk have it, in a table of the shard, so that the others pay a bit.

use crate::tcp::SeqNum;
use crate::time::Instant;

/// Milliseconds from which a round trip measured by timestamps, whose clock has just those, is precise
/// enough. Below, the time that a window's worth of data takes is nearer to the truth.
const STAMPED_MS_MIN: u32 = 4;

/// The longest round trip taken for one, microseconds: what is measured across a pause of the sender is none.
const RTT_US_MAX: u32 = 10_000_000;

/// What is measured of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct Tuner {
    /// The round trip, microseconds; 0 before the first measurement.
    rtt_us: u32,
    /// When the round under way began, microseconds.
    round_us: u32,
    /// What the program had read then.
    round_read: SeqNum,
    /// What it read in the round before.
    space: u32,
    /// The end of the window that is timed.
    mark: SeqNum,
    /// When it was told of, microseconds.
    mark_us: u32,
    /// log2 of the memory that the ring held last.
    pub(in crate::tcp) habit: u8,
}

impl Tuner {
    pub(in crate::tcp) fn new(now: Instant, read: SeqNum, edge: SeqNum) -> Self {
        let now = micros(now);
        Self { round_us: now, round_read: read, mark: edge, mark_us: now, ..Self::default() }
    }

    /// The round trip as the receiver sees it, microseconds; 0 before it was measured.
    pub(in crate::tcp) const fn rtt_us(&self) -> u32 {
        self.rtt_us
    }

    /// What was read in the last round trip, bytes.
    pub(in crate::tcp) const fn space(&self) -> u32 {
        self.space
    }

    /// Data arrived that echoes a timestamp of ours, `age_ms` old: it was sent when that was heard.
    pub(in crate::tcp) fn on_echo(&mut self, age_ms: u32) {
        if !(STAMPED_MS_MIN..=RTT_US_MAX / 1000).contains(&age_ms) {
            return;
        }
        let sample = age_ms * 1000;
        if self.rtt_us == 0 {
            self.rtt_us = sample;
        } else if sample <= self.rtt_us.saturating_mul(4) {
            // More is no round trip: the sender had a pause.
            self.rtt_us = self.rtt_us - self.rtt_us / 8 + sample / 8;
        }
    }

    /// RCV.NXT is `nxt`, and the peer has been told of a window up to `edge`. What lies past the edge of
    /// before was sent on an ACK that came after it: the time between is a round trip at least.
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

    /// The program has read up to `read`. Once a round trip is over: how much is worth having room for.
    pub(in crate::tcp) fn on_read(&mut self, now: Instant, read: SeqNum, mss: u16) -> Option<u32> {
        let elapsed = micros(now).wrapping_sub(self.round_us);
        if self.rtt_us == 0 || elapsed < self.rtt_us {
            return None;
        }
        // A program that reads seldom reads much at a time: what counts is how much in a round trip.
        let taken = u64::from(read.distance_from(self.round_read)) * u64::from(self.rtt_us)
            / u64::from(elapsed.max(1));
        let taken = taken as u32;
        (self.round_us, self.round_read) = (micros(now), read);
        // A peer in slow start sends twice as much in the next round trip, and it takes one to tell it of
        // the window: four times then. Sixteen segments more, for a window that is small.
        let doubles = taken >= self.space / 2 * 3;
        self.space = taken;
        let room = if doubles { 4 } else { 2 };
        Some(taken.saturating_mul(room).saturating_add(16 * u32::from(mss)))
    }
}

/// What tells connections apart here: ISS, which nobody outside can choose (RFC 6528), and IRS.
pub(in crate::tcp) type TunerKey = (SeqNum, SeqNum);

/// Places of the table, a power of two. With more in bulk at once, each has no more memory than it began with,
/// so that there is nothing to be measured for.
const PLACES: usize = 1 << 14;

/// The table of a shard: of two that share a place, the one that came last has it, and the other begins
/// anew. Takes memory when it is first used.
#[derive(Debug, Default)]
pub(in crate::tcp) struct Tuners {
    places: Vec<(TunerKey, Tuner)>,
}

impl Tuners {
    /// Measuring begins now, with the program having read up to `read`.
    pub(in crate::tcp) fn begin(
        &mut self,
        key: TunerKey,
        now: Instant,
        read: SeqNum,
        edge: SeqNum,
    ) {
        if self.places.is_empty() {
            self.places.resize(PLACES, Default::default());
        }
        if let Some(place) = self.places.get_mut(place_of(key)) {
            *place = (key, Tuner::new(now, read, edge));
        }
    }

    /// What is measured of a connection.
    pub(in crate::tcp) fn at(&mut self, key: TunerKey) -> Option<&mut Tuner> {
        let (owner, tuner) = self.places.get_mut(place_of(key))?;
        (*owner == key).then_some(tuner)
    }

    /// The same, to look at.
    pub(in crate::tcp) fn get(&self, key: TunerKey) -> Option<&Tuner> {
        let (owner, tuner) = self.places.get(place_of(key))?;
        (*owner == key).then_some(tuner)
    }
}

const fn place_of(key: TunerKey) -> usize {
    (key.0.0 ^ key.0.0 >> 16) as usize & (PLACES - 1)
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
    fn a_round_is_a_round_trip_and_ends_with_what_was_read_in_it() {
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
    fn without_timestamps_a_windows_worth_of_data_tells_the_round_trip() {
        let now = Instant::from_millis(1000);
        let mut tuner = Tuner::new(now, SeqNum(0), SeqNum(60_000));
        tuner.on_arrived(now + Duration::from_millis(50), SeqNum(60_000), SeqNum(119_000));
        assert_eq!(tuner.rtt_us(), 0);
        tuner.on_arrived(now + Duration::from_millis(50), SeqNum(60_001), SeqNum(120_000));
        assert_eq!(tuner.rtt_us(), 50_000);
        tuner.on_arrived(now + Duration::from_millis(80), SeqNum(120_001), SeqNum(180_000));
        assert_eq!(tuner.rtt_us(), 30_000, "the least: the others had pauses");
    }

    #[test]
    fn a_program_that_reads_seldom_gets_no_more_room_for_reading_much_at_a_time() {
        let (mut tuner, now) = tuner(100);
        let room = tuner.on_read(now + Duration::from_secs(10), SeqNum(60_000), 1000);
        assert_eq!((room, tuner.space()), (Some(4 * 600 + 16_000), 600));
    }

    #[test]
    fn a_pause_of_the_sender_is_no_round_trip() {
        let (mut tuner, _) = tuner(100);
        tuner.on_echo(5000);
        assert_eq!(tuner.rtt_us(), 100_000);
        tuner.on_echo(180);
        assert_eq!(tuner.rtt_us(), 110_000);
        tuner.on_echo(3);
        assert_eq!(tuner.rtt_us(), 110_000);
    }

    #[test]
    fn of_two_that_share_a_place_the_last_has_it() {
        let mut tuners = Tuners::default();
        let (first, second) = ((SeqNum(7), SeqNum(1)), (SeqNum(7), SeqNum(2)));
        assert!(tuners.get(first).is_none());
        tuners.begin(first, Instant::ZERO, SeqNum(0), SeqNum(0));
        assert!(tuners.at(first).is_some() && tuners.get(second).is_none());
        tuners.begin(second, Instant::ZERO, SeqNum(0), SeqNum(0));
        assert!(tuners.at(first).is_none() && tuners.get(second).is_some());
    }
}
