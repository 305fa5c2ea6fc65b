//! TCP Fast Open (RFC 7413): data in SYNs. A server takes it from clients that show a cookie, which tells
//! that they have received from it at their address before.
//!
//! Owns the cookies and what they mean to both ends of a handshake. Refuses to know addresses (it takes bytes)
//! and what was learned of servers before: that is the shard's. A connection that has no part in it pays
//! the test of a byte while it opens.
//!
//! | file | |
//! |---|---|
//! | `cookie` | the option of a SYN |
//! | `keys` | how a server makes cookies, and knows its own (§4.1.2) |
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
