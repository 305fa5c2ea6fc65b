//! Loss recovery: what an ACK tells about loss, what is sent again, and when the peer is given up.
//!
//! The steps are here, the detectors in `detect`, the state in `state::recovery`. Refuses to send: what is lost
//! is marked, and `send::transmit` sends it again.
//!
//! | with a peer that | losses are found by | marked in | files |
//! |---|---|---|---|
//! | permits SACK | RACK-TLP (RFC 8985) | the scoreboard of the flight | `selective`, `episode`, `sending`, `tail_probe`, `detect` |
//! | does not | duplicate ACKs (RFC 5681, RFC 6582, RFC 3042) | a range of the send half | `newreno` |
//!
//! The timer (RFC 6298) is common to both, in `rto`, and so are round trips, in `measure`.

pub(super) mod detect;
mod episode;
mod measure;
mod newreno;
mod rto;
mod selective;
mod sending;
mod tail_probe;
