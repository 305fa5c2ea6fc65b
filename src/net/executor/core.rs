//! The state of an executor: what tasks, streams and timers of one worker share.

use core::cell::{Cell, RefCell};
use core::task::Waker;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use async_task::Runnable;

use super::accepts::Accepts;
use super::door::Door;
use super::queue::Shared;
use super::registry::Registry;
use super::slots::Slots;
use super::timers::{TimerId, Timers};
use super::waiters::Waiters;
use crate::shard::{ConnId, Io, ListenerId};
use crate::time::{Duration, Instant};

/// The state of one worker's executor. Streams, timers and tasks share it by `Rc`.
pub(in crate::net) struct Core {
    door: Door,
    /// The time of the turn.
    now: Cell<Instant>,
    /// This worker's number and the number of workers.
    pub(in crate::net) worker: Cell<(usize, usize)>,
    pub(in crate::net) slots: RefCell<Slots>,
    pub(in crate::net) accepts: RefCell<Accepts>,
    timers: RefCell<Timers>,
    /// The tasks to run in this turn.
    pub(in crate::net) ready: RefCell<VecDeque<Runnable>>,
    pub(in crate::net) tasks: RefCell<Registry>,
    pub(in crate::net) shared: Arc<Shared>,
    /// Time that closing may take, of the streams that limit it.
    pub(in crate::net) lingers: RefCell<HashMap<ConnId, Duration>>,
    /// Received data on its way to a task, on a stack that cannot show its buffers.
    pub(in crate::net) scratch: RefCell<Vec<u8>>,
    /// Streams and listeners dropped while the door was shut.
    dropped: RefCell<Vec<Dropped>>,
    /// Set while a panicked task is dropped.
    pub(in crate::net) is_panicking: Cell<bool>,
    /// Set once the program has ended.
    pub(in crate::net) is_finished: Cell<bool>,
    /// Time at which the stack resets what is left, once it drains.
    pub(in crate::net) drains_at: Cell<Option<Instant>>,
    pub(in crate::net) drain_waiters: RefCell<Waiters>,
    /// Tasks to wake when another thread wakes the worker.
    wake_listeners: RefCell<Vec<Waker>>,
}

/// Something that was dropped while the door was shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dropped {
    Stream(ConnId, Departure),
    Listener(ListenerId),
}

/// The way in which a dropped stream leaves its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::net) enum Departure {
    /// Sends what was written, then FIN. Unread data resets the connection.
    Close,
    /// As `Close`, with a reset after this time.
    CloseWithin(Duration),
    /// Resets the connection.
    Abort,
}

impl Core {
    pub(in crate::net) fn new(shared: Arc<Shared>) -> Self {
        Self {
            door: Door::default(),
            now: Cell::new(Instant::ZERO),
            worker: Cell::new((0, 1)),
            slots: RefCell::default(),
            accepts: RefCell::default(),
            timers: RefCell::default(),
            ready: RefCell::default(),
            tasks: RefCell::default(),
            shared,
            lingers: RefCell::default(),
            scratch: RefCell::default(),
            dropped: RefCell::default(),
            is_panicking: Cell::new(false),
            is_finished: Cell::new(false),
            drains_at: Cell::new(None),
            drain_waiters: RefCell::default(),
            wake_listeners: RefCell::default(),
        }
    }

    /// Opens the door to `io` while `call` runs.
    pub(in crate::net) fn enter<R>(&self, io: &mut dyn Io, call: impl FnOnce() -> R) -> R {
        self.now.set(io.now());
        for dropped in self.dropped.take() {
            dropped.leave(io);
        }
        self.door.open(io, call)
    }

    /// Calls `call` with the worker's stack. Returns `None` outside the worker's callbacks, and
    /// inside another such call.
    #[inline]
    pub(in crate::net) fn with_io<R>(&self, call: impl FnOnce(&mut dyn Io) -> R) -> Option<R> {
        self.door.with(call)
    }

    /// Returns the time of the turn.
    pub(in crate::net) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Leaves a connection whose stream was dropped, now or when the door opens.
    pub(in crate::net) fn leave(&self, conn: ConnId, departure: Departure) {
        self.discard(Dropped::Stream(conn, departure));
    }

    /// Closes a listener that was dropped, now or when the door opens.
    pub(in crate::net) fn close_listener(&self, listener: ListenerId) {
        self.discard(Dropped::Listener(listener));
    }

    fn discard(&self, dropped: Dropped) {
        if self.with_io(|io| dropped.leave(io)).is_none() && !self.shared.is_closed() {
            self.dropped.borrow_mut().push(dropped);
            self.shared.wake();
        }
    }

    /// Sets a timer, and the alarm of the service for it.
    pub(in crate::net) fn add_timer(&self, at: Instant, waker: Waker) -> TimerId {
        let mut timers = self.timers.borrow_mut();
        let is_first = timers.next().is_none_or(|first| at < first);
        let id = timers.add(at, waker);
        if is_first {
            self.with_io(|io| io.set_alarm(at));
        }
        id
    }

    pub(in crate::net) fn update_timer(&self, id: TimerId, waker: &Waker) {
        self.timers.borrow_mut().update(id, waker);
    }

    pub(in crate::net) fn remove_timer(&self, id: TimerId) {
        let removed = self.timers.borrow_mut().remove(id);
        drop(removed);
    }

    /// Wakes the tasks whose timers are due, and sets the alarm for the next one.
    pub(in crate::net) fn expire_timers(&self) {
        while let Some(waker) = self.pop_timer() {
            waker.wake();
        }
        if let Some(next) = self.next_timer() {
            self.with_io(|io| io.set_alarm(next));
        }
    }

    fn pop_timer(&self) -> Option<Waker> {
        self.timers.borrow_mut().pop(self.now())
    }

    fn next_timer(&self) -> Option<Instant> {
        self.timers.borrow().next()
    }

    /// Registers a task to wake when another thread wakes the worker, once.
    pub(in crate::net) fn add_wake_listener(&self, waker: &Waker) {
        let mut listeners = self.wake_listeners.borrow_mut();
        if !listeners.iter().any(|known| known.will_wake(waker)) {
            listeners.push(waker.clone());
        }
    }

    pub(in crate::net) fn take_wake_listeners(&self) -> Vec<Waker> {
        self.wake_listeners.take()
    }

    /// Forgets whom timers and connections wake.
    pub(in crate::net) fn clear_wakers(&self) {
        let timers = self.timers.borrow_mut().clear();
        let connections = self.slots.borrow_mut().take_wakers();
        drop((
            timers,
            connections,
            self.take_wake_listeners(),
            self.drain_waiters.borrow_mut().take().count(),
        ));
    }

    /// Returns the number of timers that are set.
    pub(in crate::net) fn timers(&self) -> usize {
        self.timers.borrow().len()
    }
}

impl Dropped {
    fn leave(self, io: &mut dyn Io) {
        match self {
            Self::Stream(conn, Departure::Close) => io.close_both(conn),
            Self::Stream(conn, Departure::CloseWithin(span)) => {
                let deadline = io.now() + span;
                io.close_by(conn, deadline);
            }
            Self::Stream(conn, Departure::Abort) => io.abort(conn),
            Self::Listener(listener) => io.unlisten(listener),
        }
    }
}
