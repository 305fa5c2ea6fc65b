//! The entry points of a connection: what the shard feeds in, what it polls, and the calls of the program
//! that move data (RFC 9293 §3.9.1).

use crate::tcp::state::Marks;
use crate::tcp::{
    CloseReason, Connection, Disposition, Env, Events, PathError, Segment, SegmentOut, SeqNum,
    Settings,
};
use crate::time::Instant;

impl Connection {
    /// A segment arrived.
    pub fn on_segment(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Disposition {
        let disposition = self.arrive(env, segment);
        self.settle(env);
        disposition
    }

    /// Time has come to [`Self::poll_deadline`]; harmless when it has not.
    pub fn on_deadline(&mut self, env: &mut Env<'_>) {
        self.expire(env);
        self.settle(env);
    }

    /// When [`Self::on_deadline`] wants to be called; ask again after every other call.
    #[inline]
    pub fn poll_deadline(&self) -> Option<Instant> {
        match self.pace_deadline() {
            Some(at) => Some(self.timers.earliest().map_or(at, |other| other.min(at))),
            None => self.timers.earliest(),
        }
    }

    /// The next segment owed, counted as sent: the caller must send it.
    #[inline]
    pub fn poll_segment(&mut self, env: &mut Env<'_>) -> Option<SegmentOut<'_>> {
        let plan = self.plan(env)?;
        Some(self.emit(env, plan))
    }

    /// Whether [`Self::poll_segment`] would give something.
    pub fn owes(&self) -> bool {
        self.next_plan().is_some()
    }

    /// Whether the caller may let go of it: CLOSED or TIME-WAIT, nothing owed, nothing left to read.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.phase.is_last() && self.incoming.is_empty() && !self.owes()
    }

    /// Takes received bytes.
    pub fn read(&mut self, env: &mut Env<'_>, bytes: &mut [u8]) -> usize {
        self.take(env, bytes)
    }

    /// Queues bytes; when fewer are taken than offered, [`Events::WRITABLE`] follows.
    pub fn write(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> usize {
        self.queue(env, bytes)
    }

    /// Bytes that [`Self::write`] would take now, memory permitting.
    pub fn write_room(&self, settings: &Settings) -> usize {
        let open = self.phase.may_write() && !self.marks.has(Marks::CLOSE_PENDING);
        if open { self.room(settings) as usize } else { 0 }
    }

    /// ICMP about a segment of ours that began at `quoted_seq`.
    pub fn on_path_error(&mut self, env: &mut Env<'_>, error: PathError, quoted_seq: SeqNum) {
        if !self.has_in_flight(quoted_seq) {
            return;
        }
        match error {
            // RFC 5927 §5.2: hard errors are soft once the peer has answered, else an ICMP that anyone
            // may forge would end connections.
            PathError::Unreachable if self.phase.is_opening() => {
                self.end(env, CloseReason::Unreachable);
            }
            // RFC 9293 §3.9.2.2: "it SHOULD make the information available to the application (SHLD-25)".
            PathError::Unreachable | PathError::Soft => self.events.insert(Events::UNREACHABLE),
            PathError::TooBig(mtu) if self.phase.is_opening() => self.on_syn_too_big(mtu),
            PathError::TooBig(mtu) => self.on_too_big(mtu),
        }
    }
}
