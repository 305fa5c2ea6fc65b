//! How long what was sent may stay unacknowledged: the user timeout (RFC 9293 §3.8.3), and what the two
//! ends advise each other about it (RFC 5482).
//!
//! Owns the rule by which the timeout in force follows from what the program set, what the host says,
//! and what the peer advised. Refuses to know when it runs: `recovery` counts it.

use super::Settings;
use super::connection::Connection;
use super::interface::Env;
use super::segment::UserTimeout;
use crate::time::{Duration, Instant};

/// RFC 5482 §3.1, `U_LIMIT`: the longest that a peer's advice may keep state here for; more, and
/// anyone can hold memory for hours by falling silent.
pub(super) const UPPER_LIMIT: Duration = Duration::from_secs(3600);

/// RFC 5482 §3.1, `L_LIMIT`: the shortest that a peer's advice may bring about, RFC 9293 §3.8.3's least
/// for R2; less, and a lost second or two would end connections.
pub(super) const LOWER_LIMIT: Duration = Duration::from_secs(100);

/// RFC 5482 §3: the state of the exchange.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Negotiation {
    /// `ENABLED`: "controls whether the UTO option is enabled for a connection [...] Defaults to false."
    enabled: bool,
    /// The option is owed: the program changed the timeout, or none was sent beyond the SYN.
    owed: bool,
    /// `REMOTE_UTO`: what the peer advised last.
    remote: Option<Duration>,
}

impl Negotiation {
    pub(super) fn enabled(on: bool) -> Self {
        Self { enabled: on, owed: on, remote: None }
    }
}

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
        negotiation.owed = negotiation.enabled;
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
        if !negotiation.enabled || !negotiation.owed {
            return None;
        }
        negotiation.owed = syn;
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
