//! What an ACK tells of a flight with a scoreboard: RFC 2018 §5, RFC 2883 §4, RFC 8985 §6.2, in steps.
//!
//! Owns the order of the steps. Each step is a question of its own; what it means to congestion control and
//! to the stage of recovery is in `episode`.

use super::tlp::Verdict;
use super::undo::{Answer, Finding};
use super::{ECHOED_RTT_MS_MAX, Stage};
use crate::tcp::congestion::Ack;
use crate::tcp::connection::Connection;
use crate::tcp::flight::{Delivered, Flight};
use crate::tcp::interface::Env;
use crate::tcp::marks::Marks;
use crate::tcp::rate::micros;
use crate::tcp::{Segment, SeqNum};
use crate::time::{Duration, Instant};

/// What one ACK tells, all of it together.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    /// Newly acknowledged, cumulatively or selectively.
    pub(super) delivered: u32,
    /// The shortest round trip of the segments that were sent once.
    rtt_us: Option<u32>,
    /// Something arrived that was sent once, and before the end of the episode.
    original: bool,
    /// The highest number that it tells of.
    highest: SeqNum,
}

impl News {
    fn add(&mut self, segment: &Delivered, now_us: u32, recover: SeqNum) {
        self.delivered += segment.len;
        self.highest = self.highest.latest(segment.end);
        if segment.resent {
            return;
        }
        self.original |= segment.end.at_or_before(recover);
        let rtt_us = now_us.wrapping_sub(segment.sent_us);
        self.rtt_us = Some(self.rtt_us.map_or(rtt_us, |least| least.min(rtt_us)));
    }
}

/// A report of a duplicate: from here to there the peer had it already.
pub(super) type Duplicate = (SeqNum, SeqNum);

impl Connection {
    /// Whether `segment` may tell something to the scoreboard, or of duplicates after it.
    #[inline]
    pub(in crate::tcp) fn is_selective(&self, segment: &Segment<'_>) -> bool {
        self.recovery.flight.is_some()
            || self.marks.has(Marks::SACK) && !segment.options.sack.is_empty()
    }

    /// An ACK, new or not, of a peer that permits SACK, with data in flight or after it.
    pub(in crate::tcp) fn on_selective_ack(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        let duplicate = self.duplicate_of(segment);
        let advanced = segment.ack.after(self.snd.una);
        let Some(mut flight) = self.recovery.flight.take() else {
            if advanced {
                self.on_new_ack(env, segment);
            }
            return;
        };
        let prior_in_flight = flight.board.pipe();
        let (cwnd_limited, used) = (flight.full_until.is_some(), flight.peak);
        let news = self.take_news(env, segment, &mut flight, duplicate.is_some());
        self.recovery.flight = Some(flight);
        let bytes = if advanced { self.advance(env, segment.ack) } else { 0 };
        let rtt = self.measure(env, segment, &news, advanced);
        self.heed_duplicate(duplicate);
        self.heed_probe(env, segment, duplicate, news.delivered);
        self.heed_forward_probe(segment, &news, advanced);
        if advanced {
            self.heed_echo(segment);
            self.leave_recovery(env.now);
            self.on_path_acked(env.now);
        }
        let (lost, due) = self.find_losses(env.now);
        if lost > 0 && self.recovery.stage == Stage::Open {
            self.enter_recovery(env.now, news.delivered, bytes);
        }
        self.recovery.reduce(news.delivered, advanced && lost == 0, self.snd.mss);
        if news.delivered > 0 || lost > 0 {
            let ce = self.take_marked(news.delivered);
            self.recovery.tell(Ack {
                now: env.now,
                bytes,
                delivered: news.delivered,
                lost,
                prior_in_flight,
                used,
                slow_start_max: env.settings.slow_start_max(self.snd.mss),
                in_flight: self.in_flight(),
                rtt,
                rate: None,
                cwnd_limited,
                ce,
                snd_una: self.snd.una,
                snd_nxt: self.snd.nxt,
            });
        }
        self.arm_after_ack(env, advanced, due);
    }

    /// RFC 2883 §4: the first block reports a duplicate if it lies below the cumulative acknowledgment, or
    /// within the second block.
    fn duplicate_of(&self, segment: &Segment<'_>) -> Option<Duplicate> {
        let blocks = segment.options.sack.as_slice();
        let &(left, right) = blocks.first()?;
        let snd = &self.snd;
        let known = left.before(right) && right.at_or_before(snd.nxt);
        let recent = left.at_or_after(snd.una) || snd.una.distance_from(left) <= snd.wnd_max;
        let within = |&(from, to): &Duplicate| left.at_or_after(from) && right.at_or_before(to);
        let duplicate = right.at_or_before(segment.ack) || blocks.get(1).is_some_and(within);
        (known && recent && duplicate).then_some((left, right))
    }

    /// All that the ACK delivers, with RFC 8985 §6.2 steps 2 and 3 for each segment.
    fn take_news(
        &self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        flight: &mut Flight,
        first_is_duplicate: bool,
    ) -> News {
        let (now, now_us, recover) = (env.now, micros(env.now), self.recovery.recover);
        let mut news = News { delivered: 0, rtt_us: None, original: false, highest: segment.ack };
        let (rated, mut late) = (self.recovery.controller.measures_rate(), None);
        let Flight { board, rack, rate, reordering, .. } = flight;
        let mut each = |d: Delivered| {
            news.add(&d, now_us, recover);
            let earlier = d.resent && self.echoes_before(now, d.sent_us, segment);
            late = late.max(rack.on_delivered(&d, now_us, earlier, reordering));
            if rated {
                rate.on_delivered(now, &d.stamp, d.sent_us, d.len);
            }
        };
        board.acknowledge(segment.ack, &mut each);
        // "in ascending order of Segment.end_seq", which is not that of the option.
        let mut blocks = segment.options.sack;
        let blocks = blocks.as_mut_slice();
        let blocks = blocks.get_mut(usize::from(first_is_duplicate)..).unwrap_or_default();
        blocks.sort_unstable_by_key(|(_, right)| right.distance_from(segment.ack));
        for &mut (left, right) in blocks {
            board.select(left, right, &mut each);
        }
        if let Some(bytes) = late {
            reordering.note(bytes, self.snd.mss);
        }
        news
    }

    /// RFC 8985 §6.2 step 2: "ACK.ts_option.echo_reply < Segment.xmit_ts".
    fn echoes_before(&self, now: Instant, sent_us: u32, segment: &Segment<'_>) -> bool {
        let ago = u64::from(micros(now).wrapping_sub(sent_us));
        let sent_at = Instant::from_nanos((now.as_nanos() / 1000).saturating_sub(ago) * 1000);
        match (self.stamp(sent_at), segment.options.timestamps) {
            (Some(ours), Some(theirs)) => (theirs.echo.wrapping_sub(ours.value) as i32) < 0,
            _ => false,
        }
    }

    /// SND.UNA <- SEG.ACK; returns how many bytes that acknowledges.
    fn advance(&mut self, env: &mut Env<'_>, ack: SeqNum) -> u32 {
        let acked = ack.distance_from(self.snd.una);
        self.recovery.give_up_at = Instant::FAR;
        self.snd.advance_una(ack);
        if let Some(flight) = &mut self.recovery.flight
            && flight.full_until.is_some_and(|until| ack.at_or_after(until))
        {
            flight.full_until = None;
        }
        // A FIN is acknowledged but was never in the buffer.
        let bytes = acked.min(self.outgoing.len());
        if bytes > 0 {
            self.drop_acked(env, bytes);
        }
        bytes
    }

    /// RFC 6298 §3 and §4: one sample a round trip goes into SRTT, of a segment that was sent once or whose
    /// echo tells which copy arrived. RACK takes all of the first kind (RFC 8985 §6.2 step 1).
    fn measure(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        news: &News,
        advanced: bool,
    ) -> Option<Duration> {
        let echoed = || {
            let ms = self.echoed_ms(env.now, segment).filter(|&ms| ms <= ECHOED_RTT_MS_MAX)?;
            Some(Duration::from_millis(u64::from(ms.max(1))))
        };
        let exact = news.rtt_us.map(|us| Duration::from_micros(u64::from(us)));
        let rtt = exact.or_else(|| if advanced { echoed() } else { None })?;
        let recovery = &mut self.recovery;
        if let Some(flight) = &mut recovery.flight {
            flight.tail.on_rtt();
            if let Some(us) = news.rtt_us {
                flight.reordering.on_rtt(us, env.now);
            }
        }
        let round = !recovery.is_timing || segment.ack.at_or_after(recovery.timed);
        if advanced && round {
            recovery.is_timing = false;
            recovery.rtt.on_sample(rtt);
            recovery.backoff = 0;
        }
        Some(rtt)
    }

    /// RFC 8985 §6.2 step 4, and RFC 3708.
    fn heed_duplicate(&mut self, duplicate: Option<Duplicate>) {
        let Some((left, right)) = duplicate else { return };
        let Some(flight) = self.recovery.flight.as_deref_mut() else { return };
        // What a probe sent twice tells nothing of the order, nor what a network sent twice.
        if flight.reordering.seen && !flight.tail.is_probe_of(right) {
            flight.rack.on_dsack(self.snd.una, self.snd.nxt, &mut flight.reordering);
        }
        if flight.undo.on_duplicate(left, right, u32::from(self.snd.mss)) {
            self.undo_reduction();
        }
    }

    /// RFC 8985 §7.4.
    fn heed_probe(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        duplicate: Option<Duplicate>,
        delivered: u32,
    ) {
        let Some(flight) = &mut self.recovery.flight else { return };
        let is_bare = delivered == 0 && segment.is_empty() && segment.options.sack.is_empty();
        let twice = duplicate.map(|(_, right)| right);
        let verdict = flight.tail.on_ack(segment.ack, twice, is_bare);
        if verdict == Verdict::Repaired && self.recovery.stage == Stage::Open {
            self.answer_repaired_loss(env.now);
        }
    }

    /// RFC 5682 §3.1.
    fn heed_forward_probe(&mut self, segment: &Segment<'_>, news: &News, advances: bool) {
        if self.recovery.stage != Stage::TimedOut {
            return;
        }
        let snd = &self.snd;
        let answer = Answer {
            ack: segment.ack,
            advances,
            original: news.original,
            highest: news.highest,
            nxt: snd.nxt,
            has_new: snd.unsent() > 0 && snd.window_from(snd.nxt) > 0,
        };
        let Some(flight) = &mut self.recovery.flight else { return };
        if flight.forward.on_ack(&answer) == Finding::Spurious {
            self.undo_reduction();
        }
    }

    /// RFC 3522 §3.2.
    fn heed_echo(&mut self, segment: &Segment<'_>) {
        let stamps = self.marks.has(Marks::TIMESTAMPS);
        let echo = segment.options.timestamps.filter(|_| stamps).map(|ts| ts.echo);
        let Some(flight) = self.recovery.flight.as_deref_mut() else { return };
        if flight.undo.is_refuted_by_echo(segment.ack, echo) {
            self.undo_reduction();
        }
    }
}
