//! A seat: the client's end of the rings with one worker, and the streams on them.
//!
//! The threads of a client share a seat by a lock, held for the time of a copy. The worker never
//! waits for it: when its doorbell finds the lock taken, it leaves a mark, and the holder looks at
//! the rings again after it has let go.

use core::task::Waker;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::outbox::{Flushed, Outbox};
use super::protocol::{NO_ADDRESS, NO_STREAM, code_of, ended, flag, notice, op, with_address};
use super::slots::Slot;
use crate::net::executor::queue::Shared;
use crate::net::ring::{Entry, SeatRings, Sleep, StreamRings, Wait};

/// Entries of a ring. A stream has at most a few on the way, and news that find no room are merged.
const ENTRIES: u32 = 256;

/// Streams of a seat. A client with more takes another seat.
pub(super) const STREAMS: u32 = 256;

/// Bytes on the way in one direction of a stream between client and worker. With less, a bulk
/// transfer waits for the other thread; more does not fit the cache.
const STREAM_BYTES: usize = 64 * 1024;

/// A client's seat at a worker.
pub(super) struct Seat {
    state: Mutex<Client>,
    /// The doorbell has rung while the lock was taken.
    missed: AtomicBool,
    /// The worker has left the seat.
    worker_gone: AtomicBool,
    worker: Arc<Shared>,
}

/// The client's state of a seat.
#[derive(Debug)]
pub(super) struct Client {
    rings: SeatRings,
    memory: StreamRings,
    slots: Vec<Slot>,
    free: Vec<u32>,
    outbox: Outbox,
    /// Accepted connections that nothing has taken.
    pub(super) accepted: VecDeque<u32>,
    pub(super) acceptor: Option<Waker>,
    /// The outcome of the listen, once it is known: 0 or the code of a cause.
    pub(super) listening: Option<u16>,
    /// Tasks to wake once the lock is released.
    woken: Vec<Waker>,
    /// Number of tasks that wait for news of the worker.
    waiting: usize,
    is_corrupt: bool,
}

/// The worker's end of a seat.
pub(super) struct WorkerEnd {
    pub(super) rings: SeatRings,
    pub(super) memory: StreamRings,
}

impl Seat {
    /// Makes a seat at the worker of `worker`.
    pub(super) fn new(worker: &Arc<Shared>) -> io::Result<(Arc<Self>, WorkerEnd)> {
        let memory = StreamRings::new(STREAMS, STREAM_BYTES).map_err(io::Error::other)?;
        let (client, rings) = SeatRings::pair(ENTRIES).map_err(io::Error::other)?;
        let state = Client {
            rings: client,
            memory: memory.clone(),
            slots: (0..STREAMS).map(|_| Slot::free()).collect(),
            free: (0..STREAMS).rev().collect(),
            outbox: Outbox::new(STREAMS),
            accepted: VecDeque::new(),
            acceptor: None,
            listening: None,
            woken: Vec::new(),
            waiting: 0,
            is_corrupt: false,
        };
        let seat = Self {
            state: Mutex::new(state),
            missed: AtomicBool::new(false),
            worker_gone: AtomicBool::new(false),
            worker: Arc::clone(worker),
        };
        Ok((Arc::new(seat), WorkerEnd { rings, memory }))
    }

    /// Calls `call` with the state, as new as the rings, and sends what it has left to send.
    pub(super) fn with<R>(&self, call: impl FnOnce(&mut Client) -> R) -> R {
        let mut client = self.lock();
        self.collect(&mut client);
        let result = call(&mut client);
        self.settle(client);
        while self.missed.swap(false, Ordering::SeqCst) {
            self.settle(self.lock());
        }
        result
    }

    /// Answers the worker's doorbell, on the worker's thread.
    pub(super) fn on_bell(&self) {
        self.missed.store(true, Ordering::SeqCst);
        while self.missed.load(Ordering::SeqCst) {
            let Ok(client) = self.state.try_lock() else { return };
            self.missed.store(false, Ordering::SeqCst);
            self.settle(client);
        }
    }

    /// Records that the worker has left: all streams end.
    pub(super) fn on_worker_gone(&self) {
        self.worker_gone.store(true, Ordering::SeqCst);
        self.on_bell();
    }

    fn lock(&self) -> MutexGuard<'_, Client> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the state up to date, sends, lets go of the lock, and wakes.
    fn settle(&self, mut client: MutexGuard<'_, Client>) {
        loop {
            self.collect(&mut client);
            match client.flush() {
                Flushed::Sent => client.rings.ring(|| self.worker.wake()),
                Flushed::Nothing => {}
            }
            if client.waiting == 0 && client.outbox.is_empty() {
                break;
            }
            let wait = if client.outbox.is_empty() { Wait::Entries } else { Wait::EntriesOrRoom };
            if client.is_corrupt || client.rings.announce_sleep(wait) == Sleep::Now {
                break;
            }
        }
        let woken = core::mem::take(&mut client.woken);
        drop(client);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Takes what the worker has sent.
    fn collect(&self, client: &mut Client) {
        client.collect();
        if self.worker_gone.load(Ordering::SeqCst) || client.is_corrupt {
            client.on_worker_gone();
        }
    }

    /// Returns true once the worker has left.
    pub(super) fn is_over(&self) -> bool {
        self.worker_gone.load(Ordering::SeqCst)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The worker finds that its reference to the seat leads nowhere.
        self.worker.wake();
    }
}

impl Client {
    fn collect(&mut self) {
        let before = self.woken.len();
        self.collect_entries();
        self.waiting = self.waiting.saturating_sub(self.woken.len() - before);
    }

    fn collect_entries(&mut self) {
        let mut entries = [Entry::default(); 32];
        loop {
            match self.rings.pop_batch(&mut entries) {
                Ok(0) => return,
                Ok(count) => entries[..count].iter().for_each(|entry| self.on_entry(entry)),
                Err(_) => {
                    self.is_corrupt = true;
                    return;
                }
            }
        }
    }

    fn on_entry(&mut self, entry: &Entry) {
        if entry.stream == NO_STREAM {
            if entry.flags & notice::LISTENING != 0 {
                self.listening = Some(entry.code);
                self.woken.extend(self.acceptor.take());
            }
            return;
        }
        let Some(slot) = self.slots.get_mut(entry.stream as usize) else { return };
        if slot.generation != entry.generation || slot.is_free() {
            return;
        }
        slot.on_notice(entry, &mut self.woken);
        if slot.is_dropped {
            if slot.is_over() {
                self.release(entry.stream);
            }
        } else if entry.flags & notice::ACCEPTED != 0 {
            self.accepted.push_back(entry.stream);
            self.woken.extend(self.acceptor.take());
        }
    }

    fn on_worker_gone(&mut self) {
        self.waiting = 0;
        let code = code_of(&ended());
        self.listening = Some(code);
        self.woken.extend(self.acceptor.take());
        for slot in &mut self.slots {
            slot.on_worker_gone(code, &mut self.woken);
        }
    }

    fn flush(&mut self) -> Flushed {
        let Self { outbox, rings, slots, .. } = self;
        let entry = |stream: u32, flags: u8| {
            let generation = slots[stream as usize].generation;
            Entry { op: op::STREAM, flags, stream, generation, ..Entry::default() }
        };
        outbox.flush(rings, entry).unwrap_or_else(|_| {
            self.is_corrupt = true;
            Flushed::Nothing
        })
    }

    /// Begins to use a stream; `operation` is what the worker does with it. Returns its number, or
    /// `None` if all streams of the seat are in use.
    pub(super) fn begin(&mut self, operation: u8, peer: SocketAddr) -> Option<u32> {
        let stream = self.free.pop()?;
        let slot = &mut self.slots[stream as usize];
        slot.begin(&self.memory, stream, peer).ok()?;
        let generation = slot.generation;
        let entry = Entry { op: operation, stream, generation, ..Entry::default() };
        self.outbox.add_entry(with_address(entry, peer));
        Some(stream)
    }

    /// Lends a stream to the worker for the next accepted connection.
    pub(super) fn add_credit(&mut self) {
        let _ = self.begin(op::CREDIT, NO_ADDRESS);
    }

    /// Asks the worker to listen.
    pub(super) fn listen(&mut self, address: SocketAddr) {
        let entry = Entry { op: op::LISTEN, stream: NO_STREAM, ..Entry::default() };
        self.outbox.add_entry(with_address(entry, address));
    }

    /// Asks the worker to close the listener, and resets the connections that nothing has taken.
    pub(super) fn unlisten(&mut self) {
        let entry = Entry { op: op::UNLISTEN, stream: NO_STREAM, ..Entry::default() };
        self.outbox.add_entry(entry);
        while let Some(stream) = self.accepted.pop_front() {
            self.drop_stream(stream, flag::DROPPED | flag::ABORT);
        }
    }

    /// Returns a stream in use.
    pub(super) fn slot(&mut self, stream: u32) -> &mut Slot {
        &mut self.slots[stream as usize]
    }

    /// Registers a task that waits for a stream to be readable.
    pub(super) fn wait_to_read(&mut self, stream: u32, waker: &Waker) {
        self.waiting += register(&mut self.slots[stream as usize].reader, waker);
    }

    /// Registers a task that waits for a stream to be writable or open.
    pub(super) fn wait_to_write(&mut self, stream: u32, waker: &Waker) {
        self.waiting += register(&mut self.slots[stream as usize].writer, waker);
    }

    /// Registers the task that waits for the listener.
    pub(super) fn wait_to_accept(&mut self, waker: &Waker) {
        self.waiting += register(&mut self.acceptor, waker);
    }

    /// Adds flags of a stream for the worker.
    pub(super) fn post(&mut self, stream: u32, flags: u8) {
        if !self.slots[stream as usize].is_over() {
            self.outbox.add(stream, flags);
        }
    }

    /// Ends the use of a stream by the program. The number is free once the worker has let go too.
    pub(super) fn drop_stream(&mut self, stream: u32, flags: u8) {
        if self.slots[stream as usize].is_over() {
            return self.release(stream);
        }
        self.slots[stream as usize].is_dropped = true;
        self.outbox.add(stream, flags);
    }

    fn release(&mut self, stream: u32) {
        let slot = &mut self.slots[stream as usize];
        self.outbox.clear(stream);
        self.woken.extend(slot.end().into_iter().flatten());
        self.free.push(stream);
    }
}

/// Sets a waker. Returns the number of tasks that wait now and did not before.
fn register(place: &mut Option<Waker>, waker: &Waker) -> usize {
    match place {
        Some(known) => {
            known.clone_from(waker);
            0
        }
        None => {
            *place = Some(waker.clone());
            1
        }
    }
}
