//! The memory behind the receive window: how a connection reserves it, grows it, and returns it.
//!
//! Invariant: a receive ring has memory only within the promise of the connection, so that data that was
//! acknowledged, or reported past a hole (RFC 2018 §8), always has its place. `offer` decides how much of it is
//! offered; `buffer::tuning` measures how much a fast program needs.

use crate::tcp::buffer::{FLOOR, Promise, TunerKey};
use crate::tcp::state::Marks;
use crate::tcp::{BufferPool, Connection, Env, Segment, Settings};
use crate::time::Duration;

/// A connection is watched for bulk from so many of its first buffers on: 8 KiB of 64. Earlier, and short
/// exchanges would pay for it; later, and slow start waits for the window.
const TUNED_FROM: u32 = 8;

impl Connection {
    /// Memory for `bytes` in the receive ring. False when there is none: then they are as if they had never
    /// come, and the peer sends them again.
    #[inline]
    pub(in crate::tcp) fn reserve(&mut self, env: &mut Env<'_>, bytes: u32) -> bool {
        bytes <= self.incoming.capacity() || self.draw(env, bytes)
    }

    /// The ring takes more of what is promised; when nothing is yet, or too little since memory was short,
    /// it is promised first. A ring that starts anew takes half of what it held last: one step to grow back
    /// in bulk, and a lone burst is soon forgotten.
    fn draw(&mut self, env: &mut Env<'_>, bytes: u32) -> bool {
        let promise = &mut self.rcv.promise;
        if !promise.is_held() || bytes > promise.bytes() {
            let wanted = promise.bytes().max(env.settings.first_receive_buffer());
            if env.pool.accounts.hold(promise, wanted, bytes).is_err() {
                return false;
            }
        }
        let most = promise.bytes();
        let anew = self.incoming.capacity() == 0;
        if anew {
            self.begin_tuning(env);
        }
        let key = self.tuner_key();
        let tuner = env.pool.tuners.get(key).filter(|_| anew && self.rcv.promise.is_tuned());
        let habit = tuner.map_or(0, |tuner| (1 << tuner.habit) / 2);
        let reserved = self.incoming.ensure(env.pool, bytes.max(habit).min(most));
        let capacity = self.incoming.capacity();
        if let Some(tuner) = env.pool.tuners.at(key) {
            tuner.habit = capacity.max(1).ilog2() as u8;
        }
        if capacity == 0 {
            self.let_go_received(env.pool, env.settings);
        }
        reserved
    }

    fn begin_tuning(&mut self, env: &mut Env<'_>) {
        let key = self.tuner_key();
        if self.rcv.promise.is_tuned() && env.pool.tuners.get(key).is_some() {
            return;
        }
        let from = env.settings.first_receive_buffer() / TUNED_FROM;
        if self.rcv.bytes_received(self.phase) >= u64::from(from) {
            let read = self.rcv.nxt - self.incoming.len();
            env.pool.tuners.begin(key, env.now, read, self.rcv.edge);
            self.rcv.promise.set_tuned(true);
        }
    }

    /// Data arrived, on a connection that is watched for bulk.
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

    /// The program has read, on a connection that is watched for bulk: if it reads fast, there should be room
    /// for what the peer can send meanwhile.
    pub(in crate::tcp) fn tune(&mut self, env: &mut Env<'_>) {
        let read = self.rcv.nxt - self.incoming.len();
        let Some(tuner) = env.pool.tuners.at(self.tuner_key()) else { return };
        let Some(room) = tuner.on_read(env.now, read, self.snd.mss) else { return };
        let room = room.min(env.settings.receive_buffer);
        if room > self.rcv.promise.bytes() && !env.pool.accounts.is_short() {
            env.pool.accounts.raise(&mut self.rcv.promise, room);
        }
    }

    /// Nothing is stored in the receive ring: its memory goes back. What was promised goes back too, but for
    /// a window that grew, whose peer sends soon, unless it will never be filled.
    #[inline]
    pub(in crate::tcp) fn let_go_received(&mut self, pool: &mut BufferPool, settings: &Settings) {
        // Without a promise there is no memory; without data there never was one.
        if self.rcv.promise.is_held() || self.rcv.promise.is_tuned() {
            self.release_received(pool, settings);
        }
    }

    fn release_received(&mut self, pool: &mut BufferPool, settings: &Settings) {
        self.incoming.release(pool);
        let first = Promise::credit(settings.first_receive_buffer());
        let done = !self.phase.may_receive() || self.marks.has(Marks::NO_READER);
        if self.rcv.promise.is_held() && (done || self.rcv.promise.shift() <= first.shift()) {
            pool.accounts.unhold(&mut self.rcv.promise);
        }
        if done {
            self.rcv.promise.set_tuned(false);
        }
    }

    /// Memory is short: half of what is promised and not filled goes back. What was offered stays acceptable
    /// as far as there is memory; the window closes as data arrives. Returns whether that is something.
    pub fn give_back(&mut self, env: &mut Env<'_>) -> bool {
        if !self.rcv.promise.is_held() {
            return false;
        }
        // A ring that held much and holds little is the first to go.
        let placed = self.holes.ranges().map(|(_, end)| end).max().unwrap_or(0);
        self.incoming.shrink(env.pool, self.incoming.len() + placed);
        let promise = &mut self.rcv.promise;
        let before = promise.shift();
        let needed = (promise.bytes() / 2).max(self.incoming.capacity()).max(FLOOR);
        env.pool.accounts.lower(promise, needed);
        let gave = promise.shift() < before;
        if self.incoming.is_empty() && self.holes.is_empty() {
            self.let_go_received(env.pool, env.settings);
        }
        gave || !self.rcv.promise.is_held()
    }

    /// What the program read in the last round trip, and that round trip; nothing unless it reads
    /// in bulk.
    pub fn reading(&self, pool: &BufferPool) -> (u32, Duration) {
        let tuned = self.rcv.promise.is_tuned();
        let tuner = pool.tuners.get(self.tuner_key()).filter(|_| tuned).copied();
        let tuner = tuner.unwrap_or_default();
        (tuner.space(), Duration::from_micros(u64::from(tuner.rtt_us())))
    }

    /// Where its measurements are found.
    const fn tuner_key(&self) -> TunerKey {
        (self.snd.iss, self.rcv.irs)
    }

    /// All memory goes back, with what is in it.
    pub(in crate::tcp) fn let_go(&mut self, pool: &mut BufferPool) {
        self.let_go_sent(pool);
        if self.rcv.promise.is_held() {
            self.incoming.release(pool);
            pool.accounts.unhold(&mut self.rcv.promise);
        }
        self.rcv.promise.set_tuned(false);
    }
}
