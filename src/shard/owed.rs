//! Step 7: what the marked connections owe goes straight into frames; what is over is let go.
//!
//! Owns the end of a connection: into TIME-WAIT, or out of the tables.

use super::codec::{self, Ends};
use super::egress::Outlet;
use super::engine::{Engine, lend};
use super::flow::Enlist;
use super::neighbour::{NeighbourId, Way};
use super::path_mtu::Limit;
use super::service::{CloseReason, Service};
use crate::limits::SEGMENTS_A_TURN;
use crate::metrics::{DropReason, Event};
use crate::tcp::{MtuProbing, Phase};
use crate::wire::MacAddr;

/// How far a connection got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// It owes nothing more.
    Done,
    /// It owes more than it may send in one turn, or there was no frame: the next turn goes on.
    Unfinished,
}

impl Engine {
    /// Asks each marked connection what it owes. Connections that callbacks mark on the way (an open from
    /// [`Service::on_closed`]) have their turn too.
    pub(super) fn send_owed(&mut self, service: &mut dyn Service, outlet: &mut Outlet<'_>) {
        let mut next = 0;
        while let Some(index) = self.marked.get(next).copied() {
            next += 1;
            let Some(flow) = self.tables.flows.at_mut(index) else { continue };
            flow.leave_marked();
            let progress = if flow.connection.is_quiet() {
                Progress::Done
            } else {
                self.send_of(index, outlet)
            };
            self.settle(index, progress, service);
            if progress == Progress::Unfinished
                && let Some(flow) = self.tables.flows.at_mut(index)
                && flow.enlist_marked() == Enlist::Now
            {
                self.unfinished.push(index);
            }
        }
        self.marked.clear();
        core::mem::swap(&mut self.marked, &mut self.unfinished);
    }

    /// Sends what one connection owes.
    fn send_of(&mut self, index: u32, outlet: &mut Outlet<'_>) -> Progress {
        if !self.path_mtus.is_empty() || self.settings.mtu_probing == MtuProbing::On {
            self.heed_path_mtu(index);
        }
        let Some(flow) = self.tables.flows.at(index) else { return Progress::Done };
        let sent_again = flow.connection.retransmissions();
        let (mut way, mut segments) = (None, 0);
        let progress = loop {
            let Some(flow) = self.tables.flows.at_mut(index) else { break Progress::Done };
            let frame = if segments < SEGMENTS_A_TURN { outlet.take() } else { None };
            let Some(mut frame) = frame else {
                break self.put_off(index, segments);
            };
            let Some(plan) = flow.connection.plan(&lend!(self)) else {
                outlet.put_back(frame);
                break Progress::Done;
            };
            // Only now: who is sent something is asked whether it is still there.
            if way.is_none() {
                way = self.way_of(index);
            }
            let (Some((ends, held_for)), Some(flow)) = (&way, self.tables.flows.at_mut(index))
            else {
                outlet.put_back(frame);
                break Progress::Done;
            };
            let segment = flow.connection.emit(&mut lend!(self), plan);
            segments += 1;
            if segment.flags.rst() {
                self.counters.count(Event::ResetOut);
            }
            if codec::write(&mut frame, ends, &segment).is_err() {
                // Longer than the link's frames: to the protocol it is lost on the way.
                outlet.put_back(frame);
                continue;
            }
            match held_for {
                None => outlet.send(frame),
                Some(neighbour) => {
                    if let Some(frame) = self.neighbours.hold(*neighbour, frame) {
                        self.counters.drop(DropReason::NoNeighbour);
                        outlet.release(frame);
                    }
                }
            }
        };
        let now = self.tables.flows.at(index).map(|flow| flow.connection.retransmissions());
        let again = now.map_or(0, |now| now.wrapping_sub(sent_again));
        self.counters.add(Event::Retransmitted, u64::from(again));
        self.counters.add(Event::SegmentOut, segments as u64);
        progress
    }

    /// There was no frame, or it has sent enough for one turn.
    fn put_off(&mut self, index: u32, segments: usize) -> Progress {
        if !self.tables.flows.at(index).is_some_and(|flow| flow.connection.has_pending_output()) {
            return Progress::Done;
        }
        if segments < SEGMENTS_A_TURN {
            self.counters.drop(DropReason::NoFrame);
        }
        Progress::Unfinished
    }

    /// RFC 1191 §6.3, RFC 8201 §5.2: every user of a path is told that it takes less; each hears of it when it
    /// next sends, new ones when they begin.
    #[cold]
    fn heed_path_mtu(&mut self, index: u32) {
        if !self.tables.flows.at(index).is_some_and(|flow| flow.connection.has_pending_output()) {
            return;
        }
        self.take_path_mtu_event(index);
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        match self.path_mtus.limit(self.now, flow.remote.address()) {
            Some(Limit::Told(mtu)) => flow.connection.on_path_mtu(mtu),
            Some(Limit::Found(sizes)) => flow.connection.on_path_sizes(sizes),
            None => {}
        }
    }

    /// What a connection has found out about its path is for all that use it (RFC 4821 §5.2).
    pub(super) fn take_path_mtu_event(&mut self, index: u32) {
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        let Some(news) = flow.connection.take_path_mtu_event() else { return };
        self.path_mtus.on_found(self.now, flow.remote.address(), &news);
        self.counters.add(Event::PathBlackHole, news.black_holes.into());
        self.counters.add(Event::PathProbeArrived, news.arrived.into());
        self.counters.add(Event::PathProbeLost, news.lost.into());
    }

    /// The ends of a connection that owes something, and the neighbour to wait for if its address is not
    /// known yet.
    #[inline]
    fn way_of(&mut self, index: u32) -> Option<(Ends, Option<NeighbourId>)> {
        let flow = self.tables.flows.at(index)?;
        let (key, mut neighbour, diffserv) = (flow.key(), flow.neighbour, flow.diffserv());
        let mut way = self.neighbours.way(self.now, neighbour);
        if way == Way::Gone {
            neighbour = self.neighbour_towards(key.remote.address()).unwrap_or(neighbour);
            way = self.neighbours.way(self.now, neighbour);
            self.tables.flows.at_mut(index)?.neighbour = neighbour;
        }
        let (mac, held_for) = match way {
            Way::Send(mac) => (mac, None),
            Way::Wait | Way::Gone => (MacAddr::ZERO, Some(neighbour)),
        };
        // RFC 9293 SHLD-22: the field goes to IP as the program gave it.
        Some((Ends { diffserv, ..self.ends(&key, mac) }, held_for))
    }

    /// After a connection was asked: its timer is armed, or its end is met.
    fn settle(&mut self, index: u32, progress: Progress, service: &mut dyn Service) {
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        if flow.is_pending_fast_open() {
            self.settle_fast_open(index);
        }
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        let connection = &flow.connection;
        match connection.phase() {
            Phase::TimeWait if connection.is_over() => self.enter_time_wait(index, service),
            Phase::Closed if flow.is_gone() && progress == Progress::Done => self.remove(index),
            _ => {
                if let Some(at) = connection.poll_deadline() {
                    self.wheel.arm(index, at);
                }
            }
        }
    }

    /// Both directions are closed and everything was read: 32 bytes will do from here on.
    fn enter_time_wait(&mut self, index: u32, service: &mut dyn Service) {
        let Some(conn) = self.tables.flows.id_at(index) else { return };
        // The application hears of everything else first, so nothing may be pending.
        if self.tables.flows.at(index).is_some_and(|flow| flow.has_news()) {
            return;
        }
        self.tell_closed(service, conn, CloseReason::Finished);
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        flow.connection.release(&mut self.pool);
        self.orphans -= usize::from(flow.connection.is_orphan());
        let (state, timestamps) = flow.connection.to_time_wait();
        self.counters.count(Event::TimeWait);
        self.wheel.disarm(index);
        if let Some(evicted) = self.tables.retire(self.now, index, state, timestamps) {
            self.counters.count(Event::TimeWaitEvicted);
            self.port_released(&evicted.key);
        }
    }

    fn remove(&mut self, index: u32) {
        let Some(flow) = self.tables.flows.at_mut(index) else { return };
        flow.connection.release(&mut self.pool);
        self.orphans -= usize::from(flow.connection.is_orphan());
        let key = flow.key();
        self.tables.remove_flow(index);
        self.wheel.disarm(index);
        self.port_released(&key);
    }
}
