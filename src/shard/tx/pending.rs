//! Step 7: builds the pending segments of a connection in TX frames.

use crate::limits::SEGMENTS_PER_TURN;
use crate::metrics::{DropReason, Event};
use crate::shard::codec::{self, HeaderFields};
use crate::shard::engine::Engine;
use crate::shard::flow::endpoint::conn_env;
use crate::shard::ip::neighbour::LinkTarget;
use crate::shard::ip::path_mtu::Limit;
use crate::shard::mem::tx_queue::TxQueue;
use crate::tcp::MtuProbing;

/// Result of sending a connection's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shard) enum Progress {
    /// No output is left.
    Done,
    /// Output is left: the limit per turn was reached, or the link had no free frame. The next turn
    /// continues.
    Unfinished,
}

impl Engine {
    /// Sends the pending output of one connection.
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
        let (mut destination, mut segments) = (None, 0);
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
            // Not before there is a segment: this may start a reachability probe of the neighbour.
            if destination.is_none() {
                destination = self.tx_target(index);
            }
            let (Some((fields, target)), Some(flow)) =
                (&destination, self.tcp.tables.flows.at_mut(index))
            else {
                queue.put_back(frame);
                break Progress::Done;
            };
            let segment = flow.connection.emit(&mut conn_env!(self.tcp, self.turn.now), plan);
            segments += 1;
            if segment.flags.rst() {
                self.turn.counters.count(Event::ResetOut);
            }
            if codec::write(&mut frame, fields, &segment).is_err() {
                // Longer than the link's frames. To the protocol, the segment is lost on the way.
                queue.put_back(frame);
                continue;
            }
            self.ip.send_or_hold(&mut self.turn, *target, frame, queue);
        };
        let now = self.tcp.tables.flows.at(index).map(|flow| flow.connection.retransmissions());
        let retransmitted = now.map_or(0, |now| now.wrapping_sub(before));
        self.turn.counters.add(Event::Retransmitted, u64::from(retransmitted));
        self.turn.counters.add(Event::SegmentOut, segments as u64);
        progress
    }

    /// HeaderFields the turn of a connection that reached the limit or found no free frame.
    fn defer(&mut self, index: u32, segments: usize) -> Progress {
        if !self.tcp.tables.flows.at(index).is_some_and(|flow| flow.connection.has_pending_output())
        {
            return Progress::Done;
        }
        if segments < SEGMENTS_PER_TURN {
            self.turn.counters.drop(DropReason::NoFrame);
        }
        Progress::Unfinished
    }

    /// Applies the path MTU (RFC 1191 §6.3, RFC 8201 §5.2: every connection on a path learns a
    /// smaller MTU). An open connection applies it when it next sends; a new one when it opens.
    #[cold]
    fn apply_path_mtu(&mut self, index: u32) {
        if !self.tcp.tables.flows.at(index).is_some_and(|flow| flow.connection.has_pending_output())
        {
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

    /// Shares what a connection has discovered about its path with all connections on it (RFC 4821
    /// §5.2).
    pub(in crate::shard) fn collect_path_events(&mut self, index: u32) {
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        let Some(events) = flow.connection.take_path_mtu_event() else { return };
        self.ip.path_mtus.on_found(self.turn.now, flow.remote.address(), &events);
        self.turn.counters.add(Event::PathBlackHole, events.black_holes.into());
        self.turn.counters.add(Event::PathProbeArrived, events.arrived.into());
        self.turn.counters.add(Event::PathProbeLost, events.lost.into());
    }

    /// Returns the header fields of a connection's next segment, and the link target of its frames.
    #[inline]
    fn tx_target(&mut self, index: u32) -> Option<(HeaderFields, LinkTarget)> {
        let flow = self.tcp.tables.flows.at_mut(index)?;
        let (key, diffserv) = (flow.key(), flow.diffserv());
        let hops = flow.connection.hop_limit();
        let (now, remote) = (self.turn.now, key.remote.address());
        let target = self.ip.link_target_of(now, &mut flow.neighbour, remote);
        // RFC 9293 SHLD-22: passes the program's DSCP to IP unchanged.
        let mut fields = HeaderFields { diffserv, ..self.header_fields(&key, target.mac) };
        if let Some(hops) = hops {
            fields.hops = hops;
        }
        Some((fields, target))
    }
}
