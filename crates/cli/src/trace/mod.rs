//! `linerate trace`: draws the ladder diagram of one connection from a capture.
//!
//! [`capture`] reads the segments of each connection from a file. [`follow`] infers the state of
//! each end (RFC 9293 §3.3.2) and divides the ladder into sections. [`text`] and [`svg`] draw it.
//! [`live`] captures a connection that [`client`] opens.

mod capture;
mod client;
mod command;
mod follow;
mod live;
mod state;
mod svg;
mod text;

pub(crate) use command::{Options, run};
