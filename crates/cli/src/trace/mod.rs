//! `linerate trace`: the ladder of one connection, from a capture.
//!
//! [`capture`] takes the segments of one connection out of a file; [`follow`] infers from them what state
//! each end was in (RFC 9293 §3.3.2), and which part of its life each segment belongs to; [`text`] and
//! [`svg`] draw; [`live`] makes a connection to be drawn,
//! with the [`client`].

mod capture;
mod client;
mod command;
mod follow;
mod live;
mod state;
mod svg;
mod text;

pub use command::{Options, run};
