//! Options that a program sets on one connection, including the user timeout and its TCP option
//! (RFC 5482).

use crate::tcp::congestion::Algorithm;
use crate::tcp::state::{Marks, Negotiation, QUICK_ACKS_ALWAYS};
use crate::tcp::{Connection, EcnPolicy, Env, KeepAlive, Settings, UserTimeout};
use crate::time::{Duration, Instant};

/// RFC 5482 §3.1, `U_LIMIT`: the longest user timeout that a peer's advice can cause. With more, a
/// peer could hold memory for hours by falling silent.
pub(super) const UPPER_LIMIT: Duration = Duration::from_secs(3600);

/// RFC 5482 §3.1, `L_LIMIT`: the shortest user timeout that a peer's advice can cause, equal to the
/// minimum for R2 in RFC 9293 §3.8.3. With less, an outage of a second or two would end
/// connections.
pub(super) const LOWER_LIMIT: Duration = Duration::from_secs(100);

impl Connection {
    /// Turns Nagle's algorithm on or off (RFC 9293 MUST-17).
    pub fn set_nagle(&mut self, env: &Env<'_>, on: bool) {
        self.marks.remove(Marks::NAGLE);
        self.marks.insert(Marks::when(Marks::NAGLE, on));
        if !on {
            self.release_unpushed();
        }
        self.settle(env);
    }

    /// Turns the cork on or off. While it is on, only full segments are sent, until the override
    /// timeout or close. Turning it off sends what was held back.
    pub fn set_cork(&mut self, env: &Env<'_>, on: bool) {
        self.choices_mut().cork = on;
        self.settle(env);
    }

    /// Turns immediate ACKs on or off. Off, ACKs may be delayed (RFC 9293 SHLD-18).
    pub fn set_quick_ack(&mut self, on: bool) {
        self.rcv.quick = if on { QUICK_ACKS_ALWAYS } else { 0 };
        // Send a delayed ACK now.
        if on && self.timers.ack_at != Instant::FAR {
            self.timers.ack_at = Instant::FAR;
            self.marks.insert(Marks::ACK);
        }
    }

    /// Turns keep-alive on with these times, or off (RFC 9293 MUST-24).
    pub fn set_keep_alive(&mut self, env: &Env<'_>, times: Option<KeepAlive>) {
        self.choices_mut().keep_alive = Some(times);
        self.keep_alive_probes = 0;
        self.rearm_keep_alive(env);
    }

    /// Sets the user timeout (RFC 9293 §3.8.3): how long sent data may stay unacknowledged. `None`
    /// uses the host's setting. The peer's advice (RFC 5482) does not override an explicit value.
    pub fn set_user_timeout(&mut self, env: &Env<'_>, span: Option<Duration>) {
        self.choices_mut().user_timeout = span;
        self.on_user_timeout_changed(env);
    }

    /// Turns the user timeout option on or off: advertise our user timeout and follow the peer's
    /// advice (RFC 5482 §3: `ENABLED`).
    pub fn set_user_timeout_option(&mut self, env: &Env<'_>, on: bool) {
        self.choices_mut().negotiation = Negotiation::enabled(on);
        self.on_user_timeout_changed(env);
    }

    /// Changes the congestion control algorithm, before or after the handshake. Keeps cwnd and
    /// resets the rest of the state.
    pub fn set_congestion_control(&mut self, algorithm: Algorithm) {
        self.recovery.controller.switch(algorithm);
    }

    /// Limits the window offered to the peer, in bytes. Takes effect with the next data to arrive,
    /// since an offered window never shrinks (RFC 9293 §3.8.6). `None` offers what the buffer
    /// allows.
    pub fn set_window_max(&mut self, env: &Env<'_>, bytes: Option<u32>) {
        if bytes.is_some() || self.choices.is_some() {
            self.choices_mut().window_max = bytes;
        }
        self.settle(env);
    }

    /// Sets the maximum number of SYN retransmissions.
    pub fn set_syn_retries(&mut self, retries: u8) {
        self.choices_mut().syn_retries = Some(retries);
    }

    /// Sets the ECN policy of a connection that is still opening.
    pub fn set_ecn(&mut self, policy: EcnPolicy) {
        self.choices_mut().ecn_policy = Some(policy);
    }
}

/// The user timeout.
impl Connection {
    /// Returns the user timeout in force.
    ///
    /// RFC 5482 §3.1:
    ///   > USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))
    ///
    /// If the program has set a timeout, `CHANGEABLE` is false and that value applies.
    pub(super) fn user_timeout(&self, settings: &Settings) -> Duration {
        let Some(choices) = &self.choices else { return settings.give_up_after };
        match (choices.user_timeout, choices.negotiation.remote) {
            (Some(span), _) => span,
            (None, Some(remote)) => {
                settings.give_up_after.max(remote).max(LOWER_LIMIT).min(UPPER_LIMIT)
            }
            (None, None) => settings.give_up_after,
        }
    }

    /// Returns true if the program has set a user timeout. It then bounds the opening as well.
    pub(super) fn has_user_timeout(&self) -> bool {
        self.choices.as_ref().is_some_and(|choices| choices.user_timeout.is_some())
    }

    /// Restarts the running timeout with the new value and schedules an announcement to the peer.
    pub(super) fn on_user_timeout_changed(&mut self, env: &Env<'_>) {
        let negotiation = &mut self.choices_mut().negotiation;
        negotiation.pending = negotiation.enabled;
        let span = self.user_timeout(env.settings);
        self.recovery.on_user_timeout(env.now, span);
        // Pull in a retransmission that was armed beyond the new limit.
        if self.timers.retransmit_at != Instant::FAR && self.snd.outstanding() > 0 {
            self.timers.retransmit_at = self.timers.retransmit_at.min(env.now + span);
        }
    }

    /// Returns the option for a segment sent now.
    ///
    /// RFC 5482 §3: on SYNs, and also
    ///   > a connection that has enabled UTO options SHOULD include a UTO option in the first
    ///   > packet that does not have the SYN flag set. This helps to minimize the amount of state
    ///   > information TCP must keep for connections in non-synchronized states.
    pub(super) fn user_timeout_option(
        &mut self,
        settings: &Settings,
        syn: bool,
    ) -> Option<UserTimeout> {
        let span = self.user_timeout_advertised(settings)?;
        let negotiation = &mut self.choices.as_mut()?.negotiation;
        if !negotiation.enabled || !negotiation.pending {
            return None;
        }
        negotiation.pending = syn;
        Some(UserTimeout::from_span(span))
    }

    /// Returns the option for a segment with `len` bytes of data, if both fit in the MSS.
    #[inline]
    pub(super) fn user_timeout_beside(
        &mut self,
        settings: &Settings,
        len: u32,
    ) -> Option<UserTimeout> {
        self.choices.as_ref()?;
        let fits = len + UserTimeout::OPTION_LEN <= u32::from(self.snd.mss);
        if fits { self.user_timeout_option(settings, false) } else { None }
    }

    /// Returns `ADV_UTO`: the program's value, or the host's.
    fn user_timeout_advertised(&self, settings: &Settings) -> Option<Duration> {
        let choices = self.choices.as_ref()?;
        Some(choices.user_timeout.unwrap_or(settings.give_up_after))
    }

    /// Applies the peer's advice.
    pub(super) fn on_user_timeout_option(&mut self, env: &Env<'_>, advice: UserTimeout) {
        if let Some(choices) = &mut self.choices
            && choices.negotiation.enabled
        {
            choices.negotiation.remote = Some(advice.span());
            let span = self.user_timeout(env.settings);
            self.recovery.on_user_timeout(env.now, span);
        }
    }
}
