//! Flows that share a bottleneck: shards at both ends of a path with a rate, a delay and a queue.
//!
//! The senders are connections of one host, so that their packets share one queue; each has its own
//! congestion control. The report shows what the receiving program gets after the flows have
//! settled.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::host::HostId;
use super::world::{World, WorldConfig};
use crate::limits::Limits;
use crate::link::impair::{Impaired, Impairment, Impairments};
use crate::link::memory;
use crate::metrics::Event;
use crate::shard::{
    Algorithm, CloseReason, Config, ConnId, ConnectOptions, Io, ListenerConfig, ListenerId,
    Service, SocketOption,
};
use crate::tcp::EcnPolicy;
use crate::time::{Duration, Instant};

/// The port of the receiver.
const PORT: u16 = 9;

/// Size of a full frame on the wire without preamble and gap, bytes.
const FRAME: u64 = 1514;

/// Payload of a full frame with TCP timestamps, bytes.
const DATA: u64 = 1448;

/// The configuration of a path and its flows.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    /// Rate of the bottleneck, bits per second, whole frames counted.
    pub rate: u64,
    /// Round-trip time with an empty queue.
    pub rtt: Duration,
    /// Size of the queue, in bandwidth-delay products.
    pub queue_bdp: f64,
    /// Number of queued frames from which the queue marks CE (RFC 3168). Both ends then negotiate
    /// Accurate ECN. `None` never marks.
    pub mark: Option<usize>,
    /// Probability of random loss of a frame.
    pub loss: f64,
    /// Variation of the one-way delay, up or down. It does not reorder frames.
    pub jitter: Duration,
    /// The congestion control of each flow.
    pub flows: Vec<Algorithm>,
    /// Time between the starts of two flows.
    pub stagger: Duration,
    /// Time to settle before the measurement.
    pub settle: Duration,
    /// Duration of the measurement.
    pub measure: Duration,
    /// Paces loss-based flows.
    pub pacing: bool,
    /// Buffers start small and grow with the flow, as they do by default. Otherwise they are large
    /// from the start, so that only congestion control limits a flow.
    pub tuned: bool,
    /// The seed of everything random.
    pub seed: u64,
}

/// A sample of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sample {
    /// Time since the start.
    pub at: Duration,
    /// Congestion window, bytes.
    pub cwnd: u32,
    /// Smoothed round trip.
    pub srtt: Duration,
}

/// The results of one flow.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FlowReport {
    /// Its goodput, as a fraction of the goodput that full frames would reach at the bottleneck
    /// rate.
    pub share: f64,
    /// Samples over time, including the time to settle.
    pub samples: Vec<Sample>,
}

/// The results of all flows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// By flow.
    pub flows: Vec<FlowReport>,
    /// Retransmitted segments, as a fraction of all sent, including the time to settle.
    pub retransmitted: f64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Mean of the smoothed round-trip time minus `rtt`, during the measurement.
    pub queueing: Duration,
}

impl Report {
    /// Returns the utilization of the bottleneck.
    pub fn share(&self) -> f64 {
        self.flows.iter().map(|flow| flow.share).sum()
    }

    /// Returns Jain's fairness index: 1 for equal shares, 1/n if one flow has everything.
    pub fn jain(&self) -> f64 {
        let squares: f64 = self.flows.iter().map(|flow| flow.share * flow.share).sum();
        self.share() * self.share() / (self.flows.len() as f64 * squares)
    }
}

impl Bottleneck {
    /// Configures one flow over `mbit` Mbit/s and `rtt_ms`, with a queue of one bandwidth-delay
    /// product.
    pub fn new(algorithm: Algorithm, mbit: u64, rtt_ms: u64) -> Self {
        Self {
            rate: mbit * 1_000_000,
            rtt: Duration::from_millis(rtt_ms),
            queue_bdp: 1.0,
            mark: None,
            loss: 0.0,
            jitter: Duration::ZERO,
            flows: vec![algorithm],
            stagger: Duration::from_millis(500),
            settle: Duration::from_secs(3),
            measure: Duration::from_secs(5),
            pacing: false,
            tuned: false,
            seed: 1,
        }
    }

    /// Returns the bandwidth-delay product, bytes.
    pub fn bdp(&self) -> u64 {
        (u128::from(self.rate) * u128::from(self.rtt.as_nanos()) / 8_000_000_000) as u64
    }

    /// Runs the simulation.
    pub fn run(&self) -> Report {
        let mut setup = Setup::new(self);
        let world = &mut setup.world;
        let started_at = world.now();
        world.run_for(self.settle + self.stagger.times(self.flows.len() as u64 - 1));
        let before = setup.received.borrow().clone();
        let settled_at = world.now();
        world.run_for(self.measure);
        let seconds = world.now().since(settled_at).as_secs_f64();
        let full = self.rate as f64 / 8.0 * seconds * DATA as f64 / FRAME as f64;
        let samples = setup.samples.borrow();
        let flows = (0..self.flows.len()).map(|flow| FlowReport {
            share: (setup.received.borrow()[flow] - before[flow]) as f64 / full,
            samples: samples[flow].clone(),
        });
        let flows = flows.collect();
        let counters = setup.world.host(setup.sender).shard(0).counters();
        let counted = |event| counters.counted(event) as f64;
        Report {
            flows,
            retransmitted: counted(Event::Retransmitted) / counted(Event::SegmentOut).max(1.0),
            timeouts: counters.counted(Event::Timeout),
            queueing: self.queueing(&samples, settled_at.since(started_at)),
        }
    }

    fn queueing(&self, samples: &[Vec<Sample>], since: Duration) -> Duration {
        let measured: Vec<_> = samples
            .iter()
            .flatten()
            .filter(|sample| sample.at > since)
            .map(|sample| sample.srtt)
            .collect();
        let sum = measured.iter().fold(Duration::ZERO, |sum, srtt| sum + *srtt);
        Duration::from_nanos(sum.as_nanos() / measured.len().max(1) as u64) - self.rtt
    }

    /// Returns the impairments of the sender's cable: the queue and the rate are on its transmit
    /// side.
    fn impairments(&self, seed: u64) -> Impairments {
        let queue = ((self.bdp() as f64 * self.queue_bdp / FRAME as f64) as usize).max(4);
        let in_flight = (self.bdp() / FRAME) as usize;
        let one_way = Duration::from_nanos(self.rtt.as_nanos() / 2);
        let path = Impairment {
            delay: one_way,
            jitter: self.jitter,
            hold: queue + 4 * in_flight + 1000,
            ..Impairment::default()
        };
        let tx =
            Impairment { rate: Some(self.rate), queue, mark: self.mark, loss: self.loss, ..path };
        Impairments { tx, rx: path, seed }
    }

    fn buffer(&self) -> u32 {
        let volume = self.bdp() as f64 * (2.0 + 2.0 * self.queue_bdp);
        (volume as u32).clamp(256 * 1024, 256 << 20)
    }
}

type Received = Rc<RefCell<Vec<u64>>>;
type Samples = Rc<RefCell<Vec<Vec<Sample>>>>;

struct Setup {
    world: World,
    sender: HostId,
    received: Received,
    samples: Samples,
}

impl Setup {
    fn new(bottleneck: &Bottleneck) -> Self {
        let frames = bottleneck.impairments(0).tx.hold + 4096;
        let mut world = World::new(WorldConfig {
            seed: bottleneck.seed,
            // The delay of the switch alone; the cable has the delay of the path.
            delay: Duration::from_micros(1),
            cable: memory::Config { frames, frame_max: 2048, ring: frames },
        });
        let received: Received = Rc::new(RefCell::new(vec![0; bottleneck.flows.len()]));
        let samples: Samples = Rc::new(RefCell::new(vec![Vec::new(); bottleneck.flows.len()]));
        let address = |n: u8| -> IpAddr { [192, 0, 2, n].into() };

        let config = configure(&mut world, bottleneck, address(1));
        let sink = Sink { received: Rc::clone(&received), flows: Vec::new() };
        let host = world.add_host(&config, vec![Box::new(sink)]);
        let listener = ListenerConfig::on_port(PORT);
        world.host_mut(host).shard_mut(0).listen(listener).expect("a free port");

        let config = configure(&mut world, bottleneck, address(2));
        let service = Sender {
            target: (address(1), PORT).into(),
            algorithms: bottleneck.flows.clone(),
            stagger: bottleneck.stagger,
            sample_every: sample_interval(bottleneck),
            started_at: world.now(),
            flows: Vec::new(),
            samples: Rc::clone(&samples),
        };
        let sender = world.add_host_with(&config, vec![Box::new(service)], &mut |near, seed| {
            Box::new(Impaired::new(near, &bottleneck.impairments(seed)))
        });
        Self { world, sender, received, samples }
    }
}

fn sample_interval(bottleneck: &Bottleneck) -> Duration {
    bottleneck.rtt.max(Duration::from_millis(10))
}

fn configure(world: &mut World, bottleneck: &Bottleneck, address: IpAddr) -> Config {
    let mut config = Config::new(world.next_mac(), vec![(address, 24)], world.draw_secret());
    let buffer = bottleneck.buffer();
    config.limits = Limits {
        connections: 256,
        embryos: 256,
        time_waits: 256,
        // Large enough that the buffer bounds a window, not the reserve of the pool for new
        // connections.
        buffer_bytes: 512 * buffer as usize * bottleneck.flows.len() + (256 << 20),
        neighbours: 16,
        ..Limits::default()
    };
    if !bottleneck.tuned {
        let settings = &mut config.settings;
        (settings.send_buffer, settings.send_buffer_initial) = (buffer, buffer);
        (settings.receive_buffer, settings.receive_buffer_initial) = (buffer, buffer);
    }
    config.settings.pacing = bottleneck.pacing;
    if bottleneck.mark.is_some() {
        config.settings.ecn = EcnPolicy::Accurate;
    }
    config
}

/// Counts the bytes received by flow, in the order in which the flows began.
struct Sink {
    received: Received,
    flows: Vec<ConnId>,
}

impl Service for Sink {
    fn on_accept(&mut self, _: &mut dyn Io, conn: ConnId, _: ListenerId) {
        self.flows.push(conn);
    }

    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        let Some(flow) = self.flows.iter().position(|known| *known == conn) else { return };
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = io.read(conn, &mut buffer);
            if read == 0 {
                return;
            }
            self.received.borrow_mut()[flow] += read as u64;
        }
    }
}

/// Opens the flows one after the other and keeps their send buffers full.
struct Sender {
    target: SocketAddr,
    algorithms: Vec<Algorithm>,
    stagger: Duration,
    sample_every: Duration,
    started_at: Instant,
    flows: Vec<ConnId>,
    samples: Samples,
}

impl Sender {
    fn open_due(&mut self, io: &mut dyn Io) {
        while let Some(algorithm) = self.algorithms.get(self.flows.len()).copied() {
            let due_at = self.started_at + self.stagger.times(self.flows.len() as u64);
            if due_at > io.now() {
                return io.set_alarm(due_at);
            }
            let open =
                ConnectOptions { remote: self.target, local: None, user: self.flows.len() as u64 };
            let conn = io.connect(&open).expect("a free connection for every flow");
            io.set_option(conn, SocketOption::CongestionControl(algorithm));
            self.flows.push(conn);
        }
    }

    fn fill(io: &mut dyn Io, conn: ConnId) {
        static DATA_64K: [u8; 64 * 1024] = [0; 64 * 1024];
        while io.write(conn, &DATA_64K) == DATA_64K.len() {}
    }

    fn sample(&self, io: &dyn Io) {
        let at = io.now().since(self.started_at);
        for (flow, conn) in self.flows.iter().enumerate() {
            if let Some(info) = io.info(*conn) {
                let srtt = Duration::from_nanos(info.srtt_ns);
                self.samples.borrow_mut()[flow].push(Sample { at, cwnd: info.cwnd, srtt });
            }
        }
    }
}

impl Service for Sender {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.open_due(io);
        io.set_alarm(io.now() + self.sample_every);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.open_due(io);
        self.sample(io);
        io.set_alarm(io.now() + self.sample_every);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        Self::fill(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        Self::fill(io, conn);
    }

    fn on_closed(&mut self, _: &mut dyn Io, conn: ConnId, _: u64, reason: CloseReason) {
        panic!("flow {conn:?} closed: {reason:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_fills_a_bottleneck_with_a_queue_of_one_bdp() {
        let report = Bottleneck::new(Algorithm::NewReno, 100, 20).run();
        assert!(report.share() >= 0.9, "{:.3}", report.share());
        assert!(report.queueing < Duration::from_millis(20), "{:?}", report.queueing);
    }

    /// Returns two flows of one algorithm with time to converge: BBR takes several of its cycles.
    fn two(algorithm: Algorithm) -> Bottleneck {
        Bottleneck {
            flows: vec![algorithm; 2],
            settle: Duration::from_secs(15),
            measure: Duration::from_secs(45),
            ..Bottleneck::new(algorithm, 20, 20)
        }
    }

    #[test]
    fn cubic_and_bbr_use_nine_tenths_of_a_bottleneck_with_a_queue_of_one_bdp() {
        for algorithm in [Algorithm::Cubic, Algorithm::Bbr] {
            for (mbit, rtt_ms) in [(100, 20), (1000, 5)] {
                let report = Bottleneck {
                    settle: Duration::from_millis(60 * rtt_ms),
                    measure: Duration::from_millis(60 * rtt_ms),
                    ..Bottleneck::new(algorithm, mbit, rtt_ms)
                }
                .run();
                let name = algorithm.name();
                assert!(report.share() >= 0.9, "{name}, {mbit} Mbit/s: {:.3}", report.share());
            }
        }
    }

    #[test]
    fn two_equal_flows_share_within_095_of_jains_index() {
        for algorithm in [Algorithm::Cubic, Algorithm::Bbr] {
            let report = two(algorithm).run();
            let shares: Vec<_> = report.flows.iter().map(|flow| flow.share).collect();
            let what = format!("{}: {shares:.3?}", algorithm.name());
            assert!(report.jain() >= 0.95 && report.share() >= 0.9, "{what}");
        }
    }

    #[test]
    fn dctcp_fills_a_marking_path_and_its_queue_stays_near_the_threshold() {
        // RFC 8257 §1: "high burst tolerance, low latency, and high throughput with
        // shallow-buffered switches". 20 frames at 1 Gbit/s are 0.24 ms.
        let report = Bottleneck {
            queue_bdp: 4.0,
            mark: Some(20),
            settle: Duration::from_millis(200),
            measure: Duration::from_millis(300),
            ..Bottleneck::new(Algorithm::Dctcp, 1000, 1)
        }
        .run();
        assert!(report.share() >= 0.95, "{:.3}", report.share());
        assert!(report.queueing < Duration::from_micros(480), "{:?}", report.queueing);
        assert_eq!(report.retransmitted, 0.0);
    }

    #[test]
    fn cubic_with_ecn_has_no_losses_at_the_same_queue() {
        // RFC 8511 §1: a smaller reduction, since a short queue marks.
        let report = Bottleneck {
            queue_bdp: 4.0,
            mark: Some(83),
            ..Bottleneck::new(Algorithm::Cubic, 100, 20)
        }
        .run();
        assert!(report.share() >= 0.95, "{:.3}", report.share());
        assert_eq!(report.retransmitted, 0.0, "nothing is dropped");
        assert!(report.queueing < Duration::from_millis(10), "{:?}", report.queueing);
    }

    #[test]
    fn default_buffers_grow_until_a_flow_fills_a_gigabit_over_100_ms() {
        // Slow start takes a second and a half: 12.5 MB are 2^10 times the initial window.
        let bottleneck = Bottleneck {
            tuned: true,
            settle: Duration::from_millis(2500),
            measure: Duration::from_millis(1500),
            ..Bottleneck::new(Algorithm::Cubic, 1000, 100)
        };
        let report = bottleneck.run();
        assert!(report.share() >= 0.9, "{:.3}", report.share());
    }

    #[test]
    fn bbr_fills_a_path_with_one_percent_loss_with_the_default_buffers() {
        // draft-ietf-ccwg-bbr §3.1: high throughput "with average packet loss rates of up to 1%".
        // The send buffer must hold what waits behind holes, and random losses must not lower the
        // bounds of the model.
        let mean = (1..=3).map(|seed| {
            let bottleneck = Bottleneck {
                loss: 0.01,
                tuned: true,
                measure: Duration::from_secs(10),
                seed,
                ..Bottleneck::new(Algorithm::Bbr, 100, 20)
            };
            bottleneck.run().share() / 3.0
        });
        let mean: f64 = mean.sum();
        assert!(mean >= 0.93, "{mean:.3}");
    }

    #[test]
    fn bbr_recovers_from_probes_that_fail_by_random_loss() {
        // draft-ietf-ccwg-bbr §3.1, as above. In the worlds of these seeds many bandwidth probes
        // meet random loss.
        for seed in [6, 8] {
            let bottleneck = Bottleneck {
                loss: 0.01,
                measure: Duration::from_secs(10),
                seed,
                ..Bottleneck::new(Algorithm::Bbr, 100, 20)
            };
            let share = bottleneck.run().share();
            assert!(share >= 0.93, "seed {seed}: {share:.3}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let bottleneck = Bottleneck {
            loss: 0.01,
            settle: Duration::from_secs(1),
            measure: Duration::from_secs(1),
            ..Bottleneck::new(Algorithm::Cubic, 10, 20)
        };
        assert_eq!(bottleneck.run().flows[0].samples, bottleneck.run().flows[0].samples);
    }
}
