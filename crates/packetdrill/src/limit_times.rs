//! Time that a connection spent in each sender limit, for `tcp_info`.

use linerate::time::Duration;

/// Reason why a connection has not finished its writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// All written data is acknowledged.
    Idle,
    /// The path: all data is sent, or cwnd limits it.
    Path,
    /// The peer's window.
    Window,
    /// The send buffer: all data is sent, and the program waits for room.
    Buffer,
}

/// Time spent in each limit.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LimitTimes {
    pub(super) busy: Duration,
    pub(super) window: Duration,
    pub(super) buffer: Duration,
}

impl LimitTimes {
    pub(super) fn add(&mut self, limit: Limit, span: Duration) {
        let add = |sum: &mut Duration, counts: bool| {
            *sum = if counts { *sum + span } else { *sum };
        };
        add(&mut self.busy, limit != Limit::Idle);
        add(&mut self.window, limit == Limit::Window);
        add(&mut self.buffer, limit == Limit::Buffer);
    }
}
