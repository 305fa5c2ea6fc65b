//! The open connections of a worker, which it asks to close when the stack drains.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::task::Waker;

/// The open connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// Wakes the task of each connection.
    wakers: RefCell<HashMap<u64, Waker>>,
    joined: Cell<u64>,
    is_closing: Cell<bool>,
}

impl Connections {
    /// Adds a connection, until its membership is dropped.
    pub(super) fn join(self: &Rc<Self>) -> Member {
        self.joined.set(self.joined.get() + 1);
        Member {
            connections: Rc::clone(self),
            number: self.joined.get(),
            waker: None,
            has_closed: false,
        }
    }

    /// Asks all connections to finish what is under way and close.
    pub(super) fn close(&self) {
        self.is_closing.set(true);
        for (_, waker) in self.wakers.take() {
            waker.wake();
        }
    }
}

/// The membership of a connection.
#[derive(Debug)]
pub(super) struct Member {
    connections: Rc<Connections>,
    number: u64,
    waker: Option<Waker>,
    has_closed: bool,
}

impl Member {
    /// Returns true once, when the connection must close.
    pub(super) fn must_close(&mut self) -> bool {
        let must = self.connections.is_closing.get() && !self.has_closed;
        self.has_closed |= must;
        must
    }

    /// Sets the task to wake when the connection must close.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if self.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return;
        }
        self.waker = Some(waker.clone());
        self.connections.wakers.borrow_mut().insert(self.number, waker.clone());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let waker = self.connections.wakers.borrow_mut().remove(&self.number);
        drop(waker);
    }
}
