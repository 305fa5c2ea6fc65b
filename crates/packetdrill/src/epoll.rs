//! An epoll instance: the watched descriptors, their events, and the edges reported so far.
//!
//! Owns no readiness: `calls::poll` computes it from the sockets.

use std::collections::BTreeMap;

use super::errno::Errno;

/// Counts of wake-up events: each change is an edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edges {
    pub(super) readable: u32,
    pub(super) writable: u32,
}

/// A watched descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    /// Requested events and flags.
    pub(super) events: u32,
    /// User data of the program.
    pub(super) data: u64,
    /// Edges at the last report; `None` before the first.
    pub(super) reported: Option<Edges>,
    /// True if a one-shot entry has fired.
    pub(super) fired: bool,
}

/// An epoll instance.
#[derive(Debug, Default)]
pub(super) struct Epoll {
    pub(super) watched: BTreeMap<i32, Watched>,
}

/// Operation of `epoll_ctl`.
#[derive(Clone, Copy, Debug)]
pub(super) enum EpollChange {
    Add { events: u32, data: u64 },
    Modify { events: u32, data: u64 },
    Delete,
}

impl Epoll {
    /// Removes a closed descriptor.
    pub(super) fn forget(&mut self, fd: i32) {
        self.watched.remove(&fd);
    }

    pub(super) fn change(&mut self, fd: i32, change: EpollChange) -> Result<(), Errno> {
        let known = self.watched.contains_key(&fd);
        match change {
            EpollChange::Add { .. } if known => return Err(Errno::EEXIST),
            EpollChange::Modify { .. } | EpollChange::Delete if !known => {
                return Err(Errno::ENOENT);
            }
            EpollChange::Add { events, data } | EpollChange::Modify { events, data } => {
                let watched = Watched { events, data, reported: None, fired: false };
                self.watched.insert(fd, watched);
            }
            EpollChange::Delete => self.forget(fd),
        }
        Ok(())
    }
}
