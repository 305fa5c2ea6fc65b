//! The script: a connection, its peer as a list of literals, and a clock that only the test moves.
//!
//! Sequence numbers are relative: 0 is the SYN of that direction, 1 its first byte. Content follows from
//! the position, so that every payload is checked.

use core::ops::Range;

use crate::tcp::{
    BufferPool, Connection, Disposition, Env, Events, Flags, Options, Phase, Segment, SegmentOut,
    SeqNum, Settings, Timestamps, WindowShift,
};
use crate::time::{Duration, Instant};

/// The byte that stands at `position` of a direction.
pub(super) fn content(position: u32) -> u8 {
    (position % 251) as u8
}

/// A segment of the peer.
#[derive(Clone, Debug)]
pub(super) struct In {
    range: Option<Range<u32>>,
    ack: Option<u32>,
    flags: Flags,
    window: Option<u16>,
    urgent: u16,
    options: Options,
    behind_syn: bool,
}

/// A bare ACK of `n`, at the peer's next sequence number.
pub(super) fn ack(n: u32) -> In {
    In {
        range: None,
        ack: Some(n),
        flags: Flags::ACK,
        window: None,
        urgent: 0,
        options: Options::default(),
        behind_syn: false,
    }
}

/// Data of the peer; acknowledges what it acknowledged last.
pub(super) fn data(range: Range<u32>) -> In {
    In { range: Some(range), ack: None, ..ack(0) }
}

/// A FIN at `seq`.
pub(super) fn fin(seq: u32) -> In {
    data(seq..seq).flag(Flags::FIN)
}

/// A reset at `seq`.
pub(super) fn rst(seq: u32) -> In {
    In { flags: Flags::RST, ..data(seq..seq) }
}

/// A SYN at 0.
pub(super) fn syn() -> In {
    In { flags: Flags::SYN, ..data(0..0) }
}

impl In {
    pub(super) fn ack(mut self, n: u32) -> Self {
        self.ack = Some(n);
        self.flag(Flags::ACK)
    }

    pub(super) fn no_ack(mut self) -> Self {
        self.flags = self.flags.without(Flags::ACK);
        self
    }

    pub(super) fn seq(mut self, seq: u32) -> Self {
        self.range = Some(seq..seq);
        self
    }

    /// The data stands behind the SYN of the same segment.
    pub(super) fn seq_of_syn(mut self) -> Self {
        self.behind_syn = true;
        self
    }

    pub(super) fn options(&self) -> Options {
        self.options
    }

    pub(super) fn flag(mut self, flag: Flags) -> Self {
        self.flags = self.flags.with(flag);
        self
    }

    pub(super) fn fin(self) -> Self {
        self.flag(Flags::FIN)
    }

    pub(super) fn urgent(mut self, pointer: u16) -> Self {
        self.urgent = pointer;
        self.flag(Flags::URG)
    }

    pub(super) fn window(mut self, window: u16) -> Self {
        self.window = Some(window);
        self
    }

    pub(super) fn mss(mut self, mss: u16) -> Self {
        self.options.mss = Some(mss);
        self
    }

    pub(super) fn shift(mut self, shift: u8) -> Self {
        self.options.window_shift = Some(WindowShift::from_offer(shift));
        self
    }

    pub(super) fn stamp(mut self, value: u32, echo: u32) -> Self {
        self.options.timestamps = Some(Timestamps { value, echo });
        self
    }
}

/// What was sent, relative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) seq: u32,
    pub(super) len: u32,
    pub(super) ack: u32,
    pub(super) flags: Flags,
    pub(super) window: u16,
    pub(super) options: Options,
}

/// What should be sent. What is not said is not compared.
#[derive(Clone, Debug)]
pub(super) struct Out {
    range: Option<Range<u32>>,
    ack: Option<u32>,
    flags: Flags,
    window: Option<u16>,
}

/// Data, with ACK and perhaps PSH.
pub(super) fn text(range: Range<u32>) -> Out {
    Out { range: Some(range), ack: None, flags: Flags::ACK, window: None }
}

/// A bare ACK of `n`.
pub(super) fn bare(n: u32) -> Out {
    Out { range: None, ack: Some(n), flags: Flags::ACK, window: None }
}

impl From<Range<u32>> for Out {
    fn from(range: Range<u32>) -> Self {
        text(range)
    }
}

impl Out {
    pub(super) fn fin(mut self) -> Self {
        self.flags = self.flags.with(Flags::FIN);
        self
    }

    pub(super) fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    pub(super) fn ack(mut self, n: u32) -> Self {
        self.ack = Some(n);
        self
    }

    pub(super) fn at(mut self, seq: u32) -> Self {
        self.range = Some(seq..seq);
        self
    }

    pub(super) fn window(mut self, window: u16) -> Self {
        self.window = Some(window);
        self
    }

    fn check(&self, sent: &Sent) {
        assert_eq!(sent.flags.without(Flags::PSH), self.flags, "flags of {sent:?}");
        match &self.range {
            Some(range) => {
                assert_eq!((sent.seq, sent.seq + sent.len), (range.start, range.end), "{sent:?}");
            }
            None => assert_eq!(sent.len, 0, "no data expected in {sent:?}"),
        }
        if let Some(ack) = self.ack {
            assert_eq!(sent.ack, ack, "ack of {sent:?}");
        }
        if let Some(window) = self.window {
            assert_eq!(sent.window, window, "window of {sent:?}");
        }
    }
}

/// A connection under test.
pub(super) struct Script {
    pub(super) c: Connection,
    pub(super) settings: Settings,
    pub(super) pool: BufferPool,
    pub(super) now: Instant,
    pub(super) challenge_acks: u32,
    pub(super) irs: SeqNum,
    outbox: Vec<Sent>,
    written: u32,
    read: u32,
    peer_nxt: u32,
    peer_ack: u32,
    peer_window: u16,
}

/// Lends the world of the script.
macro_rules! env {
    ($script:expr) => {
        &mut Env {
            now: $script.now,
            settings: &$script.settings,
            pool: &mut $script.pool,
            challenge_acks: &mut $script.challenge_acks,
        }
    };
}

/// Plain: no options, no Nagle, round numbers.
pub(super) fn plain() -> Settings {
    Settings {
        mss: [1000, 1000],
        receive_buffer: 60_000,
        send_buffer: 60_000,
        timestamps: false,
        window_scaling: false,
        nagle: false,
        ..Settings::default()
    }
}

impl Script {
    /// An active open with `settings`, the SYN not yet sent.
    pub(super) fn open(settings: Settings) -> Self {
        Self::open_at(settings, 7_000, 90_000)
    }

    /// The same, with ISS and IRS.
    pub(super) fn open_at(settings: Settings, iss: u32, irs: u32) -> Self {
        let mut pool = BufferPool::new(1 << 24);
        let mut challenge_acks = 100;
        let now = Instant::from_millis(1_000_000);
        let env = &mut Env {
            now,
            settings: &settings,
            pool: &mut pool,
            challenge_acks: &mut challenge_acks,
        };
        let c = Connection::open(env, SeqNum(iss), 5, false);
        Self {
            c,
            settings,
            pool,
            now,
            challenge_acks,
            irs: SeqNum(irs),
            outbox: Vec::new(),
            written: 0,
            read: 0,
            peer_nxt: 0,
            peer_ack: 1,
            peer_window: 60_000,
        }
    }

    /// ESTABLISHED by an active open, plain, past its quick ACKs.
    pub(super) fn established() -> Self {
        Self::open(plain()).shake_hands(syn().mss(1000))
    }

    /// The same with `change` made to the settings.
    pub(super) fn established_with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = plain();
        change(&mut settings);
        let mut answer = syn().mss(1000);
        if settings.timestamps {
            answer = answer.stamp(100, 0);
        }
        Self::open(settings).shake_hands(answer)
    }

    /// Completes the handshake with the options of `answer`.
    pub(super) fn shake_hands(mut self, answer: In) -> Self {
        self.sends_syn();
        self.gets(answer.ack(1));
        self.sends([bare(1).at(1)]);
        assert_eq!(self.events(), Events::CONNECTED);
        self.c.rcv.quick = 0;
        self
    }

    pub(super) fn mss(mut self, mss: u16) -> Self {
        self.c.snd.mss = mss;
        self
    }

    pub(super) fn write(mut self, bytes: u32) -> Self {
        assert_eq!(self.writes(bytes), bytes);
        self
    }

    /// The program writes; returns what was taken.
    pub(super) fn writes(&mut self, bytes: u32) -> u32 {
        let bytes: Vec<u8> = (0..bytes).map(|i| content(1 + self.written + i)).collect();
        let taken = self.c.write(env!(self), &bytes) as u32;
        self.written += taken;
        taken
    }

    /// The program reads up to `bytes`; returns how many came, their content checked.
    pub(super) fn reads(&mut self, bytes: usize) -> usize {
        let mut buffer = vec![0; bytes];
        let taken = self.c.read(env!(self), &mut buffer);
        for byte in &buffer[..taken] {
            self.read += 1;
            assert_eq!(*byte, content(self.read), "byte {} of the stream", self.read);
        }
        taken
    }

    pub(super) fn closes(&mut self) -> &mut Self {
        self.c.close(env!(self));
        self
    }

    pub(super) fn closes_both(&mut self) -> &mut Self {
        self.c.close_both(env!(self));
        self
    }

    pub(super) fn aborts(&mut self) -> &mut Self {
        self.c.abort(env!(self));
        self
    }

    pub(super) fn path_error(&mut self, error: crate::tcp::PathError, seq: u32) -> &mut Self {
        let quoted = self.iss() + seq;
        self.c.on_path_error(env!(self), error, quoted);
        self
    }

    /// A segment arrives and is used.
    pub(super) fn gets(&mut self, segment: In) -> &mut Self {
        assert_eq!(self.hears(segment.clone()), Disposition::Accepted, "{segment:?}");
        self
    }

    /// A segment arrives and is not used.
    pub(super) fn refuses(&mut self, segment: In, why: Disposition) -> &mut Self {
        assert_eq!(self.hears(segment.clone()), why, "{segment:?}");
        self
    }

    /// A segment arrives.
    pub(super) fn hears(&mut self, segment: In) -> Disposition {
        let range = segment.range.unwrap_or(self.peer_nxt..self.peer_nxt);
        if segment.flags.ack() {
            self.peer_ack = segment.ack.unwrap_or(self.peer_ack);
        }
        self.peer_window = segment.window.unwrap_or(self.peer_window);
        let payload: Vec<u8> = range.clone().map(content).collect();
        let segment = Segment {
            seq: self.irs + range.start - u32::from(segment.behind_syn),
            ack: self.iss() + self.peer_ack,
            flags: segment.flags,
            window: self.peer_window,
            urgent: segment.urgent,
            options: segment.options,
            payload: &payload,
        };
        let end = (segment.end()).distance_from(self.irs);
        if range.start <= self.peer_nxt && !segment.flags.rst() {
            self.peer_nxt = self.peer_nxt.max(end);
        }
        self.c.on_segment(env!(self), &segment)
    }

    /// What is sent now, and was sent since the last look, is exactly this.
    pub(super) fn sends<const N: usize, T: Into<Out>>(&mut self, expected: [T; N]) -> &mut Self {
        let sent = self.sent();
        let expected: Vec<Out> = expected.into_iter().map(Into::into).collect();
        assert_eq!(sent.len(), expected.len(), "expected {expected:#?}\nsent {sent:#?}");
        for (sent, expected) in sent.iter().zip(&expected) {
            expected.check(sent);
        }
        self
    }

    pub(super) fn sends_syn(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!((sent[0].seq, sent[0].flags), (0, Flags::SYN));
        sent.remove(0)
    }

    /// Nothing is sent.
    pub(super) fn quiet(&mut self) -> &mut Self {
        self.sends::<0, Out>([])
    }

    /// All that was sent and is owed now.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        self.poll_all();
        core::mem::take(&mut self.outbox)
    }

    /// Time passes; what falls due is done when it does.
    pub(super) fn after_ms(&mut self, ms: u64) -> &mut Self {
        self.poll_all();
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.c.poll_deadline().filter(|at| *at <= until) {
            assert!(at >= self.now, "a deadline in the past would spin");
            self.now = at;
            self.c.on_deadline(env!(self));
            self.poll_all();
        }
        self.now = until;
        self
    }

    /// Milliseconds until the next deadline.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.c.poll_deadline().map(|at| at.since(self.now).as_millis())
    }

    pub(super) fn events(&mut self) -> Events {
        self.c.take_events()
    }

    pub(super) fn is(&mut self, phase: Phase) -> &mut Self {
        assert_eq!(self.c.phase(), phase);
        self
    }

    pub(super) fn iss(&self) -> SeqNum {
        self.c.snd.iss
    }

    /// What owes() promises, poll_segment must keep, and the other way round.
    fn poll_all(&mut self) {
        loop {
            let owes = self.c.owes();
            let (iss, irs, now) = (self.c.snd.iss, self.irs, self.now);
            let Some(out) = self.c.poll_segment(env!(self)) else {
                assert!(!owes, "owes() without a segment");
                return;
            };
            assert!(owes, "a segment without owes(): {out:?}");
            let sent = relative(&out, iss, irs, now);
            let payload = out.payload.0.iter().chain(out.payload.1);
            for (position, byte) in (sent.seq..).zip(payload) {
                assert_eq!(*byte, content(position), "byte {position} of {sent:?}");
            }
            self.outbox.push(sent);
            assert!(self.outbox.len() < 1000, "endless output");
        }
    }
}

fn relative(out: &SegmentOut<'_>, iss: SeqNum, irs: SeqNum, at: Instant) -> Sent {
    Sent {
        at,
        seq: out.seq.distance_from(iss),
        len: out.payload_len() as u32,
        ack: if out.flags.ack() { out.ack.distance_from(irs) } else { 0 },
        flags: out.flags,
        window: out.window,
        options: out.options,
    }
}
