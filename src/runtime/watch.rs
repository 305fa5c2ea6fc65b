//! Detects what changes on an interface while a stack runs on it: queues, RSS table, MTU, carrier.
//!
//! Owns the state of the last probe. It compares, and leaves probing and acting on it to the
//! housekeeping thread. The mirror reports the removal of the interface.

use std::sync::Arc;

use super::command::Command;
use super::events::StackEvent;
use super::steering::{problems, steering};
use crate::metrics::{Counters, Event};
use crate::shard::Steering;
use crate::xdp::Probe;

/// Share of segments on an unexpected queue that is reported, percent: more than what a change of
/// the RSS table leaves behind.
const STRAYED_PERCENT: u64 = 1;
/// Fewer strayed segments are not significant.
const STRAYED_MIN: u64 = 100;

/// Compares probes of an interface.
pub(super) struct Watch {
    queues: Vec<u32>,
    /// Longest packet that the sockets carry at any MTU, bytes.
    packet_bytes_max: usize,
    last: Probe,
    strays_reported: bool,
    foreign_stamps_reported: bool,
}

/// The changes between two probes.
#[derive(Default)]
pub(super) struct Changes {
    /// For the program.
    pub(super) events: Vec<StackEvent>,
    /// For every worker.
    pub(super) commands: Vec<Command>,
}

impl Watch {
    /// Starts from the state `last` that setup found.
    pub(super) fn new(last: Probe, queues: &[u32], packet_bytes_max: usize) -> Self {
        Self {
            queues: queues.to_vec(),
            packet_bytes_max,
            last,
            strays_reported: false,
            foreign_stamps_reported: false,
        }
    }

    /// Returns the interface's name.
    pub(super) fn interface(&self) -> &str {
        &self.last.interface
    }

    /// Returns what has changed. Without a probe, as during a reset of the NIC, the next one shows
    /// it.
    pub(super) fn compare(&mut self, counters: &Counters, probe: Option<Probe>) -> Changes {
        let mut changes = Changes::default();
        self.compare_strays(counters, &mut changes);
        self.compare_stamps(counters, &mut changes);
        if let Some(now) = probe {
            self.compare_probe(now, &mut changes);
        }
        changes
    }

    fn compare_probe(&mut self, now: Probe, changes: &mut Changes) {
        let last = std::mem::replace(&mut self.last, now);
        let now = &self.last;
        let interface = || now.interface.clone();
        if last.carrier != now.carrier {
            changes.events.push(if now.carrier {
                StackEvent::CarrierRegained { interface: interface() }
            } else {
                StackEvent::CarrierLost { interface: interface() }
            });
        }
        if last.mtu != now.mtu {
            let packet_bytes_max = self.packet_bytes_max.min(now.mtu as usize);
            let (interface, mtu) = (interface(), now.mtu);
            changes.events.push(StackEvent::MtuChanged { interface, mtu, packet_bytes_max });
            changes.commands.push(Command::Mtu(packet_bytes_max));
        }
        if (&last.rss, last.rx_queues) != (&now.rss, now.rx_queues) {
            let problems = problems(now, &self.queues);
            changes.events.push(StackEvent::RssChanged { interface: interface(), problems });
            let steering: Arc<Steering> = Arc::new(steering(now.rss.as_ref(), &self.queues));
            changes.commands.push(Command::Steer(steering));
        }
    }

    /// Reports once that the NIC's clock is not the system's.
    fn compare_stamps(&mut self, counters: &Counters, changes: &mut Changes) {
        if self.foreign_stamps_reported || counters.counted(Event::StampForeign) == 0 {
            return;
        }
        self.foreign_stamps_reported = true;
        let interface = self.last.interface.clone();
        changes.events.push(StackEvent::TimestampsForeign { interface });
    }

    /// Reports once that the NIC does not spread flows as its table and key say.
    fn compare_strays(&mut self, counters: &Counters, changes: &mut Changes) {
        let strayed = counters.counted(Event::Strayed);
        let segments = counters.counted(Event::SegmentIn);
        if self.strays_reported || strayed < STRAYED_MIN.max(segments * STRAYED_PERCENT / 100) {
            return;
        }
        self.strays_reported = true;
        let interface = self.last.interface.clone();
        changes.events.push(StackEvent::SegmentsStrayed { interface, strayed, segments });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::xdp::Rss;

    /// An interface with two queues and a predictable hash.
    pub(in super::super) fn probe() -> Probe {
        Probe {
            interface: "eth7".into(),
            index: 7,
            mac: [2, 0, 0, 0, 0, 7],
            mtu: 1500,
            up: true,
            carrier: true,
            driver: None,
            rx_queues: 2,
            tx_queues: 2,
            rx_queues_max: 8,
            rings: None,
            rss: Some(Rss {
                key: vec![1; 40],
                table: vec![0, 1],
                toeplitz: true,
                without_ports: Vec::new(),
            }),
            tx_checksum_offload: None,
            segmentation_offload: None,
            receive_offload: None,
            large_receive_offload: None,
            vlan_stripping: None,
            features: None,
            program: None,
            peer: None,
        }
    }

    fn after(change: impl FnOnce(&mut Probe)) -> Changes {
        let mut watch = Watch::new(probe(), &[0, 1], 1500);
        let mut now = probe();
        change(&mut now);
        watch.compare(&Counters::default(), Some(now))
    }

    fn problems_after(changes: &Changes) -> &[String] {
        let [StackEvent::RssChanged { problems, .. }] = &changes.events[..] else {
            panic!("{:?}", changes.events)
        };
        problems
    }

    #[test]
    fn an_unchanged_interface_gives_no_events() {
        let changes = after(|_| {});
        assert!(changes.events.is_empty() && changes.commands.is_empty());
    }

    #[test]
    fn an_interface_that_does_not_answer_changes_nothing() {
        let changes = Watch::new(probe(), &[0, 1], 1500).compare(&Counters::default(), None);
        assert!(changes.events.is_empty() && changes.commands.is_empty());
    }

    #[test]
    fn a_carrier_that_goes_and_returns_is_reported() {
        let mut watch = Watch::new(probe(), &[0, 1], 1500);
        let mut events = |carrier| {
            watch.compare(&Counters::default(), Some(Probe { carrier, ..probe() })).events
        };
        let interface = || "eth7".to_owned();
        assert_eq!(events(false), [StackEvent::CarrierLost { interface: interface() }]);
        assert_eq!(events(true), [StackEvent::CarrierRegained { interface: interface() }]);
    }

    #[test]
    fn more_queues_than_workers_are_reported_and_the_workers_get_the_new_table() {
        let changes = after(|now| {
            now.rx_queues = 4;
            now.rss = Some(Rss { table: vec![0, 1, 2, 3], ..now.rss.take().unwrap() });
        });
        let problems = problems_after(&changes);
        assert!(problems.iter().any(|it| it.contains("no worker (2, 3)")), "{problems:?}");
        let [Command::Steer(steering)] = &changes.commands[..] else { panic!("one command") };
        assert!(matches!(&**steering, Steering::Rss { table, .. } if table.len() == 4));
    }

    #[test]
    fn a_hash_that_no_longer_covers_ports_is_reported_with_its_remedy() {
        let changes = after(|now| {
            now.rss = Some(Rss { without_ports: vec!["tcp4"], ..now.rss.take().unwrap() });
        });
        let problems = problems_after(&changes);
        assert!(problems.iter().any(|it| it.contains("rx-flow-hash tcp4 sdfn")), "{problems:?}");
        assert!(matches!(&changes.commands[..], [Command::Steer(to)] if **to == Steering::Single));
    }

    #[test]
    fn workers_use_a_lower_mtu_and_a_higher_one_up_to_what_the_sockets_carry() {
        for (mtu, carried) in [(1400, 1400), (9000, 1500)] {
            let changes = after(|now| now.mtu = mtu);
            assert!(matches!(changes.commands[..], [Command::Mtu(bytes)] if bytes == carried));
        }
    }

    #[test]
    fn foreign_timestamps_are_reported_once() {
        let mut watch = Watch::new(probe(), &[0, 1], 1500);
        let mut counters = Counters::default();
        let mut events = |foreign| {
            counters.add(Event::StampForeign, foreign);
            watch.compare(&counters, None).events.len()
        };
        assert_eq!([events(0), events(3), events(4)], [0, 1, 0]);
    }

    #[test]
    fn strayed_segments_are_reported_once_and_only_when_there_are_many() {
        let mut watch = Watch::new(probe(), &[0, 1], 1500);
        let mut events = |strayed| {
            let mut counters = Counters::default();
            counters.add(Event::SegmentIn, 20_000);
            counters.add(Event::Strayed, strayed);
            watch.compare(&counters, None).events.len()
        };
        assert_eq!([events(150), events(250), events(300)], [0, 1, 0]);
    }
}
