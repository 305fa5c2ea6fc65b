//! TCP Fast Open (RFC 7413): data in SYNs. A server accepts it from clients with a valid cookie,
//! which proves that they have received data at their address before.
//!
//! Owns the cookies and their meaning to both ends of a handshake. Does not know addresses (it
//! takes bytes) or the cache of servers, which belongs to the shard. A connection without Fast Open
//! pays the test of one byte while it opens.
//!
//! | file | |
//! |---|---|
//! | `cookie` | the option of a SYN |
//! | `keys` | generation and validation of a server's cookies (§4.1.2) |
//! | `attempt` | a client's attempt and its outcome |
//!
//! The steps of a connection are in `open::fast_open`.

mod attempt;
mod cookie;
mod keys;

pub use attempt::{Attempt, Outcome, SynData};
pub(super) use attempt::{Opening, SynLoad};
pub use cookie::{Cookie, FastOpen, Form};
pub use keys::{CookieKeys, Judgement};
