//! Wakes from other threads.

use super::raw::{Callback, Raw};
use crate::link::memory::{self, MemoryLink};
use crate::shard::{Config, Io, Service, ServiceWaker, Shard, SingleWorker, TurnEnv};
use crate::time::{Duration, Instant};
use crate::wire::MacAddr;

/// Counts its wakes.
#[derive(Default)]
struct Sleeper {
    woken: usize,
}

impl Service for Sleeper {
    fn on_wake(&mut self, _: &mut dyn Io) {
        self.woken += 1;
    }
}

/// A shard with a service that sets no alarm.
struct Idle {
    shard: Shard,
    link: MemoryLink,
    _far: MemoryLink,
    service: Sleeper,
    now: Instant,
}

impl Idle {
    fn new(prepare: impl FnOnce(&mut Shard)) -> Self {
        let address = core::net::IpAddr::V4(super::raw::LOCAL);
        let mac = MacAddr([2, 0, 0, 0, 0, 1]);
        let mut config = Config::new(mac, vec![(address, 24)], [7; 32]);
        config.limits = super::stage::small();
        let mut shard = Shard::new(config);
        prepare(&mut shard);
        let (link, far) = memory::pair(memory::Config::default());
        let (service, now) = (Sleeper::default(), Instant::from_millis(1_000));
        let mut idle = Self { shard, link, _far: far, service, now };
        idle.run(|shard, now, env| shard.start(now, env));
        idle.turn();
        idle
    }

    fn run(&mut self, call: impl FnOnce(&mut Shard, Instant, &mut TurnEnv<'_>)) {
        let Self { shard, link, service, now, .. } = self;
        call(shard, *now, &mut TurnEnv { link, service, handover: &mut SingleWorker });
    }

    fn turn(&mut self) {
        self.now += Duration::from_millis(1);
        self.run(|shard, now, env| {
            shard.turn(now, env);
        });
    }

    fn is_due(&self) -> bool {
        self.shard.deadline().is_some_and(|at| at <= self.now)
    }
}

/// Wakes from another thread, and waits until it has.
fn wake_elsewhere(waker: &ServiceWaker, times: usize) {
    std::thread::scope(|scope| {
        scope.spawn(|| (0..times).for_each(|_| waker.wake()));
    });
}

#[test]
fn wakes_from_another_thread_make_a_turn_due_that_reports_them_once() {
    let mut idle = Idle::new(|_| {});
    assert!(!idle.is_due());
    let waker = idle.shard.waker().clone();
    wake_elsewhere(&waker, 3);
    assert!(idle.is_due() && idle.shard.is_woken());
    idle.turn();
    assert_eq!(idle.service.woken, 1);
    assert!(!idle.is_due());
    idle.turn();
    assert_eq!(idle.service.woken, 1);
    wake_elsewhere(&waker, 1);
    idle.turn();
    assert_eq!(idle.service.woken, 2);
}

#[test]
fn a_wake_before_the_start_is_reported_after_it() {
    let mut idle = Idle::new(Shard::hold_service);
    let waker = idle.shard.waker().clone();
    wake_elsewhere(&waker, 1);
    assert!(!idle.is_due(), "a turn would not help");
    idle.turn();
    assert_eq!(idle.service.woken, 0);
    idle.shard.release_service();
    assert!(idle.is_due());
    idle.turn();
    assert!(idle.shard.has_started() && idle.is_due());
    idle.turn();
    assert_eq!(idle.service.woken, 1);
    assert!(!idle.is_due());
}

#[test]
fn the_service_and_the_runtime_have_the_same_waker() {
    let mut t = Raw::new(|_| {});
    t.record_all();
    let waker = t.ask(|io| io.waker());
    t.callbacks();
    wake_elsewhere(&waker, 1);
    t.turn();
    assert_eq!(t.callbacks(), [Callback::Woken, Callback::Alarm, Callback::TurnEnd]);
}

#[test]
fn a_replaced_waker_rouses_its_worker() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let waker = ServiceWaker::new(move || {
        let _ = sender.send(());
    });
    let mut idle = Idle::new(move |shard| shard.set_waker(waker));
    wake_elsewhere(&idle.shard.waker().clone(), 2);
    assert_eq!(receiver.try_iter().count(), 1);
    assert!(idle.is_due());
    idle.turn();
    assert_eq!(idle.service.woken, 1);
}

#[test]
fn a_waker_may_outlive_its_shard() {
    let waker = {
        let idle = Idle::new(|_| {});
        idle.shard.waker().clone()
    };
    waker.wake();
    assert!(waker.is_woken());
}
