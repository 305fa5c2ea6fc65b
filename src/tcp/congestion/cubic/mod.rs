//! CUBIC (RFC 9438): after a loss the window grows back along a cubic function of time, flat around
//! the size at which the loss occurred, whatever the round trip. Slow start is HyStart++'s
//! (RFC 9406).
//!
//! `curve` owns the plateau and the target of the window; `stage` the arithmetic of one stage. Does
//! not know how losses are repaired. The curve is allocated with the first loss, or once the
//! initial window has doubled, so that short connections carry a null pointer. In segments and
//! seconds, as in the RFC.

mod curve;
mod stage;

pub(super) use curve::Cubic;
