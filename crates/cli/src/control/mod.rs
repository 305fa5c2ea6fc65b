//! The control socket of a running stack, and what is asked through it: `linerate top` and
//! `linerate connections`.
//!
//! A Unix socket, by default named by the process in a folder of its own. One line of JSON asks; lines of JSON
//! answer, and the end of the stream ends the answer. Who may open the socket may ask: the folder is its
//! owner's alone.

mod client;
pub mod connections;
mod door;
mod place;
mod question;
mod rates;
mod row;
mod snapshot;
mod spread;
mod text;
pub mod top;

pub use door::Door;
pub use place::Wish;
