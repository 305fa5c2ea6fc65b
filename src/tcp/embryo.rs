//! SYN-RECEIVED of a passive open: 28 bytes until the handshake is done.

/// An embryonic connection.
#[derive(Clone, Copy, Debug)]
pub struct Embryo;

/// What an embryo answers to a segment.
#[derive(Clone, Copy, Debug)]
pub enum EmbryoAnswer {
    /// Nothing.
    Ignore,
}

/// What an embryo does at its deadline.
#[derive(Clone, Copy, Debug)]
pub enum EmbryoDeadline {
    /// It is given up.
    GiveUp,
}
