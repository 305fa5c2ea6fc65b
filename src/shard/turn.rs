//! One turn of a worker: the order of the steps.
//!
//! Receive, parse all, look up all, process (the segments of each flow in order), run the
//! application, advance the timers, send pending output, flush. Each step covers the whole batch
//! before the next begins, so that memory prefetched by one step has arrived when the next one
//! needs it.

use crate::link::Link;
use crate::metrics::Event;
use crate::shard::app::service::{Io, Service};
use crate::shard::engine::Engine;
use crate::shard::ip::event::ControlPacket;
use crate::shard::mem::tx_queue::TxQueue;
use crate::shard::rx::batch::Batch;
use crate::shard::rx::handover::Handover;
use crate::shard::rx::parse::RxFilter;
use crate::shard::rx::segment::TxPaths;
use crate::shard::shard::Shard;
use crate::time::Instant;

/// Everything a turn needs: the link, the service, the handover queues. Owned by the worker thread.
pub struct TurnEnv<'a> {
    /// The link that receives and transmits frames.
    pub link: &'a mut dyn Link,
    /// The application.
    pub service: &'a mut dyn Service,
    /// The handover queues to the other workers.
    pub handover: &'a mut dyn Handover,
}

/// Result of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Frames received, including those handed over by other workers.
    pub received: usize,
    /// Frames sent.
    pub sent: usize,
    /// The application has requested a stop.
    pub stop: bool,
}

impl Shard {
    /// Starts the worker: begins duplicate address detection, or announces the addresses if
    /// detection is off. The service starts once the addresses are usable.
    pub fn start(&mut self, now: Instant, env: &mut TurnEnv<'_>) {
        let engine = &mut self.engine;
        engine.begin(now);
        let mut queue = TxQueue::new(env.link, now);
        engine.ip.begin_dad(&mut engine.turn, &mut queue);
        engine.start_service(env.service);
        engine.send_pending(env.service, &mut queue);
        engine.poll_neighbours(&mut queue);
        queue.close();
        env.link.flush(now);
    }

    /// Runs one turn.
    pub fn turn(&mut self, now: Instant, env: &mut TurnEnv<'_>) -> Turn {
        self.poll_rx(now, env.link);
        self.process(now, env)
    }

    /// Reaps the RX ring. Read the clock after this call, never before, and pass it to
    /// [`process`](Self::process). If the thread is preempted between the clock reading and this
    /// call, packets that arrive meanwhile get a timestamp from before the preemption. Their RTT
    /// samples are then shorter than the path allows, and BBR trusts the shortest RTT for ten
    /// seconds.
    pub fn poll_rx(&mut self, now: Instant, link: &mut dyn Link) {
        link.receive(now, self.batch_max, &mut self.batch.frames);
    }

    /// Runs the rest of the turn.
    pub fn process(&mut self, now: Instant, env: &mut TurnEnv<'_>) -> Turn {
        let Self { engine, batch, .. } = self;
        engine.begin(now);
        let received = batch.frames.len() + batch.inbox.len();
        let replies = if received > 0 { engine.process_rx(batch, env) } else { 0 };
        let TurnEnv { link, service, .. } = env;
        let mut queue = TxQueue::new(&mut **link, now);
        if engine.service.started && engine.service.waker.take() {
            service.on_wake(engine);
        }
        engine.run_application(&mut **service);
        engine.advance_timers(&mut **service, &mut queue);
        engine.run_application(&mut **service);
        engine.end_turn(&mut **service);
        engine.tcp.relieve_memory(&mut engine.turn);
        engine.send_pending(&mut **service, &mut queue);
        engine.poll_neighbours(&mut queue);
        let sent = replies + queue.close();
        link.flush(now);
        let busy = received + sent > 0;
        engine.turn.counters.count(if busy { Event::BusyTurn } else { Event::IdleTurn });
        Turn { received, sent, stop: engine.service.stopping }
    }

    /// Calls `call` with the [`Io`] of the shard outside the service's callbacks. Sends the
    /// resulting output at once and reports the resulting events.
    pub fn with_io<R>(
        &mut self,
        now: Instant,
        env: &mut TurnEnv<'_>,
        call: impl FnOnce(&mut dyn Io) -> R,
    ) -> R {
        let engine = &mut self.engine;
        engine.begin(now);
        let result = call(engine);
        let mut queue = TxQueue::new(env.link, now);
        engine.run_application(env.service);
        engine.end_turn(env.service);
        engine.send_pending(env.service, &mut queue);
        engine.poll_neighbours(&mut queue);
        queue.close();
        env.link.flush(now);
        result
    }
}

impl Shard {
    /// Begins to drain: closes all listeners, drops the handshakes in progress, and calls
    /// [`Service::on_drain`]. A service that has not started yet never starts. The caller ends the
    /// shard once [`connections`](Self::connections) is 0, or at `deadline`.
    pub fn drain(&mut self, now: Instant, env: &mut TurnEnv<'_>, deadline: Instant) {
        self.close_listeners();
        let engine = &mut self.engine;
        engine.begin(now);
        engine.service.draining = true;
        for index in 0..engine.tcp.tables.embryos.high_water() {
            engine.tcp.tables.remove_embryo(index);
        }
        // The next turn sends what the service writes here.
        if engine.service.started {
            env.service.on_drain(engine, deadline);
        }
    }
}

impl Engine {
    /// Calls the service at the end of a turn, and reports the events that it causes.
    #[inline]
    fn end_turn(&mut self, service: &mut dyn Service) {
        if self.service.started {
            service.on_turn_end(self);
            if !self.tcp.ready.is_empty() {
                self.run_application(service);
            }
        }
    }

    /// Steps 2 to 4: parses, looks up and processes everything that arrived, and releases the
    /// frames. Returns the number of replies sent immediately.
    fn process_rx(&mut self, batch: &mut Batch, env: &mut TurnEnv<'_>) -> usize {
        let filter = RxFilter {
            mac: self.ip.mac,
            locals: &self.ip.locals,
            hasher: &self.tcp.tables.hasher,
            accept_partial_checksums: self.tcp.accept_partial_checksums,
        };
        batch.parse(&filter, |reason| self.turn.counters.drop(reason));
        self.tcp.look_up(batch);
        let mut queue = TxQueue::new(&mut *env.link, self.turn.now);
        for (source, kind) in &batch.control {
            let (frame, hops) = batch.bytes(*source);
            let (queue, was_fragmented) = (&mut queue, batch.was_fragmented(*source));
            let mut packet = ControlPacket { frame, hops, was_fragmented, queue };
            self.on_control(*kind, &mut packet, &mut *env.handover);
        }
        let mut tx = TxPaths { queue: &mut queue, handover: &mut *env.handover };
        self.process_segments(batch, &mut tx);
        let replies = queue.close();
        for frame in batch.frames.drain(..) {
            env.link.release(frame);
        }
        batch.inbox.clear();
        batch.inbox.append(&mut self.ip.reassembled);
        replies
    }
}
