//! The initial values of every field: for an active open, and for a connection that an embryo
//! becomes.
//!
//! The parts are prepared first and assembled once. A connection is large, and each field written
//! twice costs time at every open.

use crate::tcp::buffer::Promise;
use crate::tcp::ecn::Ecn;
use crate::tcp::mss::effective_mss;
use crate::tcp::state::{Challenges, EarlyMarks, Marks, ReceiveHalf, Recovery, SendHalf, Timers};
use crate::tcp::{
    Assembler, Connection, EcnMode, Embryo, Env, Events, Phase, RingBuffer, Segment, SeqNum,
    Settings,
};
use crate::time::Instant;

/// The result of the SYN exchange of a passive open.
struct Negotiated {
    marks: Marks,
    snd: SendHalf,
    rcv: ReceiveHalf,
}

impl Negotiated {
    #[inline(always)]
    fn from_embryo(embryo: &Embryo, settings: &Settings, ipv6: bool) -> Self {
        // RFC 7323 §3.2, RFC 2018 §2: use what both SYNs had, if our settings still permit it.
        let stamps = embryo.timestamps().filter(|_| settings.timestamps);
        let sack = settings.sack && embryo.sack_permitted();
        let marks = Marks::when(Marks::IPV6, ipv6)
            .with(Marks::when(Marks::NAGLE, settings.nagle))
            .with(Marks::when(Marks::TIMESTAMPS, stamps.is_some()))
            .with(Marks::when(Marks::SACK, sack));
        let (ours, theirs) = embryo.shifts().unwrap_or_default();
        let mut snd = SendHalf::new(embryo.iss());
        snd.shift = theirs;
        snd.mss = effective_mss(embryo.mss(), stamps.is_some());
        let promise = Promise::credit(settings.first_receive_buffer());
        let mut rcv = ReceiveHalf::new(embryo.irs(), embryo.syn_window(settings), promise);
        rcv.acked = rcv.nxt;
        rcv.shift = ours;
        rcv.ts_recent = stamps.unwrap_or_default();
        Self { marks, snd, rcv }
    }
}

impl Connection {
    /// Creates an active open in SYN-SENT. [`Self::poll_segment`] returns the SYN.
    pub fn open(env: &mut Env<'_>, iss: SeqNum, timestamp_offset: u32, ipv6: bool) -> Self {
        let settings = env.settings;
        let wnd = settings.syn_window().min(env.pool.credit());
        let marks = Marks::when(Marks::IPV6, ipv6)
            .with(Marks::when(Marks::NAGLE, settings.nagle))
            .with(Marks::when(Marks::TIMESTAMPS, settings.timestamps))
            .with(Marks::when(Marks::SACK, settings.sack));
        let promise = Promise::credit(settings.first_receive_buffer());
        let parts = Negotiated {
            marks,
            snd: SendHalf::new(iss),
            rcv: ReceiveHalf::new(SeqNum(0), wnd, promise),
        };
        let recovery = Recovery::new(iss, env.now, settings);
        let (phase, timers) = (Phase::SynSent, Timers::default());
        Self::assemble(env, phase, timestamp_offset, parts, timers, recovery)
    }

    /// Creates a connection in ESTABLISHED from an embryo whose handshake `handshake_ack`
    /// completes. The caller then passes the same segment to [`Self::on_segment`], since it may
    /// carry data or a FIN.
    pub fn from_embryo(
        env: &mut Env<'_>,
        embryo: &Embryo,
        timestamp_offset: u32,
        ipv6: bool,
        handshake_ack: &Segment<'_>,
    ) -> Self {
        let mut c = Self::from_plain_embryo(env, embryo, timestamp_offset, ipv6, handshake_ack);
        if !embryo.is_plain(env.settings) {
            c.init_rare_state(env.settings, embryo);
            // The path MTU search starts with smaller segments.
            c.recovery = Recovery::from_embryo(&c.snd, env, embryo);
        }
        c
    }

    /// Creates a connection like [`Self::from_embryo`], from an embryo that
    /// [is plain](Embryo::is_plain). Inlined so that the connection is built in place.
    #[inline(always)]
    pub fn from_plain_embryo(
        env: &mut Env<'_>,
        embryo: &Embryo,
        timestamp_offset: u32,
        ipv6: bool,
        handshake_ack: &Segment<'_>,
    ) -> Self {
        let mut parts = Negotiated::from_embryo(embryo, env.settings, ipv6);
        let snd = &mut parts.snd;
        snd.nxt = snd.end;
        snd.advance_una(snd.nxt);
        let wnd = snd.shift.scale(handshake_ack.window);
        snd.set_window(wnd, handshake_ack.seq, handshake_ack.ack);
        let idle = env.settings.keep_alive.map_or(Instant::FAR, |times| env.now + times.idle);
        let timers = Timers { idle_at: idle, ..Timers::default() };
        let recovery = Recovery::from_embryo(&parts.snd, env, embryo);
        let phase = Phase::Established;
        Self::assemble(env, phase, timestamp_offset, parts, timers, recovery)
    }

    /// Creates a connection in SYN-RECEIVED, for Fast Open.
    pub(in crate::tcp) fn syn_received_from_embryo(
        env: &Env<'_>,
        embryo: &Embryo,
        timestamp_offset: u32,
        ipv6: bool,
    ) -> Self {
        let parts = Negotiated::from_embryo(embryo, env.settings, ipv6);
        let recovery = Recovery::new(embryo.iss(), env.now, env.settings);
        let (phase, timers) = (Phase::SynReceived, Timers::default());
        let mut c = Self::assemble(env, phase, timestamp_offset, parts, timers, recovery);
        c.init_rare_state(env.settings, embryo);
        c
    }

    /// Initializes the rare state.
    fn init_rare_state(&mut self, settings: &Settings, embryo: &Embryo) {
        let (mode, syn) = (embryo.ecn_mode(), embryo.syn_codepoint());
        if let Some(ecn) = Ecn::server(mode, syn, embryo.may_send_ect(), embryo.iss()) {
            self.begin_ecn(ecn);
        }
        self.begin_search(settings);
    }

    #[inline(always)]
    fn assemble(
        env: &Env<'_>,
        phase: Phase,
        timestamp_offset: u32,
        parts: Negotiated,
        timers: Timers,
        recovery: Recovery,
    ) -> Self {
        let Negotiated { marks, snd, rcv } = parts;
        let counts = env.settings.nagle_by_small;
        Self {
            phase,
            events: Events::default(),
            marks,
            timestamp_offset,
            snd,
            rcv,
            timers,
            incoming: RingBuffer::default(),
            holes: Assembler::default(),
            outgoing: RingBuffer::default(),
            recovery,
            last_received_at: env.now,
            keep_alive_probes: 0,
            burst: 0,
            bare_reset: false,
            close_reason: None,
            ecn: EcnMode::None,
            challenges: Challenges::default(),
            early: EarlyMarks::when(EarlyMarks::COUNTS_SMALL, counts),
            choices: None,
        }
    }

    /// Enables the negotiated ECN.
    pub(in crate::tcp) fn begin_ecn(&mut self, ecn: Ecn) {
        self.ecn = ecn.mode();
        self.choices_mut().ecn = Some(ecn);
    }
}
