//! Replays many sequences at once: sends a probe, collects its replies for a while, sends the next.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use linerate::wire::tcp::{HeaderOut, OptionsOut, Timestamps, flag};

use super::answer::Answer;
use super::sequences::{Probe, Sequence, Timestamp};
use super::wire::{Reply, Wire};

/// Time to wait for replies: longer than a delayed ACK, shorter than a retransmission timeout.
const REPLY_WINDOW: Duration = Duration::from_millis(250);

/// Time between the first probes of two replays.
const STAGGER: Duration = Duration::from_millis(3);

/// The tester's timestamp clock, far from wrapping.
const CLOCK: u32 = 1_000_000;

/// A sequence that is replayed to one stack.
pub(crate) struct Replay {
    pub probes: Vec<Probe>,
    /// The answers to the probes so far.
    pub answers: Vec<Answer>,
    options: bool,
    stack: Ipv4Addr,
    port: u16,
    /// The stack's RCV.NXT, from its last acknowledgment.
    rcv_nxt: u32,
    /// The stack's SND.NXT.
    snd_nxt: u32,
    /// True if both ends send timestamps.
    timestamps: bool,
    /// The latest timestamp of the stack.
    ts_recent: u32,
    replies: Vec<Reply>,
    due_at: Option<Instant>,
}

impl Replay {
    pub(crate) fn new(sequence: &Sequence, stack: Ipv4Addr, port: u16) -> Self {
        Self {
            probes: sequence.probes.clone(),
            answers: Vec::new(),
            options: sequence.options,
            stack,
            port,
            rcv_nxt: 0x1000_0000,
            snd_nxt: 0x7000_0000,
            timestamps: false,
            ts_recent: 0,
            replies: Vec::new(),
            due_at: None,
        }
    }

    fn is_finished(&self) -> bool {
        self.answers.len() == self.probes.len()
    }

    fn send(&mut self, wire: &mut Wire) {
        let probe = self.probes[self.answers.len()];
        let timestamps = Timestamps {
            value: match probe.timestamp {
                Timestamp::Old => CLOCK - 10,
                _ => CLOCK + self.answers.len() as u32,
            },
            echo: self.ts_recent,
        };
        let opens = probe.flags & flag::SYN != 0 && self.options;
        let is_stamped = opens || (self.timestamps && probe.timestamp != Timestamp::None);
        let options = OptionsOut {
            mss: (probe.flags & flag::SYN != 0).then_some(1460),
            window_shift: opens.then_some(0),
            sack_permitted: opens,
            timestamps: is_stamped.then_some(timestamps),
            ..OptionsOut::default()
        };
        let header = HeaderOut {
            src_port: self.port,
            dst_port: 7,
            seq: self.rcv_nxt.wrapping_add(probe.seq as u32),
            ack: if probe.flags & flag::ACK == 0 { 0 } else { self.ack_of(probe) },
            window: probe.window,
            urgent: probe.urgent,
            flags: probe.flags,
            options,
        };
        wire.send(self.stack, &header, &vec![b'x'; probe.len as usize]);
    }

    fn ack_of(&self, probe: Probe) -> u32 {
        self.snd_nxt.wrapping_add(probe.ack as u32)
    }

    /// Records the replies so far as the answer to the current probe.
    fn conclude(&mut self) {
        let probe = self.probes[self.answers.len()];
        let replies = std::mem::take(&mut self.replies);
        let sent = (self.rcv_nxt.wrapping_add(probe.seq as u32), self.ack_of(probe));
        self.answers.push(Answer::of(&replies, &probe, sent, self.rcv_nxt, self.snd_nxt));
        for segment in replies.iter().filter(|it| it.flags & flag::RST == 0) {
            if segment.flags & flag::SYN != 0 {
                (self.snd_nxt, self.timestamps) = (segment.seq, segment.timestamp.is_some());
                self.rcv_nxt = segment.ack;
            }
            let syn_fin = u32::from(segment.flags & flag::SYN != 0)
                + u32::from(segment.flags & flag::FIN != 0);
            let end = segment.seq.wrapping_add(segment.len + syn_fin);
            if (end.wrapping_sub(self.snd_nxt) as i32) > 0 {
                self.snd_nxt = end;
            }
            if (segment.ack.wrapping_sub(self.rcv_nxt) as i32) > 0 {
                self.rcv_nxt = segment.ack;
            }
            self.ts_recent = segment.timestamp.unwrap_or(self.ts_recent);
        }
    }

    fn advance(&mut self, wire: &mut Wire, now: Instant) {
        if self.due_at.is_some_and(|at| at > now) || self.is_finished() {
            return;
        }
        if self.due_at.is_some() {
            self.conclude();
        }
        if !self.is_finished() {
            self.send(wire);
            // The window of the first probe starts when it is sent, after the stagger.
            self.due_at = Some(now + REPLY_WINDOW);
        }
    }
}

/// Replays all sequences to completion.
pub(crate) fn run(wire: &mut Wire, replays: &mut [Replay]) {
    let begun = Instant::now();
    let mut started = 0;
    while replays.iter().any(|replay| !replay.is_finished()) {
        let now = Instant::now();
        let due = (begun.elapsed().as_micros() / STAGGER.as_micros()) as usize + 1;
        started = due.min(replays.len()).max(started);
        for reply in wire.receive() {
            let is_for =
                |replay: &&mut Replay| replay.port == reply.port && replay.stack == reply.from;
            if let Some(replay) = replays.iter_mut().find(is_for) {
                replay.replies.push(reply);
            }
        }
        for replay in &mut replays[..started] {
            replay.advance(wire, now);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
