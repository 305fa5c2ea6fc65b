//! BBR version 3 (draft-ietf-ccwg-bbr): a model of the path, its bandwidth and its minimum round
//! trip, sets the pacing rate and bounds the flight; losses bound the model.
//!
//! `steps` has the order of the steps of each fact (§5.2); `state` the state; `signals` rounds,
//! rates and losses (§5.5); `startup` Startup and Drain (§5.3.1, §5.3.2); `cycle` ProbeBW (§5.3.3);
//! `probe_rtt` ProbeRTT (§5.3.4); `control` the pacing rate and cwnd (§5.6). The names are the
//! draft's. Does not know segments: the delivery rate is in each [`Ack`](super::Ack).
//!
//! The draft leaves the response to ECN open (§3.6): "the congestion controller response MUST treat
//! any CE marks as congestion". Here marked bytes count as lost ones in every rule.

mod control;
mod cycle;
mod probe_rtt;
mod signals;
mod startup;
mod state;
mod steps;
#[cfg(test)]
mod tests;

pub(in crate::tcp) use control::send_quantum;
pub(super) use steps::Bbr;
