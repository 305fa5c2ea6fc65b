//! The client's part (RFC 7413 §4.2.2): the first SYN with a cookie and data, or with the request for a
//! cookie; later ones without both; what the SYN-ACK says to that.
//!
//! Owns the attempt, in the box of rare things, until what came of it is asked for. Refuses to know whether
//! an attempt is worth making: the caller remembers servers.

use super::{EarlyMarks, FastOpen, Form};
use crate::tcp::connection::Connection;
use crate::tcp::interface::Env;
use crate::tcp::marks::Marks;
use crate::tcp::rate::{RateStamp, micros};
use crate::tcp::send::MSS_DEFAULT;
use crate::tcp::{Phase, Segment, SeqNum};

/// Bytes of options that the data of a SYN leaves room for. The MSS does not count them (RFC 6691), and
/// what is on the way may add some to a SYN: so the most there can be.
const OPTIONS_LEN_MAX: u16 = 40;

/// How the first SYN is to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// With the request for a cookie (§4.2.1).
    Ask(Form),
    /// With data for a server that takes segments of `mss` bytes, and the cookie that it gave; without one
    /// for servers that want none (§7.3).
    Send {
        /// The cookie.
        cookie: Option<FastOpen>,
        /// The server's MSS, as it announced it.
        mss: u16,
    },
}

/// What came of an attempt: the facts, for who remembers servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The option that the SYN-ACK had; only after a SYN with one.
    pub answer: Option<FastOpen>,
    /// The MSS that the server announced, or the default; `None` without SYN-ACK.
    pub mss: Option<u16>,
    /// The SYN asked for a cookie.
    pub asked: bool,
    /// There was data in the SYN.
    pub sent: bool,
    /// Some of it was acknowledged by the SYN-ACK.
    pub acked: bool,
    /// The SYN had to be sent again.
    pub timed_out: bool,
    /// The path has told that the SYN was too big.
    pub too_big: bool,
}

/// Whether there was data in the SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SynData {
    /// None.
    #[default]
    None,
    /// Ours, and the SYN-ACK did not acknowledge all of it, or has not come.
    Sent,
    /// Ours, and the SYN-ACK acknowledged it.
    Acknowledged,
    /// The peer's, and we took it.
    Received,
}

/// The state of an attempt.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Opening {
    attempt: Attempt,
    outcome: Outcome,
    /// The MSS that the path was found to have room for.
    path_mss: Option<u16>,
}

/// What the first SYN takes along.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::tcp) struct SynLoad {
    pub(in crate::tcp) option: Option<FastOpen>,
    /// Bytes of data.
    pub(in crate::tcp) len: u32,
}

impl Attempt {
    /// The most data that the SYN takes. RFC 7413 §4.1.3 limits it to the server's MSS, or to the default
    /// MSS for servers that have told none.
    pub fn room(&self, ours: u16) -> u32 {
        match self {
            Self::Ask(_) => 0,
            Self::Send { mss, .. } => u32::from((*mss).min(ours).saturating_sub(OPTIONS_LEN_MAX)),
        }
    }
}

impl Connection {
    /// Opens by `attempt`; to be called before the SYN is sent.
    pub fn attempt_fast_open(&mut self, attempt: Attempt) {
        debug_assert!(self.phase == Phase::SynSent && self.snd.nxt == self.snd.iss);
        self.early.insert(EarlyMarks::TRIES);
        let outcome = Outcome { asked: matches!(attempt, Attempt::Ask(_)), ..Outcome::default() };
        self.choices_mut().opening = Some(Opening { attempt, outcome, path_mss: None });
    }

    /// The first SYN-ACK is to have this option.
    pub fn renew_cookie(&mut self, option: FastOpen) {
        self.early.insert(EarlyMarks::TRIES);
        let attempt = Attempt::Send { cookie: Some(option), mss: 0 };
        let outcome = Outcome::default();
        self.choices_mut().opening = Some(Opening { attempt, outcome, path_mss: None });
    }

    /// What came of the attempt, once, when the handshake is over in either way.
    pub fn take_fast_open_outcome(&mut self) -> Option<Outcome> {
        let over = !self.phase.is_opening() && !self.early.has(EarlyMarks::PASSIVE);
        if !self.early.has(EarlyMarks::TRIES) || !over {
            return None;
        }
        self.early.remove(EarlyMarks::TRIES);
        Some(self.choices.as_mut()?.opening.take()?.outcome)
    }

    /// Whether there was data in the SYN.
    pub const fn syn_data(&self) -> SynData {
        let early = self.early;
        match (
            early.has(EarlyMarks::DATA),
            early.has(EarlyMarks::PASSIVE),
            early.has(EarlyMarks::ACKED),
        ) {
            (false, ..) => SynData::None,
            (true, true, _) => SynData::Received,
            (true, false, true) => SynData::Acknowledged,
            (true, false, false) => SynData::Sent,
        }
    }

    fn opening_mut(&mut self) -> Option<&mut Opening> {
        self.choices.as_mut()?.opening.as_mut()
    }

    /// What the SYN takes along that is about to be sent. RFC 7413 §4.2.2:
    ///   > To deal with network or servers dropping SYN packets with payload or unknown options, when the
    ///   > SYN timer fires, the client SHOULD retransmit a SYN packet without data and Fast Open options.
    pub(in crate::tcp) fn load_of_syn(&mut self, ours: u16) -> SynLoad {
        let is_first = self.snd.nxt == self.snd.iss;
        let queued = self.outgoing.len();
        let Some(opening) = self.opening_mut().filter(|_| is_first) else {
            return SynLoad::default();
        };
        let len = opening.attempt.room(ours).min(queued);
        opening.outcome.sent = len > 0;
        let option = match opening.attempt {
            Attempt::Ask(form) => Some(FastOpen { form, cookie: None }),
            Attempt::Send { cookie, .. } => cookie,
        };
        SynLoad { option, len }
    }

    /// The first SYN was sent, with `len` bytes of data.
    pub(in crate::tcp) fn note_syn_data_sent(&mut self, len: u32) {
        if len > 0 {
            self.early.insert(EarlyMarks::DATA);
            self.snd.nxt = self.snd.nxt.latest(self.snd.iss + 1 + len);
        }
    }

    /// The MSS that a SYN announces, on a path that was found to take less.
    pub(in crate::tcp) fn mss_of_syn(&self, ours: u16) -> u16 {
        let opening = self.choices.as_ref().and_then(|choices| choices.opening.as_ref());
        opening.and_then(|opening| opening.path_mss).map_or(ours, |path| path.min(ours))
    }

    /// The SYN is sent again by the timer.
    pub(in crate::tcp) fn note_syn_timeout(&mut self) {
        if let Some(opening) = self.opening_mut() {
            opening.outcome.timed_out = true;
        }
    }

    /// The path takes packets of `mtu` bytes, and the SYN had data: it goes again, at once and without, as
    /// after a timeout.
    pub(in crate::tcp) fn on_syn_too_big(&mut self, mtu: u32) {
        if self.phase != Phase::SynSent || !self.early.has(EarlyMarks::DATA) {
            return;
        }
        let headers = if self.marks.has(Marks::IPV6) { 60 } else { 40 };
        let mss = u16::try_from(mtu.saturating_sub(headers)).unwrap_or(u16::MAX);
        if let Some(opening) = self.opening_mut().filter(|opening| !opening.outcome.too_big) {
            opening.outcome.too_big = true;
            opening.path_mss = Some(mss);
            self.snd.resend_syn();
        }
    }

    /// Our SYN is acknowledged up to `segment.ack`, and SND.UNA stands there. RFC 7413 §4.2.2:
    ///   > The client SHOULD retransmit any unacknowledged data in the first ACK packet
    ///
    /// It is sent again, in segments of the MSS that is known now, and is no loss: a server that takes no data
    /// in SYNs is no sign of congestion.
    #[cold]
    pub(in crate::tcp) fn on_early_answer(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        let first: SeqNum = self.snd.iss + 1;
        let acked = segment.ack.distance_from(first);
        if self.early.has(EarlyMarks::DATA) {
            if acked > 0 {
                self.drop_acked(env, acked);
            }
            if self.snd.outstanding() == 0 {
                self.early.insert(EarlyMarks::ACKED);
                // What is left of a request goes with the ACK: its answer needs no ACKs to grow by.
                if self.snd.unsent() > 0 {
                    self.rcv.quick = 0;
                }
            } else {
                self.resend_syn_data(env);
            }
        }
        let mss = MSS_DEFAULT[usize::from(self.marks.has(Marks::IPV6))];
        if let Some(opening) = self.opening_mut() {
            opening.outcome.acked = acked > 0;
            if segment.flags.syn() {
                let had_option = !matches!(opening.attempt, Attempt::Send { cookie: None, .. });
                opening.outcome.answer = segment.rare.fast_open.filter(|_| had_option);
                opening.outcome.mss = Some(segment.options.mss.unwrap_or(mss));
            }
        }
    }

    /// The data of the SYN that is not acknowledged is to be sent again. Its end had PSH, as the end of all that
    /// was sent at once.
    fn resend_syn_data(&mut self, env: &mut Env<'_>) {
        if !self.marks.has(Marks::SACK) {
            return self.snd.resend_all();
        }
        let (una, nxt, mss) = (self.snd.una, self.snd.nxt, u32::from(self.snd.mss));
        let flight = self.recovery.flight.insert(env.pool.flights.acquire(una, env.now));
        flight.board.on_sent(nxt, micros(env.now), RateStamp::default());
        flight.board.cut(mss);
        flight.board.on_pushed(nxt, true);
        flight.is_alone = nxt.distance_from(una) <= mss;
    }
}
