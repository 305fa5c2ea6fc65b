//! Opening of a connection: by our SYN, from an embryo, or by TCP Fast Open (RFC 7413).

mod begin;
mod fast_open;
