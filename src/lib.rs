//! A kernel-bypass TCP/IP stack.

pub mod limits;
pub mod link;
pub mod metrics;
pub mod rng;
#[cfg(feature = "xdp")]
pub mod runtime;
pub mod shard;
pub mod sim;
pub mod tcp;
pub mod time;
pub mod wire;
#[cfg(feature = "xdp")]
pub mod xdp;
