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

const NONE: u32 = u32::MAX;
/// The tick of an entry that is not armed. Tick 0 is past before anything can be armed for it.
const IDLE: u64 = 0;
/// Where an entry is that came due and was not handed out yet.
const DUE: usize = LEVELS * SLOTS;

/// An owner's entry: its tick, and its neighbours in the list of a slot. Plain zeroes when not armed,
/// so that reserved memory is not touched before it is used.
type Node = [u64; 2];

/// A list of entries, and a tick that none of them comes before.
#[derive(Clone, Copy)]
struct Slot {
    earliest: u64,
    head: u32,
}

/// The wheel.
pub struct Wheel {
    nodes: Vec<Node>,
    /// All levels' slots, and the list of due entries.
    slots: Box<[Slot]>,
    /// Which slots are not empty, a bit each.
    used: [[u64; SLOTS / 64]; LEVELS],
    /// Every entry up to here was handed out or is in the due list.
    tick: u64,
}

impl Wheel {
    /// A wheel for owners 0 to `owners` - 1 that begins at `now`.
    pub fn new(owners: usize, now: Instant) -> Self {
        let empty = Slot { earliest: u64::MAX, head: NONE };
        Self {
            nodes: vec![[0; 2]; owners],
            slots: vec![empty; DUE + 1].into_boxed_slice(),
            used: [[0; SLOTS / 64]; LEVELS],
            tick: now.as_nanos() >> TICK_BITS,
        }
    }

    /// Sees to it that `owner` is handed out at `at` or before: at once a comparison if it already is.
    /// A deadline that is past comes due with the next tick. An owner out of bounds is never armed.
    #[inline]
    pub fn arm(&mut self, owner: u32, at: Instant) {
        let tick = tick_after(at).max(self.tick + 1);
        let Some(node) = self.nodes.get(owner as usize) else { return };
        let armed = node[0];
        if armed != IDLE {
            if armed <= tick {
                return;
            }
            self.unlink(owner);
        }
        self.nodes[owner as usize][0] = tick;
        self.link(owner, self.slot_of(tick));
    }

    /// Forgets an owner's entry. Not needed when the owner ends: whoever owns the number next is asked
    /// once too often, no more.
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

    /// The next owner whose deadline is `now` or earlier, in no order within one call's owners; it is
    /// no longer armed. What is armed between two calls with the same `now` is not among them, so that
    /// asking until `None` always ends.
    #[inline]
    pub fn pop(&mut self, now: Instant) -> Option<u32> {
        self.advance(now.as_nanos() >> TICK_BITS);
        let owner = self.slots[DUE].head;
        if owner == NONE {
            return None;
        }
        self.unlink(owner);
        self.nodes[owner as usize] = [0; 2];
        Some(owner)
    }

    /// When to ask again: at the next deadline, rounded up to a tick; earlier if the entry that it was is
    /// no longer armed for then.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.slots[DUE].head != NONE {
            return Some(Instant::from_nanos(self.tick << TICK_BITS));
        }
        let first = (0..LEVELS).find_map(|level| self.first_used(level))?;
        Some(Instant::from_nanos(self.slots[first].earliest << TICK_BITS))
    }

    /// Moves every entry up to tick `end` into the due list.
    fn advance(&mut self, end: u64) {
        while self.tick < end {
            let Some(slot) = (0..LEVELS).find_map(|level| self.first_used(level)) else { break };
            let level = slot / SLOTS;
            let below = SLOT_BITS * level as u32;
            let start =
                (self.tick >> below >> SLOT_BITS << SLOT_BITS | (slot % SLOTS) as u64) << below;
            if start > end {
                break;
            }
            self.tick = start;
            self.empty(slot);
        }
        self.tick = self.tick.max(end);
    }

    /// Takes a slot's entries out: those of the current tick are due, the others go down some levels.
    fn empty(&mut self, slot: usize) {
        let mut owner = self.slots[slot].head;
        self.slots[slot] = Slot { earliest: u64::MAX, head: NONE };
        self.mark(slot, false);
        while owner != NONE {
            let tick = self.nodes[owner as usize][0];
            let next = self.neighbours(owner).1;
            let place = if tick <= self.tick { DUE } else { self.slot_of(tick) };
            self.link(owner, place);
            owner = next;
        }
    }

    /// The slot of a tick that lies ahead.
    #[inline]
    fn slot_of(&self, tick: u64) -> usize {
        let level = ((tick ^ self.tick) | 1).ilog2() / SLOT_BITS;
        level as usize * SLOTS + (tick >> (SLOT_BITS * level)) as usize % SLOTS
    }

    /// The slot an entry is linked in.
    #[inline]
    fn slot_now(&self, tick: u64) -> usize {
        if tick <= self.tick { DUE } else { self.slot_of(tick) }
    }

    /// The first slot of a level that is not empty. All lie ahead, so the lowest is the first.
    #[inline]
    fn first_used(&self, level: usize) -> Option<usize> {
        let words = &self.used[level];
        let word = words.iter().position(|word| *word != 0)?;
        Some(level * SLOTS + word * 64 + words[word].trailing_zeros() as usize)
    }

    #[inline]
    fn mark(&mut self, slot: usize, used: bool) {
        if slot == DUE {
            return;
        }
        let word = &mut self.used[slot / SLOTS][slot % SLOTS / 64];
        let bit = 1 << (slot % 64);
        *word = if used { *word | bit } else { *word & !bit };
    }

    #[inline]
    fn link(&mut self, owner: u32, slot: usize) {
        let tick = self.nodes[owner as usize][0];
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
        let slot = self.slot_now(self.nodes[owner as usize][0]);
        self.slots[slot].head = after;
        if after == NONE {
            self.slots[slot].earliest = u64::MAX;
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
