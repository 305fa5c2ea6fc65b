//! Timers: a hierarchical wheel (Varghese and Lauck, SOSP 1987) with one entry per owner.
//!
//! An owner is a number below a bound set at the start, and indexes its entry: nothing is allocated
//! and nothing can run out. Timers are lazy. Arming an entry for a later time than it is armed for
//! does nothing: when the entry expires, its owner computes its real deadline and arms it for that.
//! Most TCP timers move later with every ACK and never expire, so most arming is a single
//! comparison.
//!
//! Invariants: an entry never expires before its deadline, and [`Wheel::pop`] returns it at most
//! one tick after its deadline. The level of an entry is that of the highest byte in which its tick
//! differs from the wheel's tick. So all entries of a slot lie ahead, and nothing ever wraps.

use crate::shard::mem::pages;
use crate::shard::mem::processor::prefetch;
use crate::time::Instant;

/// Duration of a tick: 2^16 ns (65.5 µs). A shorter tick makes entries cascade through more levels;
/// a longer one blurs the shortest timers (delayed ACK, pacing).
pub const TICK_BITS: u32 = 16;

const SLOTS: usize = 256;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();
/// Seven levels of eight bits reach past the end of [`Instant`], so no deadline is out of range.
/// The upper levels are empty and cost nothing.
const LEVELS: usize = 7;
const _: () = assert!(LEVELS as u32 * SLOT_BITS + TICK_BITS > u64::BITS);

/// Number of words of a bitmap with one bit per slot.
const WORDS: usize = LEVELS * SLOTS / 64;
const _: () = assert!(WORDS <= u32::BITS as usize);

const NONE: u32 = u32::MAX;
/// Tick of an entry that is not armed. No entry is ever armed for tick 0.
const IDLE: u64 = 0;

/// Entry of an owner: its tick, and its neighbours in the list of a slot. An idle entry is all
/// zeroes, so that reserved memory stays untouched until it is used.
type Node = [u64; 2];

/// A list of entries, and a lower bound of their ticks.
#[derive(Clone, Copy)]
struct Slot {
    earliest: u64,
    head: u32,
}

impl Slot {
    const EMPTY: Self = Self { earliest: u64::MAX, head: NONE };
}

/// The wheel.
pub struct Wheel {
    nodes: Vec<Node>,
    /// Slots of all levels.
    slots: Box<[Slot]>,
    /// Bitmap of the slots that are not empty.
    used: [u64; WORDS],
    /// Bitmap of the words in `used` that are not zero. The only field that every turn reads.
    words: u32,
    /// Lower bound of the ticks of all entries.
    tick: u64,
    /// Tick of the last call to [`pop`](Self::pop). A newly armed entry expires after it.
    now: u64,
}

impl Wheel {
    /// Creates a wheel for owners 0 to `owners` - 1 that starts at `now`.
    pub fn new(owners: usize, now: Instant) -> Self {
        let tick = now.as_nanos() >> TICK_BITS;
        Self {
            nodes: pages::zeroed(owners),
            slots: vec![Slot::EMPTY; LEVELS * SLOTS].into_boxed_slice(),
            used: [0; WORDS],
            words: 0,
            tick,
            now: tick,
        }
    }

    /// Arms `owner` to expire at `at` or earlier. Just a comparison if it is armed for an earlier
    /// time. A deadline in the past expires with the next tick. An owner out of bounds is never
    /// armed.
    #[inline]
    pub fn arm(&mut self, owner: u32, at: Instant) {
        let tick = tick_after(at).max(self.now + 1);
        let Some(node) = self.nodes.get(owner as usize) else { return };
        let armed = node[0];
        if armed != IDLE {
            if armed <= tick {
                return;
            }
            self.unlink(owner);
        }
        self.nodes[owner as usize][0] = tick;
        self.link(owner);
    }

    /// Prefetches the entry of an owner.
    #[inline]
    pub fn prefetch(&self, owner: u32) {
        if let Some(node) = self.nodes.get(owner as usize) {
            prefetch(node);
        }
    }

    /// Disarms an owner. Not needed for correctness: a stale entry expires once for the next owner
    /// of the number. It saves cache misses: soon after arming, the neighbours in the list are
    /// still in the cache, whereas expiring a long list later misses on every entry.
    #[inline]
    pub fn disarm(&mut self, owner: u32) {
        if self.is_armed(owner) {
            self.unlink(owner);
            self.nodes[owner as usize] = [0; 2];
        }
    }

    /// Returns true if an owner is armed.
    #[inline]
    pub fn is_armed(&self, owner: u32) -> bool {
        self.nodes.get(owner as usize).is_some_and(|node| node[0] != IDLE)
    }

    /// Returns the number of armed owners. Scans all entries.
    pub fn armed(&self) -> usize {
        self.nodes.iter().filter(|node| node[0] != IDLE).count()
    }

    /// Disarms and returns the next owner whose deadline, in ticks, is at most `now`. Skips owners
    /// that were armed since the first call with the same `now`, so a loop until `None` terminates.
    #[inline]
    pub fn pop(&mut self, now: Instant) -> Option<u32> {
        self.now = self.now.max(now.as_nanos() >> TICK_BITS);
        while let Some(slot) = self.first_used().filter(|slot| self.start_of(*slot) <= self.now) {
            self.tick = self.start_of(slot);
            if slot < SLOTS {
                let owner = self.slots[slot].head;
                self.unlink(owner);
                self.nodes[owner as usize] = [0; 2];
                return Some(owner);
            }
            self.move_down(slot);
        }
        self.tick = self.now;
        None
    }

    /// Returns the next deadline, rounded up to a tick. It may be too early if the earliest entry
    /// was disarmed or armed for another time.
    pub fn next_deadline(&self) -> Option<Instant> {
        let first = self.first_used()?;
        Some(Instant::from_nanos(self.slots[first].earliest << TICK_BITS))
    }

    /// Cascades the entries of a slot to lower levels when the slot's first tick has come.
    fn move_down(&mut self, slot: usize) {
        let mut owner = self.slots[slot].head;
        self.slots[slot] = Slot::EMPTY;
        self.mark(slot, false);
        while owner != NONE {
            let (_, next) = self.neighbours(owner);
            self.link(owner);
            owner = next;
        }
    }

    /// Returns the first tick of a slot.
    #[inline]
    fn start_of(&self, slot: usize) -> u64 {
        let below = SLOT_BITS * (slot / SLOTS) as u32;
        let above = self.tick >> below >> SLOT_BITS << SLOT_BITS;
        (above | (slot % SLOTS) as u64) << below
    }

    /// Returns the slot of a tick that lies ahead.
    #[inline]
    fn slot_of(&self, tick: u64) -> usize {
        let level = ((tick ^ self.tick) | 1).ilog2() / SLOT_BITS;
        level as usize * SLOTS + (tick >> (SLOT_BITS * level)) as usize % SLOTS
    }

    /// Returns the first slot in use. All slots in use lie ahead, those of a lower level first.
    #[inline]
    fn first_used(&self) -> Option<usize> {
        if self.words == 0 {
            return None;
        }
        let at = self.words.trailing_zeros() as usize % WORDS;
        Some(at * 64 + self.used[at].trailing_zeros() as usize)
    }

    #[inline]
    fn mark(&mut self, slot: usize, used: bool) {
        let word = &mut self.used[slot / 64];
        let bit = 1 << (slot % 64);
        *word = if used { *word | bit } else { *word & !bit };
        let (any, bit) = (*word != 0, 1 << (slot / 64));
        self.words = if any { self.words | bit } else { self.words & !bit };
    }

    #[inline]
    fn link(&mut self, owner: u32) {
        let tick = self.nodes[owner as usize][0];
        let slot = self.slot_of(tick);
        let list = &mut self.slots[slot];
        let next = list.head;
        list.head = owner;
        list.earliest = list.earliest.min(tick);
        self.set_neighbours(owner, NONE, next);
        if next == NONE {
            self.mark(slot, true);
        } else {
            let (_, after) = self.neighbours(next);
            self.set_neighbours(next, owner, after);
        }
    }

    #[inline]
    fn unlink(&mut self, owner: u32) {
        let (before, after) = self.neighbours(owner);
        if after != NONE {
            let (_, next) = self.neighbours(after);
            self.set_neighbours(after, before, next);
        }
        if before != NONE {
            let (previous, _) = self.neighbours(before);
            self.set_neighbours(before, previous, after);
            return;
        }
        let slot = self.slot_of(self.nodes[owner as usize][0]);
        self.slots[slot].head = after;
        if after == NONE {
            self.slots[slot] = Slot::EMPTY;
            self.mark(slot, false);
        }
    }

    /// Returns the entries before and after an owner's in its list.
    #[inline]
    fn neighbours(&self, owner: u32) -> (u32, u32) {
        let links = self.nodes[owner as usize][1];
        ((links >> 32) as u32, links as u32)
    }

    #[inline]
    fn set_neighbours(&mut self, owner: u32, before: u32, after: u32) {
        self.nodes[owner as usize][1] = u64::from(before) << 32 | u64::from(after);
    }
}

/// Returns the first tick that begins at or after `at`, at most the last tick.
#[inline]
fn tick_after(at: Instant) -> u64 {
    let nanos = at.as_nanos();
    let partial = nanos & ((1 << TICK_BITS) - 1) != 0;
    ((nanos >> TICK_BITS) + u64::from(partial)).min(u64::MAX >> TICK_BITS)
}
