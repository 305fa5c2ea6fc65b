//! The services of `linerate serve`, each a [`linerate::shard::Service`] that runs on both stacks:
//! echo, discard, chargen, daytime, http and close.
//!
//! [`ServiceMux`](linerate::shard::ServiceMux) runs several services on one worker. A service keeps
//! its state of a connection in the user data ([`Io::user_data`](linerate::shard::Io::user_data));
//! only `http` has tasks.

mod buffer;
mod chargen;
mod close;
mod daytime;
mod discard;
mod echo;
mod http;
mod name;
#[cfg(test)]
mod script;

pub(crate) use http::{BODY_MAX, Content, Site, Timeouts};
pub(crate) use name::Named;
