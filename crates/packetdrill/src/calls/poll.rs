//! `poll` and `epoll`: readiness of descriptors.

use crate::epoll::{EpollChange, Watched};
use crate::errno::Errno;
use crate::socket::{Socket, State};
use crate::world::World;

use super::data::unsent;

const IN: u32 = libc::EPOLLIN as u32;
const OUT: u32 = libc::EPOLLOUT as u32;
const ERR: u32 = libc::EPOLLERR as u32;
const HUP: u32 = libc::EPOLLHUP as u32;
const RDHUP: u32 = libc::EPOLLRDHUP as u32;
const READ_NORMAL: u32 = libc::EPOLLRDNORM as u32;
const WRITE_NORMAL: u32 = libc::EPOLLWRNORM as u32;
const EDGE: u32 = libc::EPOLLET as u32;
const ONE_SHOT: u32 = libc::EPOLLONESHOT as u32;

/// Events that are always reported.
const ALWAYS: u32 = ERR | HUP;

impl World {
    /// Returns the ready events of a socket.
    pub(crate) fn readiness(&self, socket: &Socket) -> u32 {
        let error = if socket.error.is_some() { ERR } else { 0 };
        error
            | match &socket.state {
                State::Fresh => OUT | WRITE_NORMAL | HUP,
                State::Listening { .. } if self.first_to_accept(socket).is_none() => 0,
                State::Listening { .. } => IN | READ_NORMAL,
                State::Deferred(_) => OUT | WRITE_NORMAL,
                State::Connecting(_) => 0,
                State::Connected(_) => self.readiness_of_connection(socket),
                State::Closed => IN | READ_NORMAL | OUT | WRITE_NORMAL | RDHUP | HUP,
            }
    }

    fn readiness_of_connection(&self, socket: &Socket) -> u32 {
        let ended = socket.peer_closed || socket.read_shut;
        let mut ready = 0;
        if ended || self.readable(socket) >= socket.options.receive_low_water.max(1) {
            ready |= IN | READ_NORMAL;
        }
        if ended {
            ready |= RDHUP;
        }
        if socket.write_shut || self.is_writable(socket) {
            ready |= OUT | WRITE_NORMAL;
        }
        if ended && socket.write_shut {
            ready |= HUP;
        }
        ready
    }

    /// Returns true if a third of the send buffer is free, and half of the unsent limit
    /// (`TCP_NOTSENT_LOWAT`), as in Linux.
    fn is_writable(&self, socket: &Socket) -> bool {
        let Some(info) = self.inspect(socket) else { return true };
        let limit = socket.options.send_buffer.unwrap_or_else(|| self.settings().send_buffer);
        let unsent = unsent(&info);
        info.send_queued.saturating_mul(3) < limit.saturating_mul(2)
            && unsent.saturating_mul(2) < socket.options.unsent_max()
    }

    /// Implements `poll`: returns the ready events per descriptor; `None` if there are none.
    pub(crate) fn poll(&mut self, requested: &[(i32, i16)]) -> Option<Vec<i16>> {
        let ready_for = |(fd, events): &(i32, i16)| match self.sockets.of(*fd) {
            _ if *fd < 0 => 0,
            Ok(socket) => (self.readiness(socket) & (u32::from(*events as u16) | ALWAYS)) as i16,
            Err(_) => libc::POLLNVAL,
        };
        let answers: Vec<i16> = requested.iter().map(ready_for).collect();
        answers.iter().any(|events| *events != 0).then_some(answers)
    }

    pub(crate) fn epoll_ctl(
        &mut self,
        epoll: i32,
        fd: i32,
        change: EpollChange,
    ) -> Result<(), Errno> {
        self.sockets.of(fd)?;
        self.sockets.epoll(epoll)?.change(fd, change)
    }

    /// Implements `epoll_wait`: returns unreported ready events; `None` if there are none.
    pub(crate) fn epoll_wait(
        &mut self,
        epoll: i32,
        most: usize,
    ) -> Option<Result<Vec<(u32, u64)>, Errno>> {
        let mut set = match self.sockets.epoll(epoll) {
            Ok(epoll) => core::mem::take(epoll),
            Err(error) => return Some(Err(error)),
        };
        let mut reported = Vec::new();
        for (fd, watched) in &mut set.watched {
            if reported.len() < most
                && let Ok(socket) = self.sockets.of(*fd)
                && let Some(ready) = self.unreported_events(socket, watched)
            {
                reported.push((ready, watched.data));
            }
        }
        if let Ok(epoll) = self.sockets.epoll(epoll) {
            *epoll = set;
        }
        (!reported.is_empty()).then_some(Ok(reported))
    }

    /// Returns the events to report for a watched socket.
    fn unreported_events(&self, socket: &Socket, watched: &mut Watched) -> Option<u32> {
        let ready = self.readiness(socket) & (watched.events | ALWAYS);
        if ready == 0 || watched.fired {
            return None;
        }
        if watched.events & EDGE != 0 {
            let edges = socket.edges;
            let before = watched.reported.replace(edges);
            let wakes = |kinds: u32, now: u32, before: u32| {
                watched.events & (kinds | ALWAYS) & ready != 0 && now != before
            };
            let changed = before.is_none_or(|before| {
                wakes(IN | RDHUP, edges.readable, before.readable)
                    || wakes(OUT, edges.writable, before.writable)
            });
            if !changed {
                return None;
            }
        }
        watched.fired = watched.events & ONE_SHOT != 0;
        Some(ready)
    }
}
