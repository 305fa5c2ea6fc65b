//! Timers: a hierarchical wheel (Varghese and Lauck, SOSP 1987) in which every owner has one entry.
//!
//! An owner is a number below a bound set at the start, and its entry is the element of that number:
//! there is nothing to allocate and nothing that can run out. Timers are lazy: arming for later than
//! what is armed does nothing, since the owner is asked for its real deadline when the entry comes due,
//! and arms it again. Most timers of TCP move later with every ACK and never come due, so that most
//! arming is a comparison.
//!
//! Invariants: an entry is never handed out before its deadline, and at most one tick after it (counted
//! to the call that asks). The level of an entry is that of the highest byte in which its tick differs
//! from the wheel's own; so a slot's entries all lie ahead, and nothing ever wraps.

use crate::shard::mem::pages;
use crate::shard::mem::processor::prefetch;
use crate::time::Instant;

/// A tick is 2^16 ns (65.5 µs). Shorter, and entries move down more levels; longer, and the shortest
/// timers (delayed ACK, pacing) get blurred.
pub const TICK_BITS: u32 = 16;

const SLOTS: usize = 256;
const SLOT_BITS: u32 = SLOTS.trailing_zeros();
/// Seven levels of eight bits reach past the end of [`Instant`], so that no deadline is out of range. The
/// upper levels are empty and cost nothing.
const LEVELS: usize = 7;
const _: () = assert!(LEVELS as u32 * SLOT_BITS + TICK_BITS > u64::BITS);

/// Words with a bit for each slot.
const WORDS: usize = LEVELS * SLOTS / 64;
const _: () = assert!(WORDS <= u32::BITS as usize);

const NONE: u32 = u32::MAX;
/// The tick of an entry that is not armed. Tick 0 is past before anything can be armed for it.
const IDLE: u64 = 0;

/// An owner's entry: its tick, and its neighbours in the list of a slot. Plain zeroes when not armed,
/// so that reserved memory is not touched before it is used.
type Node = [u64; 2];

/// A list of entries, and a tick that none of them comes before.
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
    /// All levels' slots.
    slots: Box<[Slot]>,
    /// Which slots are not empty, a bit each.
    used: [u64; WORDS],
    /// Which of those words are not zero: what is looked at every turn.
    words: u32,
    /// No entry's tick is before this one.
    tick: u64,
    /// The tick of the last call: what is armed comes due after it.
    now: u64,
}

impl Wheel {
    /// A wheel for owners 0 to `owners` - 1 that begins at `now`.
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

    /// Sees to it that `owner` is handed out at `at` or before: at once a comparison if it already is.
    /// A deadline that is past comes due with the next tick. An owner out of bounds is never armed.
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

    /// Has the line of an owner's entry fetched into the cache.
    #[inline]
    pub fn prefetch(&self, owner: u32) {
        if let Some(node) = self.nodes.get(owner as usize) {
            prefetch(node);
        }
    }

    /// Takes an owner's entry out. When the owner ends soon after it was armed, its neighbours in the list were armed
    /// then too, and their lines are still near; what is left to come due has all of them fetched from afar, one
    /// after the other. Not needed for correctness: whoever owns the number next is asked once too often.
    #[inline]
    pub fn disarm(&mut self, owner: u32) {
        if self.is_armed(owner) {
            self.unlink(owner);
            self.nodes[owner as usize] = [0; 2];
        }
    }

    /// Whether an owner has an entry that was not handed out.
    #[inline]
    pub fn is_armed(&self, owner: u32) -> bool {
        self.nodes.get(owner as usize).is_some_and(|node| node[0] != IDLE)
    }

    /// How many owners are armed; looks at all of them.
    pub fn armed(&self) -> usize {
        self.nodes.iter().filter(|node| node[0] != IDLE).count()
    }

    /// The next owner whose deadline is `now` or earlier, by ticks; it is no longer armed. What is armed
    /// between two calls with the same `now` is not among them, so that asking until `None` always ends.
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

    /// When to ask again: at the next deadline, rounded up to a tick; earlier if the entry that it was is
    /// no longer armed for then.
    pub fn next_deadline(&self) -> Option<Instant> {
        let first = self.first_used()?;
        Some(Instant::from_nanos(self.slots[first].earliest << TICK_BITS))
    }

    /// Spreads a slot's entries over the levels below, now that its first tick has come.
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

    /// The first tick of a slot.
    #[inline]
    fn start_of(&self, slot: usize) -> u64 {
        let below = SLOT_BITS * (slot / SLOTS) as u32;
        let above = self.tick >> below >> SLOT_BITS << SLOT_BITS;
        (above | (slot % SLOTS) as u64) << below
    }

    /// The slot of a tick that lies ahead.
    #[inline]
    fn slot_of(&self, tick: u64) -> usize {
        let level = ((tick ^ self.tick) | 1).ilog2() / SLOT_BITS;
        level as usize * SLOTS + (tick >> (SLOT_BITS * level)) as usize % SLOTS
    }

    /// The first slot that is not empty: all lie ahead, and those of a level before those of the next.
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

    /// The entries before and after an owner's in its list.
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

/// The first tick that begins at `at` or later; the last of all where there is none.
#[inline]
fn tick_after(at: Instant) -> u64 {
    let nanos = at.as_nanos();
    let partial = nanos & ((1 << TICK_BITS) - 1) != 0;
    ((nanos >> TICK_BITS) + u64::from(partial)).min(u64::MAX >> TICK_BITS)
}
