//! What news of an ACK is taken for: a duplicate, the answer to a probe, an echo of an earlier copy
//! (RFC 2883 §5, RFC 3708, RFC 3522, RFC 5682, RFC 8985 §6.2 step 4 and §7.4).
//!
//! Owns the translation of an ACK into what each detector asks. Refuses to conclude: the detectors do.

use super::Stage;
use super::forward::{Answer, Finding};
use super::selective::News;
use super::tlp::Verdict;
use super::undo::Duplicate;
use crate::tcp::connection::Connection;
use crate::tcp::interface::Env;
use crate::tcp::marks::Marks;
use crate::tcp::{EcnMode, Flags, Segment};

impl Connection {
    /// RFC 8985 §6.2 step 4, and RFC 3708.
    pub(super) fn heed_duplicate(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        news: &News,
        duplicate: Option<Duplicate>,
    ) {
        let Some((left, right)) = duplicate else { return };
        let Some(flight) = self.recovery.flight.as_deref_mut() else { return };
        flight.counts.duplicates = flight.counts.duplicates.saturating_add(1);
        // A probe that was sent for nothing tells of a late ACK, not of the order.
        if !flight.tail.is_probe_of(right) {
            flight.rack.on_dsack(self.snd.una, self.snd.nxt, &mut flight.reordering);
        }
        let mss = u32::from(self.snd.mss);
        if flight.undo.on_duplicate((left, right), mss, news.una, news.blank) {
            self.undo_reduction(env, segment, news.bytes);
        }
    }

    /// RFC 8985 §7.4.
    pub(super) fn heed_probe(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        duplicate: Option<Duplicate>,
        delivered: u32,
    ) {
        let Some(flight) = &mut self.recovery.flight else { return };
        let is_bare = delivered == 0 && segment.is_empty() && segment.rare.sack.is_empty();
        let twice = duplicate.map(|(_, right)| right);
        match flight.tail.on_ack(segment.ack, twice, is_bare) {
            Verdict::Nothing => {}
            Verdict::Vain => flight.path.set_holds_acks(true),
            Verdict::Repaired => {
                flight.path.set_holds_acks(false);
                if self.recovery.stage == Stage::Open {
                    self.answer_repaired_loss(env.now);
                }
            }
        }
    }

    /// RFC 5682 §3.1.
    pub(super) fn heed_forward_probe(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        news: &News,
        advances: bool,
    ) {
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
            self.undo_reduction(env, segment, news.bytes);
        }
    }

    /// RFC 3522 §3.2.
    pub(super) fn heed_echo(
        &mut self,
        env: &Env<'_>,
        segment: &Segment<'_>,
        news: &News,
        duplicate: bool,
    ) {
        let all = self.snd.una == self.snd.nxt;
        let stamps = self.marks.has(Marks::TIMESTAMPS);
        let Some(flight) = self.recovery.flight.as_deref_mut().filter(|_| stamps) else { return };
        if flight.undo.is_refuted_by_echo(segment, duplicate, all) {
            self.undo_reduction(env, segment, news.bytes);
        }
    }

    /// All that was taken for lost arrives before any of it was sent again: RFC 3522 §3.2 knows without an
    /// echo that these are the originals.
    pub(super) fn heed_arrivals(&mut self, env: &Env<'_>, segment: &Segment<'_>, news: &News) {
        let late =
            self.recovery.stage == Stage::Selective
                && self.recovery.flight.as_deref().is_some_and(|flight| {
                    flight.board.waiting() == 0 && flight.undo.is_untouched()
                });
        if late {
            self.undo_reduction(env, segment, news.bytes);
        }
    }

    /// RFC 4015 §3.4:
    ///   > This is unless the acceptable ACK signals congestion through the ECN-Echo flag [RFC3168]. In
    ///   > that case, the TCP sender MUST refrain from reversing congestion control state.
    pub(super) fn echoes_congestion(&self, segment: &Segment<'_>) -> bool {
        self.ecn == EcnMode::Classic && segment.flags.contains(Flags::ECE)
    }
}
