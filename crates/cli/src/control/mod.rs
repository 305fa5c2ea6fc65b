//! The clients of a stack's control socket, `linerate top` and `linerate connections`, and the
//! option `--control`. The library serves the socket and defines its protocol
//! ([`linerate::runtime::control`]).

mod client;
pub(crate) mod connections;
mod latency;
mod option;
mod rates;
mod text;
pub(crate) mod top;

pub(crate) use option::ControlOption;
