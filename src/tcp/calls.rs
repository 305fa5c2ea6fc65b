//! The entry points of a connection: what the shard feeds in, what it polls, and the program's
//! calls that move data (RFC 9293 §3.9.1).

use core::mem::MaybeUninit;

use crate::tcp::state::Marks;
use crate::tcp::{
    CloseReason, Connection, Disposition, Env, Events, PathError, Segment, SegmentOut, SeqNum,
    Settings,
};
use crate::time::Instant;

impl Connection {
    /// Processes a segment that arrived.
    pub fn on_segment(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) -> Disposition {
        let disposition = self.arrive(env, segment);
        self.notify_bounded_writable(env.settings);
        self.settle(env);
        disposition
    }

    /// Processes the deadlines that have passed. Safe to call before [`Self::poll_deadline`].
    pub fn on_deadline(&mut self, env: &mut Env<'_>) {
        self.expire(env);
        self.settle(env);
        self.notify_bounded_writable(env.settings);
    }

    /// Returns when to call [`Self::on_deadline`] next. Poll again after every other call.
    #[inline]
    pub fn poll_deadline(&self) -> Option<Instant> {
        match self.pace_deadline() {
            Some(at) => Some(self.timers.earliest().map_or(at, |other| other.min(at))),
            None => self.timers.earliest(),
        }
    }

    /// Returns the next segment and counts it as sent: the caller must send it.
    #[inline]
    pub fn poll_segment(&mut self, env: &mut Env<'_>) -> Option<SegmentOut<'_>> {
        let plan = self.plan(env)?;
        Some(self.emit(env, plan))
    }

    /// Returns true if [`Self::poll_segment`] would return a segment.
    pub fn has_pending_output(&self) -> bool {
        self.next_plan().is_some()
    }

    /// Returns true if the caller may drop the connection: CLOSED or TIME-WAIT, no pending output,
    /// nothing left to read.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.phase.is_last() && self.incoming.is_empty() && !self.has_pending_output()
    }

    /// Copies received bytes into `bytes` and returns how many.
    pub fn read(&mut self, env: &mut Env<'_>, bytes: &mut [u8]) -> usize {
        self.take(env, bytes)
    }

    /// Copies received bytes into memory that need not be initialized, and returns how many: the
    /// first so many bytes of `bytes` are initialized then.
    pub fn read_into(&mut self, env: &mut Env<'_>, bytes: &mut [MaybeUninit<u8>]) -> usize {
        self.take_into(env, bytes)
    }

    /// Returns the received bytes in place, in two parts: the second follows the first, and is
    /// empty unless the ring wraps.
    pub fn peek(&self) -> [&[u8]; 2] {
        let (first, second) = self.incoming.slices(0, self.incoming.len());
        [first, second]
    }

    /// Drops up to `bytes` received bytes, as reading them does.
    pub fn consume(&mut self, env: &mut Env<'_>, bytes: usize) {
        self.consume_text(env, u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Queues bytes for sending and returns how many. After a short write, [`Events::WRITABLE`]
    /// follows.
    pub fn write(&mut self, env: &mut Env<'_>, bytes: &[u8]) -> usize {
        self.queue(env, bytes)
    }

    /// Returns how many bytes [`Self::write`] would accept now, memory permitting.
    pub fn write_room(&self, settings: &Settings) -> usize {
        let open = self.phase.may_write() && !self.marks.has(Marks::CLOSE_PENDING);
        if open { self.room(settings) as usize } else { 0 }
    }

    /// Processes an ICMP error about a segment of this connection that began at `quoted_seq`.
    pub fn on_path_error(&mut self, env: &mut Env<'_>, error: PathError, quoted_seq: SeqNum) {
        if !self.has_in_flight(quoted_seq) {
            return;
        }
        match error {
            // RFC 5927 §5.2: once the peer has answered, hard errors are treated as soft. Otherwise
            // a forged ICMP message could end connections.
            PathError::Unreachable if self.phase.is_opening() => {
                self.end(env, CloseReason::Unreachable);
            }
            // RFC 9293 §3.9.2.2: "it SHOULD make the information available to the application
            // (SHLD-25)".
            PathError::Unreachable | PathError::Soft => self.events.insert(Events::UNREACHABLE),
            PathError::TooBig(mtu) if self.phase.is_opening() => self.on_syn_too_big(mtu),
            PathError::TooBig(mtu) => self.on_too_big(mtu),
        }
    }
}
