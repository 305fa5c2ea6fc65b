//! Whether answers came in where the NIC's key and table say: the judgement over what [`answers`](super::answers) found.

use std::net::SocketAddr;
use std::str::FromStr;

use linerate::shard::Toeplitz;
use linerate::xdp::Rss;
use serde_json::{Value, json};

use super::answers::Answers;
use super::finding::Finding;

/// Whom to ask: `10.0.0.1`, `fd00::1`, or with a port, `10.0.0.1:7`, `[fd00::1]:7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// tcpmux: hardly a host has it, so that most answer with a reset.
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

/// How many answers came, and how many of them where they were foreseen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Count {
    sent: usize,
    answered: usize,
    /// By queue.
    queues: Vec<usize>,
    /// `None` where nothing can be foreseen.
    foreseen: Option<usize>,
    /// As `foreseen`, had the NIC hashed addresses alone.
    by_addresses: Option<usize>,
    hashes: Hashes,
}

/// The hashes that the NIC told with answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hashes {
    told: usize,
    /// Those into which ports went.
    of_ports: usize,
    /// And which are what the NIC's key makes of them; `None` where that is not known.
    computed: Option<usize>,
}

impl Hashes {
    fn of(answers: &Answers) -> Self {
        let of_ports = || answers.hashes.iter().filter(|(.., of_ports)| *of_ports);
        let toeplitz = answers.rss.as_ref().and_then(toeplitz);
        let is_computed = |toeplitz: &Toeplitz, port, hash| {
            toeplitz.hash(answers.peer, SocketAddr::new(answers.local, port)) == hash
        };
        Self {
            told: answers.hashes.len(),
            of_ports: of_ports().count(),
            computed: toeplitz.map(|toeplitz| {
                of_ports().filter(|(port, hash, _)| is_computed(&toeplitz, *port, *hash)).count()
            }),
        }
    }
}

impl Count {
    fn of(answers: &Answers) -> Self {
        let came = || answers.queues.iter().filter_map(|(port, queue)| Some((*port, (*queue)?)));
        let mut queues = vec![0; answers.listened as usize];
        for (_, queue) in came() {
            if let Some(count) = queues.get_mut(queue as usize) {
                *count += 1;
            }
        }
        let matching = |foresee: &dyn Fn(u16) -> Option<u32>| {
            foresee(0)?;
            Some(came().filter(|(port, queue)| foresee(*port) == Some(*queue)).count())
        };
        let rss = answers.rss.as_ref();
        let (peer, local) = (answers.peer, answers.local);
        Self {
            sent: answers.queues.len(),
            answered: came().count(),
            queues,
            foreseen: matching(&|port| queue_of(rss?, peer, SocketAddr::new(local, port))),
            by_addresses: matching(&|_| {
                // Bits that are zero add nothing to the hash.
                let bare = |address| SocketAddr::new(address, 0);
                queue_of(rss?, bare(peer.ip()), bare(local))
            }),
            hashes: Hashes::of(answers),
        }
    }

    /// The one queue of all answers, where there are more and it has all.
    fn only_queue(&self) -> Option<usize> {
        let is_only = |count: &usize| *count == self.answered && self.queues.len() > 1;
        self.queues.iter().position(is_only)
    }
}

/// The queue of a segment by the NIC's own key and table.
fn queue_of(rss: &Rss, remote: SocketAddr, local: SocketAddr) -> Option<u32> {
    let hash = toeplitz(rss)?.hash(remote, local) as usize;
    rss.table.get(hash.checked_rem(rss.table.len())?).copied()
}

/// The NIC's hash, where it is known.
fn toeplitz(rss: &Rss) -> Option<Toeplitz> {
    let key = rss.key.first_chunk::<{ Toeplitz::KEY_BYTES }>().filter(|_| rss.toeplitz)?;
    Some(Toeplitz::new(*key))
}

/// The finding, and what is to be done about it.
pub fn finding(interface: &str, answers: &Answers) -> Finding {
    let (name, count) = ("rss_probe", Count::of(answers));
    let Count { sent, answered, .. } = count;
    if answered == 0 {
        return Finding::fair(
            name,
            format!("none of {sent} SYNs to {} was answered", answers.peer),
            "ask a host that answers on that port, be it with a reset (--probe ADDRESS:PORT); many firewalls drop",
        );
    }
    let shares: Vec<String> =
        (0..).zip(&count.queues).map(|(n, of)| format!("{n}: {of}")).collect();
    let came = format!("{answered} of {sent} SYNs were answered, by queue {}", shares.join(", "));
    match count.foreseen {
        None => Finding::good(name, format!("{came}; which one could not be foreseen")),
        Some(right) if right == answered => Finding::good(name, format!("{came}, all as foreseen")),
        Some(right) => Finding::fair(
            name,
            format!("{came}, {right} of them as foreseen"),
            advice(interface, answers.peer, &count),
        ),
    }
}

fn advice(interface: &str, peer: SocketAddr, count: &Count) -> String {
    let harm = "until then answers to active opens are handed over between workers";
    if count.by_addresses == Some(count.answered) {
        let kind = if peer.is_ipv4() { "tcp4" } else { "tcp6" };
        return format!(
            "the NIC hashes addresses without ports: `ethtool -N {interface} rx-flow-hash {kind} sdfn`; {harm}"
        );
    }
    if let Some(queue) = count.only_queue() {
        return format!(
            "the NIC puts all on queue {queue} while a program is attached: set its table then (--set-rss); {harm}"
        );
    }
    let rules = format!("see `ethtool -u {interface}` for rules that steer past it");
    let table =
        format!("set the table again (`ethtool -X {interface} equal N`, --set-rss), and {rules}");
    // The hash that it told settles which of the two it is.
    let (wrong, remedy) = match count.hashes {
        Hashes { of_ports: 1.., computed: Some(0), .. } => (
            "its hashes are not of the key that",
            format!("set the key again (`ethtool -X {interface} hkey KEY`)"),
        ),
        Hashes { of_ports: of_ports @ 1.., computed: Some(computed), .. }
            if of_ports == computed =>
        {
            ("its hashes are of the key, but its queues not of the table that", table)
        }
        _ => ("the NIC does not do what", table),
    };
    format!("{wrong} `ethtool -x {interface}` shows: {remedy}; {harm}")
}

/// The same in numbers.
pub fn object(answers: &Answers) -> Value {
    let count = Count::of(answers);
    json!({
        "peer": answers.peer.to_string(),
        "sent": count.sent,
        "answered": count.answered,
        "foreseen": count.foreseen,
        "queues": count.queues,
        "hashes": (count.hashes.told > 0).then(|| json!({
            "told": count.hashes.told,
            "computed": count.hashes.computed,
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

    /// Answers that a NIC put where `choose` says, given the port.
    fn answers(
        rss: Option<Rss>,
        choose: impl Fn(SocketAddr, SocketAddr) -> Option<u32>,
    ) -> Answers {
        let (peer, local) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let at = |port| (port, choose(peer, SocketAddr::new(local, port)));
        let queues = (61_000..61_256).map(at).collect();
        Answers { peer, local, queues, hashes: Vec::new(), rss, listened: 4 }
    }

    fn bare(address: SocketAddr) -> SocketAddr {
        SocketAddr::new(address.ip(), 0)
    }

    #[test]
    fn a_nic_that_does_as_it_says_is_praised() {
        let found = finding("eth9", &answers(Some(rss()), |r, l| queue_of(&rss(), r, l)));
        assert_eq!(found.grade, Grade::Good, "{found:?}");
        assert!(found.value.starts_with("256 of 256"), "{found:?}");
        assert!(found.value.ends_with("all as foreseen"), "{found:?}");
    }

    #[test]
    fn each_way_to_do_otherwise_has_its_advice() {
        let by_addresses = answers(Some(rss()), |r, l| queue_of(&rss(), bare(r), bare(l)));
        let elsewhere =
            queue_of(&rss(), bare(by_addresses.peer), SocketAddr::new(by_addresses.local, 0));
        let other = elsewhere.map(|queue| (queue + 1) % 4);
        let shifted = |r, l| queue_of(&rss(), r, l).map(|queue| (queue + 1) % 4);
        for (answers, words) in [
            (by_addresses, "rx-flow-hash tcp4 sdfn"),
            (answers(Some(rss()), |_, _| other), "--set-rss"),
            (answers(Some(rss()), shifted), "ethtool -x eth9"),
        ] {
            let found = finding("eth9", &answers);
            assert_eq!(found.grade, Grade::Fair, "{found:?}");
            assert!(found.hint.as_ref().is_some_and(|hint| hint.contains(words)), "{found:?}");
        }
    }

    #[test]
    fn hashes_that_the_nic_told_settle_what_is_not_as_shown() {
        let elsewhere = |r, l| queue_of(&rss(), r, l).map(|queue| (queue + 1) % 4);
        let with = |change: u32, of_ports| {
            let mut answers = answers(Some(rss()), elsewhere);
            let hash = |port| {
                let local = SocketAddr::new(answers.local, port);
                toeplitz(&rss()).unwrap().hash(answers.peer, local) ^ change
            };
            let told = answers.queues.iter().map(|(port, _)| (*port, hash(*port), of_ports));
            answers.hashes = told.collect();
            let object = object(&answers);
            (finding("eth9", &answers).hint.unwrap(), object["hashes"].clone())
        };
        let (hint, numbers) = with(0, true);
        assert!(hint.starts_with("its hashes are of the key, but"), "{hint}");
        assert_eq!(numbers, json!({ "told": 256, "computed": 256 }));
        let (hint, numbers) = with(1, true);
        assert!(hint.starts_with("its hashes are not of the key"), "{hint}");
        assert!(hint.contains("hkey KEY"), "{hint}");
        assert_eq!(numbers, json!({ "told": 256, "computed": 0 }));
        // One of addresses alone says nothing of the ports' place in it.
        let (hint, numbers) = with(0, false);
        assert!(hint.starts_with("the NIC does not do what"), "{hint}");
        assert_eq!(numbers, json!({ "told": 256, "computed": 0 }));
    }

    #[test]
    fn what_is_not_answered_or_not_foreseen_is_told_as_that() {
        let silent = finding("eth9", &answers(Some(rss()), |_, _| None));
        assert_eq!(silent.grade, Grade::Fair);
        assert!(silent.value.contains("none of 256"), "{silent:?}");
        for unknown in [None, Some(Rss { toeplitz: false, ..rss() })] {
            let answers = answers(unknown, |_, local| Some(u32::from(local.port() % 2)));
            let found = finding("veth9", &answers);
            assert_eq!(found.grade, Grade::Good);
            assert!(found.value.contains("0: 128, 1: 128, 2: 0"), "{found:?}");
            assert_eq!(object(&answers)["foreseen"], Value::Null);
        }
        let half =
            answers(Some(rss()), |r, l| queue_of(&rss(), r, l).filter(|_| l.port() % 2 == 0));
        let found = finding("eth9", &half);
        assert_eq!(found.grade, Grade::Good, "lost answers are no wrong ones: {found:?}");
        assert_eq!(object(&half)["answered"], 128);
    }

    #[test]
    fn a_peer_has_a_port_or_gets_one() {
        let peer = |text: &str| text.parse::<Peer>().map(|peer| peer.0.to_string());
        assert_eq!(peer("10.0.0.1"), Ok("10.0.0.1:1".into()));
        assert_eq!(peer("10.0.0.1:7"), Ok("10.0.0.1:7".into()));
        assert_eq!(peer("fd00::1"), Ok("[fd00::1]:1".into()));
        assert_eq!(peer("[fd00::1]:7"), Ok("[fd00::1]:7".into()));
        assert!(peer("host").is_err() && peer("").is_err());
    }
}
