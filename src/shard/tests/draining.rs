//! The drain of a shard: no new connections, a chance to finish those under way.

use super::raw::{Callback, IRS, Raw, ack, segment_of, syn};
use crate::time::Duration;
use crate::wire::tcp::flag;

#[test]
fn a_drain_closes_the_listeners_and_keeps_the_connections() {
    let mut t = Raw::new(|_| {});
    let iss = t.accept();
    t.record_all();
    let deadline = t.now + Duration::from_secs(5);
    t.drain(deadline);
    assert_eq!(t.callbacks(), [Callback::Draining(deadline)]);
    let mut second = syn();
    second.src_port = 6000;
    t.receives(&second, &[]);
    assert_ne!(t.sent().remove(0).flags & flag::RST, 0, "nothing listens any more");
    t.callbacks();
    t.receives(&segment_of(flag::ACK | flag::PSH, IRS + 1, iss + 1), b"under way");
    assert!(t.callbacks().contains(&Callback::Readable));
    assert_eq!(t.shard.connections(), 1);
    let conn = t.conn();
    t.with_io(move |io| {
        io.consume(conn, 9);
        io.write(conn, b"the last answer");
        io.close(conn);
    });
    assert_eq!(t.sent().iter().map(|got| got.len).sum::<usize>(), 15);
    t.receives(&segment_of(flag::ACK | flag::FIN, IRS + 10, iss + 17), &[]);
    assert_eq!(t.shard.connections(), 0, "TIME-WAIT does not count");
}

#[test]
fn a_drain_drops_handshakes_in_progress() {
    let mut t = Raw::new(|_| {});
    t.receives(&syn(), &[]);
    let syn_ack = t.sent().remove(0);
    assert_eq!(t.shard.connections(), 1);
    t.drain(t.now + Duration::from_secs(5));
    assert_eq!(t.shard.connections(), 0);
    t.receives(&ack(IRS + 1, syn_ack.seq + 1), &[]);
    assert_eq!(t.callbacks(), []);
    assert_ne!(t.sent().remove(0).flags & flag::RST, 0);
    t.after_ms(3_000);
    assert_eq!(t.sent(), [], "no SYN-ACK is retransmitted");
}

#[test]
fn what_a_service_writes_when_the_drain_begins_leaves_in_the_next_turn() {
    use crate::link::memory::{self, MemoryLink};
    use crate::shard::{
        Config, ConnId, Io, ListenerConfig, ListenerId, Service, Shard, SingleWorker, TurnEnv,
    };
    use crate::time::Instant;
    use crate::wire::MacAddr;

    /// Counts its calls.
    #[derive(Default)]
    struct Counts {
        started: usize,
        drained: usize,
        ended: usize,
    }
    impl Service for Counts {
        fn on_start(&mut self, _: &mut dyn Io) {
            self.started += 1;
        }
        fn on_accept(&mut self, _: &mut dyn Io, _: ConnId, _: ListenerId) {}
        fn on_drain(&mut self, io: &mut dyn Io, _: Instant) {
            self.drained += 1;
            assert!(io.listen(&ListenerConfig::on_port(80)).is_ok(), "the old listener is closed");
        }
        fn on_turn_end(&mut self, _: &mut dyn Io) {
            self.ended += 1;
        }
    }

    let address = core::net::IpAddr::V4(super::raw::LOCAL);
    let mac = MacAddr([2, 0, 0, 0, 0, 1]);
    let make = |held: bool| {
        let mut config = Config::new(mac, vec![(address, 24)], [7; 32]);
        config.limits = super::stage::small();
        let mut shard = Shard::new(config);
        shard.listen(ListenerConfig::on_port(80)).expect("a free port");
        if held {
            shard.hold_service();
        }
        shard
    };
    for held in [false, true] {
        let (mut shard, mut counts) = (make(held), Counts::default());
        let (mut link, _far): (MemoryLink, _) = memory::pair(memory::Config::default());
        let now = Instant::from_millis(1_000);
        let mut env =
            TurnEnv { link: &mut link, service: &mut counts, handover: &mut SingleWorker };
        shard.start(now, &mut env);
        shard.turn(now, &mut env);
        shard.drain(now, &mut env, now + Duration::from_secs(1));
        shard.release_service();
        shard.turn(now, &mut env);
        let expected = if held { (0, 0, 0) } else { (1, 1, 2) };
        let got = (counts.started, counts.drained, counts.ended);
        assert_eq!(got, expected, "a service that is held back is never called");
    }
}
