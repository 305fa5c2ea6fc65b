//! The SACK scoreboard of a flight (RFC 6675): segments in flight, arrived, and lost.

mod board;
mod losing;
mod queue;
mod selecting;
#[cfg(test)]
mod tests;

pub(super) use board::{Delivered, Piece, Scoreboard, Tally};
