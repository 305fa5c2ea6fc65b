//! What a program may set for one connection, over what the host's [`Settings`] say.
//!
//! Owns the overrides, in a box that only a connection with one of them has: a million others pay a
//! pointer each. Urgent data, which hardly any program uses, has its two numbers there too.

use super::congestion::Algorithm;
use super::connection::Connection;
use super::ecn::Ecn;
use super::fast_open::Opening;
use super::interface::Env;
use super::marks::Marks;
use super::pacing::Pacer;
use super::path_search::Search;
use super::push::Pushing;
use super::receive::QUICK_ACKS_ALWAYS;
use super::urgent::Urgent;
use super::user_timeout::Negotiation;
use super::{EcnPolicy, KeepAlive, Settings};
use crate::time::{Duration, Instant};

/// The overrides of one connection.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionOptions {
    pub(super) cork: bool,
    /// What is written now is not pushed.
    pub(super) more_follows: bool,
    pub(super) pushing: Pushing,
    pub(super) keep_alive: Option<Option<KeepAlive>>,
    pub(super) user_timeout: Option<Duration>,
    pub(super) negotiation: Negotiation,
    pub(super) syn_retries: Option<u8>,
    /// The most that is offered to the peer, bytes.
    pub(super) window_max: Option<u32>,
    pub(super) ecn_policy: Option<EcnPolicy>,
    /// The state of congestion notification, unless `Connection::ecn` is none.
    pub(super) ecn: Option<Ecn>,
    /// After this the close that is under way becomes a reset.
    pub(super) linger_until: Option<Instant>,
    /// The pace of what it sends, if it is paced.
    pub(super) pacer: Option<Pacer>,
    /// The search for the largest packet of the path, while there is one.
    pub(super) search: Option<Search>,
    /// The attempt at Fast Open, until what came of it is asked for.
    pub(super) opening: Option<Opening>,
    /// Where urgent data ends, with [`Marks::URGENT`].
    pub(super) urgent: Urgent,
}

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

    pub(super) fn choices_mut(&mut self) -> &mut ConnectionOptions {
        self.choices.get_or_insert_with(Box::default)
    }

    /// Whether only full segments may go.
    #[inline]
    pub(super) fn is_corked(&self) -> bool {
        self.choices
            .as_ref()
            .is_some_and(|choices| choices.cork || choices.pushing == Pushing::Held)
    }

    /// When and how the connection is kept alive.
    pub(super) fn keep_alive_times(&self, settings: &Settings) -> Option<KeepAlive> {
        self.choices.as_ref().and_then(|choices| choices.keep_alive).unwrap_or(settings.keep_alive)
    }

    /// How often a SYN is sent again.
    pub(super) fn syn_retries(&self, settings: &Settings) -> u8 {
        self.choices
            .as_ref()
            .and_then(|choices| choices.syn_retries)
            .unwrap_or(settings.syn_retries)
    }
}
