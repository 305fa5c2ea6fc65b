//! The stack from other threads: handles, streams and listeners that are `Send`.
//!
//! | file | |
//! |---|---|
//! | `protocol` | operations, notices, addresses and causes as entries of a ring |
//! | `outbox` | news that wait for room |
//! | `slots`, `seat` | the client's side |
//! | `connection`, `server` | the worker's side, as tasks |
//! | `stream`, `listener`, `handle`, `job`, `blocking` | what programs use |
//!
//! Client and worker share nothing but rings; an entry names a stream by number and generation, and
//! both sides check both. In this process the doorbells call; between processes they would write an
//! eventfd.

mod blocking;
mod connection;
mod handle;
mod job;
mod listener;
mod outbox;
mod protocol;
mod seat;
mod server;
mod slots;
mod stream;

pub use blocking::block_on;
pub use handle::Handle;
pub use job::RemoteJoinHandle;
pub use listener::RemoteListener;
pub use stream::RemoteStream;
