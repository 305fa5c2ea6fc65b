//! The door to the shard: the [`Io`] of the callback in progress, borrowed for its duration.
//!
//! A worker passes an `Io` to each callback; streams and timers need it while tasks run inside that
//! callback. The door keeps a pointer to it, and this file alone turns it back into a reference.
//!
//! Invariant: the pointer is set only while [`Door::open`] runs, and taken while a call holds the
//! reference, so there is at most one.

use core::cell::Cell;
use core::ptr::NonNull;

use crate::shard::Io;

/// A pointer whose lifetime is the call of [`Door::open`].
type Pointer = NonNull<dyn Io>;

/// The door. Shut outside callbacks, and while another call is inside.
#[derive(Default)]
pub(in crate::net) struct Door {
    io: Cell<Option<Pointer>>,
}

/// Sets the pointer to a former value on drop, by a panic too.
struct Restore<'a> {
    door: &'a Door,
    former: Option<Pointer>,
}

impl Drop for Restore<'_> {
    fn drop(&mut self) {
        self.door.io.set(self.former);
    }
}

impl Door {
    /// Runs `call` while `io` can be reached through the door.
    pub(in crate::net) fn open<R>(&self, io: &mut dyn Io, call: impl FnOnce() -> R) -> R {
        let pointer: NonNull<dyn Io + '_> = NonNull::from(io);
        // SAFETY: this changes only the lifetime of the trait object. The pointer is used until
        // `Restore` removes it, at the end of this call, during which `io` stays borrowed.
        let pointer: Pointer = unsafe { core::mem::transmute(pointer) };
        let _restore = Restore { door: self, former: self.io.replace(Some(pointer)) };
        call()
    }

    /// Calls `call` with the `Io`. Returns `None` if the door is shut.
    #[inline]
    pub(in crate::net) fn with<R>(&self, call: impl FnOnce(&mut dyn Io) -> R) -> Option<R> {
        let mut pointer = self.io.take()?;
        let _restore = Restore { door: self, former: Some(pointer) };
        // SAFETY: `open` is below us on the stack and holds the exclusive borrow that the pointer
        // came from. The cell is empty until `_restore` is dropped, so no other reference is made
        // of it meanwhile.
        Some(call(unsafe { pointer.as_mut() }))
    }

    /// Returns true if [`with`](Self::with) would call.
    #[cfg(test)]
    pub(in crate::net) fn is_open(&self) -> bool {
        let pointer = self.io.take();
        self.io.set(pointer);
        pointer.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{Config, Service, Shard, SingleWorker, TurnEnv};
    use crate::wire::MacAddr;

    struct Quiet;
    impl Service for Quiet {}

    fn with_io(call: impl FnOnce(&mut dyn Io)) {
        let mut shard = Shard::new(Config::new(MacAddr([2, 0, 0, 0, 0, 1]), vec![], [0; 32]));
        let (mut link, _far) = crate::link::memory::pair(crate::link::memory::Config::default());
        let mut env = TurnEnv { link: &mut link, service: &mut Quiet, handover: &mut SingleWorker };
        shard.with_io(crate::time::Instant::ZERO, &mut env, |io| call(io));
    }

    #[test]
    fn the_door_is_open_during_the_call_only() {
        let door = Door::default();
        assert!(!door.is_open() && door.with(|_| ()).is_none());
        with_io(|io| {
            door.open(io, || {
                assert!(door.is_open());
                assert_eq!(door.with(|io| io.connections()), Some(0));
            });
        });
        assert!(!door.is_open());
    }

    #[test]
    fn one_call_at_a_time_is_inside() {
        let door = Door::default();
        with_io(|io| {
            door.open(io, || {
                let nested = door.with(|_| (door.is_open(), door.with(|_| ())));
                assert_eq!(nested, Some((false, None)));
                assert!(door.is_open());
            });
        });
    }

    #[test]
    fn a_panic_shuts_the_door() {
        let door = Door::default();
        with_io(|io| {
            let inside = std::panic::AssertUnwindSafe(|| door.open(io, || panic!("as wanted")));
            assert!(std::panic::catch_unwind(inside).is_err());
        });
        assert!(!door.is_open());
    }
}
