//! Whether queued data is pushed (RFC 9293 §3.9.1.2).

/// What the last write said of what follows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) enum Pushing {
    /// Nothing: what is queued is pushed.
    #[default]
    Now,
    /// More will follow; it may be sent in small segments now, since the peer has answered or the program
    /// wants no delay, but they end without PSH.
    Later,
    /// More will follow, and small segments wait for it.
    Held,
}
