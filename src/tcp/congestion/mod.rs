//! Congestion control: the limit on the flight, and the pacing rate.
//!
//! Owns the congestion window, the slow start threshold and the pacing rate. Does not know which
//! segments were lost, or how the loss was detected: loss recovery reports it.
//!
//! # The facts, in the order in which they come
//!
//! | when | fact |
//! |---|---|
//! | a segment is sent, new or retransmitted | [`Controller::on_sent`] |
//! | a segment is marked lost | [`Controller::on_lost`], before the ACK that revealed it |
//! | the first loss of an episode | [`Controller::on_enter_recovery`] |
//! | an ACK delivers something or reveals a loss | [`Controller::on_ack`], in recovery too |
//! | the flight at the start of the episode is acknowledged | [`Controller::on_exit_recovery`] |
//! | the retransmission timer expires | [`Controller::on_timeout`] |
//! | the last reduction was spurious | [`Controller::on_undo`] |
//! | an ECN echo, once per round trip | [`Controller::on_congestion_echo`] |

mod algorithm;
mod bbr;
mod controller;
mod cubic;
mod dctcp;
mod facts;
mod hystart;
mod hystart_classic;
#[cfg(test)]
mod model;
mod newreno;
#[cfg(test)]
mod steady;
mod window;

pub use algorithm::Algorithm;
pub(super) use bbr::send_quantum;
pub use controller::Controller;
pub use facts::{Ack, Sent, SlowStartExit};
