//! The size of the services' copy buffers.

/// Bytes copied at a time between a connection and a service. With a few segments of 1,460 bytes
/// the cost of calls would dominate; a megabyte would evict everything else from the cache.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;
