//! The executor that runs on this thread now.

use core::cell::Cell;
use core::ptr;
use std::rc::Rc;
use std::sync::Arc;

use super::core::Core;
use super::queue::Shared;

thread_local! {
    /// The executor whose callback runs; null outside callbacks.
    static CURRENT: Cell<*const Core> = const { Cell::new(ptr::null()) };
}

/// Sets the pointer to a former value on drop, by a panic too.
struct Restore(*const Core);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// Makes `core` the current executor while `call` runs.
pub(in crate::net) fn scope<R>(core: &Rc<Core>, call: impl FnOnce() -> R) -> R {
    let _restore = Restore(CURRENT.replace(Rc::as_ptr(core)));
    call()
}

/// Returns the current executor.
pub(in crate::net) fn current() -> Option<Rc<Core>> {
    let core = CURRENT.get();
    if core.is_null() {
        return None;
    }
    // SAFETY: `scope` set the pointer from an `Rc` that it borrows until it resets the pointer, on
    // this thread; so the value lives, and counting one more owner is sound.
    unsafe {
        Rc::increment_strong_count(core);
        Some(Rc::from_raw(core))
    }
}

/// Calls `call` with the current executor if it is the one of `shared`. Returns `None` otherwise.
#[inline]
pub(in crate::net) fn with_executor_of<R>(
    shared: &Arc<Shared>,
    call: impl FnOnce(&Core) -> R,
) -> Option<R> {
    let core = CURRENT.get();
    if core.is_null() {
        return None;
    }
    // SAFETY: as in `current`; the reference ends with this call.
    let core = unsafe { &*core };
    Arc::ptr_eq(&core.shared, shared).then(|| call(core))
}
