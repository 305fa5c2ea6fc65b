//! The bounds of everything, and the relations between them, asserted at compile time.

/// Frames taken from a link in one turn. Larger batches amortize more and evict more cache: at 64 the
/// parsed headers of a batch (about 8 KiB) stay in the first-level cache.
pub const BATCH: usize = 64;

/// The largest batch that can be asked for.
pub const BATCH_MAX: usize = 256;

/// Local addresses of one shard: the flow table keeps their index in 8 bits.
pub const LOCAL_ADDRESSES_MAX: usize = 256;

/// Connections of one shard at most: the flow table keeps their index in 28 bits.
pub const CONNECTIONS_MAX: usize = 1 << 26;

/// Workers of one stack: each owns a queue.
pub const WORKERS_MAX: usize = 64;

/// Segments that one connection may send in one turn before the others have theirs: a window's worth
/// of a fast path, without starving the neighbours of the shard.
pub const SEGMENTS_PER_TURN: usize = 32;

/// Frames that may wait for a worker at which they did not land: a few batches. More would only be
/// delay; fewer, and a burst on the wrong queue is lost.
pub const HANDOVER_QUEUE: usize = 1024;

/// Commands that may wait for a worker. The mirror of a large neighbour table arrives at once.
pub const CONTROL_QUEUE: usize = 4096;

const _: () = assert!(BATCH <= BATCH_MAX);
// A whole batch of one worker may have to go to another.
const _: () = assert!(BATCH_MAX <= HANDOVER_QUEUE);

/// What one shard reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections (SYN-SENT to LAST-ACK).
    pub connections: usize,
    /// Embryos (SYN-RECEIVED); past this, SYN cookies.
    pub embryos: usize,
    /// TIME-WAIT entries; past this, the oldest goes early.
    pub time_waits: usize,
    /// Connections that the program is done with and the peer is not; past this, closing resets.
    pub orphans: usize,
    /// Bytes of send and receive buffers in all.
    pub buffer_bytes: usize,
    /// Frames received in one turn.
    pub batch: usize,
    /// Neighbours known.
    pub neighbours: usize,
    /// Destinations remembered whose path takes less than the link; past this, the oldest is forgotten.
    pub path_mtus: usize,
    /// Servers whose Fast Open cookies are remembered; past this, the oldest is forgotten. Nothing is reserved
    /// for them until a program opens with data.
    pub fast_open_peers: usize,
    /// Datagrams whose parts are waited for, at most 1024; past this, the oldest goes.
    pub reassembly_datagrams: usize,
    /// Bytes that their parts take, in pages of 2 KiB; past this, the oldest datagram goes.
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
            // Parts of a datagram come together within milliseconds: 128 under way are 40,000 a second.
            reassembly_datagrams: 128,
            reassembly_bytes: 1 << 20,
        }
    }
}
