//! Script: a connection, its peer as a list of literals, and a clock that only the test advances.

use super::literals::{In, Out, Sent, bare, content, relative, syn};
use crate::tcp::congestion::Algorithm;
use crate::tcp::{
    BufferPool, Connection, Disposition, Env, Events, Flags, Phase, RareOptions, SackBlocks,
    Segment, SeqNum, Settings,
};
use crate::time::{Duration, Instant};

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

/// Borrows the environment of the script.
macro_rules! env {
    ($script:expr) => {
        &mut crate::tcp::Env {
            now: $script.now,
            settings: &$script.settings,
            pool: &mut $script.pool,
            challenge_acks: &mut $script.challenge_acks,
        }
    };
}

pub(super) use env;

/// The three ECN flags.
pub(super) const ECN: Flags = Flags::ECE.with(Flags::CWR).with(Flags::AE);

/// Returns plain settings: no options, no Nagle, round numbers.
pub(super) fn plain() -> Settings {
    Settings {
        mss: [1000, 1000],
        receive_buffer: 60_000,
        send_buffer: 60_000,
        // Buffers of one size; tests of other sizes change this.
        receive_buffer_initial: u32::MAX,
        send_buffer_initial: u32::MAX,
        timestamps: false,
        window_scaling: false,
        nagle: false,
        // The scripts expect the windows of RFC 5681.
        congestion: Algorithm::NewReno,
        ..Settings::default()
    }
}

impl Script {
    /// Starts an active open with `settings`; the SYN is not sent yet.
    pub(super) fn open(settings: Settings) -> Self {
        Self::open_at(settings, 7_000, 90_000)
    }

    /// Starts an active open with a given ISS and IRS.
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

    /// Returns an actively opened plain connection in ESTABLISHED, past its quick ACKs.
    pub(super) fn established() -> Self {
        Self::open(plain()).shake_hands(syn().mss(1000))
    }

    /// Returns the same with a peer that permits SACK.
    pub(super) fn selective() -> Self {
        Self::open(plain()).shake_hands(syn().mss(1000).permits_sack())
    }

    /// Returns the same with `change` applied to the settings.
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

    pub(super) fn write(mut self, bytes: u32) -> Self {
        assert_eq!(self.writes(bytes), bytes);
        self
    }

    /// Writes from the program; returns the number of bytes accepted.
    pub(super) fn writes(&mut self, bytes: u32) -> u32 {
        let bytes: Vec<u8> = (0..bytes).map(|i| content(1 + self.written + i)).collect();
        let accepted = self.c.write(env!(self), &bytes) as u32;
        self.written += accepted;
        accepted
    }

    /// Writes urgent data from the program; returns the number of bytes accepted.
    pub(super) fn writes_urgent(&mut self, bytes: u32) -> u32 {
        let bytes: Vec<u8> = (0..bytes).map(|i| content(1 + self.written + i)).collect();
        let accepted = self.c.write_urgent(env!(self), &bytes) as u32;
        self.written += accepted;
        accepted
    }

    /// Reads up to `bytes` in the program and checks the content; returns the number of bytes read.
    pub(super) fn reads(&mut self, bytes: usize) -> usize {
        let mut buffer = vec![0; bytes];
        let len = self.c.read(env!(self), &mut buffer);
        for byte in &buffer[..len] {
            self.read += 1;
            assert_eq!(*byte, content(self.read), "byte {} of the stream", self.read);
        }
        len
    }

    /// Reads in the program without checking the content.
    pub(super) fn discards(&mut self, bytes: usize) -> usize {
        self.c.read(env!(self), &mut vec![0; bytes])
    }

    /// Delivers an arbitrary segment.
    pub(super) fn receives_raw(&mut self, segment: &Segment<'_>) -> Disposition {
        self.c.on_segment(env!(self), segment)
    }

    /// Makes a call of the program.
    pub(super) fn calls(&mut self, call: impl FnOnce(&mut Connection, &mut Env<'_>)) -> &mut Self {
        call(&mut self.c, env!(self));
        self
    }

    /// Closes with a deadline after `ms`.
    pub(super) fn closes_within_ms(&mut self, ms: u64) -> &mut Self {
        let deadline = self.now + Duration::from_millis(ms);
        self.c.close_by(env!(self), deadline);
        self
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

    /// Delivers a segment that must be accepted.
    pub(super) fn gets(&mut self, segment: In) -> &mut Self {
        assert_eq!(self.receives(segment.clone()), Disposition::Accepted, "{segment:?}");
        self
    }

    /// Delivers a segment that must be refused with `why`.
    pub(super) fn refuses(&mut self, segment: In, why: Disposition) -> &mut Self {
        assert_eq!(self.receives(segment.clone()), why, "{segment:?}");
        self
    }

    /// Delivers a segment.
    pub(super) fn receives(&mut self, segment: In) -> Disposition {
        let range = segment.range.unwrap_or(self.peer_nxt..self.peer_nxt);
        if segment.flags.ack() {
            self.peer_ack = segment.ack.unwrap_or(self.peer_ack);
        }
        self.peer_window = segment.window.unwrap_or(self.peer_window);
        let payload: Vec<u8> = range.clone().map(content).collect();
        let rare = RareOptions { sack: self.blocks(&segment.sack), ..segment.rare };
        let segment = Segment {
            seq: self.irs + range.start - u32::from(segment.behind_syn),
            ack: self.iss() + self.peer_ack,
            flags: segment.flags,
            window: self.peer_window,
            urgent: segment.urgent,
            ecn: segment.ecn,
            options: segment.options,
            rare: &rare,
            payload: &payload,
        };
        let end = (segment.end()).distance_from(self.irs);
        if range.start <= self.peer_nxt && !segment.flags.rst() {
            self.peer_nxt = self.peer_nxt.max(end);
        }
        self.c.on_segment(env!(self), &segment)
    }

    /// Sets the peer's next sequence number.
    pub(super) fn set_peer_nxt(&mut self, seq: u32) {
        self.peer_nxt = seq;
    }

    fn blocks(&self, ranges: &[core::ops::Range<u32>]) -> SackBlocks {
        let mut blocks = SackBlocks::EMPTY;
        for range in ranges {
            blocks.push(self.iss() + range.start, self.iss() + range.end);
        }
        blocks
    }

    /// Asserts that exactly these segments are sent now or were sent since the last check.
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
        assert_eq!((sent[0].seq, sent[0].flags.without(ECN)), (0, Flags::SYN));
        sent.remove(0)
    }

    /// Asserts that nothing is sent.
    pub(super) fn quiet(&mut self) -> &mut Self {
        self.sends::<0, Out>([])
    }

    /// Returns everything sent since the last check, including pending output.
    pub(super) fn sent(&mut self) -> Vec<Sent> {
        self.poll_all();
        core::mem::take(&mut self.outbox)
    }

    /// Advances time; runs each deadline when it is due.
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

    /// Returns the milliseconds until the next deadline.
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

    /// Polls all segments: `has_pending_output` and `poll_segment` must agree.
    fn poll_all(&mut self) {
        loop {
            let pending = self.c.has_pending_output();
            let (iss, irs, now) = (self.c.snd.iss, self.irs, self.now);
            let Some(out) = self.c.poll_segment(env!(self)) else {
                assert!(!pending, "has_pending_output() without a segment");
                return;
            };
            assert!(pending, "a segment without has_pending_output(): {out:?}");
            let sent = relative(&out, iss, irs, now);
            let payload = out.payload.0.iter().chain(out.payload.1);
            let first = sent.seq + u32::from(sent.flags.syn());
            for (position, byte) in (first..).zip(payload) {
                assert_eq!(*byte, content(position), "byte {position} of {sent:?}");
            }
            self.outbox.push(sent);
            assert!(self.outbox.len() < 1000, "endless output");
        }
    }
}
