//! Step 7: the pending output of a connection, written straight into frames.

use crate::limits::SEGMENTS_PER_TURN;
use crate::metrics::{DropReason, Event};
use crate::shard::codec::{self, Ends};
use crate::shard::engine::Engine;
use crate::shard::flow::endpoint::conn_env;
use crate::shard::ip::neighbour::LinkTarget;
use crate::shard::ip::path_mtu::Limit;
use crate::shard::mem::tx_queue::TxQueue;
use crate::tcp::MtuProbing;

/// How far a connection got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Progress {
    /// It owes nothing more.
    Done,
    /// It owes more than it may send in one turn, or there was no frame: the next turn goes on.
    Unfinished,
}

impl Engine {
    /// Sends what one connection owes.
    pub(in crate::shard) fn send_segments(
        &mut self,
        index: u32,
        queue: &mut TxQueue<'_>,
    ) -> Progress {
        if !self.ip.path_mtus.is_empty() || self.tcp.settings.mtu_probing == MtuProbing::On {
            self.apply_path_mtu(index);
        }
        let Some(flow) = self.tcp.tables.flows.at(index) else { return Progress::Done };
        let before = flow.connection.retransmissions();
        let (mut way, mut segments) = (None, 0);
        let progress = loop {
            let Some(flow) = self.tcp.tables.flows.at_mut(index) else { break Progress::Done };
            let frame = if segments < SEGMENTS_PER_TURN { queue.take() } else { None };
            let Some(mut frame) = frame else {
                break self.defer(index, segments);
            };
            let Some(plan) = flow.connection.plan(&conn_env!(self.tcp, self.turn.now)) else {
                queue.put_back(frame);
                break Progress::Done;
            };
            // Only now: who is sent something is asked whether it is still there.
            if way.is_none() {
                way = self.tx_target(index);
            }
            let (Some((ends, target)), Some(flow)) = (&way, self.tcp.tables.flows.at_mut(index))
            else {
                queue.put_back(frame);
                break Progress::Done;
            };
            let segment = flow.connection.emit(&mut conn_env!(self.tcp, self.turn.now), plan);
            segments += 1;
            if segment.flags.rst() {
                self.turn.counters.count(Event::ResetOut);
            }
            if codec::write(&mut frame, ends, &segment).is_err() {
                // Longer than the link's frames: to the protocol it is lost on the way.
                queue.put_back(frame);
                continue;
            }
            self.ip.send_or_hold(&mut self.turn, *target, frame, queue);
        };
        let now = self.tcp.tables.flows.at(index).map(|flow| flow.connection.retransmissions());
        let again = now.map_or(0, |now| now.wrapping_sub(before));
        self.turn.counters.add(Event::Retransmitted, u64::from(again));
        self.turn.counters.add(Event::SegmentOut, segments as u64);
        progress
    }

    /// There was no frame, or it has sent enough for one turn.
    fn defer(&mut self, index: u32, segments: usize) -> Progress {
        if !self.tcp.tables.flows.at(index).is_some_and(|flow| flow.connection.owes()) {
            return Progress::Done;
        }
        if segments < SEGMENTS_PER_TURN {
            self.turn.counters.drop(DropReason::NoFrame);
        }
        Progress::Unfinished
    }

    /// RFC 1191 §6.3, RFC 8201 §5.2: every user of a path is told that it takes less; each hears of it when it
    /// next sends, new ones when they begin.
    #[cold]
    fn apply_path_mtu(&mut self, index: u32) {
        if !self.tcp.tables.flows.at(index).is_some_and(|flow| flow.connection.owes()) {
            return;
        }
        self.collect_path_events(index);
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        match self.ip.path_mtus.limit(self.turn.now, flow.remote.address()) {
            Some(Limit::Reported(mtu)) => flow.connection.on_path_mtu(mtu),
            Some(Limit::Probed(sizes)) => flow.connection.on_path_sizes(sizes),
            None => {}
        }
    }

    /// What a connection has found out about its path is for all that use it (RFC 4821 §5.2).
    pub(in crate::shard) fn collect_path_events(&mut self, index: u32) {
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        let Some(news) = flow.connection.take_path_news() else { return };
        self.ip.path_mtus.on_found(self.turn.now, flow.remote.address(), &news);
        self.turn.counters.add(Event::PathBlackHole, news.black_holes.into());
        self.turn.counters.add(Event::PathProbeArrived, news.arrived.into());
        self.turn.counters.add(Event::PathProbeLost, news.lost.into());
    }

    /// The ends of a connection that owes something, and where its frames go.
    #[inline]
    fn tx_target(&mut self, index: u32) -> Option<(Ends, LinkTarget)> {
        let flow = self.tcp.tables.flows.at_mut(index)?;
        let (key, diffserv) = (flow.key(), flow.diffserv());
        let (now, remote) = (self.turn.now, key.remote.address());
        let target = self.ip.link_target_of(now, &mut flow.neighbour, remote);
        // RFC 9293 SHLD-22: the field goes to IP as the program gave it.
        Some((Ends { diffserv, ..self.ends(&key, target.mac) }, target))
    }
}
