//! A segment arrives (RFC 9293 §3.10.7): `syn_sent` is §3.10.7.3, `checks` is §3.10.7.4, step by step; `ecn` reads
//! what a segment says of congestion.

mod checks;
mod ecn;
mod syn_sent;
