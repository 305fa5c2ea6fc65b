//! Plays sequences, many at once: each shot is sent, its answers are collected for a while, the next follows.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use linerate::wire::tcp::{HeaderOut, OptionsOut, Timestamps, flag};

use super::answer::Answer;
use super::sequences::{Sequence, Shot, Stamp};
use super::wire::{Heard, Wire};

/// How long answers are waited for: longer than an ACK is delayed, shorter than a retransmission.
const GATHER: Duration = Duration::from_millis(250);

/// Between the first shots of two plays.
const STAGGER: Duration = Duration::from_millis(3);

/// The tester's clock of timestamps, far from its ends.
const CLOCK: u32 = 1_000_000;

/// A sequence on its way to one stack.
pub struct Play {
    pub shots: Vec<Shot>,
    /// What came back for each shot so far.
    pub answers: Vec<Answer>,
    options: bool,
    stack: Ipv4Addr,
    port: u16,
    /// What the stack has acknowledged: where the next shot stands.
    next: u32,
    /// What the stack has sent.
    theirs: u32,
    /// Whether both ends send timestamps.
    stamps: bool,
    their_stamp: u32,
    heard: Vec<Heard>,
    due_at: Option<Instant>,
}

impl Play {
    pub fn new(sequence: &Sequence, stack: Ipv4Addr, port: u16) -> Self {
        Self {
            shots: sequence.shots.clone(),
            answers: Vec::new(),
            options: sequence.options,
            stack,
            port,
            next: 0x1000_0000,
            theirs: 0x7000_0000,
            stamps: false,
            their_stamp: 0,
            heard: Vec::new(),
            due_at: None,
        }
    }

    fn is_over(&self) -> bool {
        self.answers.len() == self.shots.len()
    }

    fn send(&mut self, wire: &mut Wire) {
        let shot = self.shots[self.answers.len()];
        let stamps = Timestamps {
            value: match shot.stamp {
                Stamp::Old => CLOCK - 10,
                _ => CLOCK + self.answers.len() as u32,
            },
            echo: self.their_stamp,
        };
        let opens = shot.flags & flag::SYN != 0 && self.options;
        let stamped = opens || (self.stamps && shot.stamp != Stamp::None);
        let options = OptionsOut {
            mss: (shot.flags & flag::SYN != 0).then_some(1460),
            window_shift: opens.then_some(0),
            sack_permitted: opens,
            timestamps: stamped.then_some(stamps),
            ..OptionsOut::default()
        };
        let header = HeaderOut {
            src_port: self.port,
            dst_port: 7,
            seq: self.next.wrapping_add(shot.seq as u32),
            ack: if shot.flags & flag::ACK == 0 { 0 } else { self.ack_of(shot) },
            window: shot.window,
            urgent: shot.urgent,
            flags: shot.flags,
            options,
        };
        wire.send(self.stack, &header, &vec![b'x'; shot.len as usize]);
    }

    fn ack_of(&self, shot: Shot) -> u32 {
        self.theirs.wrapping_add(shot.ack as u32)
    }

    /// The time of a shot is over: what came is its answer.
    fn conclude(&mut self) {
        let shot = self.shots[self.answers.len()];
        let heard = std::mem::take(&mut self.heard);
        let sent = (self.next.wrapping_add(shot.seq as u32), self.ack_of(shot));
        self.answers.push(Answer::of(&heard, &shot, sent, self.next, self.theirs));
        for segment in heard.iter().filter(|it| it.flags & flag::RST == 0) {
            if segment.flags & flag::SYN != 0 {
                (self.theirs, self.stamps) = (segment.seq, segment.stamp.is_some());
                self.next = segment.ack;
            }
            let ends = u32::from(segment.flags & flag::SYN != 0)
                + u32::from(segment.flags & flag::FIN != 0);
            let end = segment.seq.wrapping_add(segment.len + ends);
            if (end.wrapping_sub(self.theirs) as i32) > 0 {
                self.theirs = end;
            }
            if (segment.ack.wrapping_sub(self.next) as i32) > 0 {
                self.next = segment.ack;
            }
            self.their_stamp = segment.stamp.unwrap_or(self.their_stamp);
        }
    }

    fn advance(&mut self, wire: &mut Wire, now: Instant) {
        if self.due_at.is_some_and(|at| at > now) || self.is_over() {
            return;
        }
        if self.due_at.is_some() {
            self.conclude();
        }
        if !self.is_over() {
            self.send(wire);
            // The stagger is part of the first shot's time: it begins when it is sent.
            self.due_at = Some(now + GATHER);
        }
    }
}

/// Plays all of them to their ends.
pub fn run(wire: &mut Wire, plays: &mut [Play]) {
    let begun = Instant::now();
    let mut started = 0;
    while plays.iter().any(|play| !play.is_over()) {
        let now = Instant::now();
        let due = (begun.elapsed().as_micros() / STAGGER.as_micros()) as usize + 1;
        started = due.min(plays.len()).max(started);
        for heard in wire.receive() {
            let mine = |play: &&mut Play| play.port == heard.port && play.stack == heard.from;
            if let Some(play) = plays.iter_mut().find(mine) {
                play.heard.push(heard);
            }
        }
        for play in &mut plays[..started] {
            play.advance(wire, now);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
