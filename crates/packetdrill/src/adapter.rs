//! The world behind a lock, and the blocking of calls.
//!
//! Owns the threads. A blocked call sleeps on a condition variable (a futex, so packetdrill sees
//! its thread in state S) until the thread that moves the clock has completed the call.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use super::calls::Written;
use super::errno::Errno;
use super::flags::Flags;
use super::socket::Socket;
use super::world::World;
use linerate::time::{Duration, Instant};

/// Real time that a woken thread needs to return to the script. With less, a script may check the
/// result of its blocked call too early; with more, a script with many blocked calls is slow.
const RETURN_TIME: core::time::Duration = core::time::Duration::from_millis(2);

/// Maximum wait of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WaitLimit {
    /// The call does not block.
    NonBlocking,
    /// The call blocks for this time at most.
    For(Duration),
    /// The call blocks until it completes.
    Unlimited,
}

/// One stack, the `userdata` of packetdrill's table.
pub(super) struct Adapter {
    world: Mutex<World>,
    finished: Condvar,
    /// The thread that moves the clock: the one that loaded the library.
    driver: ThreadId,
    /// A blocked call has completed, and its thread may not have returned yet.
    returning: AtomicBool,
    /// Times that woken threads read from the clock next.
    woken: Mutex<Vec<(ThreadId, Instant)>>,
}

impl Adapter {
    pub(super) fn new(flags: &str) -> Self {
        Self {
            world: Mutex::new(World::new(Flags::from_environment(flags))),
            finished: Condvar::new(),
            driver: thread::current().id(),
            returning: AtomicBool::new(false),
            woken: Mutex::new(Vec::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a call that does not block.
    pub(super) fn call<R>(&self, call: impl FnOnce(&mut World) -> R) -> R {
        let mut world = self.lock();
        let result = call(&mut world);
        self.wake(&world);
        result
    }

    fn wake(&self, world: &World) {
        if world.has_finished() {
            self.returning.store(true, Ordering::Relaxed);
            self.finished.notify_all();
        }
    }

    /// Gives woken threads time to return when the script sleeps, which is when it checks them.
    pub(super) fn pause(&self) {
        if self.returning.swap(false, Ordering::Relaxed) {
            thread::sleep(RETURN_TIME);
        }
    }

    /// Waits until `attempt` returns a result. Returns `None` on timeout.
    pub(super) fn wait<R: Send + 'static>(
        &self,
        wait_limit: WaitLimit,
        mut attempt: impl FnMut(&mut World) -> Option<R> + Send + 'static,
    ) -> Option<R> {
        let mut world = self.lock();
        let first = attempt(&mut world);
        self.wake(&world);
        let until = match wait_limit {
            _ if first.is_some() => return first,
            WaitLimit::NonBlocking => return None,
            WaitLimit::For(span) => Some(world.now() + span),
            WaitLimit::Unlimited => None,
        };
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        let number = world.add_waiter(
            until,
            Box::new(move |world| {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = attempt(world);
                slot.is_some()
            }),
        );
        if thread::current().id() == self.driver {
            while world.take_finished(number).is_none() {
                if !world.step() {
                    // No further event can occur.
                    world.remove_waiter(number);
                    break;
                }
            }
        } else {
            world = self
                .finished
                .wait_while(world, |world| !world.is_finished(number))
                .unwrap_or_else(PoisonError::into_inner);
            let at = world.take_finished(number).unwrap_or(world.now());
            self.woken().push((thread::current().id(), at));
        }
        drop(world);
        result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Returns the maximum wait of a call on a descriptor, from the socket, the flags and the
    /// timeout.
    pub(super) fn wait_limit(
        &self,
        fd: i32,
        flags: i32,
        timeout: impl FnOnce(&Socket) -> Option<Duration>,
    ) -> Result<WaitLimit, Errno> {
        self.call(|world| {
            let socket = world.sockets.of(fd)?;
            Ok(match timeout(socket) {
                _ if socket.non_blocking || flags & libc::MSG_DONTWAIT != 0 => {
                    WaitLimit::NonBlocking
                }
                Some(span) => WaitLimit::For(span),
                None => WaitLimit::Unlimited,
            })
        })
    }

    /// Connects, and waits for the result if the socket blocks.
    pub(super) fn connect(&self, fd: i32, remote: SocketAddr) -> Result<(), Errno> {
        let wait_limit = self.wait_limit(fd, 0, |socket| socket.options.send_timeout)?;
        match self.call(|world| world.connect(fd, remote)) {
            Err(Errno::EINPROGRESS | Errno::EALREADY) if wait_limit != WaitLimit::NonBlocking => {
                let answer = self.wait(wait_limit, move |world| world.connected(fd));
                answer.unwrap_or(Err(Errno::EINPROGRESS))
            }
            other => other,
        }
    }

    /// Connects with data in the SYN if possible and writes the rest (`MSG_FASTOPEN`, or the first
    /// write after `TCP_FASTOPEN_CONNECT`).
    pub(super) fn write_early(
        &self,
        fd: i32,
        remote: Option<SocketAddr>,
        mut written: Written,
    ) -> Result<usize, Errno> {
        let wait_limit =
            self.wait_limit(fd, written.flags(), |socket| socket.options.send_timeout)?;
        let waits = wait_limit != WaitLimit::NonBlocking;
        match self.call(|world| world.open_early(fd, remote, &mut written, waits)) {
            Ok(()) => {}
            Err(Errno::EINPROGRESS) if waits => {
                let answer = self.wait(wait_limit, move |world| world.connected(fd));
                answer.unwrap_or(Err(Errno::EINPROGRESS))?;
            }
            Err(Errno::EINPROGRESS) if written.taken() > 0 => return Ok(written.taken()),
            Err(error) => return Err(error),
        }
        self.write(fd, wait_limit, written)
    }

    /// Writes, and waits for room if the socket blocks. Returns the partial count if a timeout or
    /// an error follows.
    pub(super) fn write(
        &self,
        fd: i32,
        wait_limit: WaitLimit,
        written: Written,
    ) -> Result<usize, Errno> {
        let written = Arc::new(Mutex::new(written));
        let shared = Arc::clone(&written);
        let attempt = move |world: &mut World| {
            world.write(fd, &mut shared.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.wait(wait_limit, attempt).unwrap_or_else(|| {
            let taken = written.lock().unwrap_or_else(PoisonError::into_inner).taken();
            if taken > 0 { Ok(taken) } else { Err(Errno::EAGAIN) }
        })
    }

    /// Returns true if a descriptor belongs to this stack.
    pub(super) fn owns(&self, fd: i32) -> bool {
        self.lock().sockets.owns(fd)
    }

    /// Returns the current time without advancing the clock.
    pub(super) fn now(&self) -> Instant {
        self.lock().now()
    }

    /// Reads the clock and advances it by a microsecond, so a polling loop makes progress.
    pub(super) fn read_clock(&self) -> Instant {
        let this = thread::current().id();
        let mut woken = self.woken();
        if let Some(place) = woken.iter().position(|(thread, _)| *thread == this) {
            return woken.swap_remove(place).1;
        }
        drop(woken);
        self.call(|world| {
            world.advance(Duration::from_micros(1));
            world.now()
        })
    }

    fn woken(&self) -> MutexGuard<'_, Vec<(ThreadId, Instant)>> {
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
