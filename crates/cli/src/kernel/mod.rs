//! The same services and patterns over the kernel's sockets: the baseline that linerate is measured
//! against, so it is made as fast as plain epoll sockets go.
//!
//! One thread a core, each with an epoll instance and SO_REUSEPORT listeners of its own. What a
//! connection costs in system calls, besides its share of `epoll_wait`:
//!
//! | passive, peer closes first | active, we close first |
//! |---|---|
//! | `accept4`, `epoll_ctl`, `read` (0: the FIN), `close` | `socket`, `connect`, `epoll_ctl`, `shutdown`, `read` (0), `close` |
//!
//! - Edge-triggered: a socket is added once and never modified, except that an accepted one asks for
//!   writability at its first short write. Closing removes it.
//! - A source address is bound (IP_BIND_ADDRESS_NO_PORT) only where the kernel would pick another one.
//! - TCP_NODELAY is on unless `--nagle` (as on linerate): inherited from the listener, and set on an
//!   active socket at its first write.
//! - A connection has `Finished` when the peer's FIN was read after our `shutdown`, or when we `close`
//!   after the peer's FIN; of the last ACK the kernel tells nothing.
//! - Retransmissions are those of the network namespace (`RetransSegs`), told by the first worker: asking
//!   TCP_INFO at each close would cost the baseline a system call a connection.

mod dispatch;
mod engine;
mod errors;
mod fast_open;
mod listener;
mod socket;
mod tcp_info;
mod worker;

pub use engine::run;
