//! TIME-WAIT: 12 bytes that answer for a connection for two maximum segment lifetimes.

/// A connection in TIME-WAIT.
#[derive(Clone, Copy, Debug)]
pub struct TimeWait;

/// What TIME-WAIT answers to a segment.
#[derive(Clone, Copy, Debug)]
pub enum TimeWaitAnswer {
    /// Nothing.
    Ignore,
}
