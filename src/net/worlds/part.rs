//! One side of a conversation: its script, what it has written and read, and the progress of its
//! reader, which its writer may wait for.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::{Poll, Waker};
use std::io::{self, ErrorKind};
use std::rc::Rc;

use super::stage::Stage;
use crate::net::error;
use crate::net::executor::waiters::Waiters;
use crate::net::now;
use crate::rng::Rng;
use crate::sim::{End, Place, ReadPace, Script, Step, content};
use crate::time::Instant;

/// The way in which a side divides its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Two borrowed halves in one task.
    Joined,
    /// Two owned halves in two tasks.
    TwoTasks,
    /// One task that races reads against writes: the loser is dropped each time.
    Raced,
}

/// One side of a conversation.
pub(super) struct Part {
    pub(super) stage: Rc<Stage>,
    pub(super) place: Place,
    pub(super) script: Script,
    pub(super) shape: Shape,
    number: usize,
    side: usize,
    /// The content that it sends, and the one that it receives.
    contents: [u32; 2],
    rng: RefCell<Rng>,
    /// Time of the next read of a paced reader.
    read_at: Cell<Instant>,
    reading: Cell<Reading>,
    waiters: RefCell<Waiters>,
}

/// The state of a side's reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Goes,
    Ended,
    Failed(ErrorKind),
}

impl Part {
    /// Creates the part of `side` in conversation `number`.
    pub(super) fn new(stage: &Rc<Stage>, place: Place, number: usize, side: usize) -> Rc<Self> {
        let mut rng = stage.rng((number as u64) << 8 | (side as u64) << 4);
        let shape = [Shape::Joined, Shape::TwoTasks, Shape::Raced][rng.below(3) as usize];
        let sides = &stage.ledger.borrow().conversations[number].sides;
        Rc::new(Self {
            stage: Rc::clone(stage),
            place,
            script: sides[side].script.clone(),
            shape,
            number,
            side,
            contents: [sides[side].stream, sides[1 - side].stream],
            rng: RefCell::new(rng),
            read_at: Cell::new(now()),
            reading: Cell::new(Reading::Goes),
            waiters: RefCell::default(),
        })
    }

    pub(super) fn below(&self, bound: u64) -> u64 {
        self.rng.borrow_mut().below(bound)
    }

    pub(super) fn echoes(&self) -> bool {
        self.script.steps.contains(&Step::Echo)
    }

    /// Returns true if the reader may take everything at once: no step waits for a part of it.
    pub(super) fn reads_as_a_whole(&self) -> bool {
        let ends_early = self.stage.ledger.borrow().conversations[self.number].kind.may_end_early();
        let waits = |step: &Step| matches!(step, Step::Read(_));
        self.script.read_pace == ReadPace::Eager
            && self.shape != Shape::Raced
            && !ends_early
            && !self.script.steps.iter().any(waits)
    }

    /// Returns the next bytes to write.
    pub(super) fn next_bytes(&self, n: u64) -> Vec<u8> {
        let from = self.stage.ledger.borrow().conversations[self.number].sides[self.side].written;
        (from..from + n).map(|at| content(self.contents[0], at)).collect()
    }

    /// Counts bytes that the stack has accepted, or will before a task can be dropped.
    pub(super) fn count_written(&self, n: usize) {
        let mut ledger = self.stage.ledger.borrow_mut();
        ledger.conversations[self.number].sides[self.side].written += n as u64;
    }

    /// Counts and verifies bytes that were read.
    pub(super) fn take(&self, bytes: &[u8]) {
        let mut ledger = self.stage.ledger.borrow_mut();
        let side = &mut ledger.conversations[self.number].sides[self.side];
        let from = side.read;
        side.read += bytes.len() as u64;
        let wrong = |(byte, at): &(&u8, u64)| **byte != content(self.contents[1], *at);
        if let Some((_, at)) = bytes.iter().zip(from..).find(wrong) {
            ledger.violated(|| {
                format!(
                    "conversation {}: side {} read a wrong byte at {at}",
                    self.number, self.side
                )
            });
        }
        drop(ledger);
        self.wake();
    }

    /// Records an echo that moved `n` bytes, or was dropped and moved what its peer has written at
    /// most.
    pub(super) fn count_echoed(&self, n: Option<u64>) {
        let mut ledger = self.stage.ledger.borrow_mut();
        let sides = &mut ledger.conversations[self.number].sides;
        let n = n.unwrap_or(sides[1 - self.side].written);
        (sides[self.side].read, sides[self.side].written) = (n, n);
    }

    pub(super) fn read_at(&self) -> Instant {
        self.read_at.get()
    }

    pub(super) fn set_read_at(&self, at: Instant) {
        self.read_at.set(at);
    }

    /// Records that the reader has ended.
    pub(super) fn reading_ended(&self, result: &io::Result<()>) {
        self.reading.set(match result {
            Ok(()) => Reading::Ended,
            Err(error) => Reading::Failed(error.kind()),
        });
        self.wake();
    }

    fn wake(&self) {
        let waiting = self.waiters.borrow_mut().take();
        waiting.for_each(Waker::wake);
    }

    /// Waits until `n` bytes were read; without a number, until the end of the stream.
    pub(super) async fn until_read(&self, n: Option<u32>) -> io::Result<()> {
        let mut ticket = None;
        poll_fn(|cx| {
            let read = self.stage.ledger.borrow().conversations[self.number].sides[self.side].read;
            match self.reading.get() {
                _ if n.is_some_and(|n| u64::from(n) <= read) => Poll::Ready(Ok(())),
                Reading::Ended => Poll::Ready(Ok(())),
                Reading::Failed(kind) => Poll::Ready(Err(kind.into())),
                Reading::Goes => {
                    ticket = Some(self.waiters.borrow_mut().wait(ticket, cx.waker()));
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Compares the error that ended this side with the end that the stack reported.
    pub(super) fn check_error(&self, error: &io::Error) {
        let end = self.stage.ledger.borrow().conversations[self.number].sides[self.side].end;
        let Some(End::Closed(reason)) = end else { return };
        if error::of_write(reason).kind() != error.kind() {
            self.violated(&format!("{error:?} after {reason:?}"));
        }
    }

    pub(super) fn violated(&self, what: &str) {
        let (number, side) = (self.number, self.side);
        self.stage.violated(|| format!("conversation {number}.{side}: {what}"));
    }
}
