//! The end of a connection: by the program (RFC 9293 §3.10.4, §3.10.5, §3.6.1), by a completed
//! exchange of FINs, or by an error. `receive` and `arrive` process the peer's FIN and ACKs,
//! `timers` the deadlines.

use crate::tcp::state::{Marks, Timers};
use crate::tcp::{Assembler, BufferPool, CloseReason, Connection, Env, Events, Phase, TimeWait};
use crate::time::Instant;

impl Connection {
    /// Closes the sending direction: a FIN follows the data already written. The program can still
    /// read (half-close). RFC 9293 §3.10.4.
    pub fn close(&mut self, env: &mut Env<'_>) {
        match self.phase {
            // "Delete the TCB": the peer has no state to lose.
            Phase::SynSent => self.end(env, CloseReason::Aborted),
            // "otherwise, queue for processing after entering ESTABLISHED state".
            Phase::SynReceived => self.marks.insert(Marks::CLOSE_PENDING),
            Phase::Established => self.enter(Phase::FinWait1),
            Phase::CloseWait => self.enter(Phase::LastAck),
            _ => {}
        }
        self.settle(env);
    }

    /// Closes both directions: like [`Self::close`], and the program will not read any more. Unread
    /// data, and data that arrives from now on, is answered with a reset (RFC 9293 §3.6.1, RFC 2525
    /// §2.17).
    pub fn close_both(&mut self, env: &mut Env<'_>) {
        if self.phase.is_last() {
            return self.discard_unread(env);
        }
        if !self.incoming.is_empty() {
            return self.abort(env);
        }
        self.marks.insert(Marks::NO_READER);
        self.return_receive_memory(env.pool, env.settings);
        self.close(env);
        if self.phase == Phase::FinWait2 {
            self.arm_fin_wait_2(env);
        }
    }

    /// Closes both directions, with a reset at `deadline` if the close is not complete by then.
    /// Data that the peer has not acknowledged by the deadline is lost.
    pub fn close_by(&mut self, env: &mut Env<'_>, deadline: Instant) {
        self.close_both(env);
        if !self.phase.is_last() {
            self.choices_mut().linger_until = Some(deadline);
            self.timers.idle_at = self.timers.idle_at.min(deadline);
        }
    }

    /// Aborts: CLOSED at once, with a reset where the state requires one. RFC 9293 §3.10.5.
    pub fn abort(&mut self, env: &mut Env<'_>) {
        if self.phase.is_last() {
            // The exchange of FINs is complete: no reset is needed, and the close reason is set.
            let before = core::mem::replace(&mut self.phase, Phase::Closed);
            // What the program has read is not all: that is no clean end.
            if !self.incoming.is_empty() && self.close_reason == Some(CloseReason::Finished) {
                self.close_reason = Some(CloseReason::Aborted);
            }
            self.discard_unread(env);
            // The end of a TIME-WAIT is reported when it moves to its table, which does not come.
            if before == Phase::TimeWait {
                self.notify_closed_when_drained();
            }
            return;
        }
        self.reset(env, CloseReason::Aborted);
    }

    /// Enters CLOSED and schedules a reset, unless the peer already considers the connection
    /// closed.
    pub(super) fn reset(&mut self, env: &mut Env<'_>, reason: CloseReason) {
        let tells = match self.phase {
            Phase::SynReceived
            | Phase::Established
            | Phase::FinWait1
            | Phase::FinWait2
            | Phase::CloseWait => true,
            // The RFC enters CLOSING and LAST-ACK when the FIN is sent. Until then the RFC's state
            // is FIN-WAIT-1 or CLOSE-WAIT, and the peer waits for data that will not come.
            Phase::Closing | Phase::LastAck => !self.snd.fin_is_sent(),
            Phase::SynSent | Phase::TimeWait | Phase::Closed => false,
        };
        self.end(env, reason);
        self.marks.insert(Marks::when(Marks::RESET, tells));
    }

    /// Arms the timeout of a FIN-WAIT-2 without a reader.
    pub(super) fn arm_fin_wait_2(&mut self, env: &Env<'_>) {
        self.timers.idle_at = (env.now + env.settings.fin_wait_2).min(self.linger_until());
    }

    /// Discards unread data after the exchange of FINs is complete.
    fn discard_unread(&mut self, env: &mut Env<'_>) {
        if !self.incoming.is_empty() {
            self.return_receive_memory(env.pool, env.settings);
            self.notify_closed_when_drained();
        }
    }
}

/// Terminal transitions.
impl Connection {
    /// Enters CLOSED for a reason other than a full exchange of FINs, and flushes the queues.
    pub(super) fn end(&mut self, env: &mut Env<'_>, reason: CloseReason) {
        self.enter(Phase::Closed);
        self.timers = Timers::default();
        self.close_reason = Some(reason);
        if env.settings.read_after_reset && reason != CloseReason::Aborted {
            self.release_send_buffer(env.pool);
            self.holes = Assembler::default();
            self.release_flight(env.pool);
            self.notify_rest_readable();
            return self.notify_closed_when_drained();
        }
        self.release(env.pool);
        self.events.insert(Events::CLOSED);
    }

    /// Enters TIME-WAIT: both FINs were exchanged.
    pub(super) fn enter_time_wait(&mut self, env: &mut Env<'_>) {
        self.enter(Phase::TimeWait);
        self.finish(env);
    }

    /// Finishes after both FINs were exchanged and ours was acknowledged. Received data can still
    /// be read.
    pub(super) fn finish(&mut self, env: &mut Env<'_>) {
        self.timers = Timers::default();
        self.release_send_buffer(env.pool);
        self.release_flight(env.pool);
        self.close_reason = Some(CloseReason::Finished);
        self.notify_closed_when_drained();
    }

    /// Emits CLOSED once nothing is left to read, since the handle dies with that event.
    pub(super) fn notify_closed_when_drained(&mut self) {
        if self.phase.is_last() && self.incoming.is_empty() {
            self.events.insert(Events::CLOSED);
        }
    }

    /// Returns the TIME-WAIT entry of this connection, and true if it uses timestamps.
    pub fn to_time_wait(&self) -> (TimeWait, bool) {
        let entry = TimeWait::new(self.snd.nxt, self.rcv.nxt, self.rcv.ts_recent);
        (entry, self.marks.has(Marks::TIMESTAMPS))
    }

    /// Returns all buffers to the pool. Call before dropping the connection.
    pub fn release(&mut self, pool: &mut BufferPool) {
        self.release_buffers(pool);
        self.holes = Assembler::default();
        self.release_flight(pool);
    }

    fn release_flight(&mut self, pool: &mut BufferPool) {
        if let Some(flight) = self.recovery.flight.take() {
            pool.flights.release(flight);
        }
    }
}
