//! Shares of a pool: receive buffers by promise, send buffers by what they hold.
//!
//! Owns the two sums and the rules by which they grow. Invariant: neither sum grows past its share,
//! nor do both together pass the limit, so promised memory is available when it is needed. Refuses
//! to know connections and memory.

use super::class::{FLOOR, FLOOR_SHIFT, SHIFT_MAX};
use super::promise::{Promise, shift_of};

/// Each direction gets at most three quarters. Without this bound an echo server could fill its
/// memory with data that it has read and not yet written, and never get rid of it.
const SHARE_QUARTERS: usize = 3;

/// A new connection is offered this fraction of the free memory, as long as that is more than the
/// floor. Each offer is smaller than the one before, so some memory is left for later connections.
const NEW_CONNECTION_DIVISOR: usize = 64;

/// A buffer that grows past its first size may use a quarter of the free memory. Later requests get
/// less than earlier ones, and none gets everything.
const GROWTH_DIVISOR: usize = 4;

/// Memory pressure begins when less than an eighth is free to be promised.
const PRESSURE_DIVISOR: usize = 8;

/// Error: no memory is available now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Refused;

/// The two sums within the limit, and the counters.
#[derive(Clone, Debug)]
pub struct Accounts {
    limit: usize,
    promised: usize,
    allocated: usize,
    /// Largest window that a connection without a promise may advertise.
    credit: u32,
    /// Promises by log2 of their size, to find the largest ones under memory pressure.
    held: [u32; SHIFT_MAX as usize + 1],
    /// A window stays closed because memory ran out.
    windows_pending: bool,
    /// Windows that grew.
    raised: u64,
    /// Windows that shrank under memory pressure.
    lowered: u64,
    /// Requests refused because no memory was available.
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

    /// Returns the limit of both sums together.
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the bytes that receive buffers may grow to.
    pub const fn promised(&self) -> usize {
        self.promised
    }

    /// Returns the bytes that send buffers hold.
    pub const fn allocated(&self) -> usize {
        self.allocated
    }

    /// Returns the bytes that are neither promised nor in use.
    pub const fn free(&self) -> usize {
        self.limit.saturating_sub(self.promised + self.allocated)
    }

    /// Returns true under memory pressure: windows shrink.
    #[inline]
    pub fn is_short(&self) -> bool {
        self.free_to_receive() < self.limit / PRESSURE_DIVISOR
    }

    /// Returns windows raised, windows lowered and refusals since the last call, or None if all are
    /// 0.
    #[inline]
    pub(in crate::tcp) const fn take_counts(&mut self) -> Option<(u64, u64, u64)> {
        let counts = (self.raised, self.lowered, self.refused);
        if self.raised | self.lowered | self.refused == 0 {
            return None;
        }
        (self.raised, self.lowered, self.refused) = (0, 0, 0);
        Some(counts)
    }

    /// Returns the largest window that a connection without a promise may advertise; 0 when no
    /// memory is left.
    #[inline]
    pub(in crate::tcp) const fn credit(&self) -> u32 {
        self.credit
    }

    /// Returns the largest promise below a size if it can be halved, i.e. it is above the floor and
    /// not smaller than the mean. Sizes are log2.
    pub fn largest_promise(&self, below: u8) -> Option<u8> {
        let holders: u32 = self.held.iter().sum();
        let mean = self.promised / holders.max(1) as usize;
        let sizes = FLOOR_SHIFT + 1..below.min(SHIFT_MAX + 1);
        let largest = sizes.rev().find(|shift| self.held[usize::from(*shift)] > 0)?;
        (1 << largest >= mean).then_some(largest)
    }

    /// Returns true if windows that closed because memory ran out can reopen now.
    pub const fn can_reopen(&self) -> bool {
        self.windows_pending && self.credit > 0
    }

    /// Records that all closed windows were checked.
    pub(in crate::tcp) const fn reopened(&mut self) {
        self.windows_pending = false;
    }

    /// Records that a window stays closed because memory ran out.
    pub(in crate::tcp) const fn on_window_closed(&mut self) {
        self.windows_pending = true;
    }

    pub(in crate::tcp) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
        self.settle();
    }

    /// Reserves memory for a receive buffer that begins to fill: all `wanted` bytes if enough is
    /// free, else fewer, but at least `needed` bytes.
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

    /// Reserves more memory, if enough remains for other connections.
    pub(in crate::tcp) fn raise(&mut self, promise: &mut Promise, wanted: u32) {
        let room = (self.free_to_receive() / GROWTH_DIVISOR).min(1 << SHIFT_MAX) as u32;
        let more = if promise.is_held() { promise.bytes() } else { 0 };
        let shift = shift_of(wanted).min((room.saturating_add(more)).max(1).ilog2() as u8);
        if shift > promise.shift() && self.change(promise, shift, true).is_ok() {
            self.raised += 1;
        }
    }

    /// Reserves less memory, but still at least `needed` bytes.
    pub(in crate::tcp) fn lower(&mut self, promise: &mut Promise, needed: u32) {
        let shift = shift_of(needed);
        if shift < promise.shift() {
            let lowered = self.change(promise, shift, promise.is_held());
            debug_assert_eq!(lowered, Ok(()), "a smaller promise always fits");
            self.lowered += 1;
        }
    }

    /// Releases the reservation. The size that the buffer may grow to stays.
    #[inline]
    pub(in crate::tcp) fn unhold(&mut self, promise: &mut Promise) {
        let unheld = self.change(promise, promise.shift(), false);
        debug_assert_eq!(unheld, Ok(()), "a smaller promise always fits");
    }

    /// Gives a send buffer `bytes` more. A request above the floor gets only a part of the free
    /// memory.
    #[inline]
    pub(in crate::tcp) fn allocate(&mut self, bytes: u32) -> Result<(), Refused> {
        let share = self.limit / 4 * SHARE_QUARTERS;
        let free = self.free().min(share.saturating_sub(self.allocated));
        let most = if bytes <= FLOOR { free } else { free / GROWTH_DIVISOR };
        if bytes as usize > most {
            return Err(Refused);
        }
        self.allocated += bytes as usize;
        self.settle();
        Ok(())
    }

    /// Returns `bytes` of a send buffer.
    #[inline]
    pub(in crate::tcp) fn give_back(&mut self, bytes: u32) {
        self.allocated = self.allocated.saturating_sub(bytes as usize);
        self.settle();
    }

    /// Records that a write was cut short because memory ran out.
    pub(in crate::tcp) const fn note_refused(&mut self) {
        self.refused += 1;
    }

    fn free_to_receive(&self) -> usize {
        let share = self.limit / 4 * SHARE_QUARTERS;
        self.free().min(share.saturating_sub(self.promised))
    }

    /// The only way to change a promise.
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
            (free / NEW_CONNECTION_DIVISOR).clamp(FLOOR as usize, 1 << SHIFT_MAX) as u32
        };
    }
}
