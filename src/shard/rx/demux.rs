//! Demultiplexing: finds the flow of each segment and processes the segment. A segment without a
//! flow goes to a listener or to another worker, or is refused.
//!
//! Owns the moves between the three kinds of connection that a segment causes. The protocol's
//! replies are in `tcp`.

use crate::metrics::{DropReason, Event};
use crate::shard::engine::Engine;
use crate::shard::flow::endpoint::{Endpoint, conn_env};
use crate::shard::flow::flow_table::{Kind, Place};
use crate::shard::mem::limiter::Allowance;
use crate::shard::mem::tx_queue::TxQueue;
use crate::shard::rx::batch::{Arrival, Arrivals, Batch};
use crate::shard::rx::drop_reason::drop_reason;
use crate::shard::rx::segment::{RxSegment, TxPaths};
use crate::tcp::{Disposition, EmbryoAnswer, SegmentOut, TimeWait, TimeWaitAnswer};

impl Endpoint {
    /// Step 3: looks up a candidate for every segment and prefetches its memory.
    pub(in crate::shard) fn look_up(&self, batch: &mut Batch) {
        let Arrivals { segments, groups, .. } = &mut batch.arrivals;
        for arrival in segments.iter() {
            self.tables.prefetch(arrival.hash);
        }
        for (at, arrival) in segments.iter().enumerate() {
            groups.push(self.tables.candidate(arrival.hash, &arrival.key), at as u32);
        }
        for (kind, members) in groups.iter() {
            let Some(kind) = kind else { continue };
            for member in members {
                self.tables.prefetch_at(Place::new(kind, member.index));
                if kind == Kind::Connection {
                    self.wheel.prefetch(member.index);
                }
            }
        }
    }

    /// Returns the flow of a segment. An earlier segment of the batch may have removed or moved the
    /// candidate; the flow is then looked up again.
    #[inline]
    fn find(&self, candidate: Option<Place>, arrival: &Arrival) -> Option<Place> {
        let key = &arrival.key;
        candidate
            .filter(|place| self.tables.is_at(*place, key))
            .or_else(|| self.tables.find(arrival.hash, key))
    }
}

impl Engine {
    /// Step 4: processes every segment, those of each flow in order.
    pub(in crate::shard) fn process_segments(&mut self, batch: &Batch, tx: &mut TxPaths<'_, '_>) {
        self.turn.counters.add(Event::SegmentIn, batch.arrivals.segments.len() as u64);
        for (kind, members) in batch.arrivals.groups.iter() {
            for member in members {
                let arrival = &batch.arrivals.segments[member.at as usize];
                let full;
                let segment = match batch.full_segment(arrival) {
                    None => &arrival.head,
                    Some(segment) => {
                        full = segment;
                        &full
                    }
                };
                let candidate = kind.map(|kind| Place::new(kind, member.index));
                self.on_segment(candidate, &RxSegment { arrival, segment, batch }, tx);
            }
        }
    }

    #[inline]
    fn on_segment(
        &mut self,
        candidate: Option<Place>,
        rx: &RxSegment<'_>,
        tx: &mut TxPaths<'_, '_>,
    ) {
        match self.tcp.find(candidate, rx.arrival) {
            Some(Place { kind: Kind::Connection, index }) => {
                self.on_connection_segment(index, rx, tx);
            }
            Some(Place { kind: Kind::Embryo, index }) => {
                self.on_embryo_segment(index, rx, tx);
            }
            Some(place) => self.on_time_wait_segment(place, rx, tx),
            None => self.on_unmatched(rx, tx),
        }
    }

    #[inline]
    fn on_connection_segment(&mut self, index: u32, rx: &RxSegment<'_>, tx: &mut TxPaths<'_, '_>) {
        let Some(flow) = self.tcp.tables.flows.at_mut(index) else { return };
        let mut env = conn_env!(self.tcp, self.turn.now);
        let disposition = flow.connection.on_segment(&mut env, rx.segment);
        flow.schedule(index, &mut self.tcp.ready, &mut self.tcp.tx_pending);
        let neighbour = flow.neighbour;
        match disposition {
            Disposition::Accepted => {
                // RFC 4861 §7.3.1: an acceptable segment from the peer confirms that it is
                // reachable.
                self.ip.neighbours.on_confirmed(self.turn.now, neighbour);
                if rx.segment.flags.rst() {
                    self.turn.counters.count(Event::ResetIn);
                }
            }
            Disposition::Reset => self.reset_or_hand_over(rx, tx),
            refused => self.turn.counters.drop(drop_reason(refused)),
        }
    }

    fn on_embryo_segment(&mut self, index: u32, rx: &RxSegment<'_>, tx: &mut TxPaths<'_, '_>) {
        let Some(embryo) = self.tcp.tables.embryos.get_mut(index) else { return };
        match embryo.on_segment(rx.segment, &self.tcp.settings) {
            EmbryoAnswer::Establish => self.establish(index, rx),
            EmbryoAnswer::SynAck => {
                let embryo = *embryo;
                self.send_syn_ack(&embryo, rx.arrival, tx.queue);
            }
            EmbryoAnswer::Ack(reason) => {
                let embryo = *embryo;
                self.turn.counters.drop(drop_reason(reason));
                if self.tcp.challenges.take(self.turn.now) == Allowance::Granted {
                    let offset = self.tcp.secrets.of_flow(rx.arrival.hash).timestamp_offset;
                    let ack = embryo.ack(self.turn.now, offset, &self.tcp.settings);
                    self.answer(rx.arrival, &ack, tx.queue);
                }
            }
            EmbryoAnswer::Reset => self.reset_or_hand_over(rx, tx),
            EmbryoAnswer::Refuse => {
                self.tcp.tables.remove_embryo(index);
                self.refuse(rx, tx);
            }
            EmbryoAnswer::Remove => {
                self.turn.counters.count(Event::ResetIn);
                self.tcp.tables.remove_embryo(index);
            }
            EmbryoAnswer::Ignore(reason) => self.turn.counters.drop(drop_reason(reason)),
        }
    }

    fn on_time_wait_segment(&mut self, place: Place, rx: &RxSegment<'_>, tx: &mut TxPaths<'_, '_>) {
        let Some(state) = self.tcp.tables.time_waits.get(place.index).copied() else { return };
        let timestamps = place.kind == Kind::TimeWaitTimestamps;
        let key = &rx.arrival.key;
        match state.on_segment(rx.segment, timestamps, &self.tcp.settings) {
            TimeWaitAnswer::Ignore => {}
            TimeWaitAnswer::Ack => {
                if self.tcp.challenges.take(self.turn.now) == Allowance::Granted {
                    self.send_time_wait_ack(&state, timestamps, rx.arrival, tx.queue);
                }
            }
            TimeWaitAnswer::AckAndRestart => {
                self.send_time_wait_ack(&state, timestamps, rx.arrival, tx.queue);
                let hash = rx.arrival.hash;
                self.tcp.tables.restart_time_wait(self.turn.now, hash, place, state);
            }
            TimeWaitAnswer::Reuse { .. } => {
                let Some(listener) = self.tcp.listeners.find(key.local, key.remote.local_port())
                else {
                    self.refuse(rx, tx);
                    return;
                };
                self.tcp.tables.remove_time_wait(place.index);
                self.turn.counters.count(Event::TimeWaitReused);
                self.on_syn(listener, Some(&state), rx, tx.queue);
            }
        }
    }

    /// Processes a segment without a flow on this worker.
    fn on_unmatched(&mut self, rx: &RxSegment<'_>, tx: &mut TxPaths<'_, '_>) {
        let (key, flags) = (&rx.arrival.key, rx.segment.flags);
        let listener = self.tcp.listeners.find(key.local, key.remote.local_port());
        if flags.syn() && !flags.ack() && !flags.rst() {
            let arrival = rx.arrival;
            if let Some(owner) = self.owner_elsewhere(arrival.hash, &arrival.key, rx.hops()) {
                self.hand_over(owner, rx.hops(), rx.frame(), tx.handover);
                return;
            }
            match listener {
                Some(listener) => self.on_syn(listener, None, rx, tx.queue),
                None => self.refuse(rx, tx),
            }
            return;
        }
        if let Some(listener) = listener.filter(|_| flags.ack() && !flags.syn() && !flags.rst())
            && self.establish_from_cookie(listener, rx)
        {
            return;
        }
        // RFC 9293 §3.10.7.2, fourth: a segment without SYN, ACK or RST in LISTEN gets no reply.
        if listener.is_some() && !flags.ack() && !flags.syn() && !flags.rst() {
            self.turn.counters.drop(DropReason::NoAck);
            return;
        }
        self.reset_or_hand_over(rx, tx);
    }

    fn send_time_wait_ack(
        &mut self,
        state: &TimeWait,
        timestamps: bool,
        arrival: &Arrival,
        queue: &mut TxQueue<'_>,
    ) {
        let offset = self.tcp.secrets.of_flow(arrival.hash).timestamp_offset;
        let ack = state.ack(self.turn.now, offset, timestamps);
        self.answer(arrival, &ack, queue);
    }

    /// Replies to a segment without a connection, directly to the sender's MAC address. That host
    /// is on the path back, and a flood from forged addresses does not fill the neighbour cache.
    pub(in crate::shard) fn answer(
        &mut self,
        arrival: &Arrival,
        segment: &SegmentOut<'_>,
        queue: &mut TxQueue<'_>,
    ) {
        self.send_to(&arrival.key, arrival.src_mac, segment, queue);
    }

    /// Handles a segment that the protocol refuses: hands it to the next worker that may know the
    /// flow, or sends a reset.
    fn reset_or_hand_over(&mut self, rx: &RxSegment<'_>, tx: &mut TxPaths<'_, '_>) {
        let arrival = rx.arrival;
        match self.next_worker(arrival.hash, &arrival.key, rx.hops()) {
            Some(worker) => {
                self.count_misdirected(&arrival.key, rx.hops());
                self.hand_over(worker, rx.hops(), rx.frame(), tx.handover);
            }
            None => self.refuse(rx, tx),
        }
    }

    /// Replies with a reset (RFC 9293 §3.10.7.1), within the rate limit.
    pub(in crate::shard) fn refuse(&mut self, rx: &RxSegment<'_>, tx: &mut TxPaths<'_, '_>) {
        let Some(reset) = SegmentOut::reset_for(rx.segment) else {
            self.turn.counters.drop(DropReason::StrayReset);
            return;
        };
        self.turn.counters.drop(DropReason::NoConnection);
        match self.ip.unmatched.take(self.turn.now) {
            Allowance::Granted => {
                self.turn.counters.count(Event::ResetOut);
                self.answer(rx.arrival, &reset, tx.queue);
            }
            Allowance::Denied => self.turn.counters.drop(DropReason::RateLimited),
        }
    }
}
