//! The scoreboard of a flight (RFC 6675): which segments are under way, which have arrived, which are lost.

mod board;
mod losing;
mod queue;
mod selecting;
#[cfg(test)]
mod tests;

pub(super) use board::{Delivered, Piece, Scoreboard, Tally};
