//! The rings of a seat: a client thread's pair of rings with one worker, in one region.
//!
//! ```text
//!   client  ── submission ring ──▶  worker
//!           ◀── completion ring ──
//!           ◀──▶  a doorbell for each
//! ```
//!
//! Both sides see the same thing, a ring out and a ring in. What the client pushes is a submission,
//! what the worker pushes is a completion.

use super::cursor::Corrupt;
use super::doorbell::{self, Doorbell, Sleeper};
use super::entry::Entry;
use super::queue::{self, Consumer, Producer, PushError};
use super::region::{LINE, Region, RegionError};

/// One side's rings of a seat.
///
/// ```
/// use linerate::net::ring::{Entry, SeatRings};
///
/// let (mut client, mut worker) = SeatRings::pair(64)?;
/// let thread = std::thread::current();
/// client.push(Entry { op: 1, ..Entry::default() })?;
/// client.ring(|| thread.unpark());
/// assert_eq!(worker.pop()?.map(|entry| entry.op), Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SeatRings {
    tx: Producer,
    rx: Consumer,
    sleeper: Sleeper,
    doorbell: Doorbell,
}

/// Events that end a sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Entries from the other side.
    Entries,
    /// Entries from the other side, or room for entries to it.
    EntriesOrRoom,
}

/// The answer to an announcement of sleep.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// There is nothing to do: sleep until the wake-up.
    Now,
    /// There is something to do, or the other side lies, which the next call reports.
    Not,
}

impl SeatRings {
    /// Makes the rings of a seat with `capacity` entries in each direction, and returns those of
    /// the client and those of the worker.
    ///
    /// # Errors
    ///
    /// [`RegionError::Length`] if `capacity` is not a power of two from 1 to 2^26, and
    /// [`RegionError::Memory`].
    pub fn pair(capacity: u32) -> Result<(Self, Self), RegionError> {
        let ring = queue::bytes(capacity)?;
        let region = Region::zeroed(2 * LINE + 2 * ring)?;
        let (client_sleeper, client_bell) = doorbell::ends(&region, 0)?;
        let (worker_sleeper, worker_bell) = doorbell::ends(&region, LINE)?;
        let (submit, submitted) = queue::ends(&region, 2 * LINE, capacity)?;
        let (complete, completed) = queue::ends(&region, 2 * LINE + ring, capacity)?;
        let client =
            Self { tx: submit, rx: completed, sleeper: client_sleeper, doorbell: worker_bell };
        let worker =
            Self { tx: complete, rx: submitted, sleeper: worker_sleeper, doorbell: client_bell };
        Ok((client, worker))
    }

    /// Appends an entry to the ring out, as [`Producer::push`].
    ///
    /// # Errors
    ///
    /// As [`Producer::push`].
    pub fn push(&mut self, entry: Entry) -> Result<(), PushError> {
        self.tx.push(entry)
    }

    /// Appends entries to the ring out, as [`Producer::push_batch`].
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the other side lies.
    pub fn push_batch(&mut self, entries: &[Entry]) -> Result<usize, Corrupt> {
        self.tx.push_batch(entries)
    }

    /// Removes the oldest entry of the ring in, as [`Consumer::pop`].
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the other side lies.
    pub fn pop(&mut self) -> Result<Option<Entry>, Corrupt> {
        self.rx.pop()
    }

    /// Moves the oldest entries out of the ring in, as [`Consumer::pop_batch`].
    ///
    /// # Errors
    ///
    /// [`Corrupt`] if the other side lies.
    pub fn pop_batch(&mut self, entries: &mut [Entry]) -> Result<usize, Corrupt> {
        self.rx.pop_batch(entries)
    }

    /// Wakes the other side if it sleeps. Call it once after a batch of pushes or pops: either may
    /// end the other side's sleep.
    pub fn ring(&self, wake: impl FnOnce()) {
        self.doorbell.ring(wake);
    }

    /// Announces that this side is about to sleep and looks at the rings once more, as
    /// [`Sleeper::announce`].
    pub fn announce_sleep(&mut self, wait: Wait) -> Sleep {
        let Self { tx, rx, sleeper, .. } = self;
        let idle = |count: Result<u32, Corrupt>| count == Ok(0);
        let found = sleeper.announce(|| {
            let mut has_room = || wait == Wait::EntriesOrRoom && !idle(tx.room());
            (!idle(rx.ready()) || has_room()).then_some(())
        });
        if found.is_some() { Sleep::Not } else { Sleep::Now }
    }

    /// Withdraws the announcement after a sleep that something else ended, as
    /// [`Sleeper::withdraw`].
    pub fn withdraw_sleep(&self) {
        self.sleeper.withdraw();
    }
}
