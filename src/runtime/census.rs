//! The connections of a running stack, worker by worker, without disturbing it: a worker fills one slice a
//! turn, into memory that the asker brought.

use std::ops::ControlFlow;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use super::stack::Stack;
use super::worker::Mailbox;
use crate::shard::{ConnInfo, Cursor};

/// Connections told in one turn.
const ROWS: usize = 256;

/// How often it is looked whether a slice is filled.
const LOOK: StdDuration = StdDuration::from_micros(50);

/// How long a worker may take for one: it answers within a turn, unless its callbacks hang.
const PATIENCE: StdDuration = StdDuration::from_secs(1);

/// What goes to the worker empty and comes back filled.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) from: Cursor,
    /// As many as fit without growing.
    pub(super) rows: Vec<ConnInfo>,
    /// Where the next one begins.
    pub(super) next: Option<Cursor>,
}

/// A worker that did not answer: it has ended, or its callbacks hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {0} does not answer")]
pub struct Silent(pub usize);

impl Stack {
    /// Tells `each` flow with the number of its worker, those in SYN-RECEIVED and TIME-WAIT included, until it
    /// breaks off. What comes and goes meanwhile may be told twice or not at all.
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn connections(
        &mut self,
        mut each: impl FnMut(usize, &ConnInfo) -> ControlFlow<()>,
    ) -> Result<(), Silent> {
        for (number, mailbox) in self.mailboxes().enumerate() {
            let mut slice = Box::new(Slice {
                from: Cursor::default(),
                rows: Vec::with_capacity(ROWS),
                next: None,
            });
            loop {
                slice.rows.clear();
                slice = ask(mailbox, slice).ok_or(Silent(number))?;
                if slice.rows.iter().any(|row| each(number, row).is_break()) {
                    return Ok(());
                }
                let Some(next) = slice.next else { break };
                slice.from = next;
            }
        }
        Ok(())
    }
}

/// One slice to the worker and back.
fn ask(mailbox: &Mailbox, slice: Box<Slice>) -> Option<Box<Slice>> {
    // What was not waited for the last time.
    while mailbox.told.pop().is_some() {}
    mailbox.asked.force_push(slice);
    mailbox.waker.wake();
    let until = StdInstant::now() + PATIENCE;
    loop {
        if let Some(slice) = mailbox.told.pop() {
            return Some(slice);
        }
        if mailbox.ended.load(std::sync::atomic::Ordering::SeqCst) || StdInstant::now() > until {
            return None;
        }
        std::thread::sleep(LOOK);
    }
}
