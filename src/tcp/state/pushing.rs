//! The push state of queued data (RFC 9293 §3.9.1.2).

/// The last write's hint about data that follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) enum Pushing {
    /// No hint: queued data is pushed.
    #[default]
    Now,
    /// More data will follow. Small segments may be sent now, since the peer has answered or the
    /// program wants no delay, but without PSH.
    Later,
    /// More data will follow, and small segments wait for it.
    Held,
}
