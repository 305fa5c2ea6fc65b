//! Loss recovery: detects lost segments from ACKs, marks them for retransmission, and decides when
//! to give up.
//!
//! The steps are here, the detectors in `detect`, the state in `state::recovery`. Sends nothing
//! itself: it marks segments as lost, and `send::transmit` retransmits them.
//!
//! | peer | loss detection | losses recorded in | files |
//! |---|---|---|---|
//! | with SACK | RACK-TLP (RFC 8985) | the scoreboard | `selective`, `episode`, `sending` |
//! | without | duplicate ACKs (RFC 5681, RFC 6582, RFC 3042) | the send state | `newreno` |
//!
//! Both share the retransmission timer (RFC 6298, `rto`) and the RTT measurement (`measure`).

pub(super) mod detect;
mod episode;
mod measure;
mod newreno;
mod rto;
mod selective;
mod sending;
mod tail_probe;
