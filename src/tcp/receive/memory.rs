//! The memory behind the receive window: how a connection reserves, grows and returns it.
//!
//! Invariant: a receive ring has memory only within the promise of the connection, so that
//! acknowledged or SACKed data (RFC 2018 §8) always has room. `offer` decides how much of it to
//! offer; `buffer::tuning` measures how much a fast program needs.

use crate::tcp::buffer::{FLOOR, Promise, TunerKey};
use crate::tcp::state::Marks;
use crate::tcp::{BufferPool, Connection, Env, Segment, Settings};
use crate::time::Duration;

/// Receive-buffer tuning starts after this fraction of the initial buffer: 8 KiB of 64. Earlier,
/// short exchanges would pay for it; later, slow start waits for the window.
const TUNED_FROM: u32 = 8;

impl Connection {
    /// Reserves memory for `bytes` in the receive ring. Returns false if none is available: the
    /// data is then dropped, and the peer retransmits it.
    #[inline]
    pub(in crate::tcp) fn reserve(&mut self, env: &mut Env<'_>, bytes: u32) -> bool {
        bytes <= self.incoming.capacity() || self.grow_ring(env, bytes)
    }

    /// Grows the ring within the promise. If nothing is promised yet, or too little after memory
    /// pressure, obtains a promise first. A ring that starts empty gets half of its last size: one
    /// step to grow back in bulk transfers, and a single burst is soon forgotten.
    fn grow_ring(&mut self, env: &mut Env<'_>, bytes: u32) -> bool {
        let first = self.first_receive_buffer(env.settings);
        let promise = &mut self.rcv.promise;
        if !promise.is_held() || bytes > promise.bytes() {
            let wanted = promise.bytes().max(first);
            if env.pool.accounts.hold(promise, wanted, bytes).is_err() {
                return false;
            }
        }
        let most = promise.bytes();
        let was_empty = self.incoming.capacity() == 0;
        if was_empty {
            self.begin_tuning(env);
        }
        let key = self.tuner_key();
        let tuner = env.pool.tuners.get(key).filter(|_| was_empty && self.rcv.promise.is_tuned());
        let habit = tuner.map_or(0, |tuner| (1 << tuner.habit) / 2);
        let reserved = self.incoming.ensure(env.pool, bytes.max(habit).min(most));
        let capacity = self.incoming.capacity();
        if let Some(tuner) = env.pool.tuners.at(key) {
            tuner.habit = capacity.max(1).ilog2() as u8;
        }
        if capacity == 0 {
            self.return_receive_memory(env.pool, env.settings);
        }
        reserved
    }

    /// Returns the receive buffer to begin with.
    #[inline]
    fn first_receive_buffer(&self, settings: &Settings) -> u32 {
        if self.marks.has(Marks::BOUNDED) {
            return settings.first_receive_buffer().min(self.receive_buffer_max(settings));
        }
        settings.first_receive_buffer()
    }

    fn begin_tuning(&mut self, env: &mut Env<'_>) {
        let key = self.tuner_key();
        if self.rcv.promise.is_tuned() && env.pool.tuners.get(key).is_some() {
            return;
        }
        let from = self.first_receive_buffer(env.settings) / TUNED_FROM;
        if self.rcv.bytes_received(self.phase) >= u64::from(from) {
            let read = self.rcv.nxt - self.incoming.len();
            env.pool.tuners.begin(key, env.now, read, self.rcv.edge);
            self.rcv.promise.set_tuned(true);
        }
    }

    /// Feeds an arrival to the tuner, if the connection is tuned.
    #[inline]
    pub(in crate::tcp) fn time_arrival(&mut self, env: &mut Env<'_>, segment: &Segment<'_>) {
        let Some(tuner) = env.pool.tuners.at(self.tuner_key()) else { return };
        if self.marks.has(Marks::TIMESTAMPS)
            && let Some(stamps) = segment.options.timestamps
        {
            tuner.on_echo(self.age_ms(env.now, stamps.echo));
        }
        tuner.on_arrived(env.now, self.rcv.nxt, self.rcv.edge);
    }

    /// Feeds a read to the tuner, if the connection is tuned. A program that reads fast gets room
    /// for the data that the peer can send meanwhile.
    pub(in crate::tcp) fn tune(&mut self, env: &mut Env<'_>) {
        let read = self.rcv.nxt - self.incoming.len();
        let Some(tuner) = env.pool.tuners.at(self.tuner_key()) else { return };
        let Some(room) = tuner.on_read(env.now, read, self.snd.mss) else { return };
        let room = room.min(self.receive_buffer_max(env.settings));
        if room > self.rcv.promise.bytes() && !env.pool.accounts.is_short() {
            env.pool.accounts.raise(&mut self.rcv.promise, room);
        }
    }

    /// Returns the memory of an empty receive ring. Returns the promise too, except that of a grown
    /// window, whose peer will send soon, unless no more data can arrive.
    #[inline]
    pub(in crate::tcp) fn return_receive_memory(
        &mut self,
        pool: &mut BufferPool,
        settings: &Settings,
    ) {
        // Without a promise the ring has no memory; without data it never had one.
        if self.rcv.promise.is_held() || self.rcv.promise.is_tuned() {
            self.return_receive_memory_slow(pool, settings);
        }
    }

    fn return_receive_memory_slow(&mut self, pool: &mut BufferPool, settings: &Settings) {
        self.incoming.release(pool);
        let first = Promise::credit(self.first_receive_buffer(settings));
        let done = !self.phase.may_receive() || self.marks.has(Marks::NO_READER);
        if self.rcv.promise.is_held() && (done || self.rcv.promise.shift() <= first.shift()) {
            pool.accounts.unhold(&mut self.rcv.promise);
        }
        if done {
            self.rcv.promise.set_tuned(false);
        }
    }

    /// Handles memory pressure: returns half of the promise that is not filled. Data within the
    /// offered window stays acceptable as far as memory permits; the window closes as data arrives.
    /// Returns true if something was returned.
    pub fn give_back(&mut self, env: &mut Env<'_>) -> bool {
        if !self.rcv.promise.is_held() {
            return false;
        }
        // First shrink a ring that held much and holds little.
        let placed = self.holes.ranges().map(|(_, end)| end).max().unwrap_or(0);
        self.incoming.shrink(env.pool, self.incoming.len() + placed);
        let promise = &mut self.rcv.promise;
        let before = promise.shift();
        let needed = (promise.bytes() / 2).max(self.incoming.capacity()).max(FLOOR);
        env.pool.accounts.lower(promise, needed);
        let gave = promise.shift() < before;
        if self.incoming.is_empty() && self.holes.is_empty() {
            self.return_receive_memory(env.pool, env.settings);
        }
        gave || !self.rcv.promise.is_held()
    }

    /// Returns the bytes that the program read in the last round trip, and that round trip; zero
    /// unless it reads in bulk.
    pub fn reading(&self, pool: &BufferPool) -> (u32, Duration) {
        let tuned = self.rcv.promise.is_tuned();
        let tuner = pool.tuners.get(self.tuner_key()).filter(|_| tuned).copied();
        let tuner = tuner.unwrap_or_default();
        (tuner.space(), Duration::from_micros(u64::from(tuner.rtt_us())))
    }

    /// The key of the connection's tuner.
    const fn tuner_key(&self) -> TunerKey {
        (self.snd.iss, self.rcv.irs)
    }

    /// Returns all memory, with its content.
    pub(in crate::tcp) fn release_buffers(&mut self, pool: &mut BufferPool) {
        self.release_send_buffer(pool);
        if self.rcv.promise.is_held() {
            self.incoming.release(pool);
            pool.accounts.unhold(&mut self.rcv.promise);
        }
        self.rcv.promise.set_tuned(false);
    }
}
