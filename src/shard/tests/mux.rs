//! Several services on one worker.

use super::stage::{PORT, Stage, echo, target};
use crate::shard::{
    CloseReason, ConnId, ConnectOptions, Io, ListenerConfig, ListenerId, Service, ServiceMux,
};
use crate::sim::{Echo, Plan, SharedTally};
use crate::time::{Duration, Instant};
use core::net::SocketAddr;
use std::cell::RefCell;
use std::rc::Rc;

const OPENED: u16 = 81;

/// An echo that opens its listener when it starts.
struct Opener {
    echo: Echo,
    listener: Rc<RefCell<Option<ListenerId>>>,
}

impl Service for Opener {
    fn on_start(&mut self, io: &mut dyn Io) {
        let listener = io.listen(&ListenerConfig::on_port(OPENED)).expect("a free port");
        *self.listener.borrow_mut() = Some(listener);
    }
    fn on_accept(&mut self, io: &mut dyn Io, conn: ConnId, listener: ListenerId) {
        assert_eq!(Some(listener), *self.listener.borrow());
        assert_eq!(io.user_data(conn), 0, "the tag is hidden");
        io.set_user_data(conn, u64::MAX);
        self.echo.on_accept(io, conn, listener);
    }
    fn on_readable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.echo.on_readable(io, conn);
    }
    fn on_writable(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.echo.on_writable(io, conn);
    }
    fn on_peer_closed(&mut self, io: &mut dyn Io, conn: ConnId) {
        self.echo.on_peer_closed(io, conn);
    }
    fn on_closed(&mut self, io: &mut dyn Io, conn: ConnId, user: u64, reason: CloseReason) {
        assert_eq!(user, u64::MAX >> 8);
        self.echo.on_closed(io, conn, user, reason);
    }
}

/// A server of three services: one that has no listener, an echo on [`PORT`], and an [`Opener`].
/// The stage opens [`PORT`] after the start, as listener 1.
struct Three {
    stage: Stage,
    opened: SharedTally,
}

fn three() -> Three {
    let opened = SharedTally::default();
    let tally = SharedTally::clone(&opened);
    let stage = Stage::new(40, move |served| {
        struct Silent;
        impl Service for Silent {
            fn on_accept(&mut self, _: &mut dyn Io, _: ConnId, _: ListenerId) {
                panic!("it has no listener");
            }
        }
        let opener = Opener { echo: Echo::new(tally), listener: Rc::default() };
        Box::new(ServiceMux::new(vec![Box::new(Silent), echo(served), Box::new(opener)]))
    });
    Three { stage, opened }
}

#[test]
fn a_connection_goes_to_the_service_that_opened_its_listener() {
    let Three { mut stage, opened } = three();
    let at = |port| SocketAddr::new(target(false).ip(), port);
    let (_, first) = stage.client(Plan::echo(at(PORT), 3, 5000));
    stage.finish(&first, 3, Duration::from_secs(10));
    assert_eq!((stage.served.borrow().accepted, opened.borrow().accepted), (3, 0));
    let (_, second) = stage.client(Plan::echo(at(OPENED), 5, 5000));
    stage.finish(&second, 5, Duration::from_secs(10));
    assert_eq!((stage.served.borrow().accepted, opened.borrow().accepted), (3, 5));
    assert_eq!(opened.borrow().received, 25_000);
    for tally in [&first, &second] {
        assert_eq!(tally.borrow().wrong, 0);
        assert_eq!(tally.borrow().ended(CloseReason::Finished), tally.borrow().connected);
    }
}

/// The calls that a service of [`Recorder`]s got, by the number of the service.
type Log = Rc<RefCell<Vec<(u8, &'static str)>>>;

/// Records the calls that concern no accepted connection. The one with a target opens a connection.
struct Recorder {
    number: u8,
    log: Log,
    target: Option<SocketAddr>,
}

impl Recorder {
    fn record(&self, call: &'static str) {
        self.log.borrow_mut().push((self.number, call));
    }
}

impl Service for Recorder {
    fn on_start(&mut self, io: &mut dyn Io) {
        self.record("start");
        if let Some(remote) = self.target {
            io.connect(&ConnectOptions { remote, local: None, user: 7 }).expect("a route");
        }
    }
    fn on_connected(&mut self, io: &mut dyn Io, conn: ConnId, took: Duration) {
        assert_eq!(io.user_data(conn), 7);
        assert!(took > Duration::ZERO);
        self.record("connected");
        io.abort(conn);
    }
    fn on_closed(&mut self, _: &mut dyn Io, _: ConnId, user: u64, _: CloseReason) {
        assert_eq!(user, 7);
        self.record("closed");
    }
    fn on_wake(&mut self, _: &mut dyn Io) {
        self.record("wake");
    }
    fn on_drain(&mut self, _: &mut dyn Io, _: Instant) {
        self.record("drain");
    }
}

#[test]
fn every_service_is_woken_and_drained_and_opens_its_own_connections() {
    let mut stage = Stage::new(41, echo);
    let log = Log::default();
    let recorder = |number, target| -> Box<dyn Service> {
        Box::new(Recorder { number, log: Rc::clone(&log), target })
    };
    let mux = ServiceMux::new(vec![recorder(0, None), recorder(1, Some(target(false)))]);
    let mac = stage.world.next_mac();
    let addresses = super::stage::addresses(mac.0[5]);
    let mut config = crate::shard::Config::new(mac, addresses, stage.world.draw_secret());
    config.limits = super::stage::small();
    let host = stage.world.add_host(&config, vec![Box::new(mux)]);
    stage.world.run_for(Duration::from_millis(100));
    let opened = [(0, "start"), (1, "start"), (1, "connected"), (1, "closed")];
    assert_eq!(log.take(), opened);
    stage.world.host(host).shard(0).waker().wake();
    stage.world.run_for(Duration::from_millis(100));
    assert_eq!(log.take(), [(0, "wake"), (1, "wake")]);
}

#[test]
fn a_drain_reaches_every_service() {
    use crate::link::memory;
    use crate::shard::{Config, Shard, SingleWorker, TurnEnv};
    let log = Log::default();
    let recorder = |number| -> Box<dyn Service> {
        Box::new(Recorder { number, log: Rc::clone(&log), target: None })
    };
    let mut mux = ServiceMux::new(vec![recorder(0), recorder(1)]);
    let address = core::net::IpAddr::V4(super::raw::LOCAL);
    let mac = crate::wire::MacAddr([2, 0, 0, 0, 0, 1]);
    let mut config = Config::new(mac, vec![(address, 24)], [7; 32]);
    config.limits = super::stage::small();
    let mut shard = Shard::new(config);
    let (mut link, _far) = memory::pair(memory::Config::default());
    let now = Instant::from_millis(1_000);
    let mut env = TurnEnv { link: &mut link, service: &mut mux, handover: &mut SingleWorker };
    shard.start(now, &mut env);
    log.take();
    shard.drain(now, &mut env, now);
    assert_eq!(log.take(), [(0, "drain"), (1, "drain")]);
}
