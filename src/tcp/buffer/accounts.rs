//! Who may have how much of a pool: receive buffers by promise, send buffers by what they hold.
//!
//! Owns the two sums and the rules by which they grow. The invariant: a sum never grows past its share, nor
//! both together past the limit; so what was promised is there when it is asked for. Refuses to know
//! connections and memory.

use super::class::{FLOOR, FLOOR_SHIFT, SHIFT_MAX};
use super::promise::{Promise, shift_of};

/// Neither direction may have more than three quarters: a server that echoes could else fill its memory
/// with what it has read and not yet written, and never get rid of it.
const SHARE_QUARTERS: usize = 3;

/// What is free is divided by this for who comes anew, as long as that is more than the floor: so the first
/// sixty-four take less and less, and there is something left for all that come after.
const NEWCOMERS: usize = 64;

/// A buffer that grows past the first may take a quarter of what is free: the last ones to grow find less
/// than the first ones, and none takes all.
const GROWTH: usize = 4;

/// Memory is short when less than an eighth is free to be promised.
const SHORT: usize = 8;

/// There is no memory for it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Refused;

/// The two sums within the limit, and what was counted.
#[derive(Clone, Debug)]
pub struct Accounts {
    limit: usize,
    promised: usize,
    allocated: usize,
    /// What a connection without a promise may be told of.
    credit: u32,
    /// Promises by log2, so that the largest are found first when memory is short.
    held: [u32; SHIFT_MAX as usize + 1],
    /// A window stays closed for want of memory.
    windows_pending: bool,
    /// Windows that could grow.
    raised: u64,
    /// Windows that had to give way.
    lowered: u64,
    /// Times that there was nothing.
    refused: u64,
}

impl Accounts {
    pub(in crate::tcp) fn new(limit: usize) -> Self {
        let mut accounts = Self {
            limit,
            promised: 0,
            allocated: 0,
            credit: 0,
            held: [0; SHIFT_MAX as usize + 1],
            windows_pending: false,
            raised: 0,
            lowered: 0,
            refused: 0,
        };
        accounts.settle();
        accounts
    }

    /// The most that both sums may be.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that receive buffers may grow to.
    pub const fn promised(&self) -> usize {
        self.promised
    }

    /// Bytes of send buffers.
    pub const fn allocated(&self) -> usize {
        self.allocated
    }

    /// Bytes that nobody has a claim to.
    pub const fn free(&self) -> usize {
        self.limit.saturating_sub(self.promised + self.allocated)
    }

    /// Whether so little is free that windows give way.
    #[inline]
    pub fn is_short(&self) -> bool {
        self.free_to_receive() < self.limit / SHORT
    }

    /// Windows raised, windows lowered, and refusals since the last call, if there were any.
    #[inline]
    pub(in crate::tcp) const fn take_counts(&mut self) -> Option<(u64, u64, u64)> {
        let counts = (self.raised, self.lowered, self.refused);
        if self.raised | self.lowered | self.refused == 0 {
            return None;
        }
        (self.raised, self.lowered, self.refused) = (0, 0, 0);
        Some(counts)
    }

    /// What a connection may be told of without a promise: nothing when there is nothing left.
    #[inline]
    pub(in crate::tcp) const fn credit(&self) -> u32 {
        self.credit
    }

    /// The largest promise that is held, below a size, if it can be halved: not smaller than the mean, nor at
    /// the floor. Sizes are log2.
    pub fn largest_promise(&self, below: u8) -> Option<u8> {
        let holders: u32 = self.held.iter().sum();
        let mean = self.promised / holders.max(1) as usize;
        let sizes = FLOOR_SHIFT + 1..below.min(SHIFT_MAX + 1);
        let largest = sizes.rev().find(|shift| self.held[usize::from(*shift)] > 0)?;
        (1 << largest >= mean).then_some(largest)
    }

    /// Whether windows that are closed for want of memory can be opened now.
    pub const fn can_reopen(&self) -> bool {
        self.windows_pending && self.credit > 0
    }

    /// All windows were looked at.
    pub(in crate::tcp) const fn reopened(&mut self) {
        self.windows_pending = false;
    }

    /// A window stays closed for want of memory.
    pub(in crate::tcp) const fn on_window_closed(&mut self) {
        self.windows_pending = true;
    }

    pub(in crate::tcp) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.settle();
    }

    /// Sets memory aside for a receive buffer that begins to fill: for all of `wanted` bytes if there is
    /// enough, else for less, but `needed` bytes at least.
    #[inline]
    pub(in crate::tcp) fn hold(
        &mut self,
        promise: &mut Promise,
        wanted: u32,
        needed: u32,
    ) -> Result<(), Refused> {
        let fair = self.credit.max(FLOOR).ilog2() as u8;
        let shift = shift_of(wanted).min(fair).max(shift_of(needed));
        if self.change(promise, shift, true).is_err() {
            self.refused += 1;
            return Err(Refused);
        }
        Ok(())
    }

    /// Sets more memory aside, if that leaves enough for others.
    pub(in crate::tcp) fn raise(&mut self, promise: &mut Promise, wanted: u32) {
        let room = (self.free_to_receive() / GROWTH).min(1 << SHIFT_MAX) as u32;
        let more = if promise.is_held() { promise.bytes() } else { 0 };
        let shift = shift_of(wanted).min((room.saturating_add(more)).max(1).ilog2() as u8);
        if shift > promise.shift() && self.change(promise, shift, true).is_ok() {
            self.raised += 1;
        }
    }

    /// Sets less memory aside, for `needed` bytes still.
    pub(in crate::tcp) fn lower(&mut self, promise: &mut Promise, needed: u32) {
        let shift = shift_of(needed);
        if shift < promise.shift() {
            let lowered = self.change(promise, shift, promise.is_held());
            debug_assert_eq!(lowered, Ok(()), "less than before is always there");
            self.lowered += 1;
        }
    }

    /// What was set aside is free again; what the buffer may grow to stays.
    #[inline]
    pub(in crate::tcp) fn unhold(&mut self, promise: &mut Promise) {
        let unheld = self.change(promise, promise.shift(), false);
        debug_assert_eq!(unheld, Ok(()), "less than before is always there");
    }

    /// Lends `bytes` more to a send buffer. What is more than the floor leaves enough for others.
    #[inline]
    pub(in crate::tcp) fn allocate(&mut self, bytes: u32) -> Result<(), Refused> {
        let share = self.limit / 4 * SHARE_QUARTERS;
        let free = self.free().min(share.saturating_sub(self.allocated));
        let most = if bytes <= FLOOR { free } else { free / GROWTH };
        if bytes as usize > most {
            return Err(Refused);
        }
        self.allocated += bytes as usize;
        self.settle();
        Ok(())
    }

    /// A send buffer gives `bytes` back.
    #[inline]
    pub(in crate::tcp) fn give_back(&mut self, bytes: u32) {
        self.allocated = self.allocated.saturating_sub(bytes as usize);
        self.settle();
    }

    /// A write was short for want of memory.
    pub(in crate::tcp) const fn note_refused(&mut self) {
        self.refused += 1;
    }

    fn free_to_receive(&self) -> usize {
        let share = self.limit / 4 * SHARE_QUARTERS;
        self.free().min(share.saturating_sub(self.promised))
    }

    /// The one way by which a promise changes.
    #[inline]
    fn change(&mut self, promise: &mut Promise, shift: u8, held: bool) -> Result<(), Refused> {
        let before = promise.held().map_or(0, |shift| 1 << shift);
        let after = if held { 1usize << shift } else { 0 };
        if after > before && after - before > self.free_to_receive() {
            return Err(Refused);
        }
        if let Some(shift) = promise.held() {
            let count = &mut self.held[usize::from(shift)];
            *count = count.saturating_sub(1);
        }
        if held {
            self.held[usize::from(shift)] += 1;
        }
        self.promised = (self.promised + after).saturating_sub(before);
        *promise = promise.with(shift, held);
        self.settle();
        Ok(())
    }

    #[inline]
    fn settle(&mut self) {
        let free = self.free_to_receive();
        self.credit = if free < FLOOR as usize {
            0
        } else {
            (free / NEWCOMERS).clamp(FLOOR as usize, 1 << SHIFT_MAX) as u32
        };
    }
}
