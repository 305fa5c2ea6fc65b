//! The end of a connection: by the program (RFC 9293 §3.10.4, §3.10.5, §3.6.1), by a completed exchange of FINs,
//! or by an error. The peer's FIN and ACKs are processed in `receive` and `arrive`, deadlines in `timers`.

use crate::tcp::state::{Marks, Timers};
use crate::tcp::{Assembler, BufferPool, CloseReason, Connection, Env, Events, Phase, TimeWait};
use crate::time::Instant;

impl Connection {
    /// Closes our direction after what was written: FIN. Reading goes on (half-close).
    /// RFC 9293 §3.10.4.
    pub fn close(&mut self, env: &mut Env<'_>) {
        match self.phase {
            // "Delete the TCB": nothing the peer knows of is lost.
            Phase::SynSent => self.end(env, CloseReason::Aborted),
            // "otherwise, queue for processing after entering ESTABLISHED state".
            Phase::SynReceived => self.marks.insert(Marks::CLOSE_PENDING),
            Phase::Established => self.enter(Phase::FinWait1),
            Phase::CloseWait => self.enter(Phase::LastAck),
            _ => {}
        }
        self.settle(env);
    }

    /// Closes both directions: as [`Self::close`], and nothing more will be read. Data unread, or
    /// arriving from now on, is answered with a reset (RFC 9293 §3.6.1, RFC 2525 §2.17).
    pub fn close_both(&mut self, env: &mut Env<'_>) {
        if self.phase.is_last() {
            return self.discard_unread(env);
        }
        if !self.incoming.is_empty() {
            return self.abort(env);
        }
        self.marks.insert(Marks::NO_READER);
        self.let_go_received(env.pool, env.settings);
        self.close(env);
        if self.phase == Phase::FinWait2 {
            self.arm_fin_wait_2(env);
        }
    }

    /// The same, and what is not done by `deadline` ends with a reset: data that the peer has not
    /// acknowledged by then is lost to it.
    pub fn close_by(&mut self, env: &mut Env<'_>, deadline: Instant) {
        self.close_both(env);
        if !self.phase.is_last() {
            self.choices_mut().linger_until = Some(deadline);
            self.timers.idle_at = self.timers.idle_at.min(deadline);
        }
    }

    /// Ends it at once: CLOSED, with a reset owed where the phase demands one. RFC 9293 §3.10.5.
    pub fn abort(&mut self, env: &mut Env<'_>) {
        if self.phase.is_last() {
            // The exchange is complete: nothing to reset, and the end is known.
            self.phase = Phase::Closed;
            return self.discard_unread(env);
        }
        self.reset(env, CloseReason::Aborted);
    }

    /// CLOSED, and the peer is told by a reset unless it knows all there is to know.
    pub(super) fn reset(&mut self, env: &mut Env<'_>, reason: CloseReason) {
        let tells = match self.phase {
            Phase::SynReceived
            | Phase::Established
            | Phase::FinWait1
            | Phase::FinWait2
            | Phase::CloseWait => true,
            // The RFC's CLOSING and LAST-ACK begin when the FIN is sent; until then this is its
            // FIN-WAIT-1 or CLOSE-WAIT, and the peer waits for data that will not come.
            Phase::Closing | Phase::LastAck => !self.snd.fin_is_sent(),
            Phase::SynSent | Phase::TimeWait | Phase::Closed => false,
        };
        self.end(env, reason);
        self.marks.insert(Marks::when(Marks::RESET, tells));
    }

    /// FIN-WAIT-2 without a reader ends by itself.
    pub(super) fn arm_fin_wait_2(&mut self, env: &Env<'_>) {
        self.timers.idle_at = (env.now + env.settings.fin_wait_2).min(self.linger_until());
    }

    /// The exchange is complete, and what is left to read will not be read.
    fn discard_unread(&mut self, env: &mut Env<'_>) {
        if !self.incoming.is_empty() {
            self.let_go_received(env.pool, env.settings);
            self.notify_closed_when_drained();
        }
    }
}

/// The end of a connection.
impl Connection {
    /// CLOSED, for a reason other than a full exchange: what is queued is flushed.
    pub(super) fn end(&mut self, env: &mut Env<'_>, reason: CloseReason) {
        self.enter(Phase::Closed);
        self.timers = Timers::default();
        self.close_reason = Some(reason);
        if env.settings.read_after_reset && reason != CloseReason::Aborted {
            self.let_go_sent(env.pool);
            self.holes = Assembler::default();
            self.release_flight(env.pool);
            return self.notify_closed_when_drained();
        }
        self.release(env.pool);
        self.events.insert(Events::CLOSED);
    }

    /// TIME-WAIT: both FINs are exchanged.
    pub(super) fn enter_time_wait(&mut self, env: &mut Env<'_>) {
        self.enter(Phase::TimeWait);
        self.finish(env);
    }

    /// Both FINs are exchanged and ours is acknowledged; what was received can still be read.
    pub(super) fn finish(&mut self, env: &mut Env<'_>) {
        self.timers = Timers::default();
        self.let_go_sent(env.pool);
        self.release_flight(env.pool);
        self.close_reason = Some(CloseReason::Finished);
        self.notify_closed_when_drained();
    }

    /// Tells of the end once nothing is left to read: the handle dies with it.
    pub(super) fn notify_closed_when_drained(&mut self) {
        if self.phase.is_last() && self.incoming.is_empty() {
            self.events.insert(Events::CLOSED);
        }
    }

    /// What is kept of it in TIME-WAIT, and whether it uses timestamps.
    pub fn to_time_wait(&self) -> (TimeWait, bool) {
        let entry = TimeWait::new(self.snd.nxt, self.rcv.nxt, self.rcv.ts_recent);
        (entry, self.marks.has(Marks::TIMESTAMPS))
    }

    /// Gives all buffers back, before it is dropped.
    pub fn release(&mut self, pool: &mut BufferPool) {
        self.let_go(pool);
        self.holes = Assembler::default();
        self.release_flight(pool);
    }

    fn release_flight(&mut self, pool: &mut BufferPool) {
        if let Some(flight) = self.recovery.flight.take() {
            pool.flights.release(flight);
        }
    }
}
