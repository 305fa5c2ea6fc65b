//! Lists the connections of a running stack without disturbing it: a worker fills one page per
//! turn, into memory that the caller provides.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use super::mailbox::{ConnectionPage, Mailbox};
use super::stack::Stack;
use crate::shard::{ConnInfo, Cursor};

/// Connections per page. A worker fills one page per turn.
const PAGE_ROWS: usize = 256;

/// Interval at which the caller checks for a filled page.
const POLL_EVERY: StdDuration = StdDuration::from_micros(50);

/// The longest time that a worker may take for a page. It answers within a turn, unless a callback
/// of its service hangs.
const PATIENCE: StdDuration = StdDuration::from_secs(1);

/// A worker did not answer: it has ended, or a callback of its service hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("worker {0} does not answer")]
pub struct Silent(pub usize);

impl Stack {
    /// Calls `each` for every connection, with the number of its worker, until `each` breaks.
    /// Includes connections in SYN-RECEIVED and TIME-WAIT. Connections that open or close meanwhile
    /// may appear twice or not at all.
    ///
    /// # Errors
    /// When a worker does not answer within a second.
    pub fn connections(
        &mut self,
        mut each: impl FnMut(usize, &ConnInfo) -> ControlFlow<()>,
    ) -> Result<(), Silent> {
        for (number, mailbox) in self.mailboxes().enumerate() {
            let mut page = Box::new(ConnectionPage {
                from: Cursor::default(),
                rows: Vec::with_capacity(PAGE_ROWS),
                next: None,
            });
            loop {
                page.rows.clear();
                page = request(mailbox, page).ok_or(Silent(number))?;
                if page.rows.iter().any(|row| each(number, row).is_break()) {
                    return Ok(());
                }
                let Some(next) = page.next else { break };
                page.from = next;
            }
        }
        Ok(())
    }
}

/// Sends an empty page to the worker and returns the filled one; `None` when the worker does not
/// answer.
fn request(mailbox: &Mailbox, page: Box<ConnectionPage>) -> Option<Box<ConnectionPage>> {
    // Discard the late reply to a request that timed out.
    while mailbox.page_replies.pop().is_some() {}
    mailbox.page_requests.force_push(page);
    mailbox.waker.wake();
    let until = StdInstant::now() + PATIENCE;
    loop {
        if let Some(page) = mailbox.page_replies.pop() {
            return Some(page);
        }
        if mailbox.ended.load(Ordering::SeqCst) || StdInstant::now() > until {
            return None;
        }
        std::thread::sleep(POLL_EVERY);
    }
}
