//! Options that a program sets for one connection, among them the user timeout and its option (RFC 5482).

use crate::tcp::congestion::Algorithm;
use crate::tcp::state::{Marks, Negotiation, QUICK_ACKS_ALWAYS};
use crate::tcp::{Connection, EcnPolicy, Env, KeepAlive, Settings, UserTimeout};
use crate::time::{Duration, Instant};

/// RFC 5482 §3.1, `U_LIMIT`: the longest that a peer's advice may keep state here for; more, and
/// anyone can hold memory for hours by falling silent.
pub(super) const UPPER_LIMIT: Duration = Duration::from_secs(3600);

/// RFC 5482 §3.1, `L_LIMIT`: the shortest that a peer's advice may bring about, RFC 9293 §3.8.3's least
/// for R2; less, and a lost second or two would end connections.
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

    /// Only full segments while it is on, until the override timeout or close; what is held back goes
    /// when it is turned off.
    pub fn set_cork(&mut self, env: &Env<'_>, on: bool) {
        self.choices_mut().cork = on;
        self.settle(env);
    }

    /// Every segment is acknowledged at once; off, ACKs may be delayed (RFC 9293 SHLD-18).
    pub fn set_quick_ack(&mut self, on: bool) {
        self.rcv.quick = if on { QUICK_ACKS_ALWAYS } else { 0 };
        // An ACK that waits for company need not wait any longer.
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

    /// Sets the user timeout (RFC 9293 §3.8.3): how long what was sent may stay unacknowledged; `None` is
    /// what the host says. The peer's advice (RFC 5482) no longer changes one that is set.
    pub fn set_user_timeout(&mut self, env: &Env<'_>, span: Option<Duration>) {
        self.choices_mut().user_timeout = span;
        self.on_user_timeout_changed(env);
    }

    /// Whether to tell the peer our user timeout and to follow its advice (RFC 5482 §3: `ENABLED`).
    pub fn set_user_timeout_option(&mut self, env: &Env<'_>, on: bool) {
        self.choices_mut().negotiation = Negotiation::enabled(on);
        self.on_user_timeout_changed(env);
    }

    /// Changes the congestion control, before the handshake or at any time after it: cwnd stays what it is,
    /// the rest begins anew.
    pub fn set_congestion_control(&mut self, algorithm: Algorithm) {
        self.recovery.controller.switch(algorithm);
    }

    /// Bounds the window that is offered to the peer, bytes: from what arrives next on, since an offer is never
    /// taken back (RFC 9293 §3.8.6). `None` leaves that to the buffer.
    pub fn set_window_max(&mut self, env: &Env<'_>, bytes: Option<u32>) {
        if bytes.is_some() || self.choices.is_some() {
            self.choices_mut().window_max = bytes;
        }
        self.settle(env);
    }

    /// How often a SYN is sent again.
    pub fn set_syn_retries(&mut self, retries: u8) {
        self.choices_mut().syn_retries = Some(retries);
    }

    /// Whether to ask for ECN; for connections being opened.
    pub fn set_ecn(&mut self, policy: EcnPolicy) {
        self.choices_mut().ecn_policy = Some(policy);
    }
}

/// The user timeout.
impl Connection {
    /// The user timeout in force.
    ///
    /// RFC 5482 §3.1:
    ///   > USER_TIMEOUT = min(U_LIMIT, max(ADV_UTO, REMOTE_UTO, L_LIMIT))
    ///
    /// unless the program has set one: then `CHANGEABLE` is false.
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

    /// Whether the program has set one, which then bounds the opening as well.
    pub(super) fn has_user_timeout(&self) -> bool {
        self.choices.as_ref().is_some_and(|choices| choices.user_timeout.is_some())
    }

    /// What runs is measured anew, and the peer is to hear of it.
    pub(super) fn on_user_timeout_changed(&mut self, env: &Env<'_>) {
        let negotiation = &mut self.choices_mut().negotiation;
        negotiation.pending = negotiation.enabled;
        let span = self.user_timeout(env.settings);
        self.recovery.on_user_timeout(env.now, span);
        // A retransmission that was armed beyond the new limit comes no later than it.
        if self.timers.retransmit_at != Instant::FAR && self.snd.outstanding() > 0 {
            self.timers.retransmit_at = self.timers.retransmit_at.min(env.now + span);
        }
    }

    /// The option of a segment that is sent now, a SYN or not.
    ///
    /// RFC 5482 §3: on SYNs, and besides
    ///   > a connection that has enabled UTO options SHOULD include a UTO option in the first packet that
    ///   > does not have the SYN flag set. This helps to minimize the amount of state information TCP
    ///   > must keep for connections in non-synchronized states.
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

    /// The same beside `len` bytes of data: only where the two fit the MSS together.
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

    /// `ADV_UTO`: what the program set, or what the host says.
    fn user_timeout_advertised(&self, settings: &Settings) -> Option<Duration> {
        let choices = self.choices.as_ref()?;
        Some(choices.user_timeout.unwrap_or(settings.give_up_after))
    }

    /// The peer's advice.
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
