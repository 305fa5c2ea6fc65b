//! HTTP on three servers, measured in turn: hyper on linerate, hyper on tokio over kernel sockets,
//! and callbacks on linerate.
//!
//! | file | owns |
//! |---|---|
//! | [`answer`] | the response, the same on all servers, and hyper's service that gives it |
//! | [`callbacks`] | the server without futures: answers the end of each head with fixed bytes |
//! | [`sockets`] | tokio's runtime on one thread, over kernel sockets |
//! | [`server`] | the hidden subcommand that runs one of the three |
//! | [`entry`] | names of the servers and the clients |
//! | [`trial`], [`outcome`], [`contest`] | one run, its result, and all runs, interleaved |
//! | [`wrk`] | the client over kernel sockets: its arguments and its report |
//! | [`report`], [`table`] | the JSON object `hyper`, and the text |
//!
//! Two clients load each server: `linerate load` on AF_XDP, and wrk over kernel sockets.

mod answer;
mod callbacks;
mod contest;
mod entry;
mod outcome;
mod report;
mod server;
mod sockets;
mod table;
mod trial;
mod wrk;

pub(super) use contest::{Contest, Standings};
pub(super) use report::json;
pub(crate) use server::{Options as ServerOptions, run as serve};
pub(super) use table::text;
