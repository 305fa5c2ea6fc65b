//! What few connections need: options that the program set for one connection, and rare state. Boxed, so that
//! other connections pay one pointer.

use super::pacer::Pacer;
use super::path_search::Search;
use super::pushing::Pushing;
use super::urgent::Urgent;
use super::user_timeout::Negotiation;
use crate::tcp::ecn::Ecn;
use crate::tcp::fast_open::Opening;
use crate::tcp::{EcnPolicy, KeepAlive};
use crate::time::{Duration, Instant};

/// The overrides of one connection.
#[derive(Clone, Debug, Default)]
pub(in crate::tcp) struct ConnectionOptions {
    pub(in crate::tcp) cork: bool,
    /// What is written now is not pushed.
    pub(in crate::tcp) more_follows: bool,
    pub(in crate::tcp) pushing: Pushing,
    pub(in crate::tcp) keep_alive: Option<Option<KeepAlive>>,
    pub(in crate::tcp) user_timeout: Option<Duration>,
    pub(in crate::tcp) negotiation: Negotiation,
    pub(in crate::tcp) syn_retries: Option<u8>,
    /// The most that is offered to the peer, bytes.
    pub(in crate::tcp) window_max: Option<u32>,
    pub(in crate::tcp) ecn_policy: Option<EcnPolicy>,
    /// The state of congestion notification, unless `Connection::ecn` is none.
    pub(in crate::tcp) ecn: Option<Ecn>,
    /// After this the close that is under way becomes a reset.
    pub(in crate::tcp) linger_until: Option<Instant>,
    /// The pace of what it sends, if it is paced.
    pub(in crate::tcp) pacer: Option<Pacer>,
    /// The search for the largest packet of the path, while there is one.
    pub(in crate::tcp) search: Option<Search>,
    /// The attempt at Fast Open, until what came of it is asked for.
    pub(in crate::tcp) opening: Option<Opening>,
    /// Where urgent data ends, with `Marks::URGENT`.
    pub(in crate::tcp) urgent: Urgent,
}
