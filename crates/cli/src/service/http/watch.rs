//! The phase of a connection, and the time by which it must go on.
//!
//! A connection reads a head, is busy with answers, and is idle between requests. The stream and
//! the service report what happens; the connection asks for the deadline.

use std::cell::Cell;
use std::rc::Rc;

use linerate::time::Instant;

use super::site::Timeouts;

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The connection was accepted, and nothing has come.
    New,
    /// A part of a head has come.
    Head,
    /// A request has come, and its response has not left.
    Busy,
    /// Every response has left.
    Idle,
}

/// The event that a connection waits for, and since when.
#[derive(Debug)]
pub(super) struct Watch {
    phase: Cell<Phase>,
    /// Start of the phase, or the last progress of a busy connection. The first head starts with
    /// the connection.
    since: Cell<Instant>,
    /// Number of responses that hyper has not taken in full.
    answers: Cell<u32>,
    timeouts: Timeouts,
}

impl Watch {
    /// Watches a connection that was accepted now.
    pub(super) fn new(now: Instant, timeouts: Timeouts) -> Rc<Self> {
        Rc::new(Self {
            phase: Cell::new(Phase::New),
            since: Cell::new(now),
            answers: Cell::new(0),
            timeouts,
        })
    }

    /// Returns the phase.
    pub(super) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Returns the time by which the connection must go on.
    pub(super) fn deadline(&self) -> Instant {
        let timeout = match self.phase.get() {
            Phase::New | Phase::Head => self.timeouts.header,
            Phase::Busy | Phase::Idle => self.timeouts.idle,
        };
        self.since.get() + timeout
    }

    /// Notes received data. A body that arrives slowly is no progress: it has the time of one idle
    /// timeout in total.
    pub(super) fn on_read(&self, now: Instant) {
        match self.phase.get() {
            Phase::New => self.phase.set(Phase::Head),
            Phase::Idle => self.enter(Phase::Head, now),
            Phase::Head | Phase::Busy => {}
        }
    }

    /// Notes data that the send buffer took.
    pub(super) fn on_written(&self, now: Instant) {
        if self.phase.get() == Phase::Busy {
            self.since.set(now);
        }
    }

    /// Notes a complete head. The response is under way until the guard is dropped.
    pub(super) fn on_request(self: &Rc<Self>, now: Instant) -> Answering {
        self.enter(Phase::Busy, now);
        self.answers.set(self.answers.get() + 1);
        Answering(Rc::clone(self))
    }

    /// Notes that the send buffer has taken all that hyper has. A head that has begun behind the
    /// last request counts as idle until more of it comes: hyper does not say that it has a part.
    pub(super) fn on_flushed(&self, now: Instant) {
        if self.phase.get() == Phase::Busy && self.answers.get() == 0 {
            self.enter(Phase::Idle, now);
        }
    }

    fn enter(&self, phase: Phase, now: Instant) {
        self.phase.set(phase);
        self.since.set(now);
    }
}

/// A response that is under way.
#[derive(Debug)]
pub(super) struct Answering(Rc<Watch>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answers.set(self.0.answers.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use linerate::Duration;

    use super::*;

    const TIMEOUTS: Timeouts =
        Timeouts { header: Duration::from_secs(1), idle: Duration::from_secs(10) };

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn each_phase_has_its_deadline() {
        let watch = Watch::new(at(0), TIMEOUTS);
        assert_eq!((watch.phase(), watch.deadline()), (Phase::New, at(1)));
        watch.on_read(at(1));
        assert_eq!((watch.phase(), watch.deadline()), (Phase::Head, at(1)));
        let answering = watch.on_request(at(1));
        watch.on_read(at(2));
        watch.on_flushed(at(2));
        assert_eq!((watch.phase(), watch.deadline()), (Phase::Busy, at(11)));
        watch.on_written(at(3));
        assert_eq!(watch.deadline(), at(13));
        drop(answering);
        watch.on_flushed(at(4));
        watch.on_written(at(5));
        assert_eq!((watch.phase(), watch.deadline()), (Phase::Idle, at(14)));
        watch.on_read(at(6));
        watch.on_read(at(7));
        assert_eq!((watch.phase(), watch.deadline()), (Phase::Head, at(7)));
    }

    #[test]
    fn a_pipelined_request_keeps_the_connection_busy() {
        let watch = Watch::new(at(0), TIMEOUTS);
        let first = watch.on_request(at(0));
        let second = watch.on_request(at(0));
        drop(first);
        watch.on_flushed(at(1));
        assert_eq!(watch.phase(), Phase::Busy);
        drop(second);
        watch.on_flushed(at(1));
        assert_eq!(watch.phase(), Phase::Idle);
    }
}
