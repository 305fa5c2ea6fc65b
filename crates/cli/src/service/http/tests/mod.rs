//! The server in simulated worlds, where time is virtual: a client sends bytes and sees bytes.

mod support;

mod drain;
mod requests;
mod timeouts;
