//! The verdict on an RSS probe: compares the queues of the [`Replies`] with the prediction from the
//! NIC's key and table.

use std::net::SocketAddr;
use std::str::FromStr;

use linerate::shard::Toeplitz;
use linerate::xdp::Rss;
use serde_json::{Value, json};

use super::finding::Finding;
use super::rss_probe::Replies;

/// The host to probe: `10.0.0.1` or `fd00::1`, with a port `10.0.0.1:7` or `[fd00::1]:7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer(pub SocketAddr);

/// tcpmux: almost no host serves it, so most hosts reply with a reset.
const PORT: u16 = 1;

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let with_port = text.parse().ok();
        let address = || text.parse().ok().map(|ip| SocketAddr::new(ip, PORT));
        let peer = with_port.or_else(address);
        peer.map(Self).ok_or_else(|| "give an address, as in 10.0.0.1 or [fd00::1]:7".to_owned())
    }
}

/// Counts of replies, total and per queue, and of those on the predicted queue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counts {
    sent: usize,
    answered: usize,
    /// Replies per queue.
    queues: Vec<usize>,
    /// Replies on the predicted queue; `None` if no queue can be predicted.
    predicted: Option<usize>,
    /// Like `predicted`, for a NIC that hashes addresses without ports.
    predicted_by_addresses: Option<usize>,
    hashes: Hashes,
}

/// Counts of the hashes that the NIC reported with replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hashes {
    reported: usize,
    /// Hashes that cover ports.
    of_ports: usize,
    /// Hashes over ports that match the NIC's key; `None` if the key is unknown.
    matching: Option<usize>,
}

impl Hashes {
    fn of(replies: &Replies) -> Self {
        let of_ports = || replies.hashes.iter().filter(|(.., of_ports)| *of_ports);
        let toeplitz = replies.rss.as_ref().and_then(toeplitz);
        let matches = |toeplitz: &Toeplitz, port, hash| {
            toeplitz.hash(replies.peer, SocketAddr::new(replies.local, port)) == hash
        };
        Self {
            reported: replies.hashes.len(),
            of_ports: of_ports().count(),
            matching: toeplitz.map(|toeplitz| {
                of_ports().filter(|(port, hash, _)| matches(&toeplitz, *port, *hash)).count()
            }),
        }
    }
}

impl Counts {
    fn of(replies: &Replies) -> Self {
        let received =
            || replies.queues.iter().filter_map(|(port, queue)| Some((*port, (*queue)?)));
        let mut queues = vec![0; replies.rx_queues as usize];
        for (_, queue) in received() {
            if let Some(count) = queues.get_mut(queue as usize) {
                *count += 1;
            }
        }
        let matching = |predict: &dyn Fn(u16) -> Option<u32>| {
            predict(0)?;
            Some(received().filter(|(port, queue)| predict(*port) == Some(*queue)).count())
        };
        let rss = replies.rss.as_ref();
        let (peer, local) = (replies.peer, replies.local);
        Self {
            sent: replies.queues.len(),
            answered: received().count(),
            queues,
            predicted: matching(&|port| queue_of(rss?, peer, SocketAddr::new(local, port))),
            predicted_by_addresses: matching(&|_| {
                // Zero bits add nothing to a Toeplitz hash, so port 0 means "without ports".
                let bare = |address| SocketAddr::new(address, 0);
                queue_of(rss?, bare(peer.ip()), bare(local))
            }),
            hashes: Hashes::of(replies),
        }
    }

    /// Returns the queue that received all replies, if the NIC has several queues.
    fn only_queue(&self) -> Option<usize> {
        let is_only = |count: &usize| *count == self.answered && self.queues.len() > 1;
        self.queues.iter().position(is_only)
    }
}

/// Returns the queue that the NIC's key and table select for a segment.
fn queue_of(rss: &Rss, remote: SocketAddr, local: SocketAddr) -> Option<u32> {
    let hash = toeplitz(rss)?.hash(remote, local) as usize;
    rss.table.get(hash.checked_rem(rss.table.len())?).copied()
}

/// Returns the NIC's hash function, if the key is known.
fn toeplitz(rss: &Rss) -> Option<Toeplitz> {
    let key = rss.key.first_chunk::<{ Toeplitz::KEY_BYTES }>().filter(|_| rss.toeplitz)?;
    Some(Toeplitz::new(*key))
}

/// Returns the finding, with a remedy if replies arrived on the wrong queue.
pub(super) fn finding(interface: &str, replies: &Replies) -> Finding {
    let (name, counts) = ("rss_probe", Counts::of(replies));
    let Counts { sent, answered, .. } = counts;
    if answered == 0 {
        return Finding::fair(
            name,
            format!("none of {sent} SYNs to {} was answered", replies.peer),
            "probe a port that replies, even with a reset (--probe ADDRESS:PORT); many firewalls \
             drop SYNs",
        );
    }
    let shares: Vec<String> =
        (0..).zip(&counts.queues).map(|(n, of)| format!("{n}: {of}")).collect();
    let total = format!("{answered} of {sent} SYNs answered, by queue {}", shares.join(", "));
    match counts.predicted {
        None => Finding::good(name, format!("{total}; the queues cannot be predicted")),
        Some(right) if right == answered => {
            Finding::good(name, format!("{total}, all on the predicted queue"))
        }
        Some(right) => Finding::fair(
            name,
            format!("{total}, {right} of them on the predicted queue"),
            advice(interface, replies.peer, &counts),
        ),
    }
}

fn advice(interface: &str, peer: SocketAddr, counts: &Counts) -> String {
    let harm = "until then workers hand replies to active opens over to each other";
    if counts.predicted_by_addresses == Some(counts.answered) {
        let kind = if peer.is_ipv4() { "tcp4" } else { "tcp6" };
        return format!(
            "the NIC hashes addresses without ports: run `ethtool -N {interface} rx-flow-hash \
             {kind} sdfn`; {harm}"
        );
    }
    if let Some(queue) = counts.only_queue() {
        return format!(
            "the NIC delivers everything to queue {queue} while a program is attached: give serve \
             and load --set-rss, which sets the table; {harm}"
        );
    }
    let table = format!(
        "set the table again (`ethtool -X {interface} equal N` or --set-rss), and look for flow \
         rules that bypass it (`ethtool -u {interface}`)"
    );
    // The hashes that the NIC reported show if the key or the table is wrong.
    let (wrong, remedy) = match counts.hashes {
        Hashes { of_ports: 1.., matching: Some(0), .. } => (
            "the NIC's hashes do not match the key",
            format!("set the key again (`ethtool -X {interface} hkey KEY`)"),
        ),
        Hashes { of_ports: of_ports @ 1.., matching: Some(matching), .. }
            if of_ports == matching =>
        {
            ("the NIC's hashes match the key, but its queues do not match the table", table)
        }
        _ => ("the NIC does not follow the key and the table", table),
    };
    format!("{wrong} that `ethtool -x {interface}` shows: {remedy}; {harm}")
}

/// Returns the counts as JSON.
pub(super) fn object(replies: &Replies) -> Value {
    let counts = Counts::of(replies);
    json!({
        "peer": replies.peer.to_string(),
        "sent": counts.sent,
        "answered": counts.answered,
        "foreseen": counts.predicted,
        "queues": counts.queues,
        "hashes": (counts.hashes.reported > 0).then(|| json!({
            "told": counts.hashes.reported,
            "computed": counts.hashes.matching,
        })),
    })
}

#[cfg(test)]
mod tests {
    use super::super::finding::Grade;
    use super::*;

    fn rss() -> Rss {
        let key = (0..52u8).map(|byte| byte.wrapping_mul(91).wrapping_add(7)).collect();
        let table = (0..128).map(|entry| entry % 4).collect();
        Rss { key, table, toeplitz: true, without_ports: Vec::new() }
    }

    /// Builds the replies of a NIC that selects queues by `choose`.
    fn replies(
        rss: Option<Rss>,
        choose: impl Fn(SocketAddr, SocketAddr) -> Option<u32>,
    ) -> Replies {
        let (peer, local) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let at = |port| (port, choose(peer, SocketAddr::new(local, port)));
        let queues = (61_000..61_256).map(at).collect();
        Replies { peer, local, queues, hashes: Vec::new(), rss, rx_queues: 4 }
    }

    fn bare(address: SocketAddr) -> SocketAddr {
        SocketAddr::new(address.ip(), 0)
    }

    #[test]
    fn a_nic_that_follows_its_table_is_good() {
        let found = finding("eth9", &replies(Some(rss()), |r, l| queue_of(&rss(), r, l)));
        assert_eq!(found.grade, Grade::Good, "{found:?}");
        assert!(found.value.starts_with("256 of 256"), "{found:?}");
        assert!(found.value.ends_with("all on the predicted queue"), "{found:?}");
    }

    #[test]
    fn each_deviation_has_its_own_advice() {
        let by_addresses = replies(Some(rss()), |r, l| queue_of(&rss(), bare(r), bare(l)));
        let elsewhere =
            queue_of(&rss(), bare(by_addresses.peer), SocketAddr::new(by_addresses.local, 0));
        let other = elsewhere.map(|queue| (queue + 1) % 4);
        let shifted = |r, l| queue_of(&rss(), r, l).map(|queue| (queue + 1) % 4);
        for (replies, words) in [
            (by_addresses, "rx-flow-hash tcp4 sdfn"),
            (replies(Some(rss()), |_, _| other), "--set-rss"),
            (replies(Some(rss()), shifted), "ethtool -x eth9"),
        ] {
            let found = finding("eth9", &replies);
            assert_eq!(found.grade, Grade::Fair, "{found:?}");
            assert!(found.hint.as_ref().is_some_and(|hint| hint.contains(words)), "{found:?}");
        }
    }

    #[test]
    fn reported_hashes_show_if_the_key_or_the_table_is_wrong() {
        let elsewhere = |r, l| queue_of(&rss(), r, l).map(|queue| (queue + 1) % 4);
        let with = |change: u32, of_ports| {
            let mut replies = replies(Some(rss()), elsewhere);
            let hash = |port| {
                let local = SocketAddr::new(replies.local, port);
                toeplitz(&rss()).unwrap().hash(replies.peer, local) ^ change
            };
            let hashes = replies.queues.iter().map(|(port, _)| (*port, hash(*port), of_ports));
            replies.hashes = hashes.collect();
            let object = object(&replies);
            (finding("eth9", &replies).hint.unwrap(), object["hashes"].clone())
        };
        let (hint, numbers) = with(0, true);
        assert!(hint.starts_with("the NIC's hashes match the key, but"), "{hint}");
        assert_eq!(numbers, json!({ "told": 256, "computed": 256 }));
        let (hint, numbers) = with(1, true);
        assert!(hint.starts_with("the NIC's hashes do not match the key"), "{hint}");
        assert!(hint.contains("hkey KEY"), "{hint}");
        assert_eq!(numbers, json!({ "told": 256, "computed": 0 }));
        // A hash over addresses alone does not show if a hash over ports would match.
        let (hint, numbers) = with(0, false);
        assert!(hint.starts_with("the NIC does not follow"), "{hint}");
        assert_eq!(numbers, json!({ "told": 256, "computed": 0 }));
    }

    #[test]
    fn missing_replies_and_unpredictable_queues_are_reported_as_such() {
        let silent = finding("eth9", &replies(Some(rss()), |_, _| None));
        assert_eq!(silent.grade, Grade::Fair);
        assert!(silent.value.contains("none of 256"), "{silent:?}");
        for unknown in [None, Some(Rss { toeplitz: false, ..rss() })] {
            let replies = replies(unknown, |_, local| Some(u32::from(local.port() % 2)));
            let found = finding("veth9", &replies);
            assert_eq!(found.grade, Grade::Good);
            assert!(found.value.contains("0: 128, 1: 128, 2: 0"), "{found:?}");
            assert_eq!(object(&replies)["foreseen"], Value::Null);
        }
        let half =
            replies(Some(rss()), |r, l| queue_of(&rss(), r, l).filter(|_| l.port() % 2 == 0));
        let found = finding("eth9", &half);
        assert_eq!(found.grade, Grade::Good, "a lost reply is not a wrong queue: {found:?}");
        assert_eq!(object(&half)["answered"], 128);
    }

    #[test]
    fn a_peer_without_a_port_gets_the_default_port() {
        let peer = |text: &str| text.parse::<Peer>().map(|peer| peer.0.to_string());
        assert_eq!(peer("10.0.0.1"), Ok("10.0.0.1:1".into()));
        assert_eq!(peer("10.0.0.1:7"), Ok("10.0.0.1:7".into()));
        assert_eq!(peer("fd00::1"), Ok("[fd00::1]:1".into()));
        assert_eq!(peer("[fd00::1]:7"), Ok("[fd00::1]:7".into()));
        assert!(peer("host").is_err() && peer("").is_err());
    }
}
