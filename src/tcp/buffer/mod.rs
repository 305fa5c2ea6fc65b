//! Buffers for bytes in transit: rings with power-of-two capacities, and the pool that owns their
//! memory.
//!
//! A ring that stores nothing owns no memory, so an idle connection costs none. The pool keeps two
//! sums within its limit. The first is real memory: buffers in use plus buffers on the free lists.
//! The second is promises ([`Accounts`]): what receive buffers may grow to plus what send buffers
//! hold. A receive buffer that grows within its promise is therefore never refused.

mod accounts;
mod class;
mod pool;
mod promise;
mod ring;
#[cfg(test)]
mod tests;
mod tuning;

pub use accounts::Accounts;
pub(super) use class::FLOOR;
pub use pool::BufferPool;
pub(super) use promise::Promise;
pub use ring::RingBuffer;
pub(super) use tuning::TunerKey;
