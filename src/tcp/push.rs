//! PSH, and data that a program does not push yet (RFC 9293 §3.9.1.2).
//!
//! Owns what the last write said: more will follow, so that nothing is pushed, and small segments wait for
//! it until the peer answers or the override timeout. Owns which segments of a flight had PSH, for a host
//! that sends in bursts: a segment sent again is the one that it was.

use super::SeqNum;
use super::connection::Connection;
use super::interface::Env;
use super::marks::Marks;
use super::rate::micros;

/// What the last write said of what follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pushing {
    /// Nothing: what is queued is pushed.
    #[default]
    Now,
    /// More will follow; it may be sent in small segments now, since the peer has answered or the program
    /// wants no delay, but they end without PSH.
    Later,
    /// More will follow, and small segments wait for it.
    Held,
}

impl Connection {
    /// What is written from now on is not pushed, or is again. RFC 9293 §3.9.1.2:
    ///   > A TCP implementation MAY provide PUSH flags on SEND calls (MAY-15).
    pub fn set_more_follows(&mut self, on: bool) {
        if on || self.choices.is_some() {
            self.choices_mut().more_follows = on;
        }
    }

    /// Something was written.
    #[inline]
    pub(super) fn note_written(&mut self) {
        if let Some(choices) = &mut self.choices {
            choices.pushing = if choices.more_follows { Pushing::Held } else { Pushing::Now };
        }
    }

    /// What waits for more need not wait any longer: the peer has answered, or the program wants no delay.
    #[inline]
    pub(super) fn release_unpushed(&mut self) {
        if let Some(choices) = self.choices.as_mut().filter(|c| c.pushing == Pushing::Held) {
            choices.pushing = Pushing::Later;
        }
    }

    fn is_pushed(&self) -> bool {
        self.choices.as_ref().is_none_or(|choices| choices.pushing == Pushing::Now)
    }

    /// Whether the data from `seq` to `end`, about to be sent, is the last of what is pushed. A program that
    /// sets no PUSH flags has it on the last of what is queued (MUST-61); so has what the override timeout
    /// forces out.
    #[inline]
    pub(super) fn ends_push(&self, env: &Env<'_>, seq: SeqNum, end: SeqNum) -> bool {
        if end == self.snd.end {
            return self.is_pushed() || self.marks.has(Marks::OVERRIDE);
        }
        let bursts = env.settings.push_bursts.is_some();
        let flight = self.recovery.flight.as_deref().filter(|_| bursts);
        flight.is_some_and(|flight| flight.board.is_pushed(seq, end, micros(env.now)))
    }

    /// The new segment that ends at `end` was sent with PSH, as the last of what is pushed or of a burst.
    #[inline]
    pub(super) fn note_pushed(&mut self, env: &Env<'_>, end: SeqNum, is_push: bool) {
        if env.settings.push_bursts.is_some()
            && let Some(flight) = &mut self.recovery.flight
        {
            flight.board.on_pushed(end, is_push);
        }
    }
}
