//! How a connection begins: with a SYN of ours, from an embryo, or by TCP Fast Open (RFC 7413).

mod begin;
mod fast_open;
