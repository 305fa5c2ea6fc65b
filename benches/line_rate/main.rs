//! One shard fed with frames at memory speed: the cost of a connection on one core, beside another
//! stack and the line rates of Ethernet.
//!
//! `cargo bench --bench line_rate -- [--json] [--quick] [--concurrency N,…] [--batch N,…]
//! [--stack linerate|tasks|streams|smoltcp]`, and with `--idle` the memory of idle connections.
//!
//! A workload holds N connections of N clients open. Each round closes some, picked at random, and
//! opens as many from other ports; the frames of all steps come in one random order. Preparing
//! frames and reading answers is not timed: only the turns of the stack are, with one clock reading
//! each, as a worker makes them. The stack's own clock advances by frames instead of real time. On
//! a busy machine, or under a tool that counts instructions, real time would expire timers and
//! measure retransmissions of segments that were not lost.

mod clients;
mod idle;
mod link;
mod report;
mod server;
mod smoltcp_server;

use std::hint::black_box;
use std::time::Instant as Clock;

use clients::{Clients, Step};
use linerate::rng::Rng;
use link::PreparedLink;
use report::{Measured, Report, Stack, Workload};
use server::{Linerate, Program, Server};
use smoltcp_server::Smoltcp;

/// Connections closed, and as many opened, in one round: four frames each, so that prepared frames
/// and answers fit in the rings of a queue.
const COHORT_MAX: usize = 256;

/// Nanoseconds per frame on the stack's clock: about the cost of one, so that the wheel turns as it
/// does under such a load.
const FRAME_NS: u64 = 150;

/// A stack, its clients, and the four cohorts that are between one connection and the next.
struct Bench {
    server: Box<dyn Server>,
    link: PreparedLink,
    clients: Clients,
    rng: Rng,
    batch: usize,
    /// The stack's clock, nanoseconds.
    now: u64,
    /// Slots with an established connection that is in no cohort; before they are opened, all.
    idle: Vec<u32>,
    /// Cohorts by the step just made: sent FIN; acknowledged the server's FIN; sent SYN;
    /// acknowledged the SYN-ACK.
    cohorts: [Vec<u32>; 4],
}

impl Bench {
    /// Creates the clients, then the stack.
    fn new(concurrency: usize, batch: usize, server: impl FnOnce() -> Box<dyn Server>) -> Self {
        let (link, clients) = (PreparedLink::new(batch), Clients::new(concurrency, server::MAC));
        let idle = (0..concurrency as u32).collect();
        Self {
            server: server(),
            link,
            clients,
            rng: Rng::new(1),
            batch,
            now: 2_000_000_000,
            idle,
            cohorts: Default::default(),
        }
    }

    /// Opens all connections. Returns the nanoseconds of the turns.
    fn fill(&mut self) -> u64 {
        let mut slots = std::mem::take(&mut self.idle);
        shuffle(&mut slots, &mut self.rng);
        let mut nanos = 0;
        for some in slots.chunks(COHORT_MAX) {
            for step in [Step::Syn, Step::Ack] {
                let frames: Vec<_> = some.iter().map(|slot| (*slot, step)).collect();
                nanos += self.exchange(&frames);
            }
        }
        self.idle = slots;
        nanos
    }

    /// Runs one round: every cohort takes its step, and a new one begins to close. Returns
    /// nanoseconds.
    fn round(&mut self, cohort: usize) -> u64 {
        let [fin, last, syn, ack] = std::mem::take(&mut self.cohorts);
        let mut closing = Vec::with_capacity(cohort);
        for _ in 0..cohort.min(self.idle.len()) {
            let at = self.rng.below(self.idle.len() as u64) as usize;
            closing.push(self.idle.swap_remove(at));
        }
        let steps =
            [(&closing, Step::Fin), (&fin, Step::LastAck), (&last, Step::Syn), (&syn, Step::Ack)];
        let mut frames: Vec<(u32, Step)> = steps
            .iter()
            .flat_map(|(slots, step)| slots.iter().map(move |slot| (*slot, *step)))
            .collect();
        shuffle(&mut frames, &mut self.rng);
        let nanos = self.exchange(&frames);
        self.idle.extend(ack);
        self.cohorts = [closing, fin, last, syn];
        nanos
    }

    /// Feeds frames, times the turns, reads the answers. Returns nanoseconds.
    fn exchange(&mut self, frames: &[(u32, Step)]) -> u64 {
        for (slot, step) in frames {
            self.link.prepare(|frame| self.clients.write(*slot, *step, frame));
        }
        let begin = Clock::now();
        while !self.link.is_empty() {
            let _ = black_box(Clock::now());
            self.now += FRAME_NS * self.batch as u64;
            self.server.turn(self.now, &mut self.link);
        }
        let nanos = begin.elapsed().as_nanos() as u64;
        self.link.read_answers(|frame| self.clients.read(frame));
        nanos
    }
}

fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for at in (1..items.len()).rev() {
        items.swap(at, rng.below(at as u64 + 1) as usize);
    }
}

/// Creates a stack with room for the connections.
fn server(stack: Stack, concurrency: usize, batch: usize) -> Box<dyn Server> {
    let connections = concurrency + COHORT_MAX;
    match stack {
        Stack::Linerate => Box::new(Linerate::new(connections, batch)),
        Stack::Tasks => Box::new(Program::with_tasks(connections, batch)),
        Stack::Streams => Box::new(Program::with_streams(connections, batch)),
        Stack::Smoltcp => Box::new(Smoltcp::new(connections, batch)),
    }
}

/// Measures one workload. A round is shorter than a time slice, so the median of many rounds is the
/// cost of the shard even on a shared core.
fn measure(workload: Workload) -> Measured {
    let Workload { stack, concurrency, batch, connections } = workload;
    let resident_before = report::resident_bytes();
    let mut bench = Bench::new(concurrency, batch, || server(stack, concurrency, batch));
    let fill_nanos = bench.fill();
    let resident = report::resident_bytes().saturating_sub(resident_before);
    let cohort = (concurrency / 8).clamp(1, COHORT_MAX);
    for _ in 0..8 {
        bench.round(cohort);
    }
    let mut samples: Vec<f64> = (0..(connections / cohort).max(16))
        .map(|_| bench.round(cohort) as f64 / cohort as f64)
        .collect();
    samples.sort_by(f64::total_cmp);
    assert_eq!(bench.clients.complaints(), 0, "an answer was not the one expected");
    Measured {
        workload,
        ns_per_connection: samples[samples.len() / 2],
        ns_per_connection_best: samples[samples.len() / 10],
        ns_per_open: fill_nanos as f64 / concurrency as f64,
        bytes_per_connection: resident as f64 / concurrency as f64,
    }
}

fn main() {
    let options = report::Options::from_arguments();
    if options.idle {
        return idle::run(&options);
    }
    let mut report = Report::new(options.json);
    for workload in options.workloads() {
        report.add(if options.alone {
            measure(workload)
        } else {
            report::in_a_process_of_its_own(workload)
        });
    }
    report.end();
}
