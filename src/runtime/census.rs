//! Lists the connections of a worker without disturbing it: the worker fills one page per turn,
//! into memory that the caller provides.

use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration as StdDuration, Instant as StdInstant};

use super::mailbox::{ConnectionPage, Mailbox};
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

/// Calls `each` for every connection of worker `number` until `each` breaks. Returns whether the
/// listing goes on with the next worker.
///
/// # Errors
/// When the worker does not answer within a second.
pub(super) fn list(
    number: usize,
    mailbox: &Mailbox,
    mut each: impl FnMut(usize, &ConnInfo) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Silent> {
    let mut page = Box::new(ConnectionPage {
        from: Cursor::default(),
        rows: Vec::with_capacity(PAGE_ROWS),
        next: None,
    });
    loop {
        page.rows.clear();
        page = request(mailbox, page).ok_or(Silent(number))?;
        if page.rows.iter().any(|row| each(number, row).is_break()) {
            return Ok(ControlFlow::Break(()));
        }
        let Some(next) = page.next else { return Ok(ControlFlow::Continue(())) };
        page.from = next;
    }
}

/// Sends an empty page to the worker and returns the filled one; `None` when the worker does not
/// answer. Threads that list at the same time take turns, page by page.
fn request(mailbox: &Mailbox, page: Box<ConnectionPage>) -> Option<Box<ConnectionPage>> {
    let _turn = mailbox.page_turn.lock().unwrap_or_else(PoisonError::into_inner);
    let from = page.from;
    mailbox.page_requests.force_push(page);
    mailbox.waker.wake();
    let until = StdInstant::now() + PATIENCE;
    loop {
        // Discards the late reply to a request that timed out.
        if let Some(page) = mailbox.page_replies.pop().filter(|page| page.from == from) {
            return Some(page);
        }
        if mailbox.ended.load(Ordering::SeqCst) || StdInstant::now() > until {
            return None;
        }
        std::thread::sleep(POLL_EVERY);
    }
}
