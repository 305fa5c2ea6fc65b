//! Builds the planned segment and updates the send state. Sending is all or nothing.

use super::transmit::{Kind, Plan};
use crate::tcp::fast_open::SynLoad;
use crate::tcp::state::{EarlyMarks, Marks};
use crate::tcp::{Connection, Env, Flags, Options, RareOptions, SegmentOut, SeqNum, WindowShift};

impl Connection {
    /// Builds the segment of `plan` and counts it as sent.
    pub fn emit(&mut self, env: &mut Env<'_>, plan: Plan) -> SegmentOut<'_> {
        match plan.kind {
            Kind::Reset => {
                self.marks.remove(Marks::RESET);
                // A peer in SYN-SENT accepts a reset only if it acknowledges the SYN (RFC 9293
                // §3.10.7.3).
                let unheard = self.snd.nxt == self.snd.iss;
                let host = env.settings.acknowledge_in_resets && !self.bare_reset;
                let acks = host || unheard;
                // RFC 7323 §3.2: the timestamps "SHOULD be sent in an <RST> segment".
                SegmentOut {
                    seq: plan.seq,
                    ack: if acks { self.rcv.nxt } else { SeqNum(0) },
                    flags: if acks { plan.flags.with(Flags::ACK) } else { plan.flags },
                    options: Options { timestamps: self.stamp(env.now), ..Options::default() },
                    ..SegmentOut::default()
                }
            }
            Kind::Syn => self.emit_syn(env, plan),
            Kind::Text | Kind::Bare => self.emit_text(env, plan),
        }
    }

    fn emit_syn(&mut self, env: &mut Env<'_>, plan: Plan) -> SegmentOut<'_> {
        let settings = env.settings;
        let answers = plan.flags.ack();
        let mss = self.mss_max(settings);
        let load =
            if self.early.has(EarlyMarks::TRIES) { self.syn_load(mss) } else { SynLoad::default() };
        self.note_sent(env, plan);
        if answers {
            self.on_ack_sent();
            if self.early.has(EarlyMarks::PASSIVE) {
                self.on_syn_ack_sent();
            }
        }
        self.on_syn_data_sent(load.len);
        // RFC 7323 §2.2, §3.2: a SYN-ACK carries only options that the peer's SYN offered.
        let agreed = self.snd.shift != WindowShift::ZERO || self.rcv.shift != WindowShift::ZERO;
        // A cookie takes all remaining option space.
        let user_timeout = match load.option {
            None => self.user_timeout_option(settings, true),
            Some(_) => None,
        };
        let label = self.label_syn(settings, answers);
        let buffer = self.scaled_buffer(settings);
        let scales = if answers { agreed } else { settings.window_scaling };
        SegmentOut {
            seq: plan.seq,
            ack: if answers { self.rcv.nxt } else { SeqNum(0) },
            flags: plan.flags.with(label.flags),
            window: self.rcv.wnd() as u16,
            options: Options {
                mss: Some(self.syn_mss(mss)),
                window_shift: scales.then(|| WindowShift::for_buffer(buffer)),
                timestamps: self.stamp(env.now),
                sack_permitted: self.marks.has(Marks::SACK),
            },
            rare: RareOptions {
                user_timeout,
                accecn: label.counters,
                fast_open: load.option,
                ..RareOptions::NONE
            },
            payload: self.outgoing.slices(0, load.len),
            ..SegmentOut::default()
        }
    }

    #[inline]
    fn emit_text(&mut self, env: &mut Env<'_>, plan: Plan) -> SegmentOut<'_> {
        let window = self.offer_window(env);
        let new = plan.len > 0 && plan.seq == self.snd.nxt;
        let fresh = new && !self.marks.has(Marks::PROBE);
        let end = plan.seq + plan.len;
        let mut pushes = plan.len > 0 && self.ends_push(env, plan.seq, end);
        if plan.kind == Kind::Text {
            self.note_sent(env, plan);
            let ends_burst = new && self.ends_burst(env.settings);
            if new && (pushes || ends_burst) {
                self.note_pushed(env, plan.end(), pushes);
            }
            pushes |= ends_burst;
        } else {
            self.marks.remove(Marks::KEEP_ALIVE);
            self.rcv.duplicates = self.rcv.duplicates.saturating_sub(1);
        }
        self.on_ack_sent();
        let user_timeout = self.user_timeout_beside(env.settings, plan.len);
        let sack = self.sack_option(plan.len);
        let label = self.label(plan.len, fresh, &sack);
        let mut flags = if pushes { plan.flags.with(Flags::PSH) } else { plan.flags };
        flags = flags.with(label.flags);
        let urgent = self.urgent_pointer(plan.seq);
        if urgent.is_some() {
            flags = flags.with(Flags::URG);
        }
        let first = self.snd.end - self.outgoing.len();
        SegmentOut {
            seq: plan.seq,
            ack: self.rcv.nxt,
            flags,
            window,
            urgent: urgent.unwrap_or(0),
            ecn: label.codepoint,
            options: Options { timestamps: self.stamp(env.now), ..Options::default() },
            rare: RareOptions { sack, user_timeout, accecn: label.counters, fast_open: None },
            payload: self.outgoing.slices(plan.seq.distance_from(first), plan.len),
        }
    }

    /// Tracks a small segment (RFC 9293 §3.7.4) for new data of `len` bytes about to be sent.
    fn note_small(&mut self, len: u32) {
        if len < u32::from(self.snd.mss) {
            self.early.insert(EarlyMarks::SMALL);
        } else if self.snd.outstanding() == 0 {
            self.early.remove(EarlyMarks::SMALL);
        }
    }

    /// Counts sequence space as sent: advances SND.NXT over new data and arms the timer.
    #[inline]
    fn note_sent(&mut self, env: &mut Env<'_>, plan: Plan) {
        let end = plan.end();
        let again = plan.seq.before(self.snd.nxt);
        // A FIN alone needs no scoreboard, which saves short connections its cost. A retransmitted
        // zero-window probe is not recorded.
        let selective = (plan.len > 0 && self.marks.has(Marks::SACK)
            || self.recovery.flight.is_some())
            && !plan.flags.syn()
            && !(again && self.marks.has(Marks::PROBE));
        if again {
            self.recovery.on_retransmitted();
            self.snd.resend = self.snd.resend.latest(end).earliest(self.snd.resend_end);
        } else if plan.len > 0 || plan.flags.syn() {
            self.recovery.on_sent(end, env.now);
        }
        if self.marks.has(Marks::PROBE.with(Marks::OVERRIDE)) {
            if self.marks.has(Marks::PROBE) {
                self.marks.insert(Marks::PROBED);
            }
            self.marks.remove(Marks::PROBE.with(Marks::OVERRIDE));
        }
        if self.early.has(EarlyMarks::COUNTS_SMALL) && plan.len > 0 && !again {
            self.note_small(plan.len);
        }
        if selective {
            self.note_in_flight(env, plan.seq, end, plan.len);
        }
        self.snd.nxt = self.snd.nxt.latest(end);
        if selective && !self.phase.is_opening() {
            self.arm_after_sent(env, again);
        } else {
            self.arm_retransmit(env);
            if plan.flags.fin() && !again {
                self.arm_fin_probe(env);
            }
        }
        if plan.len > 0 {
            self.pace(env, plan.len);
        }
    }
}
