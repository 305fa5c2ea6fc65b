//! Processing of expired deadlines, and arming of the timers.
//!
//! Three slots serve six timers, since their purposes exclude each other. With data outstanding the
//! slot holds the retransmission timer, with a closed window the persist timer. An idle connection
//! has a keep-alive timer; a connection that waits for the last FIN has a timeout. Timeouts back
//! off (RFC 2525 §2.10), and only an open window stops the probes (§2.12).

use crate::tcp::state::{Marks, R1};
use crate::tcp::{CloseReason, Connection, Env, Events, KeepAlive, Phase};
use crate::time::{Duration, Instant};

impl Connection {
    /// Processes the deadlines that have passed.
    pub(super) fn expire(&mut self, env: &mut Env<'_>) {
        if self.timers.ack_at <= env.now {
            self.timers.ack_at = Instant::FAR;
            self.marks.insert(Marks::ACK);
        }
        if self.timers.retransmit_at <= env.now {
            self.timers.retransmit_at = Instant::FAR;
            self.on_retransmit_deadline(env);
        }
        if self.timers.idle_at <= env.now {
            self.on_idle_deadline(env);
        }
    }

    /// Processes the retransmission slot. The state shows the purpose for which it was armed.
    fn on_retransmit_deadline(&mut self, env: &mut Env<'_>) {
        if self.phase.is_opening() {
            self.on_syn_timeout(env);
            self.notify_r1();
        } else if self.phase.may_send() && self.snd.wnd == 0 && !self.outgoing.is_empty() {
            self.on_persist_timeout(env);
        } else if self.snd.outstanding() > 0 {
            self.on_alarm(env);
            self.notify_r1();
        } else if self.phase.may_send() && self.snd.unsent() > 0 {
            self.marks.insert(Marks::OVERRIDE);
        } else if self.marks.has(Marks::WANTS_ROOM) {
            // There was no memory at all: let the program retry.
            self.marks.remove(Marks::WANTS_ROOM);
            self.events.insert(Events::WRITABLE);
        }
    }

    /// RFC 9293 §3.8.3 (e):
    ///   > TCP implementations SHOULD inform the application of the delivery problem [...], when R1
    ///   > is reached and before R2 (SHLD-9).
    fn notify_r1(&mut self) {
        if self.recovery.backoff() == R1 && !self.phase.is_last() {
            self.events.insert(Events::UNANSWERED);
        }
    }

    /// Arms the override timeout for data that may not be sent yet while no outstanding ACK could
    /// release it. Called after everything that changes the queue or the window.
    #[inline]
    pub(super) fn settle(&mut self, env: &Env<'_>) {
        self.release_pace(env.now);
        let waits = self.snd.unsent() > 0 && self.phase.may_send()
            || self.marks.has(Marks::WANTS_ROOM) && self.outgoing.is_empty();
        if waits
            && self.timers.retransmit_at == Instant::FAR
            && self.snd.outstanding() == 0
            && !self.is_held_back()
            && !self.has_pending_data()
        {
            self.timers.retransmit_at = env.now + self.rto_backed_off(env.settings);
        }
    }

    /// Starts the retransmission timer if it is not running.
    ///
    /// RFC 6298 (5.1):
    ///   > Every time a packet containing data is sent (including a retransmission), if the timer
    ///   > is not running, start it running so that it will expire after RTO seconds
    #[inline]
    pub(super) fn arm_retransmit(&mut self, env: &Env<'_>) {
        if self.timers.retransmit_at == Instant::FAR {
            let at = env.now + self.rto_backed_off(env.settings);
            let give_up_at =
                self.recovery.give_up_at.min(env.now + self.user_timeout(env.settings));
            self.timers.retransmit_at = at.min(give_up_at);
        }
    }

    /// Starts the keep-alive timer if keep-alive is on.
    pub(super) fn arm_keep_alive(&mut self, env: &Env<'_>) {
        if let Some(keep_alive) = self.keep_alive_times(env.settings) {
            self.timers.idle_at = env.now + keep_alive.idle;
        }
    }

    /// Rearms the keep-alive timer after the program changed the times. Idle time counts from the
    /// last segment received.
    pub(super) fn rearm_keep_alive(&mut self, env: &Env<'_>) {
        if self.phase.is_opening() || self.phase.is_last() || self.marks.has(Marks::NO_READER) {
            return;
        }
        self.timers.idle_at = match self.keep_alive_times(env.settings) {
            Some(times) => (self.last_received_at + times.idle).max(env.now),
            None => Instant::FAR,
        };
    }

    fn on_idle_deadline(&mut self, env: &mut Env<'_>) {
        self.timers.idle_at = Instant::FAR;
        if self.linger_until() <= env.now {
            return self.reset(env, CloseReason::TimedOut);
        }
        if self.phase == Phase::FinWait2 && self.marks.has(Marks::NO_READER) {
            return self.end(env, CloseReason::TimedOut);
        }
        if let Some(keep_alive) = self.keep_alive_times(env.settings) {
            self.keep_alive(env, keep_alive);
        }
        if !self.phase.is_last() {
            self.timers.idle_at = self.timers.idle_at.min(self.linger_until());
        }
    }

    /// RFC 9293 §3.8.4:
    ///   > Keep-alive packets MUST only be sent when no sent data is outstanding, and no data or
    ///   > acknowledgment packets have been received for the connection within an interval
    ///   > (MUST-26).
    fn keep_alive(&mut self, env: &mut Env<'_>, settings: KeepAlive) {
        let quiet = env.now.since(self.last_received_at);
        let answered = self.keep_alive_probes > 0 && quiet < settings.interval;
        if self.snd.outstanding() > 0 {
            self.keep_alive_probes = 0;
            self.timers.idle_at = env.now + settings.idle;
        } else if answered || quiet < settings.idle {
            self.keep_alive_probes = 0;
            let rest = settings.idle - quiet;
            self.timers.idle_at = env.now + rest.max(Duration::from_millis(1));
        } else if self.keep_alive_probes >= settings.probes {
            self.reset(env, CloseReason::KeepAlive);
        } else {
            self.keep_alive_probes += 1;
            self.marks.insert(Marks::KEEP_ALIVE);
            self.timers.idle_at = env.now + settings.interval;
        }
    }
}
