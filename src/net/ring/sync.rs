//! The atomics of the rings: the processor's, or loom's while a model is checked.

#[cfg(not(all(loom, test)))]
pub(super) use core::sync::atomic::{AtomicU32, Ordering, fence};
#[cfg(all(loom, test))]
pub(super) use loom::sync::atomic::{AtomicU32, Ordering, fence};
