//! Bounds on all resources, and the relations between them, asserted at compile time.

/// Frames received from a link per turn. Larger batches amortize more and evict more cache: at 64
/// the parsed headers of a batch (about 8 KiB) stay in the L1 cache.
pub const BATCH: usize = 64;

/// Largest batch that can be configured.
pub const BATCH_MAX: usize = 256;

/// Local addresses per shard. The flow table stores their index in 8 bits.
pub const LOCAL_ADDRESSES_MAX: usize = 256;

/// Maximum number of connections per shard. The flow table stores their index in 28 bits.
pub const CONNECTIONS_MAX: usize = 1 << 26;

/// Workers per stack. Each owns a queue.
pub const WORKERS_MAX: usize = 64;

/// Segments that one connection may send per turn before other connections get theirs: about a
/// window of a fast path, without starving the rest of the shard.
pub const SEGMENTS_PER_TURN: usize = 32;

/// Frames that may wait for their worker after arriving at another one: a few batches. More would
/// only add delay; with fewer, a burst on the wrong queue is lost.
pub const HANDOVER_QUEUE: usize = 1024;

/// Commands that may wait for a worker. The mirror of a large neighbour table arrives in one burst.
pub const CONTROL_QUEUE: usize = 4096;

const _: () = assert!(BATCH <= BATCH_MAX);
// One worker may have to hand over a whole batch to another.
const _: () = assert!(BATCH_MAX <= HANDOVER_QUEUE);

/// Memory that one shard reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections, from SYN-SENT to LAST-ACK.
    pub connections: usize,
    /// Embryos (SYN-RECEIVED). Above this the listener sends SYN cookies.
    pub embryos: usize,
    /// TIME-WAIT entries. Above this the oldest expires early.
    pub time_waits: usize,
    /// Connections that the program has closed and the peer has not. Above this, closing resets.
    pub orphans: usize,
    /// Total bytes of send and receive buffers.
    pub buffer_bytes: usize,
    /// Frames received per turn.
    pub batch: usize,
    /// Entries of the neighbour cache.
    pub neighbours: usize,
    /// Destinations whose path MTU is below that of the link. Above this the oldest is evicted.
    pub path_mtus: usize,
    /// Servers whose Fast Open cookies are cached. Above this the oldest is evicted. The cache is
    /// allocated when a program first opens a connection with data.
    pub fast_open_peers: usize,
    /// Datagrams under reassembly, at most 1024. Above this the oldest is discarded.
    pub reassembly_datagrams: usize,
    /// Bytes of fragments under reassembly, in pages of 2 KiB. Above this the oldest datagram is
    /// discarded.
    pub reassembly_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1 << 17,
            embryos: 1 << 14,
            time_waits: 1 << 17,
            orphans: 1 << 15,
            buffer_bytes: 1 << 30,
            batch: BATCH,
            neighbours: 1024,
            path_mtus: 4096,
            fast_open_peers: 4096,
            // The fragments of a datagram arrive within milliseconds of each other: 128 in progress
            // correspond to 40,000 datagrams per second.
            reassembly_datagrams: 128,
            reassembly_bytes: 1 << 20,
        }
    }
}
