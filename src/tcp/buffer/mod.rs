//! Bytes waiting: ring buffers of power-of-two sizes, and the pool they come from and go back to.
//!
//! A ring owns no memory while it has nothing to hold, so that an idle connection costs none. The pool
//! owns two sums. Of real memory, what is lent out and what rests on its free lists never pass the limit
//! together. Of promises ([`Accounts`]), what receive buffers may grow to and what is lent for sending
//! never pass it either, so that a receive buffer that grows within its promise is never refused.

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
