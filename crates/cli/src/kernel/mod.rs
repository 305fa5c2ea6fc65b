//! The kernel engine: runs the same services and patterns over the kernel's sockets. It is the
//! baseline that linerate is measured against, so it is as fast as plain epoll sockets can be.
//!
//! One thread per core, each with its own epoll instance and SO_REUSEPORT listeners. System calls
//! per connection, besides its share of `epoll_wait`:
//!
//! - Passive open, peer closes first: `accept4`, `epoll_ctl`, `read` (0 for the FIN), `close`.
//! - Active open, we close first: `socket`, `connect`, `epoll_ctl`, `shutdown`, `read` (0),
//!   `close`.
//!
//! Design:
//!
//! - Edge-triggered: a socket is registered once. Only an accepted socket is registered again, for
//!   writability, at its first short write. Closing the socket removes it from epoll.
//! - A source address is bound (IP_BIND_ADDRESS_NO_PORT) only if the kernel would choose another
//!   one.
//! - TCP_NODELAY is on unless `--nagle` is given, as on linerate. An accepted socket inherits it
//!   from the listener; an active socket sets it at its first write.
//! - A connection is `Finished` when the peer's FIN is read after our `shutdown`, or when we
//!   `close` after the peer's FIN. The kernel does not report the last ACK.
//! - Retransmissions are counted per network namespace (`RetransSegs`) and reported by the first
//!   worker. Reading TCP_INFO at each close would cost the baseline a system call per connection.

mod bounds;
mod dispatch;
mod engine;
mod errors;
mod fast_open;
mod listener;
mod socket;
mod tcp_info;
mod worker;

pub(crate) use engine::run;
