//! The upper limit of the kernel's AF_XDP path on the veth pair, measured in the same rounds as the
//! stacks.
//!
//! Two measurements, both without a stack: a raw [`echo`] by batch size, and a stateless
//! [`exchange`] of the seven segments of a connection. [`measure`] runs both once; [`summary`]
//! combines several rounds.

mod echo;
mod endpoint;
mod exchange;
mod measure;
mod segment;
mod summary;

pub(super) use measure::{CeilingConfig, Measurement, measure};
pub(super) use summary::Ceiling;
