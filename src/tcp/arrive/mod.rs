//! Segment arrival (RFC 9293 §3.10.7): `syn_sent` is §3.10.7.3, `checks` is §3.10.7.4, step by
//! step; `ecn` processes congestion signals.

mod checks;
mod ecn;
mod syn_sent;
