//! Bytes waiting: ring buffers of power-of-two sizes, and the pool they come from and go back to.

/// A ring of bytes. Holds memory only while it has something to hold.
#[derive(Debug, Default)]
pub struct RingBuffer {
    memory: Box<[u8]>,
    head: u32,
    len: u32,
}

/// The memory of a shard's buffers, in classes of powers of two, within a limit.
#[derive(Debug)]
pub struct BufferPool {
    limit: usize,
}

impl BufferPool {
    /// A pool of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit }
    }
}
