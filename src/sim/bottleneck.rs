//! Flows that share a bottleneck, and how they fare: whole shards at both ends of a cable of a rate, a
//! delay and a queue.
//!
//! The senders are connections of one host, so that what they send meets in one queue; each may have a
//! congestion control of its own. Measured is what the receiver's program gets, after the flows have had
//! time to settle.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use super::{World, WorldConfig};
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

/// Bytes of a full frame on the wire, without preamble and gap.
const FRAME: u64 = 1514;

/// Bytes of data in it, with timestamps.
const DATA: u64 = 1448;

/// What is tried.
#[derive(Clone, Debug)]
pub struct Bottleneck {
    /// Bits a second that pass, of whole frames.
    pub rate: u64,
    /// The round trip without a queue.
    pub rtt: Duration,
    /// The queue, in products of rate and round trip.
    pub queue_bdp: f64,
    /// From so many frames in the queue on, it marks (RFC 3168), and both ends take marks, in the accurate
    /// form; `None` never marks.
    pub mark: Option<usize>,
    /// Probability that a frame is lost, whatever the queue.
    pub loss: f64,
    /// By how much more or less than half the round trip a frame may travel each way, never past another.
    pub jitter: Duration,
    /// The congestion control of each flow.
    pub flows: Vec<Algorithm>,
    /// How long after the one before a flow begins.
    pub stagger: Duration,
    /// How long they have to settle.
    pub settle: Duration,
    /// How long they are measured.
    pub measure: Duration,
    /// Whether loss-based flows are paced.
    pub pacing: bool,
    /// Whether buffers begin small and grow with the flow, as they do by default; else they are large from
    /// the start, so that nothing but congestion control shows.
    pub tuned: bool,
    /// All chance comes from it.
    pub seed: u64,
}

/// A look at a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Since the start.
    pub at: Duration,
    /// Congestion window, bytes.
    pub cwnd: u32,
    /// Smoothed round trip.
    pub srtt: Duration,
}

/// How a flow fared.
#[derive(Clone, Debug, Default)]
pub struct FlowReport {
    /// The part of the bottleneck that it had, of the data that full frames would carry.
    pub share: f64,
    /// Its windows over time, the settling included.
    pub looks: Vec<Look>,
}

/// How they fared.
#[derive(Clone, Debug)]
pub struct Report {
    /// Flow by flow.
    pub flows: Vec<FlowReport>,
    /// Segments sent again, of all sent while settling and measured.
    pub resent: f64,
    /// Timeouts.
    pub timeouts: u64,
    /// How much longer than without a queue the smoothed round trip was, on average while measured.
    pub queueing: Duration,
}

impl Report {
    /// The part of the bottleneck that was used.
    pub fn share(&self) -> f64 {
        self.flows.iter().map(|flow| flow.share).sum()
    }

    /// Jain's index of fairness: 1 is equal, 1/n is all to one.
    pub fn jain(&self) -> f64 {
        let squares: f64 = self.flows.iter().map(|flow| flow.share * flow.share).sum();
        self.share() * self.share() / (self.flows.len() as f64 * squares)
    }
}

impl Bottleneck {
    /// One flow over `mbit` Mbit/s and `rtt_ms`, with a queue of one product of both.
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

    /// Rate times round trip, bytes.
    pub fn bdp(&self) -> u64 {
        (u128::from(self.rate) * u128::from(self.rtt.as_nanos()) / 8_000_000_000) as u64
    }

    /// Runs the world.
    pub fn run(&self) -> Report {
        let mut stage = Stage::new(self);
        let world = &mut stage.world;
        let begun = world.now();
        world.run_for(self.settle + self.stagger.times(self.flows.len() as u64 - 1));
        let before = stage.received.borrow().clone();
        let settled = world.now();
        world.run_for(self.measure);
        let took = world.now().since(settled).as_secs_f64();
        let most = self.rate as f64 / 8.0 * took * DATA as f64 / FRAME as f64;
        let looks = stage.looks.borrow();
        let flows = (0..self.flows.len()).map(|flow| FlowReport {
            share: (stage.received.borrow()[flow] - before[flow]) as f64 / most,
            looks: looks[flow].clone(),
        });
        let flows = flows.collect();
        let counters = stage.world.host(stage.sender).shard(0).counters();
        let counted = |event| counters.counted(event) as f64;
        Report {
            flows,
            resent: counted(Event::Retransmitted) / counted(Event::SegmentOut).max(1.0),
            timeouts: counters.counted(Event::Timeout),
            queueing: self.queueing(&looks, settled.since(begun)),
        }
    }

    fn queueing(&self, looks: &[Vec<Look>], since: Duration) -> Duration {
        let measured: Vec<_> =
            looks.iter().flatten().filter(|look| look.at > since).map(|look| look.srtt).collect();
        let sum = measured.iter().fold(Duration::ZERO, |sum, srtt| sum + *srtt);
        Duration::from_nanos(sum.as_nanos() / measured.len().max(1) as u64) - self.rtt
    }

    /// The cable of the sender's host: the queue in front of the rate on the way out.
    fn impairments(&self, seed: u64) -> Impairments {
        let queue = ((self.bdp() as f64 * self.queue_bdp / FRAME as f64) as usize).max(4);
        let travelling = (self.bdp() / FRAME) as usize;
        let half = Duration::from_nanos(self.rtt.as_nanos() / 2);
        let way = Impairment {
            delay: half,
            jitter: self.jitter,
            hold: queue + 4 * travelling + 1000,
            ..Impairment::default()
        };
        let tx =
            Impairment { rate: Some(self.rate), queue, mark: self.mark, loss: self.loss, ..way };
        Impairments { tx, rx: way, seed }
    }

    fn buffer(&self) -> u32 {
        let volume = self.bdp() as f64 * (2.0 + 2.0 * self.queue_bdp);
        (volume as u32).clamp(256 * 1024, 256 << 20)
    }
}

type Received = Rc<RefCell<Vec<u64>>>;
type Looks = Rc<RefCell<Vec<Vec<Look>>>>;

struct Stage {
    world: World,
    sender: super::HostId,
    received: Received,
    looks: Looks,
}

impl Stage {
    fn new(bottleneck: &Bottleneck) -> Self {
        let frames = bottleneck.impairments(0).tx.hold + 4096;
        let mut world = World::new(WorldConfig {
            seed: bottleneck.seed,
            // The switch's own delay: the cable's is the path's.
            delay: Duration::from_micros(1),
            cable: memory::Config { frames, frame_max: 2048, ring: frames },
        });
        let received: Received = Rc::new(RefCell::new(vec![0; bottleneck.flows.len()]));
        let looks: Looks = Rc::new(RefCell::new(vec![Vec::new(); bottleneck.flows.len()]));
        let address = |n: u8| -> IpAddr { [192, 0, 2, n].into() };

        let config = configure(&mut world, bottleneck, address(1));
        let sink = Sink { received: Rc::clone(&received), flows: Vec::new() };
        let host = world.add_host(&config, vec![Box::new(sink)]);
        let listener = ListenerConfig::on_port(PORT);
        world.host_mut(host).shard_mut(0).listen(listener).expect("a free port");

        let config = configure(&mut world, bottleneck, address(2));
        let uploads = Uploads {
            target: (address(1), PORT).into(),
            algorithms: bottleneck.flows.clone(),
            stagger: bottleneck.stagger,
            look_every: looking_interval(bottleneck),
            started_at: world.now(),
            flows: Vec::new(),
            looks: Rc::clone(&looks),
        };
        let sender = world.add_host_with(&config, vec![Box::new(uploads)], &mut |near, seed| {
            Box::new(Impaired::new(near, &bottleneck.impairments(seed)))
        });
        Self { world, sender, received, looks }
    }
}

fn looking_interval(bottleneck: &Bottleneck) -> Duration {
    bottleneck.rtt.max(Duration::from_millis(10))
}

fn configure(world: &mut World, bottleneck: &Bottleneck, address: IpAddr) -> Config {
    let mut config = Config::new(world.next_mac(), vec![(address, 24)], world.draw_secret());
    let buffer = bottleneck.buffer();
    config.limits = Limits {
        connections: 256,
        embryos: 256,
        time_waits: 256,
        // So much that a window is bounded by its buffer and not by what the pool would leave to newcomers.
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

/// Counts what comes, in the order in which the flows began.
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

/// Opens the flows one after the other and keeps their buffers full.
struct Uploads {
    target: SocketAddr,
    algorithms: Vec<Algorithm>,
    stagger: Duration,
    look_every: Duration,
    started_at: Instant,
    flows: Vec<ConnId>,
    looks: Looks,
}

impl Uploads {
    fn open_due(&mut self, io: &mut dyn Io) {
        while let Some(algorithm) = self.algorithms.get(self.flows.len()).copied() {
            let due_at = self.started_at + self.stagger.times(self.flows.len() as u64);
            if due_at > io.now() {
                return io.set_alarm(due_at);
            }
            let open =
                ConnectOptions { remote: self.target, local: None, user: self.flows.len() as u64 };
            let conn = io.connect(&open).expect("room for every flow");
            io.set_option(conn, SocketOption::CongestionControl(algorithm));
            self.flows.push(conn);
        }
    }

    fn fill(io: &mut dyn Io, conn: ConnId) {
        static TEXT: [u8; 64 * 1024] = [0; 64 * 1024];
        while io.write(conn, &TEXT) == TEXT.len() {}
    }

    fn look(&self, io: &dyn Io) {
        let at = io.now().since(self.started_at);
        for (flow, conn) in self.flows.iter().enumerate() {
            if let Some(info) = io.info(*conn) {
                let srtt = Duration::from_nanos(info.srtt_ns);
                self.looks.borrow_mut()[flow].push(Look { at, cwnd: info.cwnd, srtt });
            }
        }
    }
}

impl Service for Uploads {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.open_due(io);
        io.set_alarm(io.now() + self.look_every);
    }

    fn on_alarm(&mut self, io: &mut dyn Io) {
        self.open_due(io);
        self.look(io);
        io.set_alarm(io.now() + self.look_every);
    }

    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, _: Duration) {
        Self::fill(io, conn);
    }

    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        Self::fill(io, conn);
    }

    fn on_closed(&mut self, _: &mut dyn Io, conn: ConnId, _: u64, ending: CloseReason) {
        panic!("flow {conn:?} ended: {ending:?}");
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

    /// Two flows of one algorithm, once they have had time to converge: BBR takes several of its cycles.
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
    fn dctcp_fills_a_path_that_marks_and_its_queue_stays_near_the_threshold() {
        // RFC 8257 §1: "high burst tolerance, low latency, and high throughput with shallow-buffered
        // switches". 20 frames at 1 Gbit/s are 0.24 ms.
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
        assert_eq!(report.resent, 0.0);
    }

    #[test]
    fn marks_spare_cubic_the_losses_of_the_same_queue() {
        // RFC 8511 §1: a smaller cut, since what marks is a short queue.
        let report = Bottleneck {
            queue_bdp: 4.0,
            mark: Some(83),
            ..Bottleneck::new(Algorithm::Cubic, 100, 20)
        }
        .run();
        assert!(report.share() >= 0.95, "{:.3}", report.share());
        assert_eq!(report.resent, 0.0, "nothing is dropped");
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
    fn bbr_holds_what_it_promises_at_one_percent_of_loss_with_the_default_buffers() {
        // draft-ietf-ccwg-bbr §3.1: high throughput "with average packet loss rates of up to 1%". Half of it
        // went to a send buffer full of what lay behind holes, half to bounds that chance lowered.
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
    fn no_probe_of_bbr_that_fails_by_chance_costs_it_the_path() {
        // draft-ietf-ccwg-bbr §3.1, as above. In these worlds many did, and left 83 and 84 % over ten seconds.
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
        assert_eq!(bottleneck.run().flows[0].looks, bottleneck.run().flows[0].looks);
    }
}
