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
//! | `early` | the yes-or-no state of a connection |
//! | `active` | the client's part (§4.2.2) |
//! | `passive` | the server's part (§4.2.2) |

mod active;
mod cookie;
mod early;
mod keys;
mod passive;

pub use active::{Attempt, Outcome, SynData};
pub(super) use active::{Opening, SynLoad};
pub use cookie::{Cookie, FastOpen, Form};
pub(super) use early::EarlyMarks;
pub use keys::{CookieKeys, Judgement};
