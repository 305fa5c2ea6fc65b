//! Traits of other crates for streams and their halves, each behind the feature of its crate.

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "hyper")]
pub use self::hyper::{HyperExecutor, HyperIo, HyperTimer};
