//! What an ACK tells of a flight with a scoreboard: RFC 2018 §5, RFC 2883 §4, RFC 8985 §6.2, in steps.
//!
//! Owns the order of the steps. What each kind of news is taken for is in `heed`; what it means to
//! congestion control and to the stage of recovery is in `episode`.

use super::undo::Duplicate;
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
    pub(super) original: bool,
    /// The highest number that it tells of.
    pub(super) highest: SeqNum,
    /// SND.UNA before it.
    pub(super) una: SeqNum,
    /// Nothing was selectively acknowledged before it.
    pub(super) blank: bool,
    /// Bytes that it acknowledges cumulatively.
    pub(super) bytes: u32,
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

impl Connection {
    /// Whether `segment` may tell something to the scoreboard, or of duplicates after it.
    #[inline]
    pub(in crate::tcp) fn is_selective(&self, segment: &Segment<'_>) -> bool {
        self.recovery.flight.is_some()
            || self.marks.has(Marks::SACK) && !segment.rare.sack.is_empty()
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
        let mut news = self.take_news(env, segment, &mut flight, duplicate.is_some());
        self.recovery.flight = Some(flight);
        news.bytes = if advanced { self.advance(env, segment.ack) } else { 0 };
        let (una, nxt) = (self.snd.una, self.snd.nxt);
        if let Some(flight) = &mut self.recovery.flight {
            flight.delivery.on_ack(env.now, news.delivered, una, nxt);
        }
        let undone = self.undone();
        let rtt = self.measure(env, segment, &news, advanced);
        if advanced {
            self.heed_echo(env, segment, &news, duplicate.is_some());
        }
        self.heed_duplicate(env, segment, &news, duplicate);
        self.heed_probe(env, segment, duplicate, news.delivered);
        self.heed_forward_probe(env, segment, &news, advanced);
        self.heed_arrivals(env, segment, &news);
        if advanced {
            self.leave_recovery(env.now);
            self.leave_reduction();
            self.on_path_acked(env.now);
        }
        let (lost, due) = self.find_losses(env.now);
        if lost > 0 && self.recovery.stage == Stage::Open {
            self.enter_recovery(env.now, news.delivered, news.bytes);
        }
        // An ACK that tells of congestion is no sign that all goes well.
        let safe = advanced && lost == 0 && !self.echoes_congestion(segment);
        self.recovery.reduce(news.delivered, safe, self.snd.mss);
        let grows = self.undone() == undone && !self.recovery.is_reducing();
        // RFC 4015 §3.4: "the value of cwnd must not be changed any further for that ACK".
        if news.delivered > 0 || lost > 0 {
            self.tell_of_room(env.settings);
            let ce = self.take_marked(news.delivered);
            self.recovery.tell(Ack {
                now: env.now,
                bytes: if grows { news.bytes } else { 0 },
                delivered: news.delivered,
                lost,
                prior_in_flight,
                used,
                slow_start_max: env.settings.slow_start_max(self.snd.mss),
                slow_start_exit: env.settings.slow_start_exit,
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

    /// Reductions taken back so far.
    fn undone(&self) -> u32 {
        self.recovery.flight.as_deref().map_or(0, |flight| flight.counts.undone)
    }

    /// RFC 2883 §5: the first block reports a duplicate if it lies below the cumulative acknowledgment "IN
    /// THE SAME PACKET", or within the second block.
    fn duplicate_of(&self, segment: &Segment<'_>) -> Option<Duplicate> {
        let blocks = segment.rare.sack.as_slice();
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
        let (rated, mut late) = (self.recovery.controller.measures_rate(), None);
        let Flight { board, rack, rate, reordering, path, .. } = flight;
        let min_rtt = path.min_rtt_us();
        let mut news = News {
            delivered: 0,
            rtt_us: None,
            original: false,
            highest: segment.ack,
            una: self.snd.una,
            blank: board.selected() == 0,
            bytes: 0,
        };
        let mut each = |d: Delivered| {
            news.add(&d, now_us, recover);
            let earlier = d.resent && self.echoes_before(now, d.sent_us, segment);
            late = late.max(rack.on_delivered(&d, now_us, earlier, min_rtt, reordering));
            if rated {
                rate.on_delivered(now, &d.stamp, d.sent_us, d.len);
            }
        };
        board.acknowledge(segment.ack, &mut each);
        // "in ascending order of Segment.end_seq", which is not that of the option.
        let mut blocks = segment.rare.sack;
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

    /// SND.UNA <- SEG.ACK (RFC 6675 §4: what is selected stays in the buffer); returns how many bytes that acknowledges.
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
        let mut delayed = None;
        if let Some(flight) = &mut recovery.flight {
            flight.tail.on_rtt();
            delayed = flight.undo.take_delayed(segment.ack);
            if let Some(us) = news.rtt_us {
                flight.path.on_rtt(us, env.now);
            }
        }
        let round = !recovery.is_timing || segment.ack.at_or_after(recovery.timed);
        if let Some(before) = delayed {
            let margin = env.settings.rto_margin;
            recovery.rtt.on_sample_after_spurious_timeout(&before, rtt, margin);
        } else if advanced && round {
            recovery.is_timing = false;
            recovery.rtt.on_sample(rtt);
            recovery.backoff = 0;
        }
        Some(rtt)
    }
}
