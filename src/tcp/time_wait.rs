//! TIME-WAIT: 12 bytes that represent a connection for two maximum segment lifetimes.
//!
//! Owns the two sequence numbers and the peer's clock. Refuses to know when it ends and if
//! timestamps were in use: the table that holds the entries knows both, for many entries at once.

use crate::tcp::isn::timestamp;
use crate::tcp::{Flags, Options, Segment, SegmentOut, SeqNum, Settings, Timestamps};
use crate::time::{Duration, Instant};

/// A connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWait {
    snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    /// TS.Recent; meaningless without timestamps.
    ts_recent: u32,
}

/// The response of TIME-WAIT to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TimeWaitAnswer {
    /// No response.
    Ignore,
    /// Send [`TimeWait::ack`]. The segment is not a retransmitted FIN, so the caller's limit for
    /// challenge ACKs applies (RFC 5961 §7).
    Ack,
    /// The peer retransmitted its FIN: our ACK was lost. Send [`TimeWait::ack`] and restart 2MSL.
    AckAndRestart,
    /// A new SYN ends TIME-WAIT early (RFC 6191): remove the entry and process the segment as in
    /// LISTEN, with an ISS after this number (see [`TimeWait::iss`]).
    Reuse {
        /// SND.NXT of the old connection.
        iss_after: SeqNum,
    },
}

/// Minimum distance of a successor's ISS from the old SND.NXT: more than an unscaled window, so
/// that even a peer that missed our last segments does not mistake the new SYN for data of the old
/// connection.
const ISS_GAP: u32 = u16::MAX as u32 + 2;

/// Minimum quiet time of our side before an active open may replace a TIME-WAIT entry. The slowest
/// timestamp clock (RFC 7323 §5.4) ticks once in that time, so PAWS separates old from new segments
/// at both ends. A shorter delay is safe if the peer's clock is known to be faster.
pub const REUSE_DELAY: Duration = Duration::from_secs(1);

impl TimeWait {
    /// Creates an entry from the connection's last state. Without timestamps, `ts_recent` is
    /// ignored.
    pub const fn new(snd_nxt: SeqNum, rcv_nxt: SeqNum, ts_recent: u32) -> Self {
        Self { snd_nxt, rcv_nxt, ts_recent }
    }

    /// Processes a segment for the flow. `timestamps` is true if the old connection used them. RFC
    /// 9293 §3.10.7.4, TIME-WAIT.
    pub fn on_segment(
        &self,
        segment: &Segment<'_>,
        timestamps: bool,
        settings: &Settings,
    ) -> TimeWaitAnswer {
        let flags = segment.flags;
        // RFC 1337 §3, fix (F1): "Ignore RST segments in TIME-WAIT state".
        if flags.rst() {
            return TimeWaitAnswer::Ignore;
        }
        if flags.syn() {
            return self.on_syn(segment, timestamps, settings);
        }
        // RFC 7323 §5.3 R1: not acceptable, so it is acknowledged and dropped.
        if timestamps && self.is_old(segment) {
            return TimeWaitAnswer::Ack;
        }
        // RFC 9293 §3.10.7.4, fifth. For acceptable segments, in the window that our ACKs announce:
        //   > if the ACK bit is off, drop the segment and return
        if !flags.ack() && segment.seq.distance_from(self.rcv_nxt) < u32::from(u16::MAX) {
            return TimeWaitAnswer::Ignore;
        }
        // RFC 9293 §3.10.7.4, fifth, TIME-WAIT:
        //   > The only thing that can arrive in this state is a retransmission of the remote FIN.
        //   > Acknowledge it, and restart the 2 MSL timeout.
        if flags.fin() && segment.end() == self.rcv_nxt {
            return TimeWaitAnswer::AckAndRestart;
        }
        // The only acceptable segment needs no answer. An answer would bounce forever between two
        // ends that are both in TIME-WAIT after a simultaneous close.
        if segment.is_empty() && segment.seq == self.rcv_nxt {
            return TimeWaitAnswer::Ignore;
        }
        TimeWaitAnswer::Ack
    }

    /// Decides if a SYN may begin a new incarnation (RFC 6191 §2).
    fn on_syn(&self, syn: &Segment<'_>, before: bool, settings: &Settings) -> TimeWaitAnswer {
        let offered = syn.options.timestamps.filter(|_| settings.timestamps);
        let later_seq = syn.seq.after(self.rcv_nxt);
        if syn.flags.ack() {
            return TimeWaitAnswer::Ack;
        }
        let honor = match (before, offered) {
            // Both incarnations with timestamps: a later timestamp, or the same with a later
            // sequence number.
            (true, Some(ts)) => {
                let advance = ts.value.wrapping_sub(self.ts_recent) as i32;
                advance > 0 || (advance == 0 && later_seq)
            }
            // Timestamps only in the new one: PAWS rejects the old segments, which have none.
            (false, Some(_)) => true,
            (_, None) => later_seq,
        };
        if honor {
            TimeWaitAnswer::Reuse { iss_after: self.snd_nxt }
        } else {
            // RFC 6191 silently drops it. RFC 9293 §3.10.7.4, fourth, is later and says for all
            // other cases:
            //   > TCP endpoints MUST send a "challenge ACK" to the remote peer
            TimeWaitAnswer::Ack
        }
    }

    /// Implements RFC 7323 §5.3 R1: SEG.TSval < TS.Recent. TS.Recent cannot have outlived its
    /// validity of 24 days here.
    fn is_old(&self, segment: &Segment<'_>) -> bool {
        let ts = segment.options.timestamps;
        ts.is_some_and(|ts| (ts.value.wrapping_sub(self.ts_recent) as i32) < 0)
    }

    /// Builds the ACK with the final sequence numbers of the connection.
    pub fn ack(
        &self,
        now: Instant,
        timestamp_offset: u32,
        timestamps: bool,
    ) -> SegmentOut<'static> {
        let ts = Timestamps { value: timestamp(now, timestamp_offset), echo: self.ts_recent };
        SegmentOut {
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: u16::MAX,
            options: Options { timestamps: timestamps.then_some(ts), ..Options::default() },
            ..SegmentOut::default()
        }
    }

    /// Decides if an active open may replace this entry, and returns the number that its ISS must
    /// come after (see [`Self::iss`]).
    ///
    /// This is RFC 6191 §2 from the other side. The new SYN's TSval is larger than any that we sent
    /// before, so a peer still in TIME-WAIT accepts it. A peer still in LAST-ACK (our last ACK was
    /// lost) answers with an ACK, which we reset (RFC 9293 §3.5.2 group 2). Old segments of either
    /// side fail PAWS. `quiet_since` is the time when our side last sent on the flow, or later.
    /// `delay` is [`REUSE_DELAY`] unless the peer's clock is known to be faster; it is never less
    /// than one tick of our clock.
    pub fn may_reopen(
        &self,
        timestamps: bool,
        quiet_since: Instant,
        now: Instant,
        delay: Duration,
    ) -> Option<SeqNum> {
        let ticked = now.as_millis() > quiet_since.as_millis();
        (timestamps && ticked && now.since(quiet_since) >= delay).then_some(self.snd_nxt)
    }

    /// Returns the ISS of the successor: the generated one if it lies well after the old SND.NXT,
    /// else the nearest that does (RFC 6191 §2, RFC 1122 §4.2.2.13: "larger than the maximum
    /// sequence number it used on the previous connection incarnation").
    pub fn iss(&self, drawn: SeqNum) -> SeqNum {
        drawn.latest(self.snd_nxt + ISS_GAP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SND_NXT: SeqNum = SeqNum(u32::MAX - 3);
    const RCV_NXT: SeqNum = SeqNum(500);
    const TS_RECENT: u32 = u32::MAX;
    const ENTRY: TimeWait = TimeWait::new(SND_NXT, RCV_NXT, TS_RECENT);
    const REUSE: TimeWaitAnswer = TimeWaitAnswer::Reuse { iss_after: SND_NXT };

    fn segment(flags: Flags, seq: SeqNum, ts: Option<u32>) -> Segment<'static> {
        let timestamps = ts.map(|value| Timestamps { value, echo: 0 });
        let options = Options { timestamps, ..Options::default() };
        Segment { seq, ack: SND_NXT, flags, options, ..Segment::default() }
    }

    fn answer(flags: Flags, seq: SeqNum, ts: Option<u32>) -> TimeWaitAnswer {
        ENTRY.on_segment(&segment(flags, seq, ts), true, &Settings::default())
    }

    fn answer_without_timestamps(flags: Flags, seq: SeqNum, ts: Option<u32>) -> TimeWaitAnswer {
        ENTRY.on_segment(&segment(flags, seq, ts), false, &Settings::default())
    }

    #[test]
    fn a_segment_in_the_window_without_ack_is_dropped() {
        // RFC 9293 §3.10.7.4, fifth. Outside the window its first check applies.
        for (ahead, expected) in [
            (0, TimeWaitAnswer::Ignore),
            (65_534, TimeWaitAnswer::Ignore),
            (65_535, TimeWaitAnswer::Ack),
        ] {
            assert_eq!(answer_without_timestamps(Flags::FIN, RCV_NXT + ahead, None), expected);
        }
        assert_eq!(answer_without_timestamps(Flags::FIN, RCV_NXT - 10, None), TimeWaitAnswer::Ack);
    }

    #[test]
    fn an_entry_takes_12_bytes() {
        assert_eq!(size_of::<TimeWait>(), 12);
    }

    #[test]
    fn a_reset_does_not_assassinate() {
        assert_eq!(answer(Flags::RST, RCV_NXT, None), TimeWaitAnswer::Ignore);
        let rst_ack = Flags::RST.with(Flags::ACK);
        assert_eq!(answer(rst_ack, RCV_NXT, Some(5)), TimeWaitAnswer::Ignore);
        assert_eq!(answer(rst_ack.with(Flags::SYN), RCV_NXT, Some(5)), TimeWaitAnswer::Ignore);
    }

    #[test]
    fn a_retransmitted_fin_is_acknowledged_and_restarts_2msl() {
        let fin = Flags::FIN.with(Flags::ACK);
        assert_eq!(answer(fin, RCV_NXT - 1, Some(5)), TimeWaitAnswer::AckAndRestart);
        assert_eq!(
            answer_without_timestamps(fin, RCV_NXT - 1, None),
            TimeWaitAnswer::AckAndRestart
        );
        let data = Segment { payload: b"last", ..segment(fin, RCV_NXT - 5, Some(5)) };
        assert_eq!(
            ENTRY.on_segment(&data, true, &Settings::default()),
            TimeWaitAnswer::AckAndRestart
        );
    }

    #[test]
    fn a_fin_of_an_older_incarnation_restarts_nothing() {
        let fin = Flags::FIN.with(Flags::ACK);
        assert_eq!(answer(fin, RCV_NXT - 1, Some(TS_RECENT - 1)), TimeWaitAnswer::Ack);
        assert_eq!(answer(fin, RCV_NXT - 100, Some(5)), TimeWaitAnswer::Ack);
    }

    #[test]
    fn two_ends_in_time_wait_do_not_answer_each_other() {
        assert_eq!(answer(Flags::ACK, RCV_NXT, Some(5)), TimeWaitAnswer::Ignore);
    }

    #[test]
    fn other_segments_are_acknowledged() {
        assert_eq!(answer(Flags::ACK, RCV_NXT - 1, Some(5)), TimeWaitAnswer::Ack);
        let data = Segment { payload: b"x", ..segment(Flags::ACK, RCV_NXT, Some(5)) };
        assert_eq!(ENTRY.on_segment(&data, true, &Settings::default()), TimeWaitAnswer::Ack);
        let syn_ack = Flags::SYN.with(Flags::ACK);
        assert_eq!(answer(syn_ack, RCV_NXT + 1, Some(5)), TimeWaitAnswer::Ack);
        assert_eq!(answer(syn_ack.with(Flags::FIN), RCV_NXT - 2, None), TimeWaitAnswer::Ack);
    }

    #[test]
    fn a_new_syn_is_judged_by_the_table_of_rfc_6191() {
        let (later, earlier) = (RCV_NXT + 1, RCV_NXT - 1);
        let refused = TimeWaitAnswer::Ack;
        // timestamps before, SYN's number, SYN's timestamp, answer
        let table = [
            (true, earlier, Some(0), REUSE),
            (true, earlier, Some(TS_RECENT), refused),
            (true, later, Some(TS_RECENT), REUSE),
            (true, later, Some(TS_RECENT - 1), refused),
            (true, later, None, REUSE),
            (true, earlier, None, refused),
            (false, earlier, Some(0), REUSE),
            (false, later, None, REUSE),
            (false, earlier, None, refused),
            (false, RCV_NXT, None, refused),
        ];
        for (before, seq, ts, expected) in table {
            let syn = segment(Flags::SYN, seq, ts);
            let answer = ENTRY.on_segment(&syn, before, &Settings::default());
            assert_eq!(answer, expected, "before {before}, seq {seq}, ts {ts:?}");
        }
    }

    #[test]
    fn timestamps_are_ignored_when_disabled() {
        let settings = Settings { timestamps: false, ..Settings::default() };
        let syn = segment(Flags::SYN, RCV_NXT - 1, Some(0));
        assert_eq!(ENTRY.on_segment(&syn, false, &settings), TimeWaitAnswer::Ack);
    }

    #[test]
    fn the_ack_repeats_the_end_of_the_connection() {
        let ack = ENTRY.ack(Instant::from_millis(7), 1, true);
        assert_eq!((ack.seq, ack.ack, ack.flags), (SND_NXT, RCV_NXT, Flags::ACK));
        assert_eq!(ack.options.timestamps, Some(Timestamps { value: 8, echo: TS_RECENT }));
        assert_eq!(ENTRY.ack(Instant::ZERO, 0, false).options, Options::default());
    }

    #[test]
    fn an_active_open_replaces_an_entry_only_with_timestamps_and_after_the_delay() {
        let quiet = Instant::from_millis(1_000);
        let ask = |timestamps, ms, delay| {
            ENTRY.may_reopen(timestamps, quiet, Instant::from_millis(ms), delay)
        };
        assert_eq!(ask(true, 2_000, REUSE_DELAY), Some(SND_NXT));
        assert_eq!(ask(true, 1_999, REUSE_DELAY), None);
        assert_eq!(ask(false, 60_000, REUSE_DELAY), None);
        // Never within one tick of our clock, whatever the delay.
        assert_eq!(ask(true, 1_000, Duration::ZERO), None);
        assert_eq!(ask(true, 1_001, Duration::ZERO), Some(SND_NXT));
    }

    #[test]
    fn the_next_iss_lies_past_an_old_window() {
        let bound = SND_NXT + ISS_GAP;
        assert_eq!(ENTRY.iss(SND_NXT + 1), bound);
        assert_eq!(ENTRY.iss(bound + 12_345), bound + 12_345);
        assert!(ENTRY.iss(SeqNum(SND_NXT.0 ^ 0x4000_0000)).after(SND_NXT + 65_535));
    }
}
