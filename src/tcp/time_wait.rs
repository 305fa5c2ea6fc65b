//! TIME-WAIT: 12 bytes that answer for a connection for two maximum segment lifetimes.
//!
//! Owns the two sequence numbers and the peer's clock. Refuses to know when it ends and whether
//! timestamps were in use: the table that holds it knows both, for many entries at once.

use super::isn::timestamp;
use super::{Flags, Options, Segment, SegmentOut, SeqNum, Settings, Timestamps};
use crate::time::{Duration, Instant};

/// A connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWait {
    snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    /// TS.Recent; meaningless without timestamps.
    ts_recent: u32,
}

/// What TIME-WAIT answers to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TimeWaitAnswer {
    /// Nothing.
    Ignore,
    /// Send [`TimeWait::ack`]. No retransmitted FIN asked for it, so the caller's limit for challenge
    /// ACKs applies (RFC 5961 §7).
    AckAgain,
    /// The peer's FIN again: our ACK of it was lost. Send [`TimeWait::ack`] and restart 2MSL.
    AckAndRestart,
    /// A new SYN that ends TIME-WAIT early (RFC 6191): remove the entry and treat the segment as in
    /// LISTEN, with an ISS after this number (see [`TimeWait::iss`]).
    Reuse {
        /// SND.NXT of the old connection.
        iss_after: SeqNum,
    },
}

/// How far past the old SND.NXT the ISS of a successor starts: more than an unscaled window, so that
/// not even a peer that missed our last segments takes the new SYN for data of the old connection.
const ISS_GAP: u32 = u16::MAX as u32 + 2;

/// How long our side must have been quiet before an active open may take the place of a TIME-WAIT: the
/// slowest timestamp clock (RFC 7323 §5.4) ticks once in that time, so PAWS tells old from new at both
/// ends. A shorter delay is safe where the peer's clock is known to be faster.
pub const REUSE_DELAY: Duration = Duration::from_secs(1);

impl TimeWait {
    /// From the connection's last state; `ts_recent` is ignored without timestamps.
    pub const fn new(snd_nxt: SeqNum, rcv_nxt: SeqNum, ts_recent: u32) -> Self {
        Self { snd_nxt, rcv_nxt, ts_recent }
    }

    /// A segment arrived for the flow; `timestamps` tells whether the old connection used them. RFC 9293
    /// §3.10.7.4, TIME-WAIT.
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
        if flags.syn() && !flags.ack() {
            return self.on_syn(segment, timestamps, settings);
        }
        // RFC 7323 §5.3 R1: not acceptable, so it is acknowledged and dropped.
        if timestamps && self.is_old(segment) {
            return TimeWaitAnswer::AckAgain;
        }
        // RFC 9293 §3.10.7.4, fifth, TIME-WAIT:
        //   > The only thing that can arrive in this state is a retransmission of the remote FIN.
        //   > Acknowledge it, and restart the 2 MSL timeout.
        if flags.fin() && segment.end() == self.rcv_nxt {
            return TimeWaitAnswer::AckAndRestart;
        }
        // The one acceptable segment asks for nothing; an answer to it would ping-pong for ever between
        // two ends that are both in TIME-WAIT after a simultaneous close.
        if segment.is_empty() && segment.seq == self.rcv_nxt {
            return TimeWaitAnswer::Ignore;
        }
        TimeWaitAnswer::AckAgain
    }

    /// RFC 6191 §2: whether a SYN may begin a new incarnation.
    fn on_syn(&self, syn: &Segment<'_>, before: bool, settings: &Settings) -> TimeWaitAnswer {
        let offered = syn.options.timestamps.filter(|_| settings.timestamps);
        let later_seq = syn.seq.after(self.rcv_nxt);
        let honor = match (before, offered) {
            // Both incarnations with timestamps: a later one, or the same with a later sequence number.
            (true, Some(ts)) => {
                let advance = ts.value.wrapping_sub(self.ts_recent) as i32;
                advance > 0 || (advance == 0 && later_seq)
            }
            // Timestamps only in the new one: PAWS will tell the old segments, which bear none.
            (false, Some(_)) => true,
            (_, None) => later_seq,
        };
        if honor {
            TimeWaitAnswer::Reuse { iss_after: self.snd_nxt }
        } else {
            // RFC 6191 drops it in silence; RFC 9293 §3.10.7.4, fourth, is later and challenges: "For
            // all other cases, RFC 5961 [...] MUST" send an ACK.
            TimeWaitAnswer::AckAgain
        }
    }

    /// RFC 7323 §5.3 R1: SEG.TSval < TS.Recent. TS.Recent can't have outlived its validity of 24 days
    /// here.
    fn is_old(&self, segment: &Segment<'_>) -> bool {
        let ts = segment.options.timestamps;
        ts.is_some_and(|ts| (ts.value.wrapping_sub(self.ts_recent) as i32) < 0)
    }

    /// The ACK that repeats where the connection ended.
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

    /// Whether an active open of ours may take the place of this entry, and the number that its ISS must
    /// come after (see [`Self::iss`]).
    ///
    /// RFC 6191 §2 seen from the other side: the new SYN's TSval is larger than any we sent before, so a
    /// peer still in TIME-WAIT accepts it, and one still in LAST-ACK (our last ACK was lost) answers with
    /// an ACK that we reset (RFC 9293 §3.5.2 group 2); old segments of either side fail PAWS. `quiet_since`
    /// is when our side last sent on the flow, or later; `delay` is [`REUSE_DELAY`] unless the
    /// peer's clock is known to be faster, and never less than one tick of ours.
    pub fn may_be_succeeded(
        &self,
        timestamps: bool,
        quiet_since: Instant,
        now: Instant,
        delay: Duration,
    ) -> Option<SeqNum> {
        let ticked = now.as_millis() > quiet_since.as_millis();
        (timestamps && ticked && now.since(quiet_since) >= delay).then_some(self.snd_nxt)
    }

    /// The ISS of the successor: the drawn one where it lies well after the old SND.NXT, else the nearest
    /// that does (RFC 6191 §2, RFC 1122 §4.2.2.13: "larger than the maximum sequence number it used on the
    /// previous connection incarnation").
    pub fn iss(&self, drawn: SeqNum) -> SeqNum {
        drawn.latest(self.snd_nxt + ISS_GAP)
    }
}
