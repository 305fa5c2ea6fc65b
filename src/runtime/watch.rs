//! What changes on an interface while a stack runs on it: queues, the division of flows among them, MTU, carrier.
//!
//! Owns what was so when it last looked. It asks the driver, so it looks when it is told to, about once a second;
//! that the interface is gone is the mirror's to tell, at once.

use std::sync::Arc;

use super::steering::{self, steering};
use super::worker::Command;
use crate::metrics::{Counters, Event};
use crate::shard::Steering;
use crate::xdp::{self, Probe};

/// Frames on another queue than foreseen, of a hundred segments: more than what a change of the table leaves behind.
const STRAYED_PERCENT: u64 = 1;
/// Fewer of them tell nothing.
const STRAYED_MIN: u64 = 100;

/// An interface under watch.
pub(super) struct Watch {
    queues: Vec<u32>,
    /// Bytes of the longest packet that the sockets carry, whatever the interface does.
    mtu_max: usize,
    last: Probe,
    has_told_of_strays: bool,
    has_told_of_stamps: bool,
}

/// What has changed: for the user, and for the workers.
#[derive(Default)]
pub(super) struct News {
    pub(super) notes: Vec<String>,
    pub(super) commands: Vec<Command>,
}

impl Watch {
    /// Watches from what was found at the start.
    pub(super) fn new(last: Probe, queues: &[u32], mtu_max: usize) -> Self {
        Self {
            queues: queues.to_vec(),
            mtu_max,
            last,
            has_told_of_strays: false,
            has_told_of_stamps: false,
        }
    }

    /// Looks.
    pub(super) fn look(&mut self, counters: &Counters) -> News {
        let mut news = News::default();
        self.compare_strays(counters, &mut news);
        self.compare_stamps(counters, &mut news);
        // An interface that does not answer is on its way out, or in a reset: the next look will tell.
        if let Ok(now) = xdp::probe(&self.last.interface) {
            self.compare(now, &mut news);
        }
        news
    }

    fn compare(&mut self, now: Probe, news: &mut News) {
        let last = std::mem::replace(&mut self.last, now);
        let now = &self.last;
        let name = &now.interface;
        if last.carrier != now.carrier {
            let state = if now.carrier { "has a carrier again" } else { "has lost its carrier" };
            news.notes.push(format!("`{name}` {state}"));
        }
        if last.mtu != now.mtu {
            let mtu = self.mtu_max.min(now.mtu as usize);
            news.notes.push(format!(
                "the MTU of `{name}` is {} now: packets take {mtu} bytes at most",
                now.mtu
            ));
            news.commands.push(Command::Mtu(mtu));
        }
        if (&last.rss, last.rx_queues) != (&now.rss, now.rx_queues) {
            news.notes.push(format!("`{name}` spreads flows over its queues in another way now"));
            news.notes.extend(steering::notes(now, &self.queues));
            let steering: Arc<Steering> = Arc::new(steering(now.rss.as_ref(), &self.queues));
            news.commands.push(Command::Steer(steering));
        }
    }

    /// A NIC whose clock is not the system's is told of, once.
    fn compare_stamps(&mut self, counters: &Counters, news: &mut News) {
        if self.has_told_of_stamps || counters.counted(Event::StampForeign) == 0 {
            return;
        }
        self.has_told_of_stamps = true;
        news.notes.push(format!(
            "the timestamps of `{}` are of another clock than the system's: waits are counted from when the XDP program \
             saw a frame",
            self.last.interface
        ));
    }

    /// A NIC that does not do what it tells is told of, once.
    fn compare_strays(&mut self, counters: &Counters, news: &mut News) {
        let (strayed, all) = (counters.counted(Event::Strayed), counters.counted(Event::SegmentIn));
        if self.has_told_of_strays || strayed < STRAYED_MIN.max(all * STRAYED_PERCENT / 100) {
            return;
        }
        self.has_told_of_strays = true;
        news.notes.push(format!(
            "{strayed} of {all} segments came in on another queue than the hash of `{}` says: they are handed over, \
             which costs time. See `ethtool -x` and `ethtool -n {} rx-flow-hash tcp4`",
            self.last.interface, self.last.interface
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdp::Rss;

    fn probe() -> Probe {
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

    fn after(change: impl FnOnce(&mut Probe)) -> News {
        let mut watch = Watch::new(probe(), &[0, 1], 1500);
        let (mut now, mut news) = (probe(), News::default());
        change(&mut now);
        watch.compare(now, &mut news);
        news
    }

    #[test]
    fn nothing_new_is_not_told() {
        let news = after(|_| {});
        assert!(news.notes.is_empty() && news.commands.is_empty());
    }

    #[test]
    fn more_queues_than_workers_are_told_and_the_workers_foresee_anew() {
        let news = after(|now| {
            now.rx_queues = 4;
            now.rss = Some(Rss { table: vec![0, 1, 2, 3], ..now.rss.take().unwrap() });
        });
        assert!(
            news.notes.iter().any(|note| note.contains("no worker (2, 3)")),
            "{:?}",
            news.notes
        );
        let [Command::Steer(steering)] = &news.commands[..] else { panic!("one command") };
        assert!(matches!(&**steering, Steering::Rss { table, .. } if table.len() == 4));
    }

    #[test]
    fn a_hash_that_leaves_ports_out_from_now_on_is_told_with_the_way_back() {
        let news = after(|now| {
            now.rss = Some(Rss { without_ports: vec!["tcp4"], ..now.rss.take().unwrap() });
        });
        assert!(
            news.notes.iter().any(|note| note.contains("rx-flow-hash tcp4 sdfn")),
            "{:?}",
            news.notes
        );
        assert!(matches!(&news.commands[..], [Command::Steer(to)] if **to == Steering::Single));
    }

    #[test]
    fn a_lower_mtu_is_passed_on_and_a_higher_one_no_further_than_the_sockets_carry() {
        for (mtu, carried) in [(1400, 1400), (9000, 1500)] {
            let news = after(|now| now.mtu = mtu);
            assert!(matches!(news.commands[..], [Command::Mtu(told)] if told == carried));
        }
    }

    #[test]
    fn a_foreign_clock_is_told_of_once() {
        let mut watch = Watch::new(probe(), &[0, 1], 1500);
        let mut counters = Counters::default();
        let mut told = |foreign| {
            counters.add(Event::StampForeign, foreign);
            let mut news = News::default();
            watch.compare_stamps(&counters, &mut news);
            news.notes.len()
        };
        assert_eq!([told(0), told(3), told(4)], [0, 1, 0]);
    }

    #[test]
    fn strays_are_told_once_and_only_when_they_are_many() {
        let counted = |strayed| {
            let mut counters = Counters::default();
            counters.add(Event::SegmentIn, 20_000);
            counters.add(Event::Strayed, strayed);
            counters
        };
        let mut watch = Watch::new(probe(), &[0, 1], 1500);
        let mut told = |strayed| {
            let mut news = News::default();
            watch.compare_strays(&counted(strayed), &mut news);
            news.notes.len()
        };
        assert_eq!([told(150), told(250), told(300)], [0, 1, 0]);
    }
}
