//! Options that the program set on one connection, and other rare state. Boxed, so that the other
//! connections pay one pointer.

use super::bounds::Bounds;
use super::pacer::Pacer;
use super::path_search::Search;
use super::pushing::Pushing;
use super::urgent::Urgent;
use super::user_timeout::Negotiation;
use crate::tcp::ecn::Ecn;
use crate::tcp::fast_open::Opening;
use crate::tcp::{EcnPolicy, KeepAlive};
use crate::time::{Duration, Instant};

/// The options and rare state of one connection.
#[derive(Clone, Debug, Default)]
pub(in crate::tcp) struct ConnectionOptions {
    pub(in crate::tcp) cork: bool,
    /// More data follows: do not set PSH on the current write.
    pub(in crate::tcp) more_follows: bool,
    pub(in crate::tcp) pushing: Pushing,
    pub(in crate::tcp) keep_alive: Option<Option<KeepAlive>>,
    pub(in crate::tcp) user_timeout: Option<Duration>,
    pub(in crate::tcp) negotiation: Negotiation,
    pub(in crate::tcp) syn_retries: Option<u8>,
    /// Maximum window offered to the peer, bytes.
    pub(in crate::tcp) window_max: Option<u32>,
    /// Bounds of the buffers, the segments and the notifications, with `Marks::BOUNDED`.
    pub(in crate::tcp) bounds: Bounds,
    pub(in crate::tcp) ecn_policy: Option<EcnPolicy>,
    /// The ECN state, unless `Connection::ecn` is none.
    pub(in crate::tcp) ecn: Option<Ecn>,
    /// The deadline after which an ongoing close becomes a reset.
    pub(in crate::tcp) linger_until: Option<Instant>,
    /// The pacer, if the connection is paced.
    pub(in crate::tcp) pacer: Option<Pacer>,
    /// The path MTU search, while one is active.
    pub(in crate::tcp) search: Option<Search>,
    /// The Fast Open attempt, until its outcome is taken.
    pub(in crate::tcp) opening: Option<Opening>,
    /// The ends of urgent data, with `Marks::URGENT`.
    pub(in crate::tcp) urgent: Urgent,
}
