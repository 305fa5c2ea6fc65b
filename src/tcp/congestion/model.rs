//! Test fixtures of this layer: an ACK, and a model of a path without the rest of the stack.
//!
//! The path is a bottleneck with a rate, a queue of limited bytes in front of it, and a round trip
//! time; it drops packets that overflow the queue, and at random. The senders do just enough to
//! drive a [`Controller`]: each packet is acknowledged by itself, three later ones reveal a loss,
//! and lost packets are replaced by new ones. All randomness comes from the seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::{Ack, Algorithm, Controller, Sent, SlowStartExit};
use crate::rng::Rng;
use crate::tcp::SeqNum;
use crate::tcp::rate::{RateEstimator, RateStamp, micros};
use crate::time::{Duration, Instant};

/// Returns an ACK of `bytes` that delivers exactly these bytes, with `in_flight` before it.
pub(in crate::tcp::congestion) fn ack(
    bytes: u32,
    in_flight: u32,
    rtt: Option<Duration>,
    now: Instant,
) -> Ack {
    Ack {
        now,
        bytes,
        delivered: bytes,
        lost: 0,
        prior_in_flight: in_flight,
        used: in_flight,
        slow_start_max: u32::MAX,
        slow_start_exit: SlowStartExit::default(),
        in_flight: in_flight.saturating_sub(bytes),
        rtt,
        rate: None,
        cwnd_limited: false,
        ce: 0,
        snd_una: SeqNum(0),
        snd_nxt: SeqNum(0),
    }
}

pub(in crate::tcp::congestion) const MSS: u32 = 1448;

/// Bytes that a packet adds on the wire: payload, headers and timestamps.
const WIRE: u32 = MSS + 66;

/// Number of later packets that reveal a loss.
const REORDERING: u32 = 3;

/// Properties of the path between the ends.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp::congestion) struct Link {
    /// Bits per second.
    pub(super) rate: u64,
    pub(super) rtt: Duration,
    /// Queue limit in bytes.
    pub(super) queue: u64,
    /// Probability of random loss.
    pub(super) loss: f64,
    /// Queue length in bytes from which packets are marked (ECN).
    pub(super) mark_from: Option<u64>,
}

impl Link {
    /// Returns a path with a queue of `bdps` bandwidth-delay products.
    pub(super) fn new(mbit: u64, rtt_ms: u64, bdps: f64) -> Self {
        let rate = mbit * 1_000_000;
        let bdp = rate / 8 * rtt_ms / 1000;
        Self {
            rate,
            rtt: Duration::from_millis(rtt_ms),
            queue: ((bdp as f64 * bdps) as u64).max(4 * u64::from(WIRE)),
            loss: 0.0,
            mark_from: None,
        }
    }

    fn span(&self, bytes: u32) -> Duration {
        Duration::from_nanos(u64::from(bytes) * 8 * 1_000_000_000 / self.rate)
    }
}

#[derive(Clone, Copy, Debug)]
struct Packet {
    sent_at: Instant,
    stamp: RateStamp,
}

/// One sender.
pub(in crate::tcp::congestion) struct Sender {
    pub(super) c: Controller,
    estimator: RateEstimator,
    /// Packets from `una` on; `None` where acknowledged or lost.
    packets: VecDeque<Option<Packet>>,
    una: u32,
    highest: u32,
    in_flight: u32,
    srtt: Option<Duration>,
    recover: Option<u32>,
    /// No congestion echo is reported before this is acknowledged.
    echo_after: u32,
    next_send_at: Instant,
    wake_at: Instant,
    last_progress_at: Instant,
    /// Packets that the program has yet to send.
    pub(super) backlog: u64,
    was_limited: bool,
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) timeouts: u64,
    rtt_ns: u128,
    rtts: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ack { sender: usize, packet: u32, marked: bool },
    Wake { sender: usize },
    Timer { sender: usize },
}

/// Senders, the path, and time.
pub(in crate::tcp::congestion) struct Path {
    pub(super) link: Link,
    pub(super) now: Instant,
    pub(super) senders: Vec<Sender>,
    rng: Rng,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    order: u64,
    busy_until: Instant,
    pub(super) dropped: u64,
    /// True if the marks of a round trip are also reported as one congestion echo.
    pub(super) echoes: bool,
}

impl Path {
    pub(super) fn new(link: Link) -> Self {
        Self {
            link,
            now: Instant::from_millis(1000),
            senders: Vec::new(),
            rng: Rng::new(9438),
            events: BinaryHeap::new(),
            order: 0,
            busy_until: Instant::ZERO,
            dropped: 0,
            echoes: false,
        }
    }

    /// Returns a path with one sender that never runs out of data.
    pub(super) fn of(algorithm: Algorithm, link: Link) -> Self {
        let mut path = Self::new(link);
        path.add(algorithm);
        path
    }

    pub(super) fn add(&mut self, algorithm: Algorithm) -> usize {
        self.senders.push(Sender {
            c: Controller::new(algorithm, MSS as u16, 10),
            estimator: RateEstimator::default(),
            packets: VecDeque::new(),
            una: 0,
            highest: 0,
            in_flight: 0,
            srtt: Some(self.link.rtt),
            recover: None,
            echo_after: 0,
            next_send_at: self.now,
            wake_at: Instant::FAR,
            last_progress_at: self.now,
            backlog: u64::MAX,
            was_limited: false,
            delivered: 0,
            lost: 0,
            timeouts: 0,
            rtt_ns: 0,
            rtts: 0,
        });
        let sender = self.senders.len() - 1;
        self.at(self.now, Event::Wake { sender });
        self.at(self.now, Event::Timer { sender });
        sender
    }

    fn at(&mut self, at: Instant, event: Event) {
        self.order += 1;
        self.events.push(Reverse((at, self.order, event)));
    }

    pub(super) fn run_ms(&mut self, ms: u64) {
        self.run_us(ms * 1000);
    }

    /// The program of a sender has new data.
    pub(super) fn wake(&mut self, sender: usize) {
        self.send(sender);
    }

    pub(super) fn run_us(&mut self, us: u64) {
        let end = self.now + Duration::from_micros(us);
        while let Some(Reverse((at, _, event))) = self.events.peek().copied() {
            if at > end {
                break;
            }
            self.events.pop();
            self.now = at;
            match event {
                Event::Ack { sender, packet, marked } => self.on_ack(sender, packet, marked),
                Event::Wake { sender } => self.on_wake(sender),
                Event::Timer { sender } => self.on_timer(sender),
            }
        }
        self.now = end;
    }

    /// Runs for `ms`; returns the share of the bottleneck of each sender in this time.
    pub(super) fn shares_over_ms(&mut self, ms: u64) -> Vec<f64> {
        let before: Vec<u64> = self.senders.iter().map(|s| s.delivered).collect();
        for sender in &mut self.senders {
            (sender.rtt_ns, sender.rtts) = (0, 0);
        }
        self.run_ms(ms);
        let most = self.link.rate as f64 / 8.0 * ms as f64 / 1e3 * f64::from(MSS) / f64::from(WIRE);
        self.senders.iter().zip(before).map(|(s, b)| (s.delivered - b) as f64 / most).collect()
    }

    pub(super) fn share_over_ms(&mut self, ms: u64) -> f64 {
        self.shares_over_ms(ms).iter().sum()
    }

    fn on_wake(&mut self, sender: usize) {
        self.senders[sender].wake_at = Instant::FAR;
        self.send(sender);
    }

    /// Checks the retransmission timer, ten times per second.
    fn on_timer(&mut self, sender: usize) {
        let s = &mut self.senders[sender];
        let timeout = s.srtt.unwrap_or_default().times(3).max(Duration::from_millis(200));
        if s.in_flight > 0 && self.now.since(s.last_progress_at) >= timeout {
            s.on_timeout(self.now);
            self.send(sender);
        }
        self.at(self.now + Duration::from_millis(100), Event::Timer { sender });
    }

    fn send(&mut self, sender: usize) {
        loop {
            let s = &mut self.senders[sender];
            if s.backlog == 0 {
                s.estimator.on_app_limited(s.in_flight);
                return;
            }
            if s.in_flight > 0 && s.in_flight + MSS > s.c.cwnd() {
                s.was_limited = true;
                break;
            }
            let rate = s.c.pacing_rate(s.srtt, false);
            if rate.is_some() && s.next_send_at > self.now {
                let at = s.next_send_at;
                if at < s.wake_at {
                    s.wake_at = at;
                    self.at(at, Event::Wake { sender });
                }
                return;
            }
            let packet = s.send(self.now, rate);
            self.transmit(sender, packet);
        }
    }

    fn transmit(&mut self, sender: usize, packet: u32) {
        let waiting = self.busy_until.since(self.now).as_nanos() * self.link.rate / 8_000_000_000;
        if waiting + u64::from(WIRE) > self.link.queue {
            self.dropped += 1;
            return;
        }
        self.busy_until = self.busy_until.max(self.now) + self.link.span(WIRE);
        if self.rng.happens(self.link.loss) {
            return;
        }
        let marked = self.link.mark_from.is_some_and(|from| waiting > from);
        self.at(self.busy_until + self.link.rtt, Event::Ack { sender, packet, marked });
    }

    fn on_ack(&mut self, sender: usize, packet: u32, marked: bool) {
        let s = &mut self.senders[sender];
        if marked && self.echoes && s.echo_after <= s.una {
            s.echo_after = s.next();
            s.c.on_congestion_echo(s.in_flight, self.now);
        }
        s.on_ack(self.now, packet, marked);
        self.send(sender);
    }
}

impl Sender {
    fn send(&mut self, now: Instant, rate: Option<u64>) -> u32 {
        let number = self.una + self.packets.len() as u32;
        let stamp = self.estimator.on_sent(now, MSS, self.in_flight);
        self.packets.push_back(Some(Packet { sent_at: now, stamp }));
        if self.in_flight == 0 {
            self.last_progress_at = now;
        }
        self.in_flight += MSS;
        self.backlog -= 1;
        let app_limited = self.estimator.is_app_limited();
        self.c.on_sent(&Sent { now, bytes: MSS, in_flight: self.in_flight, app_limited });
        if let Some(rate) = rate {
            let gap = Duration::from_nanos(u64::from(MSS) * 1_000_000_000 / rate.max(1));
            self.next_send_at = self.next_send_at.max(now) + gap;
        }
        number
    }

    fn next(&self) -> u32 {
        self.una + self.packets.len() as u32
    }

    fn on_ack(&mut self, now: Instant, number: u32, marked: bool) {
        let Some(index) = number.checked_sub(self.una) else { return };
        let Some(packet) = self.packets[index as usize].take() else { return };
        let prior_in_flight = self.in_flight;
        self.in_flight -= MSS;
        self.last_progress_at = now;
        self.delivered += u64::from(MSS);
        self.highest = self.highest.max(number);
        self.estimator.on_delivered(now, &packet.stamp, micros(packet.sent_at), MSS);
        let rtt = now.since(packet.sent_at);
        self.rtt_ns += u128::from(rtt.as_nanos());
        self.rtts += 1;
        self.srtt = Some(Duration::from_nanos(
            self.srtt.map_or(rtt, |srtt| srtt.times(7) + rtt).as_nanos() / 8,
        ));
        let lost = self.find_losses(now);
        self.advance();
        if self.recover.is_some_and(|end| self.una >= end) {
            self.recover = None;
            self.c.on_exit_recovery(self.in_flight, now);
        }
        self.c.on_ack(&Ack {
            lost,
            prior_in_flight,
            in_flight: self.in_flight,
            rate: self.estimator.take_sample(),
            cwnd_limited: core::mem::take(&mut self.was_limited),
            ce: if marked { MSS } else { 0 },
            snd_una: SeqNum(self.una.wrapping_mul(MSS)),
            snd_nxt: SeqNum(self.next().wrapping_mul(MSS)),
            ..ack(MSS, prior_in_flight, Some(rtt), now)
        });
    }

    fn find_losses(&mut self, now: Instant) -> u32 {
        let until = self.highest.saturating_sub(REORDERING);
        let mut lost = 0;
        for number in self.una..until {
            let Some(packet) = self.packets[(number - self.una) as usize].take() else { continue };
            lost += MSS;
            self.lose(&packet);
            if self.recover.is_none() {
                let flight = self.in_flight + lost;
                self.recover = Some(self.next());
                self.c.on_enter_recovery(flight, SeqNum(0), now);
            }
        }
        lost
    }

    fn lose(&mut self, packet: &Packet) {
        self.in_flight -= MSS;
        self.lost += u64::from(MSS);
        self.backlog = self.backlog.saturating_add(1);
        let loss = self.estimator.on_lost(&packet.stamp, MSS);
        self.c.on_lost(&loss);
    }

    fn on_timeout(&mut self, now: Instant) {
        self.timeouts += 1;
        self.c.on_timeout(self.in_flight, now);
        for at in 0..self.packets.len() {
            if let Some(packet) = self.packets[at].take() {
                self.lose(&packet);
            }
        }
        self.recover = Some(self.next());
        self.last_progress_at = now;
        self.advance();
    }

    fn advance(&mut self) {
        while self.packets.front().is_some_and(Option::is_none) {
            self.packets.pop_front();
            self.una += 1;
        }
    }

    /// Returns the mean round trip since the last measurement began.
    pub(super) fn mean_rtt(&self) -> Duration {
        Duration::from_nanos((self.rtt_ns / self.rtts.max(1)) as u64)
    }
}

/// Jain's fairness index: 1 means equal shares.
pub(in crate::tcp::congestion) fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}
