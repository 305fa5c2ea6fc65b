//! Sleeping and waking: the protocol by which no wake-up is lost and few are sent.
//!
//! | the side that sleeps | the side that wakes it |
//! |---|---|
//! | 1. sets the flag ([`Sleeper::announce`]) | 1. publishes (a ring's index) |
//! | 2. fence | 2. fence ([`Doorbell::ring`]) |
//! | 3. looks at its rings once more | 3. looks at the flag |
//! | 4. sleeps if they are empty | 4. clears it and wakes if it was set |
//!
//! Of the two fences one comes first in the order of all sequentially consistent ones. If it is the
//! sleeper's, the other side sees the flag; if it is the other's, the sleeper sees what was
//! published. Because one exchange clears the flag, an announcement is answered by at most one
//! wake-up, that is, one system call.
//!
//! The wake itself is the caller's: an eventfd, [`unpark`](std::thread::Thread::unpark), a task's
//! waker. It must not be lost if it comes before the sleep begins; those three keep that.

use super::region::{ControlWord, LINE, Region, RegionError};
use super::sync::{Ordering, fence};

/// The sleeper is awake, or a wake-up is on its way.
const AWAKE: u32 = 0;
/// The sleeper sleeps, or looks at its rings a last time before.
const SLEEPING: u32 = 1;

/// The end of a doorbell that sleeps.
#[derive(Debug)]
pub struct Sleeper {
    flag: ControlWord,
}

/// The end of a doorbell that wakes the sleeper.
#[derive(Debug)]
pub struct Doorbell {
    flag: ControlWord,
}

/// Makes a doorbell in memory of its own and returns its two ends.
///
/// # Errors
///
/// [`RegionError::Memory`].
pub fn doorbell() -> Result<(Sleeper, Doorbell), RegionError> {
    ends(&Region::zeroed(LINE)?, 0)
}

/// Returns the two ends of a doorbell at `at`, where one line of memory is zeroed and has no other
/// use.
pub(super) fn ends(region: &Region, at: usize) -> Result<(Sleeper, Doorbell), RegionError> {
    Ok((Sleeper { flag: region.control(at)? }, Doorbell { flag: region.control(at)? }))
}

impl Sleeper {
    /// Announces that this side is about to sleep, then calls `check`, which looks once more for
    /// something to do. If that finds something, the announcement is withdrawn and the result
    /// returned. `None` means: sleep now, until the wake-up.
    ///
    /// A sleep may end early, for a deadline or because of an older wake-up. Announce again before
    /// each sleep, and call [`Sleeper::withdraw`] after a sleep that was ended by something else.
    #[must_use = "sleep if it is None"]
    pub fn announce<T>(&self, check: impl FnOnce() -> Option<T>) -> Option<T> {
        self.flag.word().store(SLEEPING, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let found = check();
        if found.is_some() {
            self.withdraw();
        }
        found
    }

    /// Withdraws the announcement: this side is awake. Saves the other side a wake-up; nothing goes
    /// wrong without it.
    pub fn withdraw(&self) {
        self.flag.word().store(AWAKE, Ordering::Relaxed);
    }
}

impl Doorbell {
    /// Calls `wake` if the other side sleeps or is about to. Call it after publishing, once for a
    /// batch.
    ///
    /// A side that lies about sleeping costs this side a call of `wake` each time.
    pub fn ring(&self, wake: impl FnOnce()) {
        fence(Ordering::SeqCst);
        let flag = self.flag.word();
        // The load keeps the line shared while the other side is awake; an exchange takes it away.
        let asleep = || flag.load(Ordering::Relaxed) == SLEEPING;
        let clear = || flag.compare_exchange(SLEEPING, AWAKE, Ordering::Relaxed, Ordering::Relaxed);
        if asleep() && clear().is_ok() {
            wake();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use core::cell::Cell;

    use super::{Ordering, doorbell};

    #[test]
    fn one_announcement_is_answered_by_one_wake_up() {
        let (sleeper, bell) = doorbell().expect("memory");
        let woken = Cell::new(0);
        let ring = || bell.ring(|| woken.set(woken.get() + 1));
        ring();
        assert_eq!(woken.get(), 0, "awake");
        assert_eq!(sleeper.announce(|| None::<()>), None);
        ring();
        ring();
        assert_eq!(woken.get(), 1);
        assert_eq!(sleeper.announce(|| None::<()>), None);
        ring();
        assert_eq!(woken.get(), 2);
    }

    #[test]
    fn a_side_that_finds_something_or_withdraws_is_not_woken() {
        let (sleeper, bell) = doorbell().expect("memory");
        assert_eq!(sleeper.announce(|| Some(7)), Some(7));
        bell.ring(|| panic!("found something"));
        assert_eq!(sleeper.announce(|| None::<()>), None);
        sleeper.withdraw();
        bell.ring(|| panic!("withdrew"));
    }

    #[test]
    fn a_flag_with_a_meaningless_value_wakes_no_one() {
        let (sleeper, bell) = doorbell().expect("memory");
        for value in [2, 3, u32::MAX] {
            sleeper.flag.word().store(value, Ordering::Relaxed);
            bell.ring(|| panic!("no announcement"));
        }
    }
}
