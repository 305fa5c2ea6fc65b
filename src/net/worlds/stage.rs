//! The state that the programs of a world share: the ledger, the act of the play, and the number of
//! panics that are part of it.

use core::cell::{Cell, RefCell};
use core::future::poll_fn;
use core::task::Poll;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::net::executor::waiters::Waiters;
use crate::rng::Rng;
use crate::shard::ConnId;
use crate::sim::{End, Place, Scenario, SharedLedger};

/// The acts of a play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Act {
    /// Conversations.
    Playing,
    /// The first futures close their listeners and end their acceptors.
    Closing,
    /// The first futures end.
    Over,
}

/// The state that the programs of a world share.
pub(super) struct Stage {
    pub(super) ledger: SharedLedger,
    pub(super) scenario: Scenario,
    act: Cell<Act>,
    waiters: RefCell<Waiters>,
    /// Panics that are part of the play, by host and worker.
    pub(super) panics: RefCell<BTreeMap<Place, u64>>,
}

impl Stage {
    pub(super) fn new(ledger: SharedLedger, scenario: Scenario) -> Rc<Self> {
        Rc::new(Self {
            ledger,
            scenario,
            act: Cell::new(Act::Playing),
            waiters: RefCell::default(),
            panics: RefCell::default(),
        })
    }

    /// Begins an act, and wakes the tasks that wait for it.
    pub(super) fn begin(&self, act: Act) {
        self.act.set(act);
        let waiting = self.waiters.borrow_mut().take();
        waiting.for_each(core::task::Waker::wake);
    }

    /// Waits until an act begins.
    pub(super) async fn until(&self, act: Act) {
        let mut ticket = None;
        poll_fn(|cx| {
            if self.act.get() >= act {
                return Poll::Ready(());
            }
            ticket = Some(self.waiters.borrow_mut().wait(ticket, cx.waker()));
            Poll::Pending
        })
        .await;
    }

    /// Returns random numbers of their own for one use, so that the draws of one task do not depend
    /// on those of another.
    pub(super) fn rng(&self, purpose: u64) -> Rng {
        Rng::new(self.scenario.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ purpose)
    }

    pub(super) fn violated(&self, what: impl FnOnce() -> String) {
        self.ledger.borrow_mut().violated(what);
    }

    pub(super) fn count_panic(&self, place: Place) {
        *self.panics.borrow_mut().entry(place).or_default() += 1;
    }

    /// Records the end of a connection, if it is one of a conversation.
    pub(super) fn ended(&self, place: Place, conn: ConnId, end: End) {
        let mut ledger = self.ledger.borrow_mut();
        let mut sides = ledger.conversations.iter_mut().flat_map(|it| &mut it.sides);
        let side = sides.find(|side| side.is_live() && side.conn == Some((place, conn)));
        if let Some(side) = side {
            side.end = Some(end);
        }
    }
}
